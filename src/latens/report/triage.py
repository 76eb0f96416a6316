"""The chapter on the pictures that are worth a look."""

from latens.report.elements import details, esc, paragraphs, table
from latens.story import Story
from latens.text import number

__all__ = ["explained", "lists"]

TITLES = {
    "far-from-all": ("Far from all others", "Strangeness"),
    "near-duplicate": ("Near-duplicates", "Share of the usual distance"),
    "doubtful-label": ("Doubtful labels", "Doubt"),
}


def explained(story: Story) -> str:
    """What was looked for, and how much was found."""
    if not story.reviewed:
        return paragraphs("The pictures were not reviewed yet: `latens review` does it.")
    far, pairs, labels = (len(story.findings.get(kind, ())) for kind in TITLES)
    across = sum(found.across_parts for found in story.findings.get("near-duplicate", ()))
    told = [
        f"All {number(story.reviewed)} pictures, train and test, were looked through for what is worth a look.",
        "Far from all others: by the distance to the 50th nearest latent, by the distance from the mean in units of each"
        " direction's spread, by the error as a share of what there was to rebuild, and by plain statistics of the pixels"
        f" (brightness, contrast, roughness, colours); the first {number(far)} are listed. Wrong pictures gather here, and so do"
        " rare ones.",
        f"Near-duplicates: {number(pairs)} pairs are much nearer to each other, pixel by pixel, than neighbours usually are."
        + (f" Of these {number(across)} lie across the two parts, so that the test part is not wholly new to the model."
           if across else ""),
    ]  # fmt: skip
    if story.data.class_names:
        told.append(
            f"Doubtful labels: {number(labels)} pictures have another class nearer in latent space than their own, by the"
            " three nearest of each class; those with the largest ratio of the two distances come first. Doubt is its logarithm."
        )
    return paragraphs(*told)


def lists(story: Story) -> str:
    """The names of what was found, to unfold."""
    parts = []
    for kind, (title, score) in TITLES.items():
        rows = [(esc(one.image), esc(one.label), number(one.score)) for one in story.findings.get(kind, ())]
        if rows:
            listing = table(title, ("Image", "Label", score), rows, "names")
            parts.append(details(f"{title}: the names of the {len(rows)}", listing))
    return "".join(parts)

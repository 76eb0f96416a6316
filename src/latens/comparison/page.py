"""compare.html: the comparison as one self-contained page."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from latens.comparison.across import NO_RANKING, larger_is_worse
from latens.comparison.advice import RULE
from latens.comparison.cells import Sheet, number_text, score_sheet, seeds_text
from latens.comparison.drawing import SAMPLES_SEED, Drawn, Tile, draw_comparison
from latens.comparison.result import Comparison
from latens.comparison.rows import Setting
from latens.files import atomic_write
from latens.images import Dataset
from latens.progress import Progress
from latens.report.elements import details, esc, figure, paragraphs, table
from latens.report.page import lay_out

__all__ = ["write_page"]

STYLE = """
table.runs { border-collapse: separate; border-spacing: 0; font-size: .97rem; }
table.runs small { display: block; color: var(--muted); font-weight: 400; }
table.runs td, table.runs thead th + th { text-align: right; padding-left: .55rem; padding-right: .55rem; white-space: nowrap; }
table.runs thead th + th { white-space: normal; vertical-align: bottom; }
table.runs th:first-child { position: sticky; left: 0; background: var(--paper); }
table.runs th:first-child { min-width: 8.5rem; }
table.runs .words { white-space: normal; max-width: 26rem; text-align: left; }
table.runs strong { color: var(--good); }
.side-by-side {
  display: grid;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 17.5rem), 1fr));
  gap: 1.4rem 1.2rem;
  margin: 1.2rem 0 2rem;
}
.side-by-side figure { margin: 0; min-width: 0; }
.side-by-side figure img { width: 100%; border-radius: 6px; }
.side-by-side figcaption { margin-top: .35rem; padding: 0; }
@media (max-width: 34rem) {
  .side-by-side { grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: 1rem .7rem; }
  table.runs th:first-child { max-width: 9rem; overflow-wrap: anywhere; }
  .side-by-side figure img { border-inline: 1px solid var(--line); }
}
"""
WORDY = ("best sampler", "failed", "setting")

Chapter = tuple[str, str, str]


def write_page(compared: Comparison, images: Mapping[str, Dataset], progress: Progress) -> None:
    """Draw the figures and write compare.html into the comparison's folder.

    Args:
        compared: with at least one complete run.
        images: data sets that are at hand, by name.
        progress: shows how far it is.
    """
    drawn = draw_comparison(compared, images, progress)
    chapters = [chapter for chapter in _chapters(compared, drawn) if chapter[2]]
    created = datetime.now(UTC).strftime("%Y-%m-%d")
    title = f"{' and '.join(compared.by_data)}: {len(compared.settings)} settings compared"
    text = lay_out(title, _lead(compared), _top(compared), chapters, created, STYLE)
    atomic_write(compared.path / "compare.html", text.encode("utf-8"))


def _chapters(compared: Comparison, drawn: Sequence[Drawn]) -> list[Chapter]:
    return [
        ("scores", "The scores side by side", _scores(compared)),
        ("dimensions", "Error over the latent dimension", _dimensions(compared, drawn)),
        ("generation", "Generation against reconstruction", _generation(drawn)),
        ("samples", "Samples side by side", _samples(drawn)),
        ("reconstructions", "Reconstructions side by side", _reconstructions(drawn)),
        ("maps", "Maps side by side", _maps(drawn)),
        ("data", "Over data sets", _data(compared)),
        ("protocols", "How it was measured", _protocols(compared)),
    ]


def _lead(compared: Comparison) -> str:
    done = sum(not row.error for row in compared.rows)
    many = max(len(setting.done) for setting in compared.settings)
    spread = "mean ± standard deviation over seeds" if many > 1 else "one seed each, so without a spread"
    return f"{done} runs of {len(compared.settings)} settings on the same images, measured in the same way: {spread}."


def _top(compared: Comparison) -> str:
    failed = [row for row in compared.rows if row.error]
    notes = [
        f"Failed: {row.data}, {row.recipe.model_choice}, {row.recipe.network}, D = {row.recipe.latent_dim},"
        f" seed {row.recipe.config.seed}: {row.error}"
        for row in failed
    ]
    return "".join(f'<p class="note">{esc(note)}</p>\n' for note in notes)


def _scores(compared: Comparison) -> str:
    parts = []
    for data, settings in compared.by_data.items():
        sheet = next(sheet for sheet in compared.sheets() if sheet.title == data)
        parts.append(
            _heading(compared.by_data, data) + paragraphs(_fixed(settings)) + _table(sheet, f"The scores on {data}")
        )
        everything = _table(score_sheet(data, settings), f"Every score on {data}", merge=False)
        parts.append(details("Every score", everything))
    text = (
        "The best of each column is in bold. D is the latent dimension; the error is the mean squared one on the test part,"
        " beside that of PCA with as many numbers."
    )
    return paragraphs(text) + "".join(parts)


def _fixed(settings: Sequence[Setting]) -> str:
    names = sorted({setting.recipe.name for setting in settings})
    networks = sorted({setting.recipe.network for setting in settings})
    optimisers = sorted({setting.recipe.config.optimiser for setting in settings})
    epochs = sorted({setting.recipe.config.epochs for setting in settings})
    seeds = sorted({row.recipe.config.seed for setting in settings for row in setting.rows})
    unit = "epoch" if epochs == [1] else "epochs"
    return (
        f"Recipe {', '.join(names)}, network {', '.join(networks)}, {', '.join(map(str, epochs))} {unit},"
        f" optimiser {', '.join(optimisers)},"
        f" {'seeds' if len(seeds) > 1 else 'seed'} {seeds_text(seeds)}."
    )


def _heading(several: Sequence[object] | Mapping[str, object], text: str) -> str:
    return f"<h3>{esc(text)}</h3>\n" if len(several) > 1 else ""


def _table(sheet: Sheet, caption: str, merge: bool = True) -> str:
    """A sheet as HTML; with `merge` model and network share the first cell, or the model has it where one network is all."""
    one = len({cells[1] for cells in sheet.rows}) == 1
    headings = list(sheet.headings)
    wordy = [heading in WORDY for heading in headings]
    rows = []
    for row, cells in enumerate(sheet.rows):
        shown = [_cell(text, (row, i) in sheet.best, i in sheet.right) for i, text in enumerate(cells)]
        shown = [f'<div class="words">{cell}</div>' if long else cell for cell, long in zip(shown, wordy, strict=True)]
        rows.append([shown[0] if one else f"{shown[0]}, {shown[1]}", *shown[2:]] if merge else shown)
    return table(caption, ["setting", *headings[2:]] if merge else headings, rows, "runs")


def _cell(text: str, best: bool, is_number: bool) -> str:
    """A cell as HTML; the interval of a number goes below it."""
    number, bracket, interval = text.partition(" (") if is_number else (text, "", "")
    below = f"<small>({esc(interval)}</small>" if bracket else ""
    return (f"<strong>{esc(number)}</strong>" if best else esc(number)) + below


def _dimensions(compared: Comparison, drawn: Sequence[Drawn]) -> str:
    parts = []
    for index, one in enumerate(drawn):
        advice = [a.sentence for a in compared.advice if a.data == one.data]
        picture = _figure(
            one.dimensions,
            f"dimensions-{index + 1}",
            f"Curves of the test error on {one.data} over the latent dimension. {' '.join(advice)}",
            "Test error over the latent dimension, both axes logarithmic; bars are standard deviations over seeds. The dashed"
            " line is PCA with as many numbers, the best that a linear autoencoder can do.",
        )
        parts.append(
            _heading(drawn, one.data) + picture + "".join(f'<p class="note">{esc(text)}</p>\n' for text in advice)
        )
    return "".join(parts) + paragraphs(RULE if any(a.latent_dim for a in compared.advice) else "")


def _generation(drawn: Sequence[Drawn]) -> str:
    caption = (
        "Each dot is a setting: the reconstruction error from left to right, the distance of its best sampler's samples from real"
        " pictures from bottom to top, both logarithmic; lower left is best. The dashed line is what real pictures get."
    )
    pictures = [
        _figure(one.generation, f"generation-{i + 1}", f"Scatter plot of FD against test error on {one.data}.", caption)
        for i, one in enumerate(drawn)
    ]
    return "".join(_heading(drawn, one.data) * bool(p) + p for one, p in zip(drawn, pictures, strict=True))


def _samples(drawn: Sequence[Drawn]) -> str:
    text = (
        "One protocol for all: the same sampler, the same number of pictures, the same seed"
        f" ({SAMPLES_SEED}), of the first seed of each setting. With few classes each column is one class, where the"
        " sampler knows classes."
    )
    parts = [paragraphs(text)]
    for index, one in enumerate(drawn):
        parts.append(_heading(drawn, one.data))
        for sampler, tiles in one.samples.items():
            if not any(tile.path for tile in tiles):
                continue  # what no setting can have, such as a prior of plain autoencoders
            what = f"{one.num_samples} samples by {sampler}"
            parts.append(f"<h3>{esc(what)}</h3>\n" + _side_by_side(tiles, f"{index + 1}-{sampler}", what))
        parts.append(_left_out(one))
    return "".join(parts)


def _reconstructions(drawn: Sequence[Drawn]) -> str:
    return "".join(
        _heading(drawn, one.data)
        + _side_by_side(one.reconstructions, f"{i + 1}-rebuilt", "reconstructions of test images")
        for i, one in enumerate(drawn)
        if one.reconstructions
    )


def _maps(drawn: Sequence[Drawn]) -> str:
    text = "t-SNE of the latents of the same images, coloured by class. Axes and empty space have no meaning."
    return paragraphs(text) + "".join(
        _heading(drawn, one.data) + _side_by_side(one.maps, f"{i + 1}-map", "map of the latents") + _left_out(one)
        for i, one in enumerate(drawn)
    )


def _left_out(one: Drawn) -> str:
    return paragraphs(f"{one.left_out} more settings are not shown here." if one.left_out else "")


def _side_by_side(tiles: Iterable[Tile], name: str, what: str) -> str:
    shown = "".join(
        figure(tile.path, f"{name}-{i}", f"{what}: {tile.name}", tile.name)
        if tile.path
        else f"<figure><figcaption>{esc(tile.name)}: {esc(tile.missing)}</figcaption></figure>\n"
        for i, tile in enumerate(tiles)
    )
    return f'<div class="side-by-side">\n{shown}</div>\n'


def _figure(path: Path | None, name: str, alt: str, caption: str) -> str:
    return "" if path is None else figure(path, name, alt, caption)


def _data(compared: Comparison) -> str:
    if compared.ratios is None:
        return ""
    answer = larger_is_worse(compared.settings, compared.samplers)
    shown = _table(compared.ratios, compared.ratios.title, merge=False)
    return f'<p class="note">{esc(answer)}</p>\n' + paragraphs(NO_RANKING) + shown


def _protocols(compared: Comparison) -> str:
    found = {(row.data, s.column): str(s.protocol.comparable) for row in compared.rows for s in row.scores}
    items = "".join(
        f"<dt>{esc(column)}{esc(f' ({data})') if len(compared.by_data) > 1 else ''}</dt><dd>{esc(text)}</dd>\n"
        for (data, column), text in found.items()
    )
    runs = [
        (esc(row.path), esc(row.data), str(row.recipe.config.seed), number_text(row.facts.get("seconds")))
        for row in compared.rows
    ]
    text = "Scores are side by side only where they were measured in the same way on the same images; each run has its own seed."
    return (
        paragraphs(text)
        + details("The protocol of every score", f'<dl class="protocols">\n{items}</dl>\n')
        + details("The runs", table("The runs", ("Folder", "Data", "Seed", "Seconds"), runs, "runs"))
    )

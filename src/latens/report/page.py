"""report.html: one file, no script, nothing fetched from anywhere."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from markupsafe import Markup

from latens.files import atomic_write
from latens.left_out import LeftOut
from latens.pages import HERE, style, templates
from latens.report.sections import CHAPTERS, chapter, headline
from latens.story import Story

__all__ = ["build_html", "lay_out", "write_html"]


def build_html(story: Story, left: LeftOut | None = None) -> str:
    """The whole report as HTML, with its style and its figures inside.

    Args:
        story: what to tell.
        left: keeps the reasons of the chapters that could not be written; each says so in its place.

    Raises:
        RunDamaged: without `left`, a figure is missing or not a PNG.
    """
    top = _attempted(left, "headline", partial(headline, story))
    chapters = [(name, title, _attempted(left, name, partial(chapter, name, story))) for name, title in CHAPTERS]
    return lay_out(story.title, _lead(story), top, [one for one in chapters if one[2]], story.created)


def _attempted(left: LeftOut | None, name: str, write: Callable[[], Markup]) -> Markup:
    if left is None:
        return write()
    what = f"chapter {name} of the report"
    with left.attempt(what):
        return write()
    return Markup('<p class="note">This chapter was left out: {}</p>\n').format(left.reasons[what])


def lay_out(
    title: str, lead: str, top: str, chapters: Sequence[tuple[str, str, str]], created: str = "", more_style: str = ""
) -> str:
    """A page with its style inside: head, contents, numbered chapters, foot.

    Args:
        title: of the page.
        lead: what the page shows, in a sentence or two.
        top: HTML that comes before the contents.
        chapters: the id, the title and the HTML of each.
        created: when, as text.
        more_style: CSS that only this page has.
    """
    return (
        templates(HERE)
        .get_template("page.html")
        .render(
            title=title,
            lead=lead,
            # What templates made, which escape by themselves, and our own style sheets.
            top=Markup(top),  # noqa: S704
            chapters=[(name, heading, Markup(text)) for name, heading, text in chapters],  # noqa: S704
            created=created,
            style=Markup(style() + more_style),  # noqa: S704
        )
    )


def _lead(story: Story) -> str:
    return (
        f"An autoencoder encoded the images of {story.data.name} in {story.network.latent_dim:,} numbers each and decoded them"
        " again. This page shows how well it did that, what its latent space looks like, and whether it can generate new images."
    )


def write_html(story: Story, path: str | os.PathLike[str], left: LeftOut | None = None) -> Path:
    """Write the report to a file, whole or not at all.

    Args:
        story: what to tell.
        path: the file; its folder is made where it is missing.
        left: see `build_html`.

    Returns:
        The path.

    Raises:
        RunDamaged: a figure is missing or not a PNG.
    """
    atomic_write(path, build_html(story, left).encode("utf-8"))
    return Path(path)

"""The page around the chapters: one file, no script, nothing fetched from anywhere."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path

from latens.files import atomic_write
from latens.left_out import LeftOut
from latens.report.elements import esc
from latens.report.sections import CHAPTERS, headline
from latens.story import Story

__all__ = ["build_html", "lay_out", "write_html"]

CREDIT = "After the notebook “[AI] Autoencoder Implementation” by Sangyun Won (2024-07-27)."


def build_html(story: Story, left: LeftOut | None = None) -> str:
    """The whole report as HTML, with its style and its figures inside.

    Args:
        story: what to tell.
        left: keeps the reasons of the chapters that could not be written; each says so in its place.

    Raises:
        RunDamaged: without `left`, a figure is missing or not a PNG.
    """
    if left is None:
        chapters = [(name, title, chapter(story)) for name, title, chapter in CHAPTERS]
        return lay_out(story.title, _lead(story), headline(story), [one for one in chapters if one[2]], story.created)
    chapters = [(name, title, _attempted(left, name, partial(chapter, story))) for name, title, chapter in CHAPTERS]
    top = _attempted(left, "headline", partial(headline, story))
    return lay_out(story.title, _lead(story), top, [one for one in chapters if one[2]], story.created)


def _attempted(left: LeftOut, name: str, write: Callable[[], str]) -> str:
    what = f"chapter {name} of the report"
    with left.attempt(what):
        return write()
    return f'<p class="note">This chapter was left out: {esc(left.reasons[what])}</p>\n'


def lay_out(
    title: str, lead: str, top: str, chapters: Sequence[tuple[str, str, str]], created: str = "", more_style: str = ""
) -> str:
    """A page with its style inside: head, contents, numbered chapters, foot.

    Args:
        title: of the page; escaped here.
        lead: what the page shows, in a sentence or two; escaped here.
        top: HTML that comes before the contents.
        chapters: the id, the title and the HTML of each.
        created: when, as text.
        more_style: CSS that this page adds to the house's.
    """
    contents = "".join(f'<li><a href="#{name}">{esc(heading)}</a></li>\n' for name, heading, _ in chapters)
    body = "".join(
        f'<section id="{name}" aria-labelledby="{name}-title">\n<h2 id="{name}-title">{i}. {esc(heading)}</h2>\n'
        f"{chapter}</section>\n"
        for i, (name, heading, chapter) in enumerate(chapters, 1)
    )
    made = f" Made {esc(created)}." if created else ""
    style = files("latens.report").joinpath("report.css").read_text(encoding="utf-8") + more_style
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="latens">
<title>{esc(title)}</title>
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#main">To the report</a>
<header>
<p class="brand">latens</p>
<h1>{esc(title)}</h1>
<p class="lead">{esc(lead)}</p>
{top}</header>
<nav aria-label="Contents">
<ol>
{contents}</ol>
</nav>
<main id="main">
{body}</main>
<footer>
<p>{esc(CREDIT)}</p>
<p>Written by latens.{made}</p>
</footer>
</body>
</html>
"""


def _lead(story: Story) -> str:
    data, network = story.data, story.network
    return (
        f"An autoencoder squeezed the pictures of {data.name} through {network.latent_dim:,} numbers and rebuilt them."
        " This page shows how well it did that, what its latent space looks like, and whether that space can generate."
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

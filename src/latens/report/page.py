"""The page around the chapters: one file, no script, nothing fetched from anywhere."""

import os
from importlib.resources import files
from pathlib import Path

from latens.files import atomic_write
from latens.report.elements import esc
from latens.report.sections import CHAPTERS, headline
from latens.report.story import Story

__all__ = ["build_html", "write_html"]

CREDIT = "After the notebook “[AI] Autoencoder Implementation” by Sangyun Won (2024-07-27)."


def build_html(story: Story) -> str:
    """The whole report as HTML, with its style and its figures inside.

    Args:
        story: what to tell.

    Raises:
        RunDamaged: a figure is missing or not a PNG.
    """
    contents = "".join(f'<li><a href="#{name}">{esc(title)}</a></li>\n' for name, title, _ in CHAPTERS)
    chapters = "".join(
        f'<section id="{name}" aria-labelledby="{name}-title">\n<h2 id="{name}-title">{i}. {esc(title)}</h2>\n'
        f"{chapter(story)}</section>\n"
        for i, (name, title, chapter) in enumerate(CHAPTERS, 1)
    )
    made = f" Made {esc(story.created)}." if story.created else ""
    style = files("latens.report").joinpath("report.css").read_text(encoding="utf-8")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="latens">
<title>{esc(story.title)}</title>
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#main">To the report</a>
<header>
<p class="brand">latens</p>
<h1>{esc(story.title)}</h1>
<p class="lead">{esc(_lead(story))}</p>
{headline(story)}</header>
<nav aria-label="Contents">
<ol>
{contents}</ol>
</nav>
<main id="main">
{chapters}</main>
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


def write_html(story: Story, path: str | os.PathLike[str]) -> Path:
    """Write the report to a file, whole or not at all.

    Args:
        story: what to tell.
        path: the file; its folder is made where it is missing.

    Returns:
        The path.

    Raises:
        RunDamaged: a figure is missing or not a PNG.
    """
    atomic_write(path, build_html(story).encode("utf-8"))
    return Path(path)

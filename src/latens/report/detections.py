"""What `latens detect` writes: tables, a heat map and an overlay for each image, and a page with the oddest first."""

import base64
import io
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from latens.detection.contract import Seen
from latens.detection.detections import Detections, Drawn, drawn
from latens.detection.places import TINY
from latens.errors import UsageError
from latens.figures.canvas import png_bytes
from latens.figures.scores import score_histogram
from latens.files import atomic_write, remove_abandoned
from latens.images.pixels import shown_in_rgb
from latens.images.writing import safe_name
from latens.pages import templates
from latens.progress import Progress, Silent
from latens.report.elements import embedded
from latens.report.page import lay_out
from latens.sheets import as_parquet, parquet_library
from latens.text import number

__all__ = ["DRAWN", "heat_colours", "overlay", "write_detections"]

TEMPLATES = Path(__file__).parent / "templates"
CHAPTERS = (
    ("worst", "The oddest images"),
    ("evaluation", "How well it works here"),
    ("scores", "The scores"),
    ("method", "How it was done"),
)
DRAWN = ("flagged", "all", "none")  # which images get a heat map and an overlay
PICTURES = ("maps", "overlays")  # a folder each
MOST_DRAWN = 1000  # new images of which all get one where nothing is said
ON_PAGE = 60  # images
LARGE = 192  # pixels, the side to which small images are enlarged on the page and in overlays
BRIGHTEST = 2.0  # levels, see `Calibration.level`, at which a heat map is brightest
COVER = 0.65  # of an overlay, at its strongest


def heat_colours(heat: NDArray[Any], level: float) -> NDArray[np.uint8]:
    """Maps (..., H, W) in colours, uint8 (..., H, W, 3): dark where an image is as usual, bright from twice the level on."""
    coloured: NDArray[np.uint8] = _palette()[_steps(heat, level)]
    return coloured


def _steps(heat: NDArray[Any], level: float) -> NDArray[np.uint8]:
    """The rows of the palette."""
    last = len(_palette()) - 1
    steps: NDArray[np.uint8] = np.clip(heat * ((last + 1) / (BRIGHTEST * max(level, TINY))), 0, last).astype(np.uint8)
    return steps


@cache
def _palette() -> NDArray[np.uint8]:
    """256 colours from dark to bright, uint8 (256, 3)."""
    from matplotlib import colormaps

    colours: NDArray[np.uint8] = colormaps["inferno"](np.arange(256), bytes=True)[:, :3]
    return colours


def overlay(image: NDArray[np.uint8], heat: NDArray[Any], level: float) -> NDArray[np.uint8]:
    """A heat map over its image, uint8 (H, W, 3): nothing below half the level, and more and more of the colour above.

    Args:
        image: uint8 (H, W, 3).
        heat: (H, W).
        level: of the run, see `Calibration`.
    """
    cover = COVER * np.clip(2 * heat / max(level, TINY) - 1, 0, 1)[..., None]
    blended: NDArray[np.uint8] = np.rint(image * (1 - cover) + heat_colours(heat, level) * cover).astype(np.uint8)
    return blended


def write_detections(
    found: Detections,
    source: Any,
    out: str | os.PathLike[str],
    *,
    maps: str | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write a folder: detections.csv, detections.parquet, detections.html, and maps/ and overlays/ with a PNG for each image.

    Args:
        found: what `detect_images` gave for the source.
        source: the new images.
        out: the folder; made where it is missing.
        maps: of which images: `"all"`, `"flagged"` (called odd) or `"none"`; by default of all where there are at most 1,000,
            of the flagged ones otherwise. The page shows the oddest in any case.
        progress: shows the progress.

    Returns:
        The tables and the page that were written.

    Raises:
        UsageError: `maps` is none of these.
    """
    maps = maps or ("all" if len(found) <= MOST_DRAWN else "flagged")
    if maps not in DRAWN:
        raise UsageError(f"maps {maps!r}; allowed are {', '.join(DRAWN)}")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for place in (folder, *(folder / kind for kind in PICTURES)):
        remove_abandoned(place)
    worst = found.worst_first[:ON_PAGE]
    rows = {"flagged": np.flatnonzero(found.odd), "all": np.arange(len(found)), "none": np.empty(0, np.int64)}[maps]
    names = _free_names(found.ids)
    on_page: dict[int, Drawn] = {}
    wanted, writes = np.union1d(rows, worst), np.isin(np.arange(len(found)), rows)
    with (progress or Silent()).stage("heat maps", "images") as tick:
        for done, one in enumerate(drawn(found, source, wanted), 1):
            if writes[one.row] and one.heat is not None:
                _write_maps(found, one, folder, names[one.row])
            if one.row in worst:
                on_page[one.row] = one
            tick(done, len(wanted))
    atomic_write(folder / "detections.csv", found.as_csv().encode())
    written = [folder / "detections.csv"]
    if parquet_library():
        atomic_write(folder / "detections.parquet", as_parquet(found.columns()))
        written.append(folder / "detections.parquet")
    page = _page(found, list(_cards(found, [on_page[int(row)] for row in worst])))
    atomic_write(folder / "detections.html", page.encode())
    return [*written, folder / "detections.html"]


def _free_names(ids: Iterable[str]) -> list[str]:
    """A file name for each id, none twice, also where upper and lower case are one."""
    taken: dict[str, int] = {}
    names = []
    for one in ids:
        name = safe_name(one)
        while (key := name.casefold()) in taken:
            taken[key] += 1
            name = f"{name}-{taken[key]}"
        taken[key] = 1
        names.append(name)
    return names


def _write_maps(found: Detections, one: Drawn, folder: Path, name: str) -> None:
    """The heat map and the overlay of an image, as maps/NAME.png and overlays/NAME.png."""
    assert one.heat is not None
    level = found.calibration.level
    drawings = _heat_png(one.heat, level), _png(overlay(_image(found, one.pixels), one.heat, level))
    for kind, data in zip(PICTURES, drawings, strict=True):
        atomic_write(folder / kind / f"{name}.png", data, durable=False)


def _image(found: Detections, pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """An image (C, H, W) as it is shown, uint8 (H, W, 3)."""
    shown: NDArray[np.uint8] = shown_in_rgb(np.asarray(pixels)[None], found.fitted.run.format.show)[0]
    return shown


def _png(picture: NDArray[np.uint8]) -> bytes:
    """A picture (H, W, 3) as PNG, hardly compressed: thousands of them must not take long."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _heat_png(heat: NDArray[Any], level: float) -> bytes:
    """A map (H, W) as PNG with a palette: the values of the pixels rise with the heat, the palette colours them."""
    image = Image.fromarray(_steps(heat, level), "L")
    image.putpalette(_palette().tobytes())
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _cards(found: Detections, chosen: list[Drawn]) -> Iterator[dict[str, Any]]:
    """What the page shows of images."""
    if not chosen:
        return
    seen = Seen(np.stack([one.pixels for one in chosen]), found.fitted.run)
    for one, rebuilt in zip(chosen, seen.reconstructions, strict=True):
        image = _image(found, one.pixels)
        pictures = {"image": image, "reconstruction": _image(found, rebuilt)}
        if one.heat is not None:
            pictures["where"] = overlay(image, one.heat, found.calibration.level)
        height, width = image.shape[:2]
        yield {
            "id": str(found.ids[one.row]),
            "odd": bool(found.odd[one.row]),
            "p": number(float(found.p_values[one.row])),
            "score": number(float(found.scores[one.row])),
            "label": "" if found.labels is None else found.class_names[int(found.labels[one.row])],
            "width": round(LARGE * width / max(height, width)),
            "height": round(LARGE * height / max(height, width)),
            "pictures": [(name, base64.b64encode(_png(one)).decode("ascii")) for name, one in pictures.items()],
        }


def _page(found: Detections, cards: list[dict[str, Any]]) -> str:
    run = found.fitted.run
    detector = type(found.fitted.detector)
    measures = () if found.evaluation is None else found.evaluation.measures
    names = list(dict.fromkeys(one.name for one in measures))
    shown = {
        "found": found,
        "cards": cards,
        "main": [one for one in measures if one.subject == "all" and one.name in ("AUROC", "AUPRO")],
        "between": lambda interval: "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}",
        "names": names,
        "rows": list(_rows(measures, names)),
        "figure": embedded,
        "histogram": _histogram(found),
        "settings": [
            ("run", str(run.path)),
            ("method", f"{found.method}: {detector.summary}"),
            ("threshold of the score", number(found.threshold)),
            ("false alarms", f"{found.false_alarms:.2%}"),
            ("normal images", f"{len(found.calibration):,}, not seen in training"),
        ],
    }
    module: Any = templates(TEMPLATES).get_template("detections.html").make_module(shown)
    chapters = [(name, title, getattr(module, name)()) for name, title in CHAPTERS]
    style = (TEMPLATES / "detections.css").read_text(encoding="utf-8")
    lead = (
        f"New images beside the normal ones of {run.record['data']['name']}, on which the run {run.name} was trained."
    )
    return lay_out(
        f"{int(found.odd.sum()):,} of {len(found):,} images are odd",
        lead,
        module.top(),
        [chapter for chapter in chapters if chapter[2].strip()],
        datetime.now(UTC).strftime("%Y-%m-%d"),
        style,
    )


def _rows(measures: Iterable[Any], names: list[str]) -> Iterator[list[str]]:
    by_subject: dict[str, dict[str, Any]] = {}
    for one in measures:
        by_subject.setdefault(one.subject, {})[one.name] = one
    for subject, found in by_subject.items():
        first = next(iter(found.values()))
        cells = []
        for name in names:
            one = found.get(name)
            between = (
                "" if one is None or one.interval is None else f" ({one.interval[0]:.3f} to {one.interval[1]:.3f})"
            )
            cells.append("" if one is None else f"{one.value:.3f}{between}")
        yield [subject, f"{first.num_normal:,}", f"{first.num_odd:,}", *cells]


def _histogram(found: Detections) -> bytes:
    """Scores of normal and of new images, with the threshold."""
    scores = {"normal, not seen in training": found.calibration.scores, "new": found.scores}
    return png_bytes(score_histogram(scores, found.threshold))

"""Which pages of a TIFF make an image: channels, z-slices and frames by the axes that the file names.

- OME-TIFF, ImageJ's hyperstacks, tifffile's own files and those of microscopes name their axes. C are channels: one plane
  each of the same image. All other axes (Z, T, positions) count images.
- In a file that names no axes each page is an image of its own. Pages of another shape than the first, thumbnails and masks
  are none.

Source: https://docs.openmicroscopy.org/ome-model; the layouts are read by tifffile.
"""

import contextlib
import json
import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage, TiffPageSeries

__all__ = ["Plane", "Stack", "images_of"]

REDUCED, MASK = 1, 4  # bits of NewSubfileType
NAMED = ("ome", "imagej", "shaped", "lsm", "stk", "fluoview", "nih", "mmstack", "ndtiff", "scanimage", "metaseries")
WORDS = {"Z": "z-slices", "T": "frames"}  # of axes; others count pages
LONGEST_NAME = 40


@dataclass(frozen=True)
class Plane:
    """One page, or one plane of a stack that has only one directory.

    Args:
        key: the page whose tags count.
        page: the page itself, as tifffile has it.
        offsets: of its segments in the file.
        counts: their lengths in bytes.
        number: of the page in the file.
    """

    key: "TiffPage"
    page: Any
    offsets: Sequence[int]
    counts: Sequence[int]
    number: int


@dataclass(frozen=True, eq=False)
class Stack:
    """The images of a TIFF.

    Args:
        key: the page whose tags count for all.
        numbers: int (images, planes): which planes make each image.
        pages: tifffile's pages by these numbers.
        start: of the first plane, where all planes follow it and only the first has a directory; otherwise None.
        names: of the channels; empty where the file says none.
        word: what the images are called: pages, z-slices or frames.
    """

    key: "TiffPage"
    numbers: np.ndarray
    pages: Sequence[Any]
    start: int | None = None
    names: tuple[str, ...] = ()
    word: str = "pages"

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def planes(self) -> int:
        """Of each image."""
        return int(self.numbers.shape[1])

    def plane(self, number: int) -> Plane:
        """One plane.

        Raises:
            ValueError: the file lacks it.
        """
        if self.start is not None:
            key = self.key
            length = key.imagelength * key.imagewidth * key.samplesperpixel * int(_bits(key)) // 8
            return Plane(key, key, (self.start + number * length,), (length,), 0)
        page = self.pages[number] if number < len(self.pages) else None
        if page is None:
            raise ValueError(f"lacks plane {number + 1} of {self.numbers.size}")
        return Plane(page.keyframe, page, page.dataoffsets, page.databytecounts, int(page.index))


def _bits(page: "TiffPage") -> int:
    bits: Any = page.bitspersample
    return max(bits) if isinstance(bits, tuple) else int(bits)


def images_of(tiff: "TiffFile") -> Stack:
    """The images of a file, by the rules above.

    Raises:
        ValueError: it has no page.
    """
    if any(getattr(tiff, f"is_{kind}", False) for kind in NAMED):
        # A wrong or cut description must not cost the pages, which stand for themselves.
        with contextlib.suppress(Exception):
            stack = _by_axes(tiff)
            if stack is not None:
                return stack
    return _by_pages(tiff)


def _by_pages(tiff: "TiffFile") -> Stack:
    pages: list[Any] = []
    number = 0
    while _has_page(tiff, number):
        pages.append(tiff.pages[number])
        number += 1
    if not pages:
        raise ValueError("a TIFF without pages")
    whole = [page for page in pages if not int(page.subfiletype) & (REDUCED | MASK)] or pages[:1]
    first = whole[0]
    alike = [page for page in whole if _form(page) == _form(first)]
    return Stack(first, np.arange(len(alike))[:, None], alike)


def _has_page(tiff: "TiffFile", number: int) -> bool:
    try:
        tiff.pages[number]
    except IndexError:
        return False
    return True


def _form(page: Any) -> tuple[Any, ...]:
    return (page.imagelength, page.imagewidth, page.samplesperpixel, page.bitspersample, int(page.photometric))


def _by_axes(tiff: "TiffFile") -> Stack | None:
    """The images by the axes of the file; None where they don't fit its pages."""
    series = tiff.series[0]
    key: Any = series.keyframe
    found = _leading(series, key)
    if found is None:
        return None
    axes, lengths = found
    planes = math.prod(lengths)
    numbers = np.arange(planes).reshape(lengths)
    numbers = np.moveaxis(numbers, axes.index("C"), -1) if "C" in axes else numbers[..., None]
    numbers = numbers.reshape(-1, numbers.shape[-1])
    pages: list[Any] = list(series.pages)
    start: int | None = None
    if len(pages) < planes:
        if len(pages) != 1 or series.dataoffset is None:
            return None
        start = int(series.dataoffset)
    else:
        # Further images of the same form, as positions of a microscope are.
        others = [one for one in tiff.series[1:] if one.axes == series.axes and one.shape == series.shape]
        for one in others:
            if len(one.pages) == planes:
                numbers = np.concatenate([numbers, numbers[: planes // numbers.shape[1]] + len(pages)])
                pages += list(one.pages)
    if start is None and any(page is None for page in pages):
        return None  # planes that lie in other files: this file's own pages are what there is
    counting = {axis for axis, length in zip(axes, lengths, strict=True) if axis != "C" and length > 1}
    word = WORDS.get(counting.pop(), "pages") if len(counting) == 1 else "pages"
    return Stack(key, numbers, pages, start, _names(tiff, numbers), word)


def _leading(series: "TiffPageSeries", key: "TiffPage") -> tuple[str, list[int]] | None:
    """The axes of a series before those of a page, and their lengths."""
    axes, lengths = list(series.axes), list(series.shape)
    inside = [("Y", key.imagelength), ("X", key.imagewidth)]
    if key.samplesperpixel > 1:
        inside.append(("S" if "S" in axes else "C", key.samplesperpixel))
    for axis, length in inside:
        if axis not in axes:
            return None
        place = axes.index(axis)
        if lengths[place] != length:
            return None
        del axes[place], lengths[place]
    if set(axes) & {"Y", "X", "S"}:
        return None
    return "".join(axes), lengths


def _names(tiff: "TiffFile", numbers: np.ndarray) -> tuple[str, ...]:
    """The names of the channels, where the file has one for each and no two alike."""
    found: list[str] = []
    with contextlib.suppress(Exception):  # descriptions of any program: names are worth no error
        if tiff.is_ome and tiff.ome_metadata and "<!" not in tiff.ome_metadata.replace("<!--", ""):
            # Without declarations there are no entities, which could multiply or lead elsewhere.
            root = ElementTree.fromstring(tiff.ome_metadata)  # noqa: S314
            pixels = next(one for one in root.iter() if _tag(one) == "Pixels")
            channels = [one for one in pixels if _tag(one) == "Channel"]
            found = [channel.get("Name") or channel.get("Fluor") or "" for channel in channels]
        elif tiff.is_imagej and tiff.imagej_metadata:
            labels = list(tiff.imagej_metadata.get("Labels") or ())
            found = [str(labels[int(number)]) for number in numbers[0]]
        elif tiff.is_shaped:
            told = json.loads(str(tiff.pages[0].description))  # type: ignore[union-attr]
            found = list(map(str, told["Channel"]["Name"]))
    names = [name.strip() for name in found]
    whole = all(names) and len(set(names)) == len(names) and max(map(len, names), default=0) <= LONGEST_NAME
    return tuple(names) if whole else ()


def _tag(element: ElementTree.Element) -> str:
    """The name of an element without its name space, which differs by version."""
    return element.tag.rpartition("}")[2]

"""The images of a folder: of which files and pages each is made, and the one form in which all of them are kept.

- **Pages**. Of a file with several pages, z-slices or frames the first is an image; with `pages="all"` each is one, called
  `file.tif#3` (counted from 1); with `pages="channels"` they are the channels of one.
- **Channels**. Grey among RGB becomes RGB. Otherwise files with another number of channels than most are left out.
- **Type**. Values are kept as the files have them: bytes, unsigned 16 bits, or float32. If files of several types lie in one
  folder, all are kept in the widest. Bytes among 16 bits are scaled so that 255 becomes the largest number of the depth that
  the others use (1023, 4095, 16383 or 65535). Whole numbers among floats are scaled to [0, 1] if all floats lie in it.
- **Range**. DICOM files say which values are black and white (their window): where all do, the range is the smallest that
  holds all their windows.
- **NaN**. Values that are not numbers, or infinite, are an error, unless a number was given to read them as (`nan`).
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latens.errors import ImagesError, UsageError
from latens.images.decode import Look, largest_number, read_values
from latens.images.fit import fit_pixels
from latens.images.pixels import (
    CHANNELS,
    DTYPE,
    MOST_CHANNELS,
    WHITE,
    Range,
    channel_word,
    colour_word,
    is_grey,
    largest_of,
    stored_dtype,
    with_channels,
)
from latens.images.plan import Options, Size
from latens.images.white import DEEP_WHITE, choose_white
from latens.images.words import PAGES
from latens.text import listed, shown

__all__ = [
    "PAGES",
    "Failure",
    "FolderImage",
    "Form",
    "NotNumbers",
    "form_of",
    "images_of_files",
    "pixels_of",
]

EXAMPLES = 3


@dataclass(frozen=True)
class Failure:
    """Why a file can't be used, and whether the system is the reason."""

    reason: str
    passing: bool = False


@dataclass(frozen=True)
class FolderImage:
    """An image of a folder.

    Args:
        id: its name.
        row: of its file in the part.
        paths: the file that it lies in; several where each channel has one.
        page: which image of these files, from 0; None for all of them as channels.
        look: what the headers say, or why it can't be used.
    """

    id: str
    row: int
    paths: tuple[Path, ...]
    page: int | None
    look: Look | Failure


def images_of_files(
    names: Sequence[str],
    paths: Sequence[tuple[Path, ...]],
    looks: Sequence[tuple[Look | Failure, ...]],
    options: Options,
    channel_names: Sequence[str] = (),
) -> list[FolderImage]:
    """The images of some files, in their order.

    Args:
        names: of each file, for people.
        paths: of each, one a channel folder.
        looks: of these paths.
        options: `pages` is what matters here.
        channel_names: of the channel folders.

    Raises:
        ImagesError: the channels of an image have different sizes or numbers of pages.
    """
    result = []
    for row, (name, files, found) in enumerate(zip(names, paths, looks, strict=True)):
        look = _together(files, found, channel_names)
        if isinstance(look, Look) and options.pages == "all" and look.pages > 1:
            one = look._replace(pages=1)
            result += [FolderImage(f"{name}#{page + 1}", row, files, page, one) for page in range(look.pages)]
        elif isinstance(look, Look) and options.pages == "channels" and look.pages > 1:
            many = look.channels * look.pages
            names = tuple(str(number + 1) for number in range(many))
            joined = look._replace(channels=many, names=names, pages=1, grey=False)
            too_many = Failure(f"{many} channels; allowed are up to {MOST_CHANNELS}")
            result.append(FolderImage(name, row, files, None, joined if many <= MOST_CHANNELS else too_many))
        else:
            result.append(FolderImage(name, row, files, 0, look))
    return result


def _together(files: Sequence[Path], looks: Sequence[Look | Failure], names: Sequence[str]) -> Look | Failure:
    """The look of an image whose channels lie in a file each."""
    if len(files) == 1:
        return looks[0]
    first = looks[0]
    for file, look in zip(files, looks, strict=True):
        if isinstance(look, Failure):
            return Failure(f"{shown(file)}: {look.reason}", look.passing)
        assert isinstance(first, Look), "returned before"
        for what, mine, other in (
            ("pixels", f"{look.size[0]} x {look.size[1]}", f"{first.size[0]} x {first.size[1]}"),
            ("pages", str(look.pages), str(first.pages)),
        ):
            if mine != other:
                raise ImagesError(
                    f"{file}: {mine} {what}, but {files[0]}: {other}; all channels of an image must have the same"
                )
    good = [look for look in looks if isinstance(look, Look)]
    called = [
        [name] if is_grey(look.channels) else [f"{name} {one}" for one in look.names or range(1, look.channels + 1)]
        for name, look in zip(names, good, strict=True)
    ]
    count = sum(look.channels for look in good)
    if count > MOST_CHANNELS:
        return Failure(f"{count} channels; allowed are up to {MOST_CHANNELS}")
    dtype = stored_dtype(*(look.dtype for look in good)).name
    return Look(good[0].size, False, dtype, count, tuple(itertools.chain(*called)), good[0].pages, good[0].word)


@dataclass(frozen=True)
class Form:
    """In which form all images of a set are kept.

    Args:
        dtype: of the pixels.
        channels: of each image.
        group: numbers of channels of the files that become these; files with others are left out.
        names: of the channels; empty where the files say none.
        factors: by which values of each type are multiplied.
        value_range: which values the files say are 0 and 1, or None.
        is_plain: whether all are ordinary images in one file each, which `decode_picture` reads.
        white: the number that becomes 255 (masks), for ordinary images.
        nan: the value for what is not a number, or None.
    """

    dtype: np.dtype
    channels: int
    group: tuple[int, ...]
    names: tuple[str, ...]
    factors: dict[str, float]
    value_range: Range | None
    is_plain: bool
    white: int | None
    nan: float | None

    def refusal(self, look: Look) -> str:
        """Why an image doesn't fit in, or ""."""
        if look.channels in self.group:
            return ""
        return f"{channel_word(look.channels)}, where most have {self.channels}"


Each = Callable[[Callable[[FolderImage], Any], Iterable[FolderImage]], Iterator[Any]]


def form_of(images: Sequence[FolderImage], options: Options, each: Each) -> tuple[Form, tuple[str, ...]]:
    """The form of a set, and notes on it.

    Args:
        images: all of them; those that can't be used are passed over.
        options: of the set.
        each: applies a function to images, on several threads.

    Raises:
        UsageError: grey was asked for, and the images are neither grey nor colour.
    """
    usable = [one for one in images if isinstance(one.look, Look)]
    group = _group([_look(one) for one in usable])
    used = [one for one in usable if _look(one).channels in group]
    looks = [_look(one) for one in used]
    grey = sum(is_grey(look.channels) for look in looks)
    channels = group[-1] if group != CHANNELS else CHANNELS[0 if grey == len(used) or options.grey else 1]
    if options.grey and group != CHANNELS:
        raise UsageError(f"grey (--grey) goes with colour images; these are {colour_word(channels)} images")
    notes = []
    if grey and not is_grey(channels):
        notes.append(f"{grey} grey images among {len(used)} were turned into RGB (grey, --grey: all grey)")
    elif options.grey and grey < len(used):
        notes.append(f"{len(used) - grey} colour images among {len(used)} were turned into grey, as asked")
    names, said = _names(looks, channels)
    notes += said
    factors, said = _factors(used, options, each)
    notes += said
    dtype = stored_dtype(*(look.dtype for look in looks))
    value_range, said = _range(looks, dtype, channels, options)
    notes += said
    narrow = options.rules == 1 and dtype != DTYPE and channels in CHANNELS
    if narrow:
        factors, dtype, value_range = _to_bytes(used, channels, options, each), DTYPE, None
    alone = all(one.page == 0 and len(one.paths) == 1 for one in used)
    plain = alone and channels in CHANNELS and all(look.is_plain for look in looks)
    white = None
    if dtype == DTYPE and value_range is None and not narrow:
        white, said = _white(used, channels, options, each)
        notes += said
    return Form(dtype, channels, group, names, factors, value_range, plain, white, options.nan), tuple(notes)


def _look(image: FolderImage) -> Look:
    assert isinstance(image.look, Look), "chosen so"
    return image.look


def _group(looks: Sequence[Look]) -> tuple[int, ...]:
    """The numbers of channels that are kept: grey and RGB together, or the commonest number."""
    # Three channels that have names are no red, green and blue, into which grey could be turned.
    named = any(look.names and look.channels in CHANNELS and not is_grey(look.channels) for look in looks)
    votes = Counter(CHANNELS if look.channels in CHANNELS and not named else (look.channels,) for look in looks)
    return max(votes, key=lambda group: (votes[group], group[-1]))


def _names(looks: Sequence[Look], channels: int) -> tuple[tuple[str, ...], list[str]]:
    found = Counter(look.names for look in looks if len(look.names) == channels)
    if not found:
        return (), []
    names, count = found.most_common(1)[0]
    if len(found) == 1:
        return names, []
    other = next(one for one in found if one != names)
    return names, [
        f"the channels have other names in {len(looks) - count} of {len(looks)} files, such as {listed(other, 4)}; those of "
        f"most were taken: {listed(names, 8)}"
    ]


def _factors(images: Sequence[FolderImage], options: Options, each: Each) -> tuple[dict[str, float], list[str]]:
    """By what the values of each type are multiplied where several lie in one set, and notes."""
    counts = Counter(_look(one).dtype for one in images)
    if len(counts) == 1:
        return {}, []
    widest = stored_dtype(*counts).name
    if widest == "uint16":
        level = options.white
        if level is None:
            deep = (one for one in images if _look(one).dtype == widest)
            level = choose_white((int(values.max()) for values in each(_values_or_nothing, deep)), deep=True)[0]
        level = max(level or DEEP_WHITE, WHITE)
        return {"uint8": level / WHITE}, [
            f"{counts['uint8']} of {len(images)} images have 8 bits and the others 16: all are kept as uint16, and of 8 bits "
            f"255 becomes {level}"
        ]
    floats = (one for one in images if _look(one).dtype == widest)
    ends = [(values.min(), values.max()) for values in each(_values_or_nothing, floats)]
    unit = all(low >= 0 and high <= 1 for low, high in ends)
    whole = sum(count for name, count in counts.items() if name != widest)
    rule = "are scaled to [0, 1], as the floats are" if unit else "keep their numbers"
    factors = {name: 1 / largest_of(name) for name in counts if name != widest} if unit else {}
    return factors, [
        f"{whole} of {len(images)} images have whole numbers and the others floats: all are kept as float32, and"
        f" whole numbers {rule}"
    ]


def _to_bytes(images: Sequence[FolderImage], channels: int, options: Options, each: Each) -> dict[str, float]:
    """By what values are multiplied to become bytes, as all images were kept by the first version of the rules of reading."""
    level = options.white
    if level is None and is_grey(channels):
        deep = (one for one in images if _look(one).dtype == "uint16")
        level = choose_white((int(values.max()) for values in each(_values_or_nothing, deep)), deep=True)[0]
    return {"uint16": WHITE / (level or DEEP_WHITE), "float32": float(WHITE)}


def _values_or_nothing(image: FolderImage) -> np.ndarray:
    """The values of an image; one zero where it can't be read, which is said when it is decoded."""
    try:
        values: np.ndarray = np.nan_to_num(next(_arrays([image])))
        return values
    except Exception:
        return np.zeros(1)


def _range(looks: Sequence[Look], dtype: np.dtype, channels: int, options: Options) -> tuple[Range | None, list[str]]:
    if options.white is not None:
        if dtype == np.dtype(np.uint16):
            return ((0.0, float(options.white)),) * channels, []
        if dtype.kind == "f":
            return None, ["white was not used: it is for whole numbers, and these images have others (range, --range)"]
        return None, []
    windows = {look.window for look in looks}
    if None in windows or options.value_range is not None:
        return None, []
    low, high = min(one[0] for one in windows if one), max(one[1] for one in windows if one)
    told = "the window of the files" if len(windows) == 1 else f"all {len(windows)} windows of the files together"
    return ((low, high),) * channels, [f"the range is {told}, {low:g} to {high:g} (range, --range: another)"]


def _white(images: Sequence[FolderImage], channels: int, options: Options, each: Each) -> tuple[int | None, list[str]]:
    """The number that becomes 255 in images of 8 bits, and what to say of it; see `latens.images.white`."""
    if options.white is not None:
        if options.white >= WHITE or not is_grey(channels):
            return None, [f"white was not used: no image has numbers above {WHITE}"]
        return options.white, []
    if not is_grey(channels) or options.value_range is not None:
        return None, []

    def largest(image: FolderImage) -> int:
        try:
            if image.page != 0 or len(image.paths) > 1:
                return int(next(_arrays([image])).max())
            found = largest_number(image.paths[0])
        except Exception:  # it is named when it is decoded
            return 0
        return DEEP_WHITE if found is None else found

    white, said = choose_white((largest(one) for one in images), deep=False)
    return white, list(said)


class NotNumbers(ImagesError):
    """An image has values that are not numbers, and nothing says what to read them as."""


def pixels_of(images: Sequence[FolderImage], form: Form, size: Size, fit: str) -> Iterator[np.ndarray | Exception]:
    """The images one after another in the form of their set, (C, H, W), or the error that makes one unusable.

    Args:
        images: those of one file beside each other, which then is opened once.
        form: of the set.
        size: (H, W) to come.
        fit: a name of `latens.images.fit.FITS`.

    Raises:
        NotNumbers: see there.
    """
    for _, together in itertools.groupby(images, key=lambda one: one.paths):
        waiting = list(together)
        while waiting:
            try:
                for values in _arrays(waiting):
                    yield _kept(waiting.pop(0), values, form, size, fit)
            except NotNumbers:
                raise
            except Exception as error:  # any error on broken files; the page after it may be whole
                waiting.pop(0)
                yield error


def _arrays(images: Sequence[FolderImage]) -> Iterator[np.ndarray]:
    """The values of images in the same files, (C, H, W)."""
    pages = None if images[0].page is None else [one.page for one in images if one.page is not None]
    for channels in zip(*(read_values(path, pages) for path in images[0].paths), strict=True):
        yield np.concatenate(_of_one_type(channels)) if channels[1:] else channels[0]


def _of_one_type(channels: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Channels from a file each; of several types they keep their numbers in the widest."""
    dtype = stored_dtype(*(one.dtype for one in channels))
    return [one.astype(dtype) for one in channels]


def _kept(image: FolderImage, values: np.ndarray, form: Form, size: Size, fit: str) -> np.ndarray:
    if values.dtype.kind == "f":
        values = _numbers(image, values, form.nan)
    factor = form.factors.get(values.dtype.name)
    if factor is not None:
        scaled = values.astype(np.float64) * factor
        if form.dtype == DTYPE and not 0 <= scaled.min(initial=0) <= scaled.max(initial=0) <= WHITE:
            raise ValueError(f"values up to {values.max()}, although {WHITE / factor:g} is said to be white")
        values = np.rint(scaled).astype(form.dtype) if form.dtype.kind == "u" else scaled.astype(form.dtype)
    values = with_channels(values[None].astype(form.dtype, copy=False), form.channels)
    if form.white is not None:
        if int(values.max()) > form.white:
            raise ValueError(f"values up to {values.max()}, although {form.white} is said to be white")
        values = np.rint(values / (form.white / WHITE)).astype(form.dtype)
    fitted: np.ndarray = fit_pixels(values, size, fit)[0]
    return fitted


def _numbers(image: FolderImage, values: np.ndarray, nan: float | None) -> np.ndarray:
    finite = np.isfinite(values)
    if finite.all():
        return values
    if nan is None:
        count = int(finite.size - finite.sum())
        page = f"#{image.page + 1}" if image.page and "#" in image.id else ""
        raise NotNumbers(
            f"{image.paths[0]}{page}: {count:,} of {values.size:,} values are not numbers (NaN or infinite); say what to read "
            "them as (nan=0, --nan 0), or remove the file"
        )
    masked: np.ndarray = np.where(finite, values, np.float32(nan))
    return masked

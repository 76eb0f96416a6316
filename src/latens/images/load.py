"""`load_images`: reads pictures from any source."""

import difflib
import math
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from latens.errors import ImagesError, ImagesNotFound, UsageError
from latens.images.channel_folders import checked_channels
from latens.images.contract import MAXIMUM_SIDE, MINIMUM_SIDE, Dataset, Progress
from latens.images.fit import checked_fit, default_fit
from latens.images.folder_images import PAGES
from latens.images.given import label_array
from latens.images.layout import checked_layout
from latens.images.plan import AUTO, RULES, Options, Size, Source
from latens.images.ranges import checked_range
from latens.images.remote import is_remote, read_kept
from latens.images.table_files import read_table
from latens.images.white import checked_white
from latens.images.words import LINKS, MASKS
from latens.tables import Table

__all__ = [
    "GIVEN",
    "MASKS",
    "NAMES",
    "SOURCES",
    "checked_links",
    "checked_masks",
    "file_options",
    "load_again",
    "load_images",
    "reader_of",
    "table_option",
]

# The order decides: the first that accepts a source reads it. Names come first; a folder called "mnist" is "./mnist".
SOURCES: Table[Source] = Table(
    "source",
    {
        "mnist": "latens.images.shipped:MNIST",
        "fashion-mnist": "latens.images.fashion:FASHION_MNIST",
        "array": "latens.images.arrays:ARRAY",
        "remote": "latens.images.remote:REMOTE",
        "hugging-face": "latens.images.hugging_face:HUGGING_FACE",
        "samples": "latens.images.samplewise:SAMPLES",
        "npy": "latens.images.npy:NPY",
        "npz": "latens.images.npz:NPZ",
        "idx": "latens.images.idx:IDX",
        "archive": "latens.images.archives:ARCHIVE",
        "parquet": "latens.images.parquet:PARQUET",
        "folder": "latens.images.folder:FOLDER",
        "stack": "latens.images.stack:STACK",
        "pattern": "latens.images.patterns:PATTERN",
    },
    group="sources",
)
GIVEN = "given"  # in the options of a data set: the table was an object in memory
FLOAT_LIMIT = 3.4e38  # the largest number that float32 holds, about
NAMES = ("mnist", "fashion-mnist")  # the sources that are named instead of given


def load_images(
    source: "str | os.PathLike[str] | np.ndarray | Sequence[Any]",
    *,
    size: int | Sequence[int] | None = None,
    strict: bool = False,
    labels: "np.ndarray | Sequence[Any] | None" = None,
    white: int | None = None,
    fit: str | None = None,
    grey: bool = False,
    table: Any = None,
    label_column: str | None = None,
    masks: str | None = None,
    links: str | None = None,
    rules: int = RULES,
    value_range: Any = None,
    show: str | None = None,
    layout: str | None = None,
    pages: str | None = None,
    channels: "Sequence[str | os.PathLike[str]] | None" = None,
    nan: float | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Load pictures as a train and a test part: uint8, uint16 or float32 (N, C, H, W).

    Args:
        source: `"mnist"`, `"fashion-mnist"`, a folder of pictures, a folder of IDX files, an .npy or .npz file, a .zip or .tar
            of what could be a folder, a Parquet file with images, a pattern of file names (`"photos/**/*.png"`), a file of many
            pages; or an array or tensor (N, H, W), (N, H, W, C) or (N, C, H, W), C from 1 to 64, of whole numbers or floats, a
            list of such images or of Pillow's; a data set of torch or of Hugging Face, which may be a stream, a `DataLoader`, or
            any iterator of samples; or the address of any of these files (`"s3://bucket/photos/"`, `"https://…/photos.zip"`), see
            `latens.images.remote`.
        size: side, or (height, width), 8 to 512 pixels, to which images are resized; by default their own, for folders
            see `latens.images.folder`.
        strict: refuse a folder with files that can't be read, instead of leaving them out with a note.
        labels: (N,) whole numbers or text, or one-hot rows (N, K), one a picture; a list, an array, a tensor or a column of
            pandas or polars. For an array or an .npy file.
        white: the whole number that is white, 1 to 65535, where it is not the largest of its type: 4095 for 12 bits in a file
            of 16, 1 for masks of 0 and 1; the same as `value_range=(0, white)`.
        fit: how images of another shape come to the size: `"pad"` (the default: nothing is cut off), `"crop"` or `"stretch"`,
            see `latens.images.fit`.
        grey: turn colour images into grey.
        table: classes, parts and further columns of the images: a file (.csv, .tsv, .jsonl, .parquet), a data frame, a dict of
            columns or a list of dicts, see `latens.images.table`. For a folder by default a `metadata.csv` or `labels.csv` that
            lies beside the images; `False` or `"none"` reads none.
        label_column: the table's column of the classes; by default it is found by its name.
        masks: `"leave-out"` (the default) leaves out masks that lie beside the images of a folder, see `latens.images.masks`;
            `"keep"` reads them as images.
        links: which links of a folder are followed: `"inside"` (the default) those to what lies in it, `"all"` also those that
            lead out of it, see `latens.images.tree`.
        rules: the version of the rules of reading, see `latens.images.plan.RULES`; that of a stored run finds its images.
        value_range: which stored numbers are 0 and 1 for networks, scores and figures: (low, high), one such pair for each
            channel, `"type"` for all numbers of the type, or `"data"` for the values that are there. By default bytes are read
            from 0 to 255, floats within [0, 1] from 0 to 1, all others by the data, see `latens.images.ranges`.
        show: how images are shown, such as `"red=3,green=2,blue=1"` or `"grey=2"`, channels by number from 1 or by name. By
            default one channel is grey, three are red, green and blue, see `latens.images.pixels.default_show`.
        layout: `"NCHW"` or `"NHWC"`, where an array's axes leave open which are the channels, see `latens.images.layout`.
        pages: of files with several pages, z-slices or frames: `"first"` (the default), `"all"` (each is an image, called
            `file.tif#3`), or `"channels"` (they are the channels of one image).
        channels: the folders of the channels, where each has one, such as `["dapi", "gfp"]`: in the source or as paths of their
            own; files are matched by name, see `latens.images.channel_folders`.
        nan: the value to read instead of NaN and infinity, which are an error otherwise.
        progress: called with (pictures done, pictures in all) while decoding; while files of an address are fetched with (files
            done, files in all, bytes in words).

    Returns:
        The data set. A source without a test part is split 9:1 by what the images show, in each class (see
        `latens.images.split`).

    Raises:
        UsageError: an argument is not allowed.
        ImagesNotFound: nothing is there.
        ImagesEmpty: there are no pictures in it, or too few.
        ImagesDamaged: a file can't be read as what it says it is.
        TableError: the table can't be read, or none of its columns names the images.
        ImagesError: the images can't be used as they are.

    >>> load_images("mnist").shape
    (1, 28, 28)
    """
    if isinstance(source, str) and not source:
        raise UsageError(f"an empty source; known names: {', '.join(NAMES)}; otherwise give a folder or a file")
    if isinstance(source, str | os.PathLike) and "\0" in os.fsdecode(source):
        raise UsageError(f"source {str(source)!r}; no name of a file has a zero byte in it")
    if isinstance(source, os.PathLike):
        source = Path(source).expanduser()
    elif isinstance(source, str) and source not in NAMES:
        source = os.path.expanduser(source)
    asked: dict[str, Any] = {"size": _plain(size), "strict": bool(strict)}
    chosen = checked_white(white)
    if chosen is not None:
        asked["white"] = chosen
    if rules not in range(1, RULES + 1):
        raise UsageError(f"rules {rules!r}; allowed are 1 to {RULES}")
    if fit is not None:
        asked["fit"] = checked_fit(fit)
    if grey:
        asked["grey"] = True
    wish = checked_range(value_range)
    if wish is not None and chosen is not None:
        raise UsageError("white and value_range (--white and --range) say the same; give one of them")
    if wish is not None:
        asked["value_range"] = wish if isinstance(wish, str) else [list(pair) for pair in wish]
    if show:
        asked["show"] = str(show)
    if layout is not None:
        asked["layout"] = checked_layout(layout)
    asked |= file_options(source, pages, channels, nan)
    options = Options(
        size=_checked_size(size),
        strict=bool(strict),
        labels=None if labels is None else label_array(labels, "labels"),
        progress=progress,
        asked=asked,
        white=chosen,
        fit=default_fit(rules) if fit is None else fit,
        grey=bool(grey),
        rules=rules,
        value_range=wish,
        show=str(show or ""),
        layout=asked.get("layout"),
        table=table_option(table, source, rules, asked),
        label_column=label_column,
        keep_masks=checked_masks(masks) == "keep",
        follow_links=rules < 3 or checked_links(links) == "all",
        pages=asked.get("pages", PAGES[0]),
        channels=tuple(asked.get("channels", ())),
        nan=asked.get("nan"),
    )
    if masks == "keep":
        asked["masks"] = masks
    if links == "all":
        asked["links"] = links
    if label_column is not None:
        if options.table is None:
            raise UsageError(f"label column {label_column!r} without a table; give one (table, --table)")
        asked["label_column"] = label_column
    dataset: Dataset = reader_of(source).read(source, options)
    return dataset


def checked_masks(masks: str | None) -> str:
    """The argument `masks` of `load_images`, see `_checked_word`."""
    return _checked_word("masks", masks, MASKS)


def checked_links(links: str | None) -> str:
    """The argument `links` of `load_images`, see `_checked_word`."""
    return _checked_word("links", links, LINKS)


def _checked_word(name: str, word: str | None, allowed: tuple[str, ...]) -> str:
    """The word that was given for an argument; by default the first that is allowed.

    Raises:
        UsageError: it is none of these.
    """
    if word is not None and word not in allowed:
        raise UsageError(f"{name} {word!r}; allowed are {', '.join(allowed)}")
    return word or allowed[0]


def table_option(table: Any, source: Any, rules: int, asked: dict[str, Any]) -> Any:
    """The option `table` of `Options`; how it was asked for is put into `asked`, as JSON has it."""
    if table is None:
        return AUTO if rules > 1 else None
    if table is False or (isinstance(table, str) and table == "none"):
        asked["table"] = False
        return None
    if isinstance(table, str) and table == GIVEN:
        raise UsageError(
            "the table of these images was an object in memory and is not kept; give it again: run.images ="
            " load_images(…, table=…)"
        )
    if not isinstance(table, str | os.PathLike):
        asked["table"] = GIVEN
        return read_table(table)
    path, folder = Path(table).expanduser(), Path(source) if isinstance(source, str | os.PathLike) else None
    inside = folder is not None and not path.exists() and not path.is_absolute() and (folder / path).exists()
    path = (folder / path if inside and folder is not None else path).absolute()
    # From the folder of the images where it lies in it, so that both can be moved together.
    if folder is not None and folder.is_dir() and path.is_relative_to(folder.absolute()):
        asked["table"] = path.relative_to(folder.absolute()).as_posix()
    else:
        asked["table"] = str(path)
    return read_table(path)


def file_options(source: Any, pages: Any, channels: Any, nan: Any) -> dict[str, Any]:
    """The options `pages`, `channels` and `nan`, those that were given, as JSON has them.

    Raises:
        UsageError: one of them is not allowed, or does not go with the source.
    """
    if pages is not None and pages not in PAGES:
        raise UsageError(f"pages {pages!r}; allowed are {', '.join(PAGES)}")
    asked: dict[str, Any] = {} if pages in (None, PAGES[0]) else {"pages": pages}
    folders = checked_channels(channels)
    if folders:
        if not (isinstance(source, str | os.PathLike) and os.path.isdir(source)):
            raise UsageError("channels (--channels) goes with a folder that holds the folders of the channels")
        asked["channels"] = [_channel_folder(source, one) for one in folders]
    if nan is not None:
        try:
            asked["nan"] = float(nan)
        except (TypeError, ValueError):
            asked["nan"] = math.nan
        if not abs(asked["nan"]) <= FLOAT_LIMIT:
            raise UsageError(f"nan is {nan!r}; allowed is a number, the value to read instead of NaN and infinity")
    return asked


def _channel_folder(source: "str | os.PathLike[str]", channel: str) -> str:
    """Where it isn't in the source, by a path of its own, so that it is found from any folder."""
    own = os.path.abspath(os.path.expanduser(channel))
    return own if not os.path.isdir(os.path.join(source, channel)) and os.path.isdir(own) else channel


def load_again(source: Any, data: Mapping[str, Any], fetch: bool = True) -> Dataset:
    """The images of a run, from where they are now, as they were read when it was trained.

    Args:
        source: see `load_images`.
        data: the entry `data` of run.json: `options`, and `rules` (1 where it has none, before there were others).
        fetch: whether an address may be reached; otherwise its files are taken from the cache.

    Raises:
        ImagesError: they can't be read.
    """
    options = {"rules": data.get("rules", 1), **data["options"]}
    if not fetch and isinstance(source, str) and is_remote(source):
        return read_kept(source, lambda local: load_images(local, **options))
    return load_images(source, **options)


def reader_of(source: Any) -> Source:
    """The entry of `SOURCES` that reads a source, its `~` expanded.

    Raises:
        ImagesNotFound: nothing is there.
        ImagesError: none reads it.
    """
    for reader in SOURCES.values():
        if reader.accepts(source):
            return reader
    raise _unreadable(source)


def _plain(size: Any) -> Any:
    """The size as JSON has it."""
    return size if size is None else int(size) if np.ndim(size) == 0 else [int(side) for side in size]


def _checked_size(size: Any) -> Size | None:
    if size is None:
        return None
    sides = (size, size) if np.ndim(size) == 0 else tuple(size)
    whole = all(isinstance(side, int | np.integer) and not isinstance(side, bool) for side in sides)
    if len(sides) != 2 or not whole or not all(MINIMUM_SIDE <= side <= MAXIMUM_SIDE for side in sides):
        raise UsageError(
            f"size {size!r}; allowed is one side or (height, width), in whole pixels from {MINIMUM_SIDE} to {MAXIMUM_SIDE}"
        )
    return int(sides[0]), int(sides[1])


def _unreadable(source: Any) -> Exception:
    if not isinstance(source, str | os.PathLike):
        return UsageError(
            f"a source of type {type(source).__name__}; allowed are a name, a path, an array, a list of images or a data set"
        )
    path = Path(source)
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        pass  # a name with a zero byte is no name of a file either
    except OSError as error:
        return ImagesError(f"{path}: can't be opened ({error.strerror}); check the path and its permissions")
    else:
        if stat.S_ISREG(mode):
            packed = path.suffix.lower() in {".gz", ".bz2", ".xz", ".7z", ".rar"}
            return ImagesError(
                f"{path}: not a file of many images; allowed are .npy, .npz, .zip, .tar and .parquet files, and folders: "
                + ("unpack it and give the folder" if packed else "give the folder that it lies in")
            )
        return ImagesError(f"{path}: a pipe, socket or device, neither a folder nor a file; give a folder or a file")
    known = [*NAMES, *_neighbours(path)]
    close = difflib.get_close_matches(str(source), NAMES, 1) or difflib.get_close_matches(path.name, known, 1)
    guess = f" (did you mean {close[0]!r}?)" if close else ""
    return ImagesNotFound(f"{source}: no data set, folder or file of this name; known names: {', '.join(NAMES)}{guess}")


def _neighbours(path: Path) -> list[str]:
    try:
        return sorted(os.listdir(path.parent))
    except (OSError, ValueError):
        return []

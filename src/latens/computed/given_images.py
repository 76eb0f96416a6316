"""Any images, read for a run that is there: brought to its shape, in the source's own order, a block at a time."""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from latens.errors import UsageError
from latens.images import Dataset, Images
from latens.images.channel_folders import are_inside
from latens.images.fit import default_fit
from latens.images.load import GIVEN
from latens.images.pictures import numbered_by, read_pictures
from latens.images.plan import Block, Refused
from latens.latents import as_pixels
from latens.runs import Run
from latens.text import counted, listed, quoted, shown

__all__ = ["BLOCK_VALUES", "GivenBlock", "GivenImages"]

BLOCK_VALUES = 1 << 21  # of pixels; in memory several times as float32


class GivenBlock(NamedTuple):
    """Some of the images.

    Args:
        pixels: (n, C, H, W), as `encode_images` takes them.
        ids: str (n,).
        labels: int64 (n,), numbers of the source's own classes, see `GivenImages.numbered`; None without labels.
        columns: as `Images.columns`.
    """

    pixels: np.ndarray
    ids: np.ndarray
    labels: np.ndarray | None
    columns: Mapping[str, np.ndarray] = {}


class GivenImages:
    """Images of any source for a run's model; nothing is decoded before `blocks`.

    Images of another size are resized to the model's, by the run's rule for other shapes; grey ones become colour and colour
    ones grey.

    Args:
        run: whose model takes them.
        source: as for `load_images`; or one image file; or `Images`.
        part: `"train"`, `"test"` or `"all"`. A source that is not split has parts only where it is the run's own data.
        as_it_is: take the parts of the source's own folders, also where it is the run's own data.
        value_range: which stored numbers of these images are 0 and 1: (low, high), one such pair for each channel, or `"type"`
            for all numbers of their type; by default the run's range.
        table: see `load_images`; by default that of the run, where the source is the run's own data.
        label_column: the same.
        masks: see `load_images`; by default as the run's images were read, as layout, pages, channels and nan.
        links: see `load_images`.
        layout: see `load_images`.
        pages: see `load_images`.
        channels: see `load_images`.
        nan: see `load_images`.
        strict: refuse files that can't be read, instead of leaving them out with a note.

    Raises:
        UsageError: the source is a run's folder, or has no such part; an option is not allowed; or `Images` of another shape
            than the model's, or with options of reading, as they are read already.
        ImagesError: the images can't be read.
    """

    def __init__(
        self,
        run: Run,
        source: Any,
        part: str = "all",
        *,
        as_it_is: bool = False,
        value_range: Any = None,
        table: Any = None,
        label_column: str | None = None,
        masks: str | None = None,
        links: str | None = None,
        layout: str | None = None,
        pages: str | None = None,
        channels: Sequence[str | os.PathLike[str]] | None = None,
        nan: float | None = None,
        strict: bool = False,
    ) -> None:
        self.run, self.source = run, source
        self.images = source if isinstance(source, Images) else None
        self._notes: list[str] = []
        if self.images is not None:
            asked = {"value_range": value_range, "table": table, "label_column": label_column, "masks": masks}
            asked |= {"links": links}
            _refuse_options(asked | {"layout": layout, "pages": pages, "channels": channels, "nan": nan})
            self._inputs = as_pixels(run.inputs_of(self.images), run.image_shape)
            self.class_names, self.total = self.images.class_names, len(self.images)
            return
        _refuse_run_folder(source)
        same = _same_source(run, source)
        own = run.images if part != "all" and not as_it_is and same else source
        data = run.record["data"]
        asked = data["options"]
        if table is None and same and asked.get("table") != GIVEN:
            table, label_column = asked.get("table"), label_column or asked.get("label_column")
        self._pictures = read_pictures(
            own,
            run.image_shape,
            strict=strict,
            white=asked.get("white") if value_range is None else None,
            fit=asked.get("fit", default_fit(data.get("rules", 1))),
            read_by=run.format,
            value_range=value_range,
            table=table,
            label_column=label_column,
            masks=masks or asked.get("masks"),
            links=links or asked.get("links") or ("all" if same and data.get("rules", 1) < 3 else None),
            layout=layout or asked.get("layout"),
            pages=pages or asked.get("pages"),
            channels=channels or _channels_in(asked.get("channels"), own, same),
            nan=asked.get("nan") if nan is None else nan,
        )
        self._chosen = [one for one in self._pictures.parts if part in ("all", one.name)]
        if not self._chosen:
            raise UsageError(f"{shown(source)}: is not split into train and test; leave out the part (--part)")
        self.class_names, self.total = self._pictures.plan.class_names, sum(len(one.ids) for one in self._chosen)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the source's parts: `("all",)`, or train and test."""
        return ("all",) if self.images is not None else tuple(part.name for part in self._pictures.parts)

    @property
    def notes(self) -> list[str]:
        """What a user should be told: files that were left out, images that were converted; complete after the last block."""
        return self._notes if self.images is not None else [*self._pictures.notes, *self._notes]

    @property
    def refused(self) -> tuple[Refused, ...]:
        """Files that could not be used, as far as they were met."""
        return () if self.images is not None else tuple(self._pictures.refused)

    @property
    def ids(self) -> Iterator[str]:
        """The id of each image, in the order of `blocks`; of files that turn out to be damaged too."""
        for ids in [self.images.ids] if self.images is not None else [one.ids for one in self._chosen]:
            yield from map(str, ids)

    def blocks(
        self, tick: Callable[[int, int], object] | None = None, rows: range | None = None
    ) -> Iterator[GivenBlock]:
        """The images, some at a time.

        Args:
            tick: called with (images read, images in all) after each block was used.
            rows: which of the images, that follow one another; None gives all.

        Raises:
            ImagesDamaged: a file can't be used and `strict` was asked for, or none can.
        """
        done, total = 0, self.total if rows is None else len(rows)
        for block in self._of_images(rows) if self.images is not None else self._decoded(rows):
            yield block
            if tick is not None:
                tick(done := done + len(block.ids), total)

    def _of_images(self, wanted: range | None) -> Iterator[GivenBlock]:
        assert self.images is not None
        labels = self.images.labels
        length = max(1, BLOCK_VALUES // int(np.prod(self.images.shape)))
        wanted = range(len(self.images)) if wanted is None else wanted
        for start in range(wanted.start, wanted.stop, length):
            rows = slice(start, min(start + length, wanted.stop))
            columns = {name: column[rows] for name, column in self.images.columns.items()}
            ids, own = self.images.ids[rows].astype(str), None if labels is None else labels[rows]
            yield GivenBlock(np.asarray(self._inputs[rows]), ids, own, columns)

    def _decoded(self, wanted: range | None) -> Iterator[GivenBlock]:
        before = 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata while files are decoded
            for one in self._chosen:
                own = None if wanted is None else _inside(wanted, before, len(one.ids))
                before += len(one.ids)
                if own is not None and not len(own):
                    continue
                for block in _larger(self._pictures.blocks(one, own)):
                    labels = None if one.labels is None else one.labels[block.rows]
                    columns = {name: column[block.rows] for name, column in one.columns.items()}
                    yield GivenBlock(block.pixels, one.ids[block.rows].astype(str), labels, columns)
        if wanted is None:
            self._pictures.note_refused()

    def numbered(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels of the source by the numbers of the run's classes, found by name; unknown classes get numbers after these.

        A note tells of unknown classes.

        Args:
            labels: int64 (N,), of blocks.

        Returns:
            The numbers, int64 (N,), and the name of each number, str (K,).
        """
        used = np.unique(labels)
        known = self.run.class_names
        numbers, names = numbered_by(known, [self.class_names[k] for k in used])
        unknown = names[len(known) :]
        if unknown and known:
            self._notes.append(
                f"{counted(len(unknown), 'class', 'classes')} that the run does not have, numbered from"
                f" {len(known)}: {listed(unknown)}"
            )
        return numbers[np.searchsorted(used, labels)], np.array(names)


def _inside(wanted: range, before: int, num: int) -> range:
    """Those rows of a part of so many images, with so many images before it, that are wanted."""
    return range(min(max(wanted.start - before, 0), num), min(max(wanted.stop - before, 0), num))


def _channels_in(channels: list[str] | None, source: Any, same: bool) -> list[str] | None:
    """The folders of the channels as the run had them, where the source is the run's own or has them too."""
    if channels is None or not isinstance(source, str | os.PathLike):
        return None
    return channels if same or (os.path.isdir(source) and are_inside(Path(source), channels)) else None


def _refuse_options(given: Mapping[str, Any]) -> None:
    """Images in memory are read already."""
    named = [name for name, value in given.items() if value is not None]
    if named:
        raise UsageError(f"{', '.join(named)}: these images are read already; give {', '.join(named)} to load_images")


def _refuse_run_folder(source: Any) -> None:
    if not isinstance(source, str | os.PathLike):
        return
    for folder in (Path(source), Path("runs") / source):
        if (folder / "run.json").is_file() and (folder == Path(source) or not Path(source).exists()):
            raise UsageError(
                f"{shown(source)}: a run's folder, not images; name the images too: latens encode {quoted(source)} DATA -o FILE"
            )


def _same_source(run: Run, source: Any) -> bool:
    """Whether a source is the one that the run was trained on."""
    known = run.record["data"]["source"]
    if isinstance(source, Dataset):
        return bool(source.fingerprint == run.record["data"]["fingerprint"])
    if str(source) == known:
        return True
    is_path = isinstance(source, str | os.PathLike)
    return is_path and os.path.exists(source) and os.path.exists(known) and os.path.samefile(source, known)


def _larger(blocks_of_files: Iterator[Block]) -> Iterator[Block]:
    """Joined blocks: those of a folder hold a few files, and a model is faster on many images at once."""
    waiting: list[Block] = []
    for block in blocks_of_files:
        waiting.append(block)
        if sum(one.pixels.size for one in waiting) >= BLOCK_VALUES:
            yield _together(waiting)
            waiting = []
    if waiting:
        yield _together(waiting)


def _together(parts: list[Block]) -> Block:
    return Block(np.concatenate([one.pixels for one in parts]), np.concatenate([one.rows for one in parts]))

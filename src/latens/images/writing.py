"""Images out: a folder of image files with the names of their ids, or one .npz."""

import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from latens.files import atomic_write, remove_abandoned, sha256_bytes
from latens.images.decode import picture_suffixes
from latens.images.pixels import CHANNELS, DTYPE, to_picture

__all__ = ["ARRAYS", "ImagesWriter", "file_format", "image_bytes", "safe_name"]

ARRAYS = "images.npz"  # the arrays beside the files
NOT_IN_NAMES = '<>:"|?*\\'  # which Windows has no file of; a name must not depend on the system
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
LONGEST = 120  # characters of one part of a name: in UTF-8 fewer than the 255 bytes that file systems take
MORE_SUFFIXES = {".npy", ".fits", ".fit", ".fts", ".dcm"}  # endings of images that Pillow does not know


def file_format(dtype: "np.dtype[Any]", channels: int) -> str:
    """The ending of files for such pixels: .png for 8-bit images, grey or colour; .tif for all others, which PNG can't hold.

    >>> file_format(np.dtype(np.uint8), 3), file_format(np.dtype(np.uint16), 1), file_format(np.dtype(np.uint8), 5)
    ('.png', '.tif', '.tif')
    """
    return ".png" if dtype == DTYPE and channels in CHANNELS else ".tif"


def image_bytes(pixels: np.ndarray, channel_names: Sequence[str] = ()) -> bytes:
    """One image as the bytes of a PNG or TIFF, see `file_format`.

    Args:
        pixels: uint8, uint16 or float32, (C, H, W).
        channel_names: written into a TIFF of several channels.
    """
    buffer = io.BytesIO()
    if file_format(pixels.dtype, len(pixels)) == ".png":
        to_picture(pixels).save(buffer, format="PNG")
        return buffer.getvalue()
    from tifffile import imwrite

    # ImageJ and QuPath read channels as pages of an OME-TIFF; other readers find one page a channel.
    several = len(pixels) > 1
    facts = {"axes": "CYX", "Channel": {"Name": list(channel_names)}} if several and channel_names else {}
    imwrite(
        buffer,
        np.ascontiguousarray(pixels if several else pixels[0]),
        ome=several,
        photometric="minisblack",
        metadata=(facts or {"axes": "CYX"}) if several else None,
    )
    return buffer.getvalue()


def safe_name(id: str) -> str:
    r"""A relative path, without an ending, that an id may be written to: below the folder, on every system.

    Folders of the id stay; an ending of an image file goes. What leads out of the folder, and characters that not every system
    has in names, become underscores.

    >>> safe_name("cats/IMG_2024.05.01.jpg"), safe_name("../../etc/passwd"), safe_name("C:\\a.png")
    ('cats/IMG_2024.05.01', '_/_/etc/passwd', 'C__a')
    """
    parts = [part for part in id.split("/") if part not in ("", ".")]
    return "/".join(_safe_part(part, last=place == len(parts) - 1) for place, part in enumerate(parts)) or "_"


def _safe_part(part: str, last: bool) -> str:
    if part == "..":
        return "_"
    stem, ending = os.path.splitext(part)
    if last and stem and ending.lower() in picture_suffixes() | MORE_SUFFIXES:
        part = stem
    part = "".join("_" if c in NOT_IN_NAMES or not c.isprintable() or _is_surrogate(c) else c for c in part)
    part = part.rstrip(". ") or "_"  # Windows drops them at the end
    if part.partition(".")[0].lower() in RESERVED or part.startswith("."):
        part = f"_{part}"  # a name that begins with a dot is hidden
    if len(part) > LONGEST or len(part.encode()) > 2 * LONGEST:
        part = f"{part[: LONGEST // 3]}_{sha256_bytes(part.encode())[:12]}"
    return part


def _is_surrogate(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


class ImagesWriter:
    """Writes images as they come, some at a time; memory holds little more than these.

    As a context. A folder gets a file for each image, and once all are written `images.npz`: `images` (N, C, H, W), `ids`,
    `files` and the arrays that were given with them. Where only the .npz is asked for, it is the same without `files`.

    Args:
        folder: for the image files; None for none.
        arrays: the .npz; None for `images.npz` in the folder.
        channel_names: of the images, for TIFF.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None,
        arrays: str | os.PathLike[str] | None = None,
        channel_names: Sequence[str] = (),
    ) -> None:
        assert folder is not None or arrays is not None
        self.folder = None if folder is None else Path(folder)
        self.arrays = Path(arrays) if arrays is not None else Path(folder or ".") / ARRAYS
        self.channel_names = channel_names
        self.files: list[str] = []
        self.shape: tuple[int, ...] = ()
        self.count = 0
        self._ids: list[np.ndarray] = []
        self._more: dict[str, list[np.ndarray]] = {}
        self._taken: set[str] = set()
        self._folders: set[str] = set()
        self._entered: set[Path] = set()
        self._numbers: dict[str, int] = {}
        self._dtype = np.dtype(np.uint8)
        self._raw: Any = None

    def __enter__(self) -> "ImagesWriter":
        self.arrays.parent.mkdir(parents=True, exist_ok=True)
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
        # Unnamed, beside the file that it becomes a part of, since it may be as large as the disk has room for.
        self._raw = tempfile.TemporaryFile(dir=self.arrays.parent)
        return self

    def __exit__(self, *error: object) -> None:
        self._raw.close()

    def add(self, images: np.ndarray, ids: Iterable[Any], **more: np.ndarray) -> None:
        """Write some images.

        Args:
            images: uint8, uint16 or float32, (n, C, H, W), all calls of one type and shape.
            ids: of each.
            **more: arrays (n, ...) to keep beside them, the same names in each call.
        """
        names = [str(one) for one in ids]
        self.shape, self._dtype = images.shape[1:], images.dtype
        self.count += len(images)
        self._raw.write(np.ascontiguousarray(images).data)
        self._ids.append(np.array(names, dtype=str))
        for name, array in more.items():
            self._more.setdefault(name, []).append(array)
        if self.folder is None:
            return
        for pixels, id in zip(images, names, strict=True):
            name = self._free_name(id, file_format(images.dtype, images.shape[1]))
            path = self.folder / name
            if path.parent not in self._entered:
                remove_abandoned(path.parent)
                self._entered.add(path.parent)
            atomic_write(path, image_bytes(pixels, self.channel_names), durable=False)
            self.files.append(name)

    def _free_name(self, id: str, ending: str) -> str:
        """A file name that no other image has, also where upper and lower case are one."""
        wanted = safe_name(id)
        with_ending = safe_name(f"{id}.png")  # keeps the ending that the id has
        for stem in (wanted, with_ending):
            if self._is_free(stem + ending):
                return self._claim(stem + ending)
        while True:
            number = self._numbers[wanted] = self._numbers.get(wanted, 1) + 1
            if self._is_free(f"{wanted}-{number}{ending}"):
                return self._claim(f"{wanted}-{number}{ending}")

    def _is_free(self, name: str) -> bool:
        folded = name.casefold()
        return not (
            folded in self._taken or folded in self._folders or any(one in self._taken for one in _folders_of(folded))
        )

    def _claim(self, name: str) -> str:
        self._taken.add(name.casefold())
        self._folders.update(_folders_of(name.casefold()))
        return name

    def finish(self, **constants: np.ndarray) -> dict[str, list[int]]:
        """Write the .npz, with further arrays that are not one an image. Returns the shape of each array."""
        arrays = {"ids": np.concatenate(self._ids) if self._ids else np.empty(0, dtype=str)}
        if self.folder is not None:
            arrays["files"] = np.array(self.files, dtype=str)
        arrays |= {name: np.concatenate(parts) for name, parts in self._more.items()} | constants
        shape = (self.count, *self.shape)
        atomic_write(self.arrays, lambda file: self._write(file, shape, arrays))
        return {"images": list(shape), **{name: list(array.shape) for name, array in arrays.items()}}

    def _write(self, file: BinaryIO, shape: tuple[int, ...], arrays: dict[str, np.ndarray]) -> None:
        self._raw.seek(0)
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            with archive.open("images.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, header)
                shutil.copyfileobj(self._raw, member, 1 << 20)
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)


def _folders_of(name: str) -> list[str]:
    """The folders that a file lies in.

    >>> _folders_of("a/b/c.png")
    ['a', 'a/b']
    """
    parts = name.split("/")[:-1]
    return ["/".join(parts[: place + 1]) for place in range(len(parts))]

"""Fashion-MNIST (Xiao, Rasul, Vollgraf 2017, https://arxiv.org/abs/1708.07747): ten kinds of clothes, MIT licence.

It is looked for in the cache folder, then where Debian's package puts it, and then fetched from the authors'
repository; what was fetched must have the SHA-256 that is written here (of the unpacked files: the gzip wrappers differ
from place to place).
"""

import hashlib
import http.client
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from typing import Any

from latens.errors import ImagesDamaged, ImagesNotFound
from latens.files import atomic_write, cache_folder
from latens.images.contract import Dataset
from latens.images.idx import plan_named, read_named
from latens.images.plan import Options, Plan

__all__ = ["FASHION_MNIST", "FashionMnistSource"]

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
HOME = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
TIMEOUT = 20  # seconds without a byte
MAXIMUM_BYTES = 64 << 20  # of a file, packed or unpacked; the largest has 47 MB
SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


class FashionMnistSource:
    """Fashion-MNIST of Zalando Research."""

    def accepts(self, source: Any) -> bool:
        """Whether it is the name "fashion-mnist"."""
        return isinstance(source, str) and source == "fashion-mnist"

    def read(self, source: Any, options: Options) -> Dataset:
        """The data set, in memory; fetched where this machine doesn't have it.

        Raises:
            ImagesNotFound: it isn't here and can't be fetched.
            ImagesDamaged: what was fetched isn't it.
        """
        return read_named("fashion-mnist", _folder(), CLASS_NAMES, options)

    def plan(self, source: Any, options: Options) -> Plan:
        """The train and the test part, in their own order."""
        return plan_named("fashion-mnist", _folder(), CLASS_NAMES, options)


FASHION_MNIST = FashionMnistSource()


def _folder() -> Path:
    """Where the four files are; fetched first where this machine does not have them."""
    fetched = cache_folder() / "fashion-mnist"
    for folder in (fetched, DEBIAN):
        if _complete(folder):
            return folder
    for name, sha256 in SHA256.items():
        _fetch(name, sha256, fetched)
    return fetched


def _complete(folder: Path) -> bool:
    return all(_has(folder, name) for name in SHA256)


def _has(folder: Path, name: str) -> bool:
    return (folder / name).is_file() or (folder / f"{name}.gz").is_file()


def _fetch(name: str, sha256: str, folder: Path) -> None:
    if _has(folder, name):
        return
    otherwise = f"apt install dataset-fashion-mnist, or put the four files into {folder}"
    url = f"{HOME}{name}.gz"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:  # noqa: S310 - the address is the constant above
            packed = answer.read(MAXIMUM_BYTES)
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it is the answer as well, with an open connection
        raise ImagesNotFound(
            f"fashion-mnist: not on this machine, and {url} can't be fetched ({reason}); {otherwise}"
        ) from None
    if _unpacked_sha256(packed) != sha256:
        raise ImagesDamaged(f"fashion-mnist: what {url} gave is not that file (its SHA-256 differs); {otherwise}")
    try:
        atomic_write(folder / f"{name}.gz", packed)
    except OSError as error:
        raise ImagesNotFound(
            f"{folder}: fashion-mnist can't be stored there ({error.strerror}); set LATENS_CACHE to a folder with room"
        ) from None


def _unpacked_sha256(packed: bytes) -> str:
    """Hash of at most so many unpacked bytes; None if the file is not gzip."""
    unpack = zlib.decompressobj(wbits=31)  # gzip
    try:
        return hashlib.sha256(unpack.decompress(packed, MAXIMUM_BYTES)).hexdigest()
    except zlib.error:
        return ""

"""Small images for tests, generated here so that no download is needed."""

import gzip
import struct
from pathlib import Path

import numpy as np
from PIL import Image


def noise(count, *shape, seed=0):
    """uint8 (count, *shape), no two alike."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def save(path, array, **options):
    """Write uint8 (H, W) or (H, W, C) as a picture file; its folder is made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def fill(folder, count, shape=(16, 16, 3), seed=0, suffix=".png"):
    """A folder with `count` different pictures 0.png, 1.png, …; gives them back, (count, *shape)."""
    arrays = noise(count, *shape, seed=seed)
    for number, array in enumerate(arrays):
        save(Path(folder) / f"{number}{suffix}", array)
    return arrays


def idx_bytes(array):
    """An array of unsigned bytes in the IDX format."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(path, array):
    """Write it, gzipped if the name says so."""
    content = idx_bytes(array)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


def write_pairs(folder, packed=True, num_train=20, num_test=10, shape=(9, 8)):
    """The four files of a data set like MNIST; gives back (train images, train labels, test images, test labels)."""
    end = ".gz" if packed else ""
    train, test = noise(num_train, *shape), noise(num_test, *shape, seed=1)
    labels = [np.arange(n, dtype=np.uint8) % 3 for n in (num_train, num_test)]
    write_idx(Path(folder) / f"train-images-idx3-ubyte{end}", train)
    write_idx(Path(folder) / f"train-labels-idx1-ubyte{end}", labels[0])
    write_idx(Path(folder) / f"t10k-images-idx3-ubyte{end}", test)
    write_idx(Path(folder) / f"t10k-labels-idx1-ubyte{end}", labels[1])
    return train, labels[0], test, labels[1]

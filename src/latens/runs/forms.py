"""What the arrays of a run's .npz files must be: their kinds, shapes and values.

The hash of a file says that it is the one that was written, not who wrote it: a run that somebody else made may hold anything.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["problem_of"]

# Kinds of numpy's types; with "!" numbers that are finite as float32. A letter of a shape is a length, one in all of the file.
REAL, FINITE, WHOLE, TEXT, ANY = "f", "f!", "iu", "U", "biufSUmM"
MAP = {"coordinates": (FINITE, "N 2"), "trust": (REAL, "N"), "note": (TEXT, ""), "encoder": (TEXT, "")}
FORMS: Mapping[str, Mapping[str, tuple[str, str]]] = {  # the first pattern that a name fits
    "latents.npz": {
        "latents": (FINITE, "N D"),
        "part": (WHOLE, "N"),
        "ids": (TEXT, "N"),
        "squared_error": (REAL, "N"),
        "labels": (WHOLE, "N"),
        "column:*": (ANY, "N"),
    },
    "images.npz": {
        "class_names": (TEXT, "K"),
        "train_pixels": ("uf", "N C H W"),
        "train_ids": (TEXT, "N"),
        "train_labels": (WHOLE, "N"),
        "train_column:*": (ANY, "N"),
        "test_pixels": ("uf", "M C H W"),
        "test_ids": (TEXT, "M"),
        "test_labels": (WHOLE, "M"),
        "test_column:*": (ANY, "M"),
    },
    "maps/pca.npz": {**MAP, "mean": (FINITE, "D"), "components": (FINITE, "D 2")},
    "maps/*.npz": MAP,  # a plug-in's map may have more arrays, of any form
    "neighbours.npz": {"near": (WHOLE, "N k"), "reach": (REAL, "N"), "latents": (TEXT, "")},
    "probe.npz": {
        "images": (FINITE, "R P C H W"),
        "noises": (FINITE, "R"),
        "names": (TEXT, "P"),
        "latents": (FINITE, "P D"),
        "coordinates": (FINITE, "P 2"),
        "ratios": (REAL, "P"),
    },
    "snapshots/*.npz": {"latents": (FINITE, "N D")},
}
BLOCK = 1 << 22  # numbers that are looked at at a time


def problem_of(name: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    """What is wrong with the arrays of a file of a run, as a part of a sentence; empty where nothing is.

    Args:
        name: of the file, relative to the run's folder; of those that are not known nothing is asked.
        arrays: all of it, or some.
    """
    forms = next((forms for pattern, forms in FORMS.items() if fnmatchcase(name, pattern)), {})
    lengths: dict[str, int] = {}
    for array_name, array in arrays.items():
        form = next((form for pattern, form in forms.items() if fnmatchcase(array_name, pattern)), None)
        if form is None:
            continue
        kinds, axes = form[0], form[1].split()
        if array.dtype.kind not in kinds or array.dtype.hasobject:
            return f"its {array_name} are of type {array.dtype}"
        known = [int(axis) if axis.isdigit() else lengths.get(axis) for axis in axes]
        if array.ndim != len(axes) or any(a not in (None, b) for a, b in zip(known, array.shape, strict=True)):
            return f"its {array_name} have the shape {array.shape}"
        lengths |= {axis: length for axis, length in zip(axes, array.shape, strict=True) if not axis.isdigit()}
        if kinds == FINITE and not _finite(array):
            return f"its {array_name} hold NaN or infinity"
    if "part" in arrays and "part" in forms and not np.isin(arrays["part"], (0, 1)).all():
        return "its part is neither 0 nor 1"
    near = arrays.get("near") if "near" in forms else None
    if near is not None and near.size and not 0 <= int(near.min()) <= int(near.max()) < len(near):
        return "its near are no rows of it"
    return ""


def _finite(array: NDArray[Any]) -> bool:
    rows = max(1, BLOCK // max(1, int(np.prod(array.shape[1:]))))
    with np.errstate(over="ignore"):
        return all(
            bool(np.isfinite(array[start : start + rows].astype(np.float32, copy=False)).all())
            for start in range(0, len(array), rows)
        )

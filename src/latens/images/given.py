"""From objects in memory to NumPy arrays: arrays and tensors of any library, and labels of any kind."""

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from latens.errors import LabelsError, UsageError

__all__ = ["as_array", "label_array"]

LARGEST_WHOLE = 2.0**53  # not all whole numbers beyond it are floats


def as_array(value: Any, where: str) -> np.ndarray:
    """A NumPy array of an array, a tensor on any device, or nested lists.

    Args:
        value: what was given. A tensor's gradient is left aside; bfloat16 becomes float32.
        where: its name, for messages.

    Raises:
        UsageError: it can't be read as an array, or has masked values.
    """
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.getmaskarray(value).any():
            raise UsageError(f"{where}: a masked array with masked values; fill them first: array.filled(0)")
        return np.asarray(value.data)
    try:
        if getattr(value, "is_meta", False):
            raise TypeError("a meta tensor has no values")
        if hasattr(value, "detach") and hasattr(value, "cpu"):
            return _of_tensor(value)
        array = np.asarray(value)
    except Exception as error:  # each library raises errors of its own
        raise UsageError(
            f"{where}: {type(value).__name__} can't be read as an array ({_first_line(error)}); give a NumPy array or a tensor"
        ) from None
    if array.dtype.kind == "V" and array.dtype.names is None and "float" in array.dtype.name:
        return array.astype(np.float32)  # bfloat16 and the like, as JAX has them
    return array


def _of_tensor(tensor: Any) -> np.ndarray:
    tensor = tensor.detach().cpu()
    if getattr(tensor, "is_quantized", False):
        tensor = tensor.dequantize()
    if "strided" not in str(getattr(tensor, "layout", "strided")):
        tensor = tensor.to_dense()
    if tensor.dtype.is_floating_point and str(tensor.dtype) not in ("torch.float16", "torch.float32", "torch.float64"):
        tensor = tensor.float()  # NumPy has no bfloat16
    return np.asarray(tensor.resolve_conj().resolve_neg().numpy())


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:100] or type(error).__name__


def label_array(labels: Any, where: str) -> np.ndarray:
    """Labels of any kind as one axis of whole numbers or text.

    Args:
        labels: (N,) or (N, 1) of whole numbers, bools, text or UTF-8 bytes, or one-hot rows (N, K); a list, an array, a
            tensor, or a column of pandas or polars.
        where: their name, for messages.

    Returns:
        (N,): int64, str, or Python's int as objects where a number is larger than int64 holds.

    Raises:
        LabelsError: rows without a label, several kinds in one, or another shape.
        UsageError: a kind that is no label.
    """
    array = _as_label_array(labels, where)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if _is_one_hot(array):
        array = array.argmax(1)
    if array.ndim != 1:
        raise LabelsError(
            f"{where}: labels of shape {array.shape}; allowed are one an image, (N,), or one-hot rows with a single 1 in each"
        )
    kind = array.dtype.kind
    if kind == "S":
        return _text([_decoded(value, row, where) for row, value in enumerate(array.tolist())])
    if kind == "U":
        return _text(array.tolist())
    if kind in "OT":
        return _of_objects(array.tolist(), where)
    if kind == "f":
        array = array.astype(np.float64)
        with np.errstate(invalid="ignore"):
            whole = np.isfinite(array) & (array == np.rint(array)) & (np.abs(array) <= LARGEST_WHOLE)
        if np.isnan(array).any():
            raise _missing(int(np.isnan(array).argmax()), "nan", where)
        if not whole.all():
            row = int(np.flatnonzero(~whole)[0])
            raise LabelsError(
                f"{where}: row {row} has the label {array[row]}, and labels must be whole numbers or text, one a class"
            )
    elif kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
        return np.array(array.tolist(), dtype=object)
    elif kind not in "bui":
        raise UsageError(f"{where}: labels of type {array.dtype}; allowed are whole numbers or text")
    return array.astype(np.int64)


def _as_label_array(labels: Any, where: str) -> np.ndarray:
    if isinstance(labels, list | tuple):
        return _of_list(labels, where)
    if not hasattr(labels, "detach") and hasattr(labels, "to_numpy"):
        try:
            labels = labels.to_numpy()
        except Exception as error:
            raise LabelsError(f"{where}: labels can't be read as an array ({_first_line(error)})") from None
    array = as_array(labels, where)
    if array.ndim == 0:
        raise UsageError(
            f"{where}: labels of type {type(labels).__name__}; a list or an array is needed, one label an image"
        )
    return array


def _of_list(labels: Sequence[Any], where: str) -> np.ndarray:
    """NumPy would turn a list of numbers and text into text, and a None among text into the word None."""
    plain = [label.item() if hasattr(label, "item") and getattr(label, "ndim", 1) == 0 else label for label in labels]
    kinds = {type(label) for label in plain}
    if kinds <= {bool, int, float} or not kinds:
        try:
            return np.array(plain, dtype=np.int64) if kinds <= {bool, int} else np.array(plain)
        except OverflowError:
            return np.array(plain, dtype=object)
    if kinds & {list, tuple, np.ndarray} or any(hasattr(label, "__array__") for label in plain):
        return as_array([as_array(label, where) for label in plain], where)
    array = np.empty(len(plain), dtype=object)
    array[:] = plain
    return array


def _is_one_hot(array: np.ndarray) -> bool:
    """Whether every row is zeros but for a single one."""
    if array.ndim != 2 or array.shape[1] < 2 or not array.size or array.dtype.kind not in "buif":
        return False
    ones = array == 1
    return bool((ones | (array == 0)).all() and (ones.sum(1) == 1).all())


def _of_objects(values: list[Any], where: str) -> np.ndarray:
    for row, value in enumerate(values):
        if value is None or str(value) in ("<NA>", "NaT") or (isinstance(value, float) and value != value):
            raise _missing(row, value, where)
    kinds = {_kind(value) for value in values}
    if kinds == {"text"}:
        return _text([str(value) for value in values])
    if kinds == {"bytes"}:
        return _text([_decoded(value, row, where) for row, value in enumerate(values)])
    if kinds == {"number"}:
        numbers = [int(value) for value in values]
        if all(abs(number) <= np.iinfo(np.int64).max for number in numbers):
            return np.array(numbers, dtype=np.int64)
        return np.array(numbers, dtype=object)
    if len(kinds) > 1:
        first = {_kind(value): row for row, value in reversed(list(enumerate(values)))}
        told = " and ".join(f"{kind} (row {row})" for kind, row in sorted(first.items(), key=lambda item: item[1])[:2])
        raise LabelsError(
            f"{where}: labels of several kinds: {told}; allowed are whole numbers or text, all of one kind"
        )
    raise LabelsError(f"{where}: labels of type {type(values[0]).__name__}; allowed are whole numbers or text")


def _missing(row: int, value: Any, where: str) -> LabelsError:
    return LabelsError(f"{where}: row {row} has no label ({value}); give every image one, or leave such images out")


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    if isinstance(value, bytes):
        return "bytes"
    if isinstance(value, bool | int | np.integer | np.bool_):
        return "number"
    if isinstance(value, float | np.floating) and np.isfinite(value) and float(value).is_integer():
        return "number"
    return "a fraction" if isinstance(value, float | np.floating) else type(value).__name__


def _decoded(value: bytes, row: int, where: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise LabelsError(
            f"{where}: row {row} has the label {value!r}, no UTF-8 text; decode them first: [b.decode(...) for b in labels]"
        ) from None


def _text(labels: Sequence[str]) -> np.ndarray:
    """One form for accents: é as one letter and as e with an accent are one class."""
    return np.array([unicodedata.normalize("NFC", label) for label in labels], dtype=str)

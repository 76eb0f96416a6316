"""DICOM images, read by pydicom (an extra: `pip install "latens[dicom]"`).

- Rescale slope and intercept, or the modality table, are applied: a CT is in Hounsfield units, as float32. Images without
  them keep their unsigned 8 or 16 bits; signed and longer numbers become float32.
- MONOCHROME1 is turned round, so that more is brighter. Palettes and YBR become RGB.
- The first window (centre and width) of the file says which values are 0 and 1. A file that has a VOI table and no window
  is read through the table.
- Each frame is an image.
- RLE and uncompressed pixels are read by pydicom alone, JPEG (8 bit) and JPEG 2000 by Pillow. What else is packed names the
  packages that unpack it.

Source: DICOM PS3.3 C.7.6.3, C.11.1 and C.11.2.
"""

import warnings
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

import numpy as np

from latens.images.opening import refuse_large
from latens.images.samples import kept_type, values_of_samples

__all__ = ["DICOM_SUFFIXES", "DicomLook", "dicom_values", "is_dicom", "look_at_dicom"]

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
MARK = 128  # bytes before the letters DICM
PLUGINS = {"JPEG 2000": "pylibjpeg pylibjpeg-openjpeg", "JPEG": "pylibjpeg pylibjpeg-libjpeg"}  # by the syntax's name
GREY = ("MONOCHROME1", "MONOCHROME2")


class DicomLook(NamedTuple):
    """What the header says: (H, W), grey or colour, the type of its values, how many frames, and its window (low, high)."""

    size: tuple[int, int]
    grey: bool
    dtype: str
    pages: int
    window: tuple[float, float] | None


def is_dicom(head: bytes, name: str) -> bool:
    """Whether a file is DICOM, by its first 132 bytes; very old ones only by their name."""
    return head[MARK : MARK + 4] == b"DICM" or name.lower().endswith(DICOM_SUFFIXES)


def _read(file: IO[bytes], header_only: bool) -> Any:
    try:
        import pydicom
    except ImportError:
        raise ValueError('DICOM, which needs: pip install "latens[dicom]"') from None
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that are not quite as the standard wants them
        try:
            data = pydicom.dcmread(file, force=True, stop_before_pixels=header_only)
        except Exception as error:
            raise ValueError(f"damaged DICOM ({_line(error)})") from None
    if "Rows" not in data or "PhotometricInterpretation" not in data:
        kind = data.get("Modality") or data.get("SOPClassUID")
        name = getattr(kind, "name", kind)
        raise ValueError(f"DICOM without an image{f' ({name})' if name else ''}")
    return data


def _pixels() -> Any:
    from pydicom import pixels

    return pixels  # untyped, since its names are not marked as exported


def _line(error: Exception) -> str:
    # pydicom lists what each of its plug-ins says, a line each.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:80]


def _group(data: Any, frame: int, name: str) -> Any:
    """Where attributes of a frame stand: in its functional group, in the shared one, or in the data set itself."""
    for key, place in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        groups = data.get(key)
        if groups and place < len(groups) and groups[place].get(name):
            return groups[place][name].value[0]
    return data


def _rescale(data: Any, frame: int) -> tuple[float, float]:
    group = _group(data, frame, "PixelValueTransformationSequence")
    slope, intercept = group.get("RescaleSlope"), group.get("RescaleIntercept")
    return (1.0 if slope is None else float(slope)), (0.0 if intercept is None else float(intercept))


def _bits(data: Any) -> int:
    return int(data.get("BitsStored") or data.get("BitsAllocated") or 8)


def _mirror(data: Any) -> int:
    """What a stored number and its counterpart of a MONOCHROME1 image add up to."""
    return -1 if int(data.get("PixelRepresentation") or 0) else (1 << _bits(data)) - 1


def _table_bits(table: Any) -> int:
    return int(table[0].LUTDescriptor[2])


def _uses_voi_table(data: Any, frame: int) -> bool:
    group = _group(data, frame, "FrameVOILUTSequence")
    return bool(data.get("VOILUTSequence")) and group.get("WindowCenter") is None


def _window(data: Any, frame: int) -> tuple[float, float] | None:
    """The values that are 0 and 1 by the first window, after `_rescale` and turning round."""
    group = _group(data, frame, "FrameVOILUTSequence")
    centre, width = _first(group.get("WindowCenter")), _first(group.get("WindowWidth"))
    if centre is None or width is None or data.PhotometricInterpretation not in GREY:
        return None
    if str(group.get("VOILUTFunction") or "LINEAR").upper() == "LINEAR":
        low, high = centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
    else:
        low, high = centre - width / 2, centre + width / 2
    if data.PhotometricInterpretation == "MONOCHROME1" and not data.get("ModalityLUTSequence"):
        slope, intercept = _rescale(data, frame)
        both = slope * _mirror(data) + 2 * intercept
        low, high = both - high, both - low
    elif data.PhotometricInterpretation == "MONOCHROME1":
        both = (1 << _table_bits(data.ModalityLUTSequence)) - 1
        low, high = both - high, both - low
    return (low, high) if high > low else None


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    several = getattr(value, "__len__", None) is not None and not isinstance(value, str)
    return float(value[0]) if several and len(value) else None if several else float(value)


def look_at_dicom(file: IO[bytes]) -> DicomLook:
    """Read the header.

    Raises:
        ValueError: it is damaged, has no image, or pydicom is missing.
    """
    data = _read(file, header_only=True)
    grey = data.PhotometricInterpretation in GREY
    bits = _bits(data)
    kind = "i" if int(data.get("PixelRepresentation") or 0) else "u"
    window = _window(data, 0)
    if data.PhotometricInterpretation == "PALETTE COLOR":
        kind, bits = "u", int(data.RedPaletteColorLookupTableDescriptor[2])
    elif grey and _uses_voi_table(data, 0):
        bits, kind = _table_bits(data.VOILUTSequence), "u"
        window = 0.0, float((1 << bits) - 1)
    elif grey and data.get("ModalityLUTSequence"):
        bits, kind = _table_bits(data.ModalityLUTSequence), "u"
    elif grey and _rescale(data, 0) != (1, 0):
        kind = "f"
    size = int(data.Rows), int(data.Columns)
    refuse_large(*size, 4 * int(data.get("SamplesPerPixel") or 1))
    return DicomLook(size, grey, kept_type(kind, bits), int(data.get("NumberOfFrames") or 1), window)


def dicom_values(file: IO[bytes], numbers: Sequence[int] | None = (0,)) -> Iterator[np.ndarray]:
    """Images one after another, (H, W, C) of uint8, uint16 or float32.

    Args:
        file: opened for reading.
        numbers: which frames, from 0; None for all of them as the channels of one image.

    Raises:
        ValueError: it can't be unpacked, is damaged or has no pixels.
    """
    data = _read(file, header_only=False)
    if not any(name in data for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise ValueError("DICOM without pixels")
    if numbers is None:
        yield np.concatenate([_frame(data, frame) for frame in range(int(data.get("NumberOfFrames") or 1))], axis=2)
    for number in numbers or ():
        yield _frame(data, number)


def _frame(data: Any, frame: int) -> np.ndarray:
    pixels = _pixels()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            stored = pixels.pixel_array(data, index=frame)
        except Exception as error:  # each plug-in has errors of its own
            raise ValueError(_reason(data, error)) from None
        kind = str(data.PhotometricInterpretation)
        if kind == "PALETTE COLOR":
            colours = pixels.apply_color_lut(stored, data)
            return values_of_samples(colours, 8 * colours.dtype.itemsize, "rgb")
        if kind not in GREY:
            samples = np.atleast_3d(stored)
            return values_of_samples(samples, 8 * samples.dtype.itemsize, "rgb")
        values, bits = _grey(data, frame, stored.astype(stored.dtype.newbyteorder("=")))
        return values_of_samples(values[..., None], bits, "grey")


def _grey(data: Any, frame: int, stored: np.ndarray) -> tuple[np.ndarray, int]:
    """The values of a grey frame and how many bits of them count."""
    bits, turned = _bits(data), data.PhotometricInterpretation == "MONOCHROME1"
    tables = [data.get("ModalityLUTSequence"), data.VOILUTSequence if _uses_voi_table(data, frame) else None]
    if any(tables):
        slope, intercept = _rescale(data, frame)
        values = stored if tables[0] or (slope, intercept) == (1, 0) else stored * slope + intercept
        for table in filter(None, tables):
            values, bits = _through(table[0], values, data.original_encoding[1] is not False), _table_bits(table)
        return (((1 << bits) - 1 - values) if turned else values), bits
    if turned and stored.dtype.kind in "iu":
        wide = _mirror(data) - stored.astype(np.int64)
        info = np.iinfo(stored.dtype)
        stored = np.clip(wide, info.min, info.max).astype(stored.dtype)
    slope, intercept = _rescale(data, frame)
    if (slope, intercept) != (1, 0):
        return stored.astype(np.float64) * slope + intercept, 64
    return stored, bits


def _through(table: Any, values: np.ndarray, little_endian: bool) -> np.ndarray:
    """Numbers through a table: those below its first and above its last entry get these."""
    count, first, bits = (int(number) for number in table.LUTDescriptor)
    count = count or 1 << 16
    content = table.LUTData
    if isinstance(content, bytes):
        entries = np.frombuffer(content, "u1" if len(content) < 2 * count else "<u2" if little_endian else ">u2")
    else:
        entries = np.asarray(content)
    places = np.clip(np.rint(values).astype(np.int64) - first, 0, min(count, len(entries)) - 1)
    found: np.ndarray = entries.astype(np.uint8 if bits <= 8 else np.uint16)[places]
    return found


def _reason(data: Any, error: Exception) -> str:
    syntax = getattr(getattr(data.file_meta, "TransferSyntaxUID", None), "name", "")
    text = str(error)
    if "missing dependencies" in text or "does not support" in text:
        packages = next((names for word, names in PLUGINS.items() if word in syntax), "pylibjpeg")
        name = syntax.partition(" (")[0].removesuffix(" Image Compression").partition(",")[0]
        return f"compressed by {name}, which needs: pip install {packages}"
    return f"damaged DICOM ({_line(error)})"

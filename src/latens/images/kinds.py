"""What a file in a folder of pictures is, by its name and, where it has no ending, by its first bytes."""

import importlib.util
import re
from collections.abc import Sequence

from latens.images.decode import picture_suffixes as suffixes_of_pillow
from latens.images.dicom import DICOM_SUFFIXES
from latens.images.fits import FITS_SUFFIXES
from latens.images.opening import first_bytes

__all__ = [
    "HEIF_SUFFIXES",
    "NO_ENDING",
    "UNREADABLE_PICTURES",
    "advice_for",
    "ending_of",
    "is_hidden",
    "picture_format",
]

NO_ENDING = ""
JPEG_SUFFIXES = {
    ".mpo",
    ".jps",
    ".pjpeg",
    ".pjp",
    ".jfi",
    ".jif",
}  # JPEG under other names; of several pictures the first
ENDING = re.compile(r"\.[a-z][a-z0-9]{0,9}$", re.IGNORECASE)  # "IMG_2024.05.01" has none

TIFF_SUFFIXES = (".lsm", ".stk", ".btf", ".tf2", ".tf8", ".flex", ".qptiff")  # of microscopes, and of BigTIFF
SCIENTIFIC_SUFFIXES = (*TIFF_SUFFIXES, *FITS_SUFFIXES, *DICOM_SUFFIXES)
HEIF_SUFFIXES = {".heic", ".heif", ".heics", ".heifs", ".hif"}
RAW_SUFFIXES = {
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".kdc", ".mos", ".mrw", ".nef", ".nrw", ".orf"),
    *(".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"),
}
OTHER_PICTURES = {".avif", ".jxl", ".xcf", ".kra", ".ora", ".exr", ".hdr", ".svg"}
UNREADABLE_PICTURES = HEIF_SUFFIXES | RAW_SUFFIXES | OTHER_PICTURES  # where Pillow does not read them
LABEL_SUFFIXES = {".csv", ".tsv", ".json", ".jsonl", ".xml", ".xlsx", ".parquet", ".mat"}

# Made by systems and programs, never by the owner of the pictures. Compared in lower case.
SYSTEM_FOLDERS = {
    *("__macosx", "@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "$recycle.bin"),
    *("recycler", "recycled", "$extend", "system volume information", "lost+found", "lost.dir", "found.000"),
    *("__pycache__", "node_modules"),
}
SYSTEM_FILES = {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "ntuser.dat"}


def ending_of(name: str) -> str:
    """The ending of a file name in lower case with its dot, or "" where it has none.

    >>> ending_of("a.PNG"), ending_of("IMG_0001"), ending_of("scan.2024"), ending_of("a.jpg~")
    ('.png', '', '', '.~')
    """
    if name.endswith("~"):
        return ".~"  # the copy that an editor keeps
    found = ENDING.search(name)
    return found[0].lower() if found and found.start() else NO_ENDING


def is_hidden(name: str, folder: bool) -> bool:
    """Whether a file or folder is hidden or made by a system."""
    return name.startswith(".") or name.casefold() in (SYSTEM_FOLDERS if folder else SYSTEM_FILES)


def picture_format(content: bytes) -> str | None:
    """The format of a picture by its first bytes (at least 32), or None.

    >>> picture_format(b"GIF89a" + bytes(26)), picture_format(b"BMW, Audi and others, a list of cars.")
    ('GIF', None)
    """
    for start, name in STARTS:
        if content.startswith(start):
            return name
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    # Two letters alone could begin a text: the size of the header behind them is one of a few.
    if content[:2] == b"BM" and int.from_bytes(content[14:18], "little") in (12, 16, 40, 52, 56, 64, 108, 124):
        return "BMP"
    if re.match(rb"P[1-6][ \t\r\n]+[0-9#]", content):
        return "PNM"
    if content[128:132] == b"DICM":
        return "DICOM"
    if content[4:8] == b"ftyp":
        return {b"avif": "AVIF", b"avis": "AVIF"}.get(content[8:12], "HEIF" if content[8:12] in HEIF_BRANDS else None)
    return None


STARTS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"8BPS", "PSD"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"SIMPLE  =", "FITS"),
)
HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}


def is_picture(path: str, name: str) -> bool:
    """Whether a file counts as a picture: by its ending, or by its content where it has none.

    A file without ending that can't be read counts, so that it is named.
    """
    ending = ending_of(name)
    if ending in suffixes_of_pillow() or ending in JPEG_SUFFIXES or name.lower().endswith(SCIENTIFIC_SUFFIXES):
        return True
    if ending != NO_ENDING:
        return False
    try:
        return picture_format(first_bytes(path, 132)) is not None
    except OSError:
        return True


def advice_for(endings: Sequence[str]) -> str:
    """What to do about files with these endings that were left out, or ""."""
    if HEIF_SUFFIXES & set(endings) and importlib.util.find_spec("pillow_heif") is None:
        return "`pip install pillow-heif`, and HEIC files are read"
    if (UNREADABLE_PICTURES - HEIF_SUFFIXES) & set(endings):
        return "save them as PNG or JPEG to have them read"
    if LABEL_SUFFIXES & set(endings):
        return "labels are taken from the names of folders, or from a table (table, --table)"
    return ""

"""Damaged files of every format that is read, and bombs: each loads, or is refused with an error of latens.

    python benchmarks/faults/mutants.py [--long] [--json FILE]

Mutants are made of small valid files: bits are flipped, pieces are cut, doubled, zeroed or taken from another place, numbers of
headers are replaced by extreme ones. Images lie in a folder with good ones, tables beside ten images; arrays are read
alone. They are read in processes of their own, many mutants in one; where something goes wrong there, each is read again
alone. Lost: an error that is not latens's, a process that ends by a signal, more than 2 s for one mutant in each of three tries,
or more than 512 MB above what the process began with. Bombs: at most 1 s and 256 MB, refused. A mutant hits where it differs
from its seed.
"""

import functools
import gzip
import io
import multiprocessing
import os
import resource
import shutil
import signal
import struct
import sys
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from damage import blobs
from kills import wait
from PIL import Image
from tally import Tally, fault_parser, finish

from latens.errors import LatensError
from latens.images import load_images
from latens.sheets import as_parquet, parquet_library

SHORT, LONG = 20_000, 1_000_000  # mutants of all formats
GOOD = 10  # images beside mutants, or beside a table
BATCH = 40  # mutants that one process reads
SECONDS, MEGABYTES = 2.0, 512  # for one mutant
TOO_LONG, AGAIN = "more than", 2  # what is said of a mutant that takes longer, and how often it is tried again
BOMB_SECONDS, BOMB_MEGABYTES = 1.0, 256
GUARD = 6 << 30  # bytes of address space, so that a bomb ends the process and not the machine
EXTREMES = (
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x80\x00\x00\x00",
    b"\0\0\0\1",
)


def main() -> None:
    args = fault_parser(__doc__).parse_args()
    kept = Path(args.json).parent / "mutants" if args.json else None
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as temporary:
        os.environ["LATENS_CACHE"] = f"{temporary}/cache"
        seeds = seeds_of(blobs(np.random.default_rng(0))[:12])
        for kind, seed in seeds.items():  # which imports here what each process would import
            if kind != "parquet":  # whose libraries start threads, which no fork takes along
                load_images(placed({kind: [seed]}, Path(temporary) / "first" / kind))
        count = (LONG if args.long else SHORT) // len(seeds)
        tallies = []
        for number, (kind, seed) in enumerate(seeds.items()):
            random = np.random.default_rng([0, number])
            tallies.append(of_kind(kind, seed, count, random, Path(temporary) / "tried", kept))
        tallies.append(of_bombs(Path(temporary)))
    sys.exit(finish(tallies, args.json))


def of_kind(kind: str, seed: bytes, count: int, random: np.random.Generator, folder: Path, kept: Path | None) -> Tally:
    """All mutants of one format; those with which something went wrong are kept in a folder."""
    found = Tally(f"mutants of {kind}")
    for start in range(0, count, BATCH):
        mutants = [mutant(seed, random) for _ in range(min(BATCH, count - start))]
        if alone_or_together(kind, mutants, folder):
            for one in mutants:
                problem = alone_or_together(kind, [one], folder)
                for _ in range(AGAIN) if problem.startswith(TOO_LONG) else ():
                    # Beside other work a start takes seconds at times; what hangs does so each time.
                    problem = problem and alone_or_together(kind, [one], folder)
                found.add(one != seed, problem)
                if problem and kept is not None:
                    kept.mkdir(parents=True, exist_ok=True)
                    (kept / f"{len(found.lost)}.{kind}").write_bytes(one)
        else:
            for one in mutants:
                found.add(one != seed)
    return found


def alone_or_together(kind: str, mutants: list[bytes], folder: Path) -> str:
    """What went wrong with some mutants in a process; empty where nothing did."""
    shutil.rmtree(folder, ignore_errors=True)
    sources = (
        [placed({kind: mutants}, folder)]
        if kind in PICTURES
        else [placed({kind: [one]}, folder / str(i)) for i, one in enumerate(mutants)]
    )
    return judged(
        lambda: [load(source) for source in sources], SECONDS if len(mutants) == 1 else 4 * SECONDS, MEGABYTES
    )


def load(source: Path) -> None:
    """Read a source, and all of its pixels."""
    try:
        images = load_images(source)
        for part in (images.train, images.test):
            np.asarray(part.pixels).max(initial=0)
    except LatensError as error:
        if "\n" in str(error):
            raise ValueError(f"more than one line: {error}") from None


def judged(work: Callable[[], object], seconds: float, megabytes: int) -> str:
    """Do some work in a process of its own; what went wrong there, empty where nothing did."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        problem = ""
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff prints what it finds
            resource.setrlimit(resource.RLIMIT_AS, (GUARD, GUARD))
            before = memory("VmRSS")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                work()
            used = memory("VmHWM") - before
            problem = f"{used} MB" if used > megabytes else ""
        except BaseException as error:
            problem = f"{type(error).__name__}: {str(error)[:200]}"
        os.write(writing, problem.encode("utf-8", "replace"))
        os._exit(0)
    os.close(writing)
    ended = wait(child, seconds)
    if ended is None:
        os.kill(child, signal.SIGKILL)
        wait(child)
    told = b""
    while part := os.read(reading, 4_096):
        told += part
    os.close(reading)
    if ended is None:
        return f"{TOO_LONG} {seconds:.0f} s"
    return told.decode() or (f"ended with status {ended}" if ended else "")


def memory(entry: str) -> int:
    """An entry of /proc/self/status, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith(entry))


def mutant(seed: bytes, random: np.random.Generator) -> bytes:
    """A file with one to four changes, most of them in its first bytes, where headers are."""
    content = bytearray(seed)
    for _ in range(int(random.integers(1, 5))):
        near = min(len(content), 300) if random.random() < 0.7 else len(content)
        at = int(random.integers(max(near, 1)))
        length = int(random.integers(1, 9))
        match random.integers(8):
            case 0 | 1:
                content[at : at + 1] = bytes([content[at] ^ (1 << int(random.integers(8)))]) if content else b""
            case 2:
                content[at : at + 1] = bytes([int(random.integers(256))])
            case 3:
                content[at : at + 4] = EXTREMES[int(random.integers(len(EXTREMES)))]
            case 4:
                del content[at : at + length]
            case 5:
                content[at:at] = content[at : at + length]
            case 6:
                other = int(random.integers(max(len(content), 1)))
                content[at : at + length] = content[other : other + length]
            case 7:
                del content[int(random.integers(len(content) + 1)) :]
    return bytes(content)


PICTURES = ("png", "png16", "jpeg", "gif", "webp", "bmp", "tiff", "tiff16", "pgm", "dicom", "fits")
ARCHIVES = ("zip", "tar", "tar.gz", "tar.xz")
SUFFIXES = {"png16": "png", "tiff16": "tif", "dicom": "dcm", "jpeg": "jpg"}


def placed(files: dict[str, list[bytes]], folder: Path) -> Path:
    """Write files where latens looks for them, with good ones beside them. Returns the source to load."""
    ((kind, contents),) = files.items()
    folder.mkdir(parents=True, exist_ok=True)
    if kind in PICTURES:
        for number, content in enumerate(contents):
            (folder / f"{number}.{SUFFIXES.get(kind, kind)}").write_bytes(content)
        for number in range(GOOD):
            (folder / f"good-{number}.png").write_bytes(good_png(number))
        return folder
    (content,) = contents
    if kind.startswith("np"):
        path = folder / f"images.{kind[:3]}"
        path.write_bytes(content)
        return path
    if kind in ARCHIVES:
        path = folder / f"images.{kind}"
        path.write_bytes(content)
        return path
    if kind in ("csv", "parquet"):
        for number in range(GOOD):
            (folder / f"{number}.png").write_bytes(good_png(number))
        (folder / f"metadata.{kind}").write_bytes(content)
        return folder
    labels, packed = kind == "labels-gz", "" if kind == "idx" else ".gz"
    (folder / f"train-images-idx3-ubyte{packed}").write_bytes(idx_gz() if labels else content)
    if labels:
        (folder / f"train-labels-idx1-ubyte{packed}").write_bytes(content)
    return folder


@functools.cache
def good_png(number: int) -> bytes:
    return encoded(blobs(np.random.default_rng(number))[0], "PNG")


@functools.cache
def idx_gz() -> bytes:
    return gzip.compress(idx(blobs(np.random.default_rng(1))[:12]), mtime=0)


def encoded(pixels: np.ndarray, form: str, **options: object) -> bytes:
    """A picture as Pillow writes it."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def idx(pixels: np.ndarray) -> bytes:
    """An IDX file of bytes."""
    return bytes([0, 0, 8, pixels.ndim]) + struct.pack(f">{pixels.ndim}I", *pixels.shape) + pixels.tobytes()


def seeds_of(pixels: np.ndarray) -> dict[str, bytes]:
    """A small valid file of each format."""
    import tifffile

    grey, colour = pixels[0], np.stack([pixels[0], pixels[1], pixels[2]], axis=-1)
    deep = grey.astype(np.uint16) * 200
    tiff, npy, npz, packed = io.BytesIO(), io.BytesIO(), io.BytesIO(), io.BytesIO()
    tifffile.imwrite(tiff, deep, description="a description")
    np.save(npy, pixels)
    np.savez(npz, images=pixels, labels=np.arange(12) % 3)
    np.savez_compressed(packed, images=pixels, labels=np.array(["a", "b", "c"] * 4))
    names = [f"{number}.png" for number in range(GOOD)]
    seeds = {
        "png": encoded(colour, "PNG"),
        "png16": encoded(deep, "PNG"),
        "jpeg": encoded(
            colour, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x112, 3, 1, 6, 0, 0)
        ),
        "gif": encoded(grey, "GIF", save_all=True, append_images=[Image.fromarray(pixels[1])]),
        "webp": encoded(colour, "WEBP", lossless=True),
        "bmp": encoded(colour, "BMP"),
        "tiff": encoded(colour, "TIFF", compression="tiff_lzw"),
        "tiff16": tiff.getvalue(),
        "pgm": b"P5\n12 12\n4095\n" + deep.astype(">u2").tobytes(),
        "npy": npy.getvalue(),
        "npz": npz.getvalue(),
        "npz-packed": packed.getvalue(),
        "idx": idx(pixels),
        "idx-gz": gzip.compress(idx(pixels), mtime=0),
        "labels-gz": gzip.compress(idx(np.arange(12, dtype=np.uint8) % 3), mtime=0),
        "csv": (
            "file_name,label,height\n" + "".join(f"{name},{name[0]},{i}.5\n" for i, name in enumerate(names))
        ).encode(),
    }
    return seeds | optional_seeds(deep, names)


def optional_seeds(deep: np.ndarray, names: list[str]) -> dict[str, bytes]:
    """Formats that need a package which is not always there."""
    seeds: dict[str, bytes] = {}
    try:
        from astropy.io import fits
    except ImportError:
        print("without FITS: astropy is not installed")
    else:
        file = io.BytesIO()
        fits.PrimaryHDU(deep).writeto(file)
        seeds["fits"] = file.getvalue()
    try:
        import pydicom
        from pydicom.dataset import FileDataset, FileMetaDataset
    except ImportError:
        print("without DICOM: pydicom is not installed")
    else:
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
        picture = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
        picture.Rows, picture.Columns = deep.shape
        picture.BitsAllocated = picture.BitsStored = 16
        picture.HighBit, picture.PixelRepresentation, picture.SamplesPerPixel = 15, 0, 1
        picture.PhotometricInterpretation, picture.PixelData = "MONOCHROME2", deep.tobytes()
        picture.SOPClassUID, picture.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        file = io.BytesIO()
        picture.save_as(file, enforce_file_format=True)
        seeds["dicom"] = file.getvalue()
    columns = {"file_name": np.array(names), "label": np.array([name[0] for name in names])}
    if parquet_library() is None:
        print("without Parquet: neither polars nor pyarrow is installed")
    else:  # in a process of its own, as above
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
            seeds["parquet"] = other.submit(as_parquet, columns).result()
    return seeds | {kind: archive(kind) for kind in ARCHIVES}


def archive(kind: str) -> bytes:
    """An archive of images in two folders."""
    file = io.BytesIO()
    files = {f"{'ab'[number % 2]}/{number}.png": good_png(number) for number in range(2 * GOOD)}
    if kind == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in files.items():
                packed.writestr(name, content)
        return file.getvalue()
    with tarfile.open(fileobj=file, mode=f"w:{kind.partition('.')[2]}", format=tarfile.PAX_FORMAT) as packed:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = len(content), {"comment": name}
            packed.addfile(info, io.BytesIO(content))
    return file.getvalue()


def of_bombs(temporary: Path) -> Tally:
    """Small files that unpack to, or claim, far more than they should."""
    found = Tally("bombs: gzip, npz, pictures of absurd sides, headers that claim too much, links")
    for name, write in bombs():
        folder = temporary / "bombs" / str(found.tries)
        folder.mkdir(parents=True)
        source = write(folder)
        problem = judged(lambda source=source: refused(source), BOMB_SECONDS, BOMB_MEGABYTES)
        found.add(True, f"{name}: {problem}" if problem else "")
        shutil.rmtree(folder)
    return found


def refused(source: Path) -> None:
    """See that a source is refused, however much room the disk has."""
    shutil.disk_usage = lambda path: shutil._ntuple_diskusage(1 << 50, 0, 1 << 50)
    try:
        load_images(source)
    except LatensError as error:
        if "\n" in str(error):
            raise ValueError(f"more than one line: {error}") from None
        return
    raise ValueError("was not refused")


def bombs() -> Iterator[tuple[str, Callable[[Path], Path]]]:
    """The name of each bomb, and what writes it into a folder and returns the source to load."""
    zeros = 20 << 30

    def inside(name: str, content: Callable[[], bytes]) -> Callable[[Path], Path]:
        def write(folder: Path) -> Path:
            for number in range(3):
                (folder / name.format(number)).write_bytes(content())
            return folder

        return write

    def one(name: str, content: Callable[[], bytes]) -> Callable[[Path], Path]:
        def write(folder: Path) -> Path:
            (folder / name).write_bytes(content())
            return folder / name if name.startswith("images.") else folder

        return write

    side = 1 << 13
    yield (
        "gzip of 20 GB",
        one("train-images-idx3-ubyte.gz", lambda: deflated(zeros, idx_header(zeros >> 26, side, side), gzip=True)),
    )
    yield "IDX of 2^31 images", one("train-images-idx3-ubyte", lambda: idx_header(1 << 31, 28, 28) + bytes(784))
    yield (
        "gzipped IDX of 2^31 images",
        one("train-images-idx3-ubyte.gz", lambda: gzip.compress(idx_header(1 << 31, 28, 28) + bytes(784))),
    )
    yield "npz of 20 GB", one("images.npz", lambda: packed_npz((zeros >> 26, side, side), False))
    yield "npz of 20 GB in Fortran order", one("images.npz", lambda: packed_npz((zeros >> 26, side, side), True))
    yield "npy that claims 2^62 bytes", one("images.npy", lambda: npy_header((1 << 31, 1 << 15, 1 << 16), False))
    for form, suffix in (("PNG", "png"), ("GIF", "gif"), ("BMP", "bmp"), ("TIFF", "tif")):
        yield f"{form} of 65,000 x 65,000", inside(f"{{}}.{suffix}", functools.partial(absurd, form))
    yield "PNG of 13,000 x 13,000", inside("{}.png", lambda: png(13_000, 13_000))
    yield "WebP of 16,383 x 16,383", inside("{}.webp", webp)
    yield "PGM of 100,000 x 100,000", inside("{}.pgm", lambda: b"P5\n100000 100000\n65535\n" + bytes(99))
    yield "zip of 20 GB", one("images.zip", lambda: packed_zip(b"a.png", deflated(zeros, b"", gzip=False), zeros))
    yield "tar.gz of 20 GB", one("images.tar.gz", lambda: deflated(zeros, tar_header(zeros), gzip=True))
    yield "a link to /", link_to_root
    yield "500 nested folders", nested


def link_to_root(folder: Path) -> Path:
    """A folder whose only content is a link to the root of the disk."""
    (folder / "all").symlink_to("/")
    return folder


def nested(folder: Path) -> Path:
    """Folders within folders."""
    home = os.getcwd()
    os.chdir(folder)
    for _ in range(500):
        os.mkdir("d")
        os.chdir("d")
    Path("0.png").write_bytes(good_png(0))
    os.chdir(home)
    return folder


def idx_header(*shape: int) -> bytes:
    """The header of an IDX file of bytes."""
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


def npy_header(shape: tuple[int, ...], fortran: bool) -> bytes:
    """The header of an .npy of bytes."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": fortran, "shape": shape})
    return file.getvalue()


def deflated(zeros: int, head: bytes, gzip: bool) -> bytes:
    """Some bytes and many zeros, packed; blocks of zeros are packed once and repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if gzip else -15)
    block = bytes(1 << 24)
    packed = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    once = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return packed + once + again * (zeros // len(block) - 1) + packer.flush()


def packed_npz(shape: tuple[int, ...], fortran: bool) -> bytes:
    """An .npz whose one array of zeros is packed, written by hand: zipfile would pack all of it."""
    head, zeros = npy_header(shape, fortran), int(np.prod(shape))
    return packed_zip(b"images.npy", deflated(zeros, head, gzip=False), zeros + len(head))


def tar_header(size: int) -> bytes:
    """The header of a tar's member of so many bytes."""
    info = tarfile.TarInfo("a.png")
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def packed_zip(name: bytes, packed: bytes, unpacked: int) -> bytes:
    """A zip of one file that is packed already."""
    size = struct.pack("<HHQQ", 1, 16, unpacked, len(packed))
    common = struct.pack("<HHHHHIIIHH", 45, 0, 8, 0, 33, 0, 0xFFFFFFFF, 0xFFFFFFFF, len(name), len(size))
    local = b"PK\3\4" + common + name + size + packed
    central = b"PK\1\2" + struct.pack("<H", 45) + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name + size
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    content = local + central + end
    assert zipfile.ZipFile(io.BytesIO(content)).infolist()[0].file_size == unpacked
    return content


def png(width: int, height: int) -> bytes:
    """A PNG of black in colours."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + 3 * width)) for _ in range(min(height, 13_000))) + packer.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@functools.cache
def webp() -> bytes:
    """A WebP header of the largest sides, lossless, with an alpha channel and pixels that end too early."""
    bits = (16_382) | (16_382 << 14) | (1 << 28)
    body = b"VP8L" + struct.pack("<I", 200) + b"\x2f" + struct.pack("<I", bits) + bytes(195)
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x12\0\0\0" + (16_382).to_bytes(3, "little") * 2
    anim = b"ANIM" + struct.pack("<I", 6) + bytes(6)
    frame = (
        b"ANMF" + struct.pack("<I", 16 + len(body)) + bytes(6) + (16_382).to_bytes(3, "little") * 2 + bytes(4) + body
    )
    content = b"WEBP" + extended + anim + frame
    return b"RIFF" + struct.pack("<I", len(content)) + content


@functools.cache
def absurd(form: str) -> bytes:
    """A small valid picture whose header says 65,000 x 65,000."""
    small = encoded(np.zeros((9, 9, 3), np.uint8), form)
    if form == "PNG":
        return png(65_000, 65_000)
    if form == "GIF":
        return small[:6] + struct.pack("<HH", 65_000, 65_000) + small[10:]
    if form == "BMP":
        return small[:18] + struct.pack("<II", 65_000, 65_000) + small[26:]
    for tag in (256, 257):
        at = (
            small.index(struct.pack("<HHI", tag, 3, 1))
            if struct.pack("<HHI", tag, 3, 1) in small
            else small.index(struct.pack("<HHI", tag, 4, 1))
        )
        small = small[: at + 2] + struct.pack("<HII", 4, 1, 65_000) + small[at + 12 :]
    return small


if __name__ == "__main__":
    main()

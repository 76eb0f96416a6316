"""Writers of PNG and TIFF by the formats' specifications, independent of the libraries that latens reads with."""

import struct
import zlib
from pathlib import Path

import numpy as np

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 16: 8}  # of TIFF's types
LETTERS = {1: "B", 2: "B", 3: "H", 4: "I", 16: "Q"}


def packed(row, bits, order=">"):
    """A row of numbers as bytes: whole bytes in an order, others as a stream of bits, filled up at its end."""
    if bits % 8 == 0:
        return np.asarray(row).astype(f"{order}u{bits // 8}").tobytes()
    stream = "".join(format(int(value), f"0{bits}b") for value in row)
    stream += "0" * (-len(stream) % 8)
    return bytes(int(stream[place : place + 8], 2) for place in range(0, len(stream), 8))


def chunk(name, content):
    """One chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def exif(orientation):
    """EXIF that holds only an orientation."""
    return b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x112, 3, 1, orientation, 0, 0)


def adam7(samples):
    """The seven pictures of an interlaced PNG."""
    for left, top, across, down in [
        (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2),
    ]:  # fmt: skip
        yield samples[top::down, left::across]


def write_png(path, samples, bits=8, colour=0, palette=None, key=None, before=(), after=(), interlaced=False):
    """A PNG of whole numbers (H, W) or (H, W, C), of a colour type of the standard.

    `palette` and `key` are the bytes of PLTE and tRNS; `before` and `after` are (name, content) around the pixels.
    """
    samples = np.asarray(samples)
    height, width = samples.shape[:2]
    passes = [part for part in adam7(samples) if part.size] if interlaced else [samples]
    rows = [b"\0" + packed(row.reshape(-1), bits) for part in passes for row in part]
    content = b"\x89PNG\r\n\x1a\n" + chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    )
    content += b"".join(chunk(*item) for item in before)
    content += b"" if palette is None else chunk(b"PLTE", palette)
    content += b"" if key is None else chunk(b"tRNS", key)
    content += chunk(b"IDAT", zlib.compress(b"".join(rows)))
    content += b"".join(chunk(*item) for item in after) + chunk(b"IEND", b"")
    Path(path).write_bytes(content)
    return path


def lzw(content):
    """TIFF's LZW: most significant bit first, codes of 9 to 12 bits, widened one code early."""
    table = {bytes([value]): value for value in range(256)}
    stream, prefix, width, following = [format(256, "09b")], b"", 9, 258

    def put(code):
        stream.append(format(code, f"0{width}b"))

    for value in content:
        longer = prefix + bytes([value])
        if longer in table:
            prefix = longer
            continue
        put(table[prefix])
        table[longer] = following
        following += 1
        width = max(9, following.bit_length())
        if following == 4095:
            put(256)
            table = {bytes([value]): value for value in range(256)}
            width, following = 9, 258
        prefix = bytes([value])
    if prefix:
        put(table[prefix])
        width = max(9, (following + 1).bit_length())
    put(257)
    bits = "".join(stream)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[place : place + 8], 2) for place in range(0, len(bits), 8))


def packbits(content):
    """PackBits with literal runs only."""
    return b"".join(
        bytes([len(content[start : start + 128]) - 1]) + content[start : start + 128]
        for start in range(0, len(content), 128)
    )


PACKERS = {1: bytes, 5: lzw, 8: zlib.compress, 32946: zlib.compress, 32773: packbits}


def float_predicted(block, size):
    """Rows of floats as Technical Note 3 stores them: bytes by weight, then differences from the left neighbour."""
    rows = []
    for row in block:
        width, each = row.shape
        planes = row.astype(f">f{size}").reshape(-1).view(np.uint8).reshape(width * each, size).T.reshape(-1)
        planes = planes.reshape(-1, each).astype(np.int64)
        rows.append(np.diff(planes, axis=0, prepend=0).astype(np.uint8).tobytes())
    return b"".join(rows)


def write_tiff(
    path,
    samples,
    bits=8,
    photometric=1,
    form=1,
    order="<",
    planar=1,
    compression=1,
    predictor=1,
    fill_order=1,
    rows_per_strip=None,
    tile=None,
    big=False,
    extra=(),
    pages=1,
):
    """A TIFF of numbers (H, W) or (H, W, S).

    Args:
        path: the file.
        samples: whole numbers, or floats if form is 3.
        bits: of a sample.
        photometric: the tag PhotometricInterpretation.
        form: the tag SampleFormat: 1 unsigned, 2 signed, 3 float.
        order: "<" or ">".
        planar: 1 contiguous, 2 a plane for each sample.
        compression: a key of `PACKERS`, or bytes already packed elsewhere as (number, content).
        predictor: 1 none, 2 differences, 3 floats.
        fill_order: 2: the bits of each byte turned round.
        rows_per_strip: all by default.
        tile: (height, width) of tiles, instead of strips.
        big: whether it is a BigTIFF.
        extra: more tags, (number, type, values).
        pages: how often the page is repeated.
    """
    samples = np.asarray(samples)
    samples = samples[..., None] if samples.ndim == 2 else samples
    height, width, count = samples.shape
    planes = [samples] if planar == 1 else [samples[..., i : i + 1] for i in range(count)]
    given = isinstance(compression, tuple)
    segments = [compression[1]] if given else []
    for plane in [] if given else planes:
        tall, wide = tile or (rows_per_strip or height, width)
        for top in range(0, height, tall):
            for left in range(0, width, wide):
                block = plane[top : top + tall, left : left + wide]
                if tile:
                    block = np.pad(block, [(0, tall - block.shape[0]), (0, wide - block.shape[1]), (0, 0)])
                segments.append(PACKERS[compression](_bytes(block, bits, form, order, predictor)))
    if fill_order == 2:
        segments = [bytes(int(format(byte, "08b")[::-1], 2) for byte in segment) for segment in segments]
    tags = [
        (256, 4, [width]), (257, 4, [height]), (258, 3, [bits] * count), (262, 3, [photometric]), (266, 3, [fill_order]),
        (259, 3, [compression[0] if given else compression]), (277, 3, [count]), (284, 3, [planar]),
        (317, 3, [predictor]), (339, 3, [form] * count), *extra,
    ]  # fmt: skip
    tags += [(322, 4, [tile[1]]), (323, 4, [tile[0]])] if tile else [(278, 4, [rows_per_strip or height])]
    places, lengths = (324, 325) if tile else (273, 279)
    head = 16 if big else 8
    starts = [head + sum(map(len, segments[:place])) for place in range(len(segments))]
    tags += [(places, 16 if big else 4, starts), (lengths, 16 if big else 4, [len(segment) for segment in segments])]
    body = b"".join(segments)
    first = head + len(body)
    mark = b"II" if order == "<" else b"MM"
    content = (
        mark + (struct.pack(f"{order}HHHQ", 43, 8, 0, first) if big else struct.pack(f"{order}HI", 42, first)) + body
    )
    for page in range(pages):
        content += _directory(sorted(tags), len(content), order, big, last=page == pages - 1)
    Path(path).write_bytes(content)
    return path


def _bytes(block, bits, form, order, predictor):
    if predictor == 3:
        return float_predicted(block, bits // 8)
    if predictor == 2:
        block = np.diff(block.astype(np.int64), axis=1, prepend=0) % (1 << bits)
    if form == 3:
        return block.astype(f"{order}f{bits // 8}").tobytes()
    if form == 2:
        return block.astype(f"{order}i{bits // 8}").tobytes()
    return b"".join(packed(row.reshape(-1), bits, order) for row in block)


def _directory(tags, place, order, big, last):
    """One directory with its long values behind it; the next one follows."""
    room, offset, entry = (8, "Q", "HHQ") if big else (4, "I", "HHI")
    size = (8 if big else 2) + len(tags) * (20 if big else 12) + room
    behind, entries = b"", b""
    for number, kind, values in tags:
        value = b"".join(struct.pack(order + LETTERS[kind], int(one)) for one in values)
        if len(value) > room:
            where = place + size + len(behind)
            behind += value
            value = struct.pack(order + offset, where)
        entries += struct.pack(order + entry, number, kind, len(values)) + value.ljust(room, b"\0")
    following = 0 if last else place + size + len(behind)
    return (
        struct.pack(order + ("Q" if big else "H"), len(tags))
        + entries
        + struct.pack(order + offset, following)
        + behind
    )


def write_stack(path, planes, description="", order="<", directories=None):
    """A TIFF of whole numbers (n, H, W), uint8 or uint16, one plane behind the other, with a description of the whole.

    Args:
        path: the file.
        planes: a page each.
        description: the tag ImageDescription of the first page.
        order: "<" or ">".
        directories: of how many planes; ImageJ writes only the first one of very large stacks.
    """
    planes = np.asarray(planes)
    count, height, width = planes.shape
    bits = 8 * planes.itemsize
    size = planes[0].nbytes
    content = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + planes.nbytes)
    content += planes.astype(f"{order}u{planes.itemsize}").tobytes()
    directories = count if directories is None else directories
    text = description.encode() + b"\0"
    for page in range(directories):
        tags = [
            (256, 4, [width]), (257, 4, [height]), (258, 3, [bits]), (259, 3, [1]), (262, 3, [1]), (273, 4, [8 + page * size]),
            (277, 3, [1]), (278, 4, [height]), (279, 4, [size]),
        ]  # fmt: skip
        tags += [(270, 2, list(text))] if page == 0 and description else []
        content += _directory(sorted(tags), len(content), order, False, last=page == directories - 1)
    Path(path).write_bytes(content)
    return path


def write_fits(path, array, cards=(), bits=None, extensions=()):
    """A FITS file of one image (…, H, W): its big-endian numbers as given, behind a header of 80 letters a card.

    Args:
        path: the file.
        array: as stored, before BSCALE and BZERO; None for a header without data.
        cards: further (key, value).
        bits: BITPIX; by default that of the array's type.
        extensions: of further parts (array, cards).
    """
    content = b""
    for number, (data, own) in enumerate([(array, cards), *extensions]):
        shape = () if data is None else np.shape(data)
        kind = bits if bits is not None and number == 0 else 8
        if data is not None and (bits is None or number):
            kind = data.dtype.itemsize * 8 * (-1 if data.dtype.kind == "f" else 1)
        first = ("SIMPLE", True) if number == 0 else ("XTENSION", "IMAGE   ")
        head = [first, ("BITPIX", kind), ("NAXIS", len(shape))]
        head += [(f"NAXIS{axis + 1}", length) for axis, length in enumerate(reversed(shape))]
        head += [("EXTEND", True)] if number == 0 else [("PCOUNT", 0), ("GCOUNT", 1)]
        lines = []
        for key, value in [*head, *own]:
            text = {True: "T", False: "F"}[value] if isinstance(value, bool) else value
            lines.append(f"{key:<8}= " + (f"'{text}'" if isinstance(text, str) and text not in "TF" else f"{text:>20}"))
        header = "".join(f"{line:<80}" for line in [*lines, "END"]).encode()
        content += header + b" " * (-len(header) % 2880)
        body = b"" if data is None else np.asarray(data).astype(data.dtype.newbyteorder(">")).tobytes()
        content += body + b"\0" * (-len(body) % 2880)
    Path(path).write_bytes(content)
    return path


def write_dicom(path, frames, photometric="MONOCHROME2", stored=None, signed=False, more=(), preamble=b""):
    """A DICOM file of whole numbers (n, H, W) or (n, H, W, 3), uncompressed, in explicit little endian.

    Args:
        path: the file.
        frames: as stored.
        photometric: the photometric interpretation.
        stored: bits that count; all by default.
        signed: whether the numbers are.
        more: further (group, element, two letters of the type, text or bytes).
        preamble: the first bytes of the 128 before the mark.
    """
    frames = np.asarray(frames)
    bits = 8 * frames.itemsize

    def element(group, number, kind, value):
        value = value.encode() if isinstance(value, str) else value
        value += (b"\0" if kind in ("UI", "OB", "OW") else b" ") * (len(value) % 2)
        long = kind in ("OB", "OW", "SQ", "UN")
        size = struct.pack("<HI", 0, len(value)) if long else struct.pack("<H", len(value))
        return struct.pack("<HH", group, number) + kind.encode() + size + value

    def short(number):
        return struct.pack("<H", number)

    syntax = element(2, 0x10, "UI", "1.2.840.10008.1.2.1")
    elements = [
        (8, 0x16, "UI", "1.2.840.10008.5.1.4.1.1.7"), (8, 0x18, "UI", "1.2.3.4"),
        (0x28, 2, "US", short(1 if frames.ndim == 3 else 3)),
        (0x28, 4, "CS", photometric), (0x28, 0x10, "US", short(frames.shape[1])), (0x28, 0x11, "US", short(frames.shape[2])),
        (0x28, 0x100, "US", short(bits)), (0x28, 0x101, "US", short(stored or bits)),
        (0x28, 0x102, "US", short((stored or bits) - 1)), (0x28, 0x103, "US", short(int(signed))), *more,
        (0x7FE0, 0x10, "OW", frames.astype(frames.dtype.newbyteorder("<")).tobytes()),
    ]  # fmt: skip
    elements += [(0x28, 8, "IS", str(len(frames)))] if len(frames) > 1 else []
    elements += [(0x28, 6, "US", short(0))] if frames.ndim == 4 else []
    body = b"".join(element(*one) for one in sorted(elements))
    head = preamble.ljust(128, b"\0") + b"DICM" + element(2, 0, "UL", struct.pack("<I", len(syntax))) + syntax
    Path(path).write_bytes(head + body)
    return path

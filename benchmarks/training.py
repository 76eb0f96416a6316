"""Training speed of latens and other libraries on the same network and images; with --quality, the time to a test MSE.

    python benchmarks/training.py [--short] [--rounds N] [--images N] [--threads T] [--json FILE]
    python benchmarks/training.py --quality [--recipe fast] [--epochs E] [--seeds N] [--short] [--json FILE]

The first command prints images per second. Measured are the settings of the notebook that latens follows (the reference
experiment: Adam at 2e-4, batches of 512) in each form of latens; the notebook itself with no and with two loader processes; the
trainers of pythae, Lightning and Keras, each in its own environment; and the recipe `fast` of latens (batches of 64, Muon). Each
first trains on 2,048 images, which are not timed. The ceiling is the number of images per second that the machine's matrix
product rate allows, measured in the same rounds.

The second command trains a recipe with several seeds. It prints the seconds of training and the final test MSE, and compares
them with 300 epochs of the notebook. Three epochs of it are measured for each number of processes; the rest is extrapolated.
"""

import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import (
    Measured,
    alternate,
    benchmark_parser,
    ceiling_of,
    gemm_candidates,
    machine,
    machine_line,
    peer_environment,
    run_json,
    say,
    set_up_threads,
    spread,
    table,
    write_json,
)

if TYPE_CHECKING:
    from latens import Dataset
    from latens.training.recipes import Recipe

# The encoder takes 708,736 (see encoding.py), the decoder as many: transposed, the same products. Training does both three
# times, but for the first layer's gradient of the pictures (56,448), which is not needed.
FLOP_AN_IMAGE = 3 * (708_736 + 708_736) - 56_448
GOAL = 0.00270  # the reference experiment's test MSE after its 300 epochs
EPOCHS = 300
WARM_UP = 2048
SHORT = 20_480
WORKERS = (0, 2)
ROUNDS = 3  # epochs of the reference experiment, measured between the seeds
PEERS = Path(__file__).parent / "peers"
REQUIREMENTS = {
    "pythae": ["pythae==0.1.2", "torch"],
    "lightning": ["lightning==2.6.6", "torch", "numpy"],
    "keras": ["keras==3.15.1", "torch", "numpy"],
}
TRAINERS = {"pythae": "pythae, BaseTrainer", "lightning": "Lightning, Trainer", "keras": "Keras on torch, fit"}


def notebook_name(workers: int) -> str:
    return f"notebook, {workers} workers"


def notebook_candidates(file: Path, epochs: int, figure: str) -> dict[str, Callable[[], float]]:
    """The reference experiment with each number of loader processes, in this environment."""

    def candidate(workers: int) -> Callable[[], float]:
        command = [sys.executable, PEERS / "notebook.py", file, "--epochs", epochs, "--workers", workers]
        return lambda: _figure(run_json([str(part) for part in with_threads(command)]), figure)

    return {notebook_name(workers): candidate(workers) for workers in WORKERS}


def _figure(result: dict[str, Any], name: str) -> float:
    value = result[name]
    return float(statistics.median(value) if isinstance(value, list) else value)


def with_threads(command: list[Any]) -> list[Any]:
    import torch

    return [*command, "--threads", torch.get_num_threads()]


def peer_candidates(file: Path) -> dict[str, Callable[[], float]]:
    """The trainers of others, each in its environment, which is made when it is first asked for."""

    def candidate(name: str) -> Callable[[], float]:
        def images_per_second() -> float:
            python = peer_environment(name, REQUIREMENTS[name])
            command = with_threads([python, PEERS / f"{name}_trainer.py", file])
            return _figure(run_json([str(part) for part in command]), "images_per_second")

        return images_per_second

    return {label: candidate(name) for name, label in TRAINERS.items()}


def train_ours(images: "Dataset", recipe: "Recipe", forms: dict[str, list[str]]) -> Any:
    """Train a new model of a recipe to its end; the last Step."""
    from latens import train
    from latens.training.loop import build_model, use_forms

    model = build_model(recipe, images.shape)
    use_forms(model, forms)
    *_, last = train(model, images, recipe.config)
    return last


def our_candidates(images: "Dataset", part: "Dataset") -> dict[str, Callable[[], float]]:
    """The reference experiment's settings in each form, and `fast`, for one epoch of a part of the images."""
    from latens import RECIPES
    from latens.networks.half import FORMS
    from latens.training.loop import fastest_forms

    few = replace(part, train=part.train.take(slice(0, WARM_UP)))

    def candidate(recipe: "Recipe", forms: dict[str, list[str]]) -> Callable[[], float]:
        def images_per_second() -> float:
            train_ours(few, recipe, forms)
            return float(train_ours(part, recipe, forms).images_per_second)

        return images_per_second

    notebook = RECIPES["notebook"](images).with_options(epochs=1)
    fast = RECIPES["fast"](images).with_options(epochs=1)
    candidates = {f"latens, form {form}": candidate(notebook, {"encoder": [form], "decoder": [form]}) for form in FORMS}
    forms = fastest_forms(fast, images.shape)
    candidates[f"latens, fast: batches of {fast.config.batch_size}, Muon"] = candidate(fast, forms)
    return candidates


def throughput(images: "Dataset", rounds: int, num_images: int, file: Path) -> dict[str, Any]:
    """Measure and print images a second."""
    import numpy as np

    part = replace(images, train=images.train.take(slice(0, num_images)), test=images.test.take(slice(0, 1000)))
    np.save(file, part.train.pixels)
    candidates = (
        our_candidates(images, part) | notebook_candidates(file, 1, "images_per_second") | peer_candidates(file)
    )
    measured = alternate(gemm_candidates() | candidates, rounds)
    products = {name: measured[name] for name in gemm_candidates()}
    ceiling = ceiling_of(measured, FLOP_AN_IMAGE)
    print(f"Training, images a second: epochs of {len(part.train):,} images, batches of 512, Adam; {rounds} rounds\n")
    print(table(products, "GFLOP/s"), end="\n\n")
    print(table(measured, "images/s", reference=best_notebook(measured), ceiling=ceiling))
    return {"num_images": len(part.train), "products": products, "images_per_second": measured, "ceiling": ceiling}


def best_notebook(measured: Measured, lower_is_better: bool = False) -> str:
    """The name of the reference experiment with its fastest number of loader processes."""
    medians = {
        name: statistics.median(measured[name])
        for name in map(notebook_name, WORKERS)
        if name in measured and not isinstance(measured[name], str)
    }
    choose = min if lower_is_better else max
    return choose(medians, key=lambda name: medians[name]) if medians else notebook_name(0)


def quality(images: "Dataset", recipe: "Recipe", num_seeds: int, num_images: int, file: Path) -> dict[str, Any]:
    """Measure and print the seconds until a recipe's end, and what is reached there."""
    import numpy as np

    from latens.training.loop import fastest_forms

    pixels = images.train.pixels[:num_images]  # for the reference experiment; latens trains on all
    np.save(file, pixels)
    whole = len(images.train) / len(pixels)
    forms = fastest_forms(recipe, images.shape)
    few = replace(images, train=images.train.take(slice(0, WARM_UP)), test=images.test.take(slice(0, 1000)))
    train_ours(few, recipe, forms)
    epochs: Measured = {notebook_name(workers): [] for workers in WORKERS}
    rows = []
    for index in range(ROUNDS):
        for name, seconds in alternate(notebook_candidates(file, 1, "seconds_per_epoch"), 1).items():
            before = epochs[name]
            if isinstance(seconds, str) or isinstance(before, str):
                epochs[name] = seconds if isinstance(seconds, str) else before
            else:
                epochs[name] = [*before, *(whole * second for second in seconds)]
        for seed in range(index, num_seeds, ROUNDS):
            last = train_ours(images, recipe.with_options(seed=seed), forms)
            rows.append({"seed": seed, "seconds": last.elapsed, "test_mse": last.test_mse})
            say(f"seed {seed}: {last.elapsed:.2f} s, test MSE {last.test_mse:.6f}")
    rows.sort(key=lambda row: row["seed"])
    print(quality_text(recipe, rows, epochs, whole))
    return {"recipe": recipe.to_json(), "goal": GOAL, "rows": rows, "notebook_epoch_seconds": epochs}


def quality_text(recipe: "Recipe", rows: list[dict[str, Any]], epochs: Measured, whole: float) -> str:
    """The table of seeds, and the comparison with the reference experiment."""
    config, seconds = recipe.config, [row["seconds"] for row in rows]
    reached = [row for row in rows if row["test_mse"] <= GOAL]
    lines = [f"Time to quality: {recipe.name}, {config.epochs} epochs of batches of {config.batch_size}\n"]
    lines += [f"{'seed':>4}  {'seconds':>8}  {'test MSE':>9}  goal {GOAL:.5f}"]
    for row in rows:
        verdict = "reached" if row in reached else "missed"
        lines.append(f"{row['seed']:>4}  {row['seconds']:>8.2f}  {row['test_mse']:>9.6f}  {verdict}")
    median = statistics.median(seconds)
    lines.append(
        f"{len(reached)} of {len(rows)} seeds reach the goal; training took {median:.2f} s ({spread(seconds, 2)})"
    )
    best = best_notebook(epochs, lower_is_better=True)
    if isinstance(epochs[best], str) or not epochs[best]:
        return "\n".join([*lines, f"no ratio: {best} is not available: {epochs[best]}"])
    epoch = statistics.median(epochs[best])
    part = "" if whole == 1 else f", each scaled from 1/{whole:.2f} of the images"
    lines.append(f"{best}: {epoch:.2f} s an epoch ({spread(epochs[best], 2)}; {len(epochs[best])} measured{part})")
    lines.append(
        f"{EPOCHS} epochs of it, extrapolated: {EPOCHS * epoch:,.0f} s; ratio {EPOCHS * epoch / median:.0f} by the medians, "
        f"{EPOCHS * epoch / max(seconds):.0f} for the slowest seed"
    )
    return "\n".join(lines)


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument(
        "--images", type=int, help="images per epoch; with --quality, per epoch of the reference experiment"
    )
    parser.add_argument("--quality", action="store_true", help="the time until a recipe is good, instead")
    parser.add_argument(
        "--recipe", default="fast", choices=("fast", "notebook"), help="the recipe that --quality trains"
    )
    parser.add_argument("--epochs", type=int, help="of --quality, in place of the recipe's own")
    parser.add_argument("--seeds", type=int, help="of --quality: 0 to this, less one")
    args = parser.parse_args()
    set_up_threads(args.threads)

    import latens

    images = latens.load_images("mnist")
    num_images = args.images or (SHORT if args.short else len(images.train))
    print(machine_line(machine()))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "train.npy"
        if args.quality:
            recipe = latens.RECIPES[args.recipe](images).with_options(epochs=args.epochs)
            result = quality(images, recipe, args.seeds or (2 if args.short else 10), num_images, file)
        else:
            result = throughput(images, args.rounds or (3 if args.short else 5), num_images, file)
    write_json(args.json, result)


if __name__ == "__main__":
    main()

"""Training in two processes, started by torchrun, beside one: the same losses, the same quality, and how fast.

    python benchmarks/together.py [--data mnist] [--processes 2] [--epochs N] [--json FILE]

Both train on the same batches in the same order. Printed are, of the recipe `notebook`, how far the losses of its first 20 steps
are apart at most, and of `fast`, the test MSE of each at the end, and images a second. One process takes all threads; the
processes of a team share them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import machine, machine_line, write_json

STEPS = 20


def train_once(data: str, recipe_name: str, epochs: int | None, place: Path) -> None:
    """Train, alone or in a team, and write the losses of the first steps and the last Step."""
    from latens.images import load_images
    from latens.runs.recording import fastest_forms
    from latens.training.loop import build_model, train, use_forms
    from latens.training.recipes import RECIPES
    from latens.training.team import join_team

    team = join_team()
    images = load_images(data)
    recipe = RECIPES[recipe_name](images).with_options(epochs=epochs)
    losses: list[float] = []
    model = build_model(recipe, images.shape)
    forms = None if team is not None and team.rank else fastest_forms(recipe, images.shape, len(images.train))
    use_forms(model, forms if team is None else team.tell(forms))  # type: ignore[arg-type]  # process 0 has chosen
    for step in train(model, images, recipe.config, on_batch=lambda epoch, number, loss: losses.append(loss)):
        last = {"test_mse": step.test_mse, "images_per_second": step.images_per_second}
        if recipe_name == "notebook":
            break
    if team is None or not team.rank:
        place.write_text(json.dumps({"losses": losses[:STEPS], **last}))


def measured(data: str, recipe: str, epochs: int | None, processes: int) -> dict[str, Any]:
    """What a training in so many processes gives."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "told.json"
        launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        words = [__file__, "--data", data, "--train", recipe, "--place", str(place)]
        words += [] if epochs is None else ["--epochs", str(epochs)]
        environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        subprocess.run([sys.executable, *(launch if processes > 1 else []), *words], check=True, env=environment)
        told: dict[str, Any] = json.loads(place.read_text())
        return told


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=None, help="of the recipe fast")
    parser.add_argument("--json", default=None)
    parser.add_argument("--train", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, default=None, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.train:
        train_once(args.data, args.train, 1 if args.train == "notebook" else args.epochs, args.place)
        return
    found = {
        recipe: {num: measured(args.data, recipe, args.epochs, num) for num in (1, args.processes)}
        for recipe in ("notebook", "fast")
    }
    alone, team = found["notebook"].values()
    apart = max(abs(a / b - 1) for a, b in zip(alone["losses"], team["losses"], strict=True))
    for recipe, both in found.items():
        for num, one in both.items():
            rate = f"{one['images_per_second']:,.0f} images/s"
            print(f"{recipe}, {num} process{'es' if num > 1 else ''}: test MSE {one['test_mse']:.6f}, {rate}")
    print(f"notebook: the losses of the first {STEPS} steps are apart by {apart:.1e} at most (goal 1e-5)")
    alone, team = found["fast"].values()
    share = team["test_mse"] / alone["test_mse"]
    print(f"fast: test MSE of {args.processes} processes over that of one: {share:.4f} (goal 1 +- 0.01)")
    print(machine_line(machine()))
    write_json(
        args.json, {"found": {name: {str(num): one for num, one in both.items()} for name, both in found.items()}}
    )


if __name__ == "__main__":
    main()

"""How fast a run's ONNX files are in onnxruntime, beside the same modules in torch: encoder, decoder and detector.

    PYTHONPATH=.peers/pretrained python benchmarks/onnx_speed.py [--short] [--rounds N] [--threads T] [--write docs/ecosystem.md]

A run of one epoch on digits of MNIST. Milliseconds of one image, and images a second in batches of 256, on as many threads each.
The two take turns, so that a slow moment of the machine hits both; a ratio is the median over the turns. Before that, what they
compute is compared. (The name is not onnx.py, since Python would then take this file for the package.)
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from common import benchmark_parser, machine, machine_line, set_up_threads, table, write_json, write_section

TRAINED, BATCHES = 4000, (1, 256)
FEWEST = 3  # calls of a measurement
AGREES = 5e-3  # of 1 + the size of a number: places that are black in all digits show float32's rounding

Call = Callable[[np.ndarray], list[np.ndarray]]


def in_torch(module: Any) -> Call:
    import torch

    def call(given: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            made = module(torch.from_numpy(given))
        return [one.numpy() for one in (made if isinstance(made, tuple) else (made,))]

    return call


def in_onnxruntime(path: Path) -> Call:
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()

    def call(array: np.ndarray) -> list[np.ndarray]:
        made: list[np.ndarray] = session.run(None, {given.name: array})
        return made

    return call


def parts_of(run: Any, folder: Path) -> dict[str, tuple[Call, Call, np.ndarray]]:
    """Name -> the module in torch, its file in onnxruntime, and what they are given."""
    from latens.exports import write_onnx, write_onnx_detector
    from latens.exports.onnx_detector import detector_of
    from latens.exports.programs import halves_of

    halves = halves_of(run)
    modules = {name: half.module for name, half in halves.items()} | {"detector": detector_of(run)[0]}
    files = dict(zip(modules, [*write_onnx(run, folder), write_onnx_detector(run, folder)], strict=True))
    x = run.images.test.pixels[: max(BATCHES)].astype(np.float32) / 255
    given = {"encoder": x, "decoder": run.encode(x), "detector": x}
    return {name: (in_torch(modules[name]), in_onnxruntime(files[name]), given[name]) for name in modules}


def check(name: str, torch_call: Call, onnx_call: Call, given: np.ndarray) -> float:
    """The largest difference of what the two compute, as a share of 1 + its size; p-values, which have steps, left out."""
    pairs = list(zip(torch_call(given), onnx_call(given), strict=True))
    chosen = [pairs[0], pairs[2]] if name == "detector" else pairs
    off = max(float((np.abs(ours - theirs) / (1 + np.abs(ours))).max()) for ours, theirs in chosen)
    assert off < AGREES, f"{name}: differs by {off:.2g}"
    return off


def seconds(call: Call, given: np.ndarray, least: float) -> float:
    """Of one call: the median of some."""
    times: list[float] = []
    while len(times) < FEWEST or sum(times) < least:
        began = time.perf_counter()
        call(given)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def measured(torch_call: Call, onnx_call: Call, given: np.ndarray, rounds: int, least: float) -> dict[str, list[float]]:
    """Seconds of a call in each round, in turn; the first of a round changes."""
    calls = {"torch": torch_call, "onnxruntime": onnx_call}
    found: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call(given)
    for number in range(rounds):
        for name in list(calls)[:: 1 if number % 2 else -1]:
            found[name].append(seconds(calls[name], given, least))
    return found


def cells(times: dict[str, list[float]], batch: int) -> list[str]:
    """Both medians, and the ratio."""
    ratio = statistics.median(a / b for a, b in zip(times["torch"], times["onnxruntime"], strict=True))
    medians = [statistics.median(times[name]) for name in ("torch", "onnxruntime")]
    shown = [f"{1000 * one:.2f}" if batch == 1 else f"{batch / one:,.0f}" for one in medians]
    return [*shown, f"{ratio:.2f}"]


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--write", type=Path, metavar="MD", help="write the table there, as a section of its own")
    args = parser.parse_args()
    set_up_threads(args.threads)
    import latens
    from detect import trained

    rounds, least = args.rounds or (5 if args.short else 9), 0.05 if args.short else 0.3
    told = machine_line(machine())
    print(told)
    rows, figures = [], {}
    with tempfile.TemporaryDirectory() as folder:
        run = trained(latens.load_images("mnist").train.pixels[:TRAINED], Path(folder) / "run", epochs=1)
        for name, (in_one, in_other, given) in parts_of(run, Path(folder) / "onnx").items():
            off = check(name, in_one, in_other, given)
            row = [name]
            for batch in BATCHES:
                times = measured(in_one, in_other, given[:batch], rounds, least)
                figures[f"{name}, {batch}"] = times
                row += cells(times, batch)
                print(f"{name}, batch of {batch}, differs by {off:.1g}")
                print(table({key: [1000 * one for one in some] for key, some in times.items()}, "ms", digits=2))
            rows.append(f"| {' | '.join(row)} |")
    lines = [
        "| | torch, ms an image | onnxruntime, ms | ratio | torch, images/s at 256 | onnxruntime, images/s | ratio |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *rows,
    ]
    page = f"""### Their speed

Made by `PYTHONPATH=.peers/pretrained python benchmarks/onnx_speed.py`; digits of 28 × 28 pixels, {TRAINED:,} images.
One image, and batches of 256, on as many threads each; medians of {rounds} turns. {told}.
A ratio is how many times as fast onnxruntime is.

{chr(10).join(lines)}
"""
    print(page)
    write_json(args.json, {"seconds": figures})
    if args.write:
        write_section(args.write, "onnx-speed", page)


if __name__ == "__main__":
    main()

"""Two commands on one run at the same time, every pair of those that write or read it, while a third process reads.

    python benchmarks/faults/pairs.py [--long] [--json FILE]

Both start at once, each in a process of its own. Survived: each ends as it should, or is refused in one line (a command that
makes results says who works on the run), at least one of the two succeeds, the reader finds whole files only, all files are as
written afterwards, and what a command that succeeded has made is there: no update is lost. A pair hits where the second began
before the first had ended. The short form takes each pair once, the long form twenty times, the second a random moment later.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
import torch
from damage import blobs
from disk import COMMANDS
from kills import damage_of, wait
from tally import Tally, fault_parser, finish

import latens
from latens.detection import detect_images
from latens.errors import LatensError
from latens.experiment import make_map
from latens.explorer import write_html
from latens.explorer.tags import Tags
from latens.progress import Silent

LONG = 20
TAGS = 100  # changes of tags in one command
LATER = 0.5  # seconds that the second waits at most, in the long form
READERS = ("detect", "export")  # they may find that a run that trains on has no latents for a while


def main() -> None:
    args = fault_parser(__doc__).parse_args()
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    pixels = blobs(random)
    with tempfile.TemporaryDirectory() as temporary:
        source = stopped_and_completed(pixels, Path(temporary) / "source")
        commands = commands_of(pixels)
        tallies = []
        for pair in combinations_with_replacement(commands, 2):
            tallies.append(Tally(f"two processes on one run: `{pair[0]}` and `{pair[1]}`"))
            for _ in range(LONG if args.long else 1):
                folder = Path(temporary) / "run"
                shutil.rmtree(folder, ignore_errors=True)
                shutil.copytree(source, folder)
                later = random.uniform(0, LATER) if args.long else 0.0
                tallies[-1].add(*both(folder, pair, [commands[name] for name in pair], later))
    whole = Tally("two processes on one run, all pairs of " + ", ".join(f"`{name}`" for name in commands))
    for one in tallies:
        whole.tries, whole.hit, whole.survived = (
            whole.tries + one.tries,
            whole.hit + one.hit,
            whole.survived + one.survived,
        )
        whole.lost += [f"{one.fault}: {problem}" for problem in one.lost]
    sys.exit(finish([whole], args.json))


class StopsEarly(Silent):
    """Asks that a run ends its training after the first epoch, as the page's button does."""

    def __init__(self) -> None:
        self.run: latens.Run | None = None

    def started(self, run: latens.Run) -> None:
        """The run that is to be stopped."""
        self.run = run

    def stage(self, name: str, *more: Any) -> Any:
        """Ask once the training begins."""
        if name == "training" and self.run is not None:
            self.run.folder.ask_to_stop()
        return super().stage(name, *more)


def stopped_and_completed(pixels: np.ndarray, folder: Path) -> Path:
    """A run whose training was ended early, and that was completed as it was: it can be scored, and trained on."""
    early = StopsEarly()
    latens.run(pixels, out=folder, latent_dim=4, epochs=3, device="cpu", progress=early, started=early.started)
    assert latens.open_run(folder).record["status"] == "stopped"
    return folder


def commands_of(pixels: np.ndarray) -> dict[str, Callable[[Path], object]]:
    """What a person does with a run, by name."""
    return {
        "resume": COMMANDS["resume"],
        "score": COMMANDS["score"],
        "map": lambda path: make_map(latens.open_run(path), "pca", seed=1, progress=Silent()),
        "review": COMMANDS["review"],
        "detect": lambda path: detect_images(latens.open_run(path), pixels[:9]),
        "export": lambda path: write_html(latens.open_run(path), path.with_name(f"{os.getpid()}.html")),
        "tags": tag,
    }


def tag(folder: Path) -> None:
    """Tag as a person does on the page, one change after the other."""
    for number in range(TAGS):
        Tags(folder).change(f"of {os.getpid()}", [str(number)])


def both(
    folder: Path, names: tuple[str, str], commands: list[Callable[[Path], object]], later: float
) -> tuple[bool, str]:
    """Whether two commands met, and what was wrong then."""
    told = [folder.with_name(f"told-{number}.json") for number in range(2)]
    children = [
        started(command, folder, path, later * i) for i, (command, path) in enumerate(zip(commands, told, strict=True))
    ]
    open_children, problems = set(children), []
    while open_children:
        problems += read(folder)
        open_children -= {child for child in open_children if wait(child, 0) is not None}
    ends = [json.loads(path.read_text()) for path in told]
    for path in told:
        path.unlink()
    met = max(end["began"] for end in ends) < min(end["ended"] for end in ends)
    for name, other, end in zip(names, names[::-1], ends, strict=True):
        if end["error"] and not allowed(name, other, end):
            problems.append(f"{name} beside {other}: {end['error']}")
    if all(end["error"] for end in ends):
        problems.append(f"neither succeeded: {[end['error'] for end in ends]}")
    problems += [damage_of(folder)] + [lost_of(folder, name, end) for name, end in zip(names, ends, strict=True)]
    return met, "; ".join(filter(None, problems))


def allowed(name: str, other: str, end: dict[str, str]) -> bool:
    """Whether a command may end with an error beside the other: because that works on the run, or is changing what it reads."""
    if " since " in end["error"] and "process " in end["error"]:
        return name not in (*READERS, "tags") and other not in (*READERS, "tags")
    return name in READERS and end["kind"] == "RunError" and " has no " in end["error"]


def lost_of(folder: Path, name: str, end: dict[str, str]) -> str:
    """What a command that succeeded has left out; empty where it is all there."""
    if end["error"]:
        return ""
    run = latens.open_run(folder)
    made = {"score": "metrics.json", "map": "figures/map-pca.png", "review": "review.csv", "resume": "report.html"}
    if name == "tags":
        count = len(Tags(folder).read().get(f"of {end['process']}", ()))
        return "" if count == TAGS else f"{TAGS - count} of {TAGS} tags are lost"
    if name in made and made[name] not in run.folder.files:
        return f"{made[name]} is lost"
    if name == "score" and "samplers/gaussian.safetensors" not in run.folder.files:
        return "the sampler is lost"
    return ""


def read(folder: Path) -> list[str]:
    """What is wrong with what a reader finds; what is just being made again may be missing."""
    try:
        run = latens.open_run(folder)
        for name in list(run.folder.files):
            if name in run.folder.files:
                run.folder.load(name)
    except LatensError as error:
        return [] if " has no " in str(error) else [f"a reader: {error}"]
    except Exception as error:
        return [f"a reader: {type(error).__name__}: {error}"]
    return []


def started(command: Callable[[Path], object], folder: Path, told: Path, later: float) -> int:
    """A process of its own that does a command, and writes how it ended; its id."""
    child = os.fork()
    if child:
        return child
    end = {"process": str(os.getpid()), "error": "", "kind": ""}
    try:
        time.sleep(later)
        began = time.monotonic()
        try:
            command(folder)
        except BaseException as error:
            end |= {"error": str(error) or type(error).__name__, "kind": type(error).__name__}
        told.write_text(json.dumps({**end, "began": began, "ended": time.monotonic()}))
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()

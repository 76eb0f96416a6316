"""Kill -9 at random moments of a whole run, again and again, resume, and compare the end with a run that was never killed.

    python benchmarks/faults/kills.py [--long] [--json FILE]

Each process trains or resumes a small run and is killed after a random time: while it trains, saves, maps, scores, draws or
writes its report. After each kill all files are read (`latens check`): none may be damaged. After at most six kills the run goes
on to its end. Then its weights must be those of the run that was never killed, bit for bit, and no temporary file may be left.
A kill hits where the run's folder was there and the run not yet complete. The naive way beside it: a process that does
`torch.save(state, FILE)` after each epoch, with as large a state and as much time between.
"""

import itertools
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from damage import NAIVE, blobs
from tally import Tally, fault_parser, finish

import latens
from latens.errors import LatensError
from latens.progress import Silent
from latens.runs.checking import check_run
from latens.runs.record import is_run

SHORT, LONG = 60, 1_000  # kills
CHAIN = 6  # kills of one run
OPTIONS = {"latent_dim": 4, "epochs": 12, "device": "cpu"}


def main() -> None:
    args = fault_parser(__doc__).parse_args()
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    pixels = blobs(random)
    kills = LONG if args.long else SHORT
    with tempfile.TemporaryDirectory() as temporary:
        complete(pixels, Path(temporary) / "first")  # what this process imports, the others need not import again
        whole, began = Path(temporary) / "whole", time.monotonic()
        wait(started(lambda: complete(pixels, whole)))
        seconds = time.monotonic() - began
        killed = Tally("kill −9 in all phases of a run, resumed")
        chains = Tally("chains of kills: weights bit for bit those of a run that was never killed")
        while killed.hit < kills:
            chain(pixels, Path(temporary) / f"chain-{chains.tries}", whole, random, seconds, killed, chains)
        tallies = [killed, chains, naive(Path(temporary) / "state.pt", random, kills)]
    sys.exit(finish(tallies, args.json, lambda one: not one.fault.startswith(NAIVE)))


def complete(pixels: np.ndarray, folder: Path) -> None:
    """Make the run, or continue it."""
    if is_run(folder):
        latens.resume(folder, device="cpu", progress=Silent())
    else:
        latens.run(pixels, out=folder, progress=Silent(), **OPTIONS)


def chain(
    pixels: np.ndarray,
    folder: Path,
    whole: Path,
    random: np.random.Generator,
    seconds: float,
    killed: Tally,
    chains: Tally,
) -> None:
    """Kill one run after the other moment, until it is complete, and compare."""
    for number in itertools.count():
        child = started(lambda: complete(pixels, folder))
        ended = wait(child, random.uniform(0, 0.9 * seconds) if number < CHAIN else None)
        if ended is not None:
            break
        os.kill(child, signal.SIGKILL)
        wait(child)
        there = is_run(folder)
        killed.add(there, damage_of(folder) if there else "")
    if ended:
        chains.add(True, f"resuming failed with status {ended}")
        return
    left = [path.name for path in folder.rglob(".*") if path.suffix in (".tmp", ".new")]
    ours, theirs = (latens.open_run(path).weights() for path in (folder, whole))
    differ = [name for name in theirs if not torch.equal(ours[name], theirs[name])]
    chains.add(True, f"weights differ: {differ}" if differ else f"temporary files are left: {left}" if left else "")


def damage_of(folder: Path) -> str:
    """What is damaged in a run; empty where nothing is."""
    try:
        return "; ".join(damage.problem for damage in check_run(folder))
    except LatensError as error:
        return str(error)


def started(work: Callable[[], None]) -> int:
    """A process of its own that does some work, with all that was imported; its id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


def wait(child: int, seconds: float | None = None) -> int | None:
    """The exit status of a process, or None where it still works after some seconds."""
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        pid, status = os.waitpid(child, 0 if end is None else os.WNOHANG)
        if pid:
            return status
        if end is not None and time.monotonic() > end:
            return None
        time.sleep(0.002)


def naive(path: Path, random: np.random.Generator, kills: int) -> Tally:
    """torch.save over the file, as most scripts do."""
    found, state = Tally(f"{NAIVE}kill −9 while `torch.save` writes over the file"), {"weights": torch.zeros(500_000)}

    def work() -> None:
        while True:
            torch.save(state, path)
            time.sleep(0.02)

    torch.save(state, path)
    for _ in range(kills):
        child = started(work)
        wait(child, random.uniform(0, 0.2))
        os.kill(child, signal.SIGKILL)
        wait(child)
        try:
            torch.load(path, weights_only=True)
            found.add(True)
        except Exception as error:
            found.add(True, type(error).__name__)
    return found


if __name__ == "__main__":
    main()

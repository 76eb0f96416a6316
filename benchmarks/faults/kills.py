"""Kill -9 at random moments of a whole run, again and again, resume, and compare the end with a run that was never killed.

    python benchmarks/faults/kills.py [--long] [--kills N] [--seed N] [--json FILE]

Each process trains or resumes a small run and is killed after a random time: while it trains, saves, maps, scores, draws or
writes its report. After each kill all files are read (`latens check`): none may be damaged. After at most six kills the run goes
on to its end. Then its weights must be those of the run that was never killed, bit for bit, and no temporary file may be left.
A kill hits where the run's folder was there and the run not yet complete. The long form takes all models and networks in turn,
with one thread and with two. No process that a killed one started may live 5 s after it. The naive way beside it: a process
that does `torch.save(state, FILE)` after each epoch, with as large a state and as much time between.
"""

import ctypes
import itertools
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
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
ADOPTS_ORPHANS = 36  # prctl(2): PR_SET_CHILD_SUBREAPER
ENDED_WITHIN = 5.0  # seconds


@dataclass(frozen=True)
class Kind:
    """What is trained, and with how many threads."""

    model: str
    network: str
    threads: int


def main() -> None:
    parser = fault_parser(__doc__)
    parser.add_argument(
        "--kills", type=int, metavar="N", help="so many; with --seed, several processes share the full count"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the moments")
    args = parser.parse_args()
    torch.set_num_threads(1)
    random = np.random.default_rng(args.seed)
    pixels = blobs(random)
    kills = args.kills or (LONG if args.long else SHORT)
    ctypes.CDLL(None).prctl(ADOPTS_ORPHANS, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as temporary:
        kinds = kinds_of(args.long)
        kinds = [kinds[number] for number in random.permutation(len(kinds))]
        complete(
            pixels, Path(temporary) / "first", kinds[0]
        )  # what this process imports, the others need not import again
        killed = Tally("kill −9 in all phases of a run, resumed")
        chains = Tally("chains of kills: weights bit for bit those of a run that was never killed")
        whole: dict[Kind, tuple[Path, float]] = {}
        for kind in itertools.cycle(kinds):
            if killed.hit >= kills:
                break
            if kind not in whole:
                whole[kind] = whole_run(pixels, Path(temporary) / f"whole-{len(whole)}", kind)
            folder = Path(temporary) / "chain"
            shutil.rmtree(folder, ignore_errors=True)
            chain(pixels, folder, kind, whole[kind], random, killed, chains)
        tallies = [killed, chains, naive(Path(temporary) / "state.pt", random, kills)]
    sys.exit(finish(tallies, args.json, lambda one: not one.fault.startswith(NAIVE)))


def kinds_of(every: bool) -> list[Kind]:
    """What is killed: the default, or every model with every network, on one thread and on two."""
    if not every:
        return [Kind("autoencoder", "convolutional", 1)]
    return [Kind(*one) for one in itertools.product(latens.MODELS, latens.NETWORKS, (1, 2))]


def whole_run(pixels: np.ndarray, folder: Path, kind: Kind) -> tuple[Path, float]:
    """A run that is never killed, and the seconds that it took."""
    began = time.monotonic()
    ended = wait(started(lambda: complete(pixels, folder, kind)))
    assert ended == 0, f"{kind}: status {ended}"
    return folder, time.monotonic() - began


def complete(pixels: np.ndarray, folder: Path, kind: Kind) -> None:
    """Make the run, or continue it."""
    torch.set_num_threads(kind.threads)
    if is_run(folder):
        latens.resume(folder, device="cpu", progress=Silent())
    else:
        latens.run(pixels, out=folder, model=kind.model, network=kind.network, progress=Silent(), **OPTIONS)


def chain(
    pixels: np.ndarray,
    folder: Path,
    kind: Kind,
    reference: tuple[Path, float],
    random: np.random.Generator,
    killed: Tally,
    chains: Tally,
) -> None:
    """Kill one run at one moment after the other, until it is complete, and compare."""
    whole, seconds = reference
    for number in itertools.count():
        child = started(lambda: complete(pixels, folder, kind))
        ended = wait(child, random.uniform(0, 0.9 * seconds) if number < CHAIN else None)
        if ended is not None:
            break
        os.kill(child, signal.SIGKILL)
        wait(child)
        there, orphans = is_run(folder), living_orphans()
        problem = damage_of(folder) if there else ""
        killed.add(there, f"{kind}: processes {orphans} live on" if orphans else problem and f"{kind}: {problem}")
    if ended:
        chains.add(True, f"{kind}: resuming failed with status {ended}")
        return
    left = [path.name for path in folder.rglob(".*") if path.suffix in (".tmp", ".new")]
    ours, theirs = (latens.open_run(path).weights() for path in (folder, whole))
    differ = [name for name in theirs if not torch.equal(ours[name], theirs[name])]
    problem = f"weights differ: {differ}" if differ else f"temporary files are left: {left}" if left else ""
    chains.add(True, problem and f"{kind}: {problem}")


def living_orphans() -> list[int]:
    """The processes that killed ones have left to this one and that do not end within some seconds."""
    end = time.monotonic() + ENDED_WITHIN
    while True:
        children = [
            int(child) for path in Path("/proc/self/task").glob("*/children") for child in path.read_text().split()
        ]
        left = [child for child in children if os.waitpid(child, os.WNOHANG)[0] == 0]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.01)


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

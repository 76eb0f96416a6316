"""Too little memory, for each command: it ends with one line that says what to lower, or succeeds, and the run stays whole.

    python benchmarks/faults/limits.py [--long] [--json FILE]

Each command runs in a process of its own that may take some MB more than it has (`ulimit -d`), from 1 MB to 256. Lost: a
traceback, an end by a signal, a message of several lines or one that does not speak of memory, a command that hangs, a run that
does not open with every byte as written, and a command that fails afterwards without the limit. A limit hits where the command
does not succeed. The short form tries 4 limits of each command, the long form 40, of which 32 are different MB.
"""

import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np
import torch
from damage import blobs
from disk import stopped_run
from kills import damage_of, started, wait
from tally import Tally, fault_parser, finish

import latens
from latens.cli import main as command_line
from latens.progress import Silent

SHORT, LONG = 4, 40
MOST = 256  # MB beyond what the process has
SECONDS = 120.0


def main() -> None:
    args = fault_parser(__doc__).parse_args()
    torch.set_num_threads(1)
    pixels = np.tile(blobs(np.random.default_rng(0)), (20, 2, 2))
    limits = np.unique(np.geomspace(1, MOST, LONG if args.long else SHORT).round().astype(int)).tolist()
    tallies = []
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["LATENS_CACHE"] = f"{temporary}/cache"
        done, stopped, folder, images = (Path(temporary) / name for name in ("done", "stopped", "try", "images.npy"))
        np.save(images, pixels)
        latens.run(images, out=done, latent_dim=4, epochs=2, device="cpu", progress=Silent())
        stopped_run(pixels, stopped)
        for name, words in commands_of(folder, images).items():
            tallies.append(Tally(f"too little memory for `{name}`"))
            source = {"run": None, "resume": stopped}.get(name, done)
            said = Path(temporary) / "said"
            lay(source, folder)
            assert status_of(words, None, said) == 0, f"{name}: {said.read_text()}"
            for limit in limits:
                lay(source, folder)
                ended = status_of(words, limit, said)
                problem = problem_of(ended, said.read_text()) or whole(folder)
                if not problem and ended:
                    again = status_of(words if source else resumed(words, folder), None, said)
                    problem = f"without the limit: {said.read_text()[-300:]}" if again else whole(folder)
                tallies[-1].add(bool(ended), f"{limit} MB: {problem}" if problem else "")
    sys.exit(finish(tallies, args.json))


def commands_of(folder: Path, images: Path) -> dict[str, list[str]]:
    """What a person types, by name."""
    run, new = str(folder), str(images)
    small = ["--latent-dim", "4", "--epochs", "2", "--device", "cpu"]
    return {
        "run": ["run", new, "--out", run, *small],
        "resume": ["run", "--resume", "--out", run, "--device", "cpu"],
        "score": ["score", run, "--samplers", "gaussian"],
        "map": ["map", run, "--map", "tsne", "--seed", "1"],
        "review": ["review", run],
        "detect": ["detect", run, new, "-o", f"{run}/detections", "--overwrite"],
        "encode": ["encode", run, new, "-o", f"{run}/latents-out.npz"],
        "sample": ["sample", run, "-n", "64", "-o", f"{run}/samples.npz"],
        "export": ["export", run, "--html", f"{run}/explorer.html"],
    }


def resumed(words: list[str], folder: Path) -> list[str]:
    """A first run that failed is made anew, or continued where it has begun."""
    return ["run", "--resume", "--out", str(folder)] if (folder / "run.json").is_file() else words


def lay(source: Path | None, folder: Path) -> None:
    """The folder that a command starts from."""
    shutil.rmtree(folder, ignore_errors=True)
    if source is not None:
        shutil.copytree(source, folder)


def status_of(words: list[str], limit: int | None, said: Path) -> int:
    """The exit status of a command, which may take so many MB more than this process has; below 0 for a signal."""

    def work() -> None:
        to = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number in (1, 2):
            os.dup2(to, number)
        if limit is not None:
            found = re.search(r"VmData:\s+(\d+)", Path("/proc/self/status").read_text())
            assert found is not None
            most = (int(found[1]) << 10) + (limit << 20)
            resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        sys.stdout = sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115 - until the process ends
        status = 1
        try:
            status = command_line(words)
        except BaseException:
            traceback.print_exc()
        os._exit(status)

    child = started(work)
    ended = wait(child, SECONDS)
    if ended is None:
        os.kill(child, signal.SIGKILL)
        wait(child)
        return -signal.SIGALRM
    return os.waitstatus_to_exitcode(ended)


def problem_of(status: int, said: str) -> str:
    """What is wrong with how a command ended; empty where nothing is."""
    if status < 0:
        return f"it took more than {SECONDS:.0f} s" if status == -signal.SIGALRM else f"ended by signal {-status}"
    if "Traceback" in said:
        return f"a traceback: {said[-300:]!r}"
    errors = [line for line in said.splitlines() if line.startswith("latens: ")]
    if status and (len(errors) != 1 or "memory" not in errors[0]):
        return f"it says {said[-300:]!r}"
    return ""


def whole(folder: Path) -> str:
    """What is damaged in a run, if there is one."""
    return damage_of(folder) if (folder / "run.json").is_file() else ""


if __name__ == "__main__":
    main()

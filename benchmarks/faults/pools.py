"""Decoding by threads, wherever it is started: after a fork, in threads, with few open files, with a small /dev/shm, unguarded.

    python benchmarks/faults/pools.py [--long] [--json FILE]

- Forks: a process whose threads decode a folder without a pause is forked; each child decodes a folder of its own. Lost: a child
  that has not ended after 60 s (a lock that a thread held when the process was forked), or one that fails.
- Threads: the same in threads of one process.
- `latens run` on a folder of images with at most 64 open files; with a /dev/shm of 64 MB (in a mount namespace of its own, where
  that is allowed); in a thread of a script without a main guard that says multiprocessing should spawn.
- 100,000 files in one folder, in a terminal: the first line comes within 2 s, and none is waited for longer than 2 s. Of three
  tries the best counts, since the machine may do other work.
"""

import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from damage import blobs
from kills import started, wait
from mutants import encoded
from tally import Tally, fault_parser, finish

import latens

SHORT, LONG = 100, 1_000  # starts
SECONDS = 60.0  # for one start
COMMAND_SECONDS = 300.0
DECODING = 2  # threads that decode while the process is forked
FILES = 100_000
FIRST, GAP = 2.0, 2.0  # seconds
OPTIONS = ("--epochs", "1", "--latent-dim", "4", "--device", "cpu")
SMALL_SHM = 'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$@"'
SCRIPT = """
import multiprocessing, sys, threading
multiprocessing.set_start_method("spawn")
import latens
def work():
    latens.run(sys.argv[1], out=sys.argv[2], epochs=1, latent_dim=4, device="cpu", samplers=("gaussian",))
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(latens.open_run(sys.argv[2]).record["status"])
"""


def main() -> None:
    args = fault_parser(__doc__).parse_args()
    torch.set_num_threads(1)
    count = LONG if args.long else SHORT
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as temporary:
        folder = Path(temporary)
        os.environ["LATENS_CACHE"] = f"{temporary}/cache"
        images = folder / "images"
        images.mkdir()
        for number, pixels in enumerate(blobs(np.random.default_rng(0))[:40]):
            (images / f"{number}.png").write_bytes(encoded(pixels, "PNG"))
        tallies = [after_forks(folder, images, count), in_threads(folder, images, count), *commands(folder, images)]
        tallies.append(many_files(folder))
    sys.exit(finish(tallies, args.json))


def decode(images: Path, own: Path) -> None:
    """Decode a folder that has not been decoded before: a copy by links."""
    shutil.copytree(images, own, copy_function=os.link)
    latens.load_images(own)
    shutil.rmtree(own)


def after_forks(folder: Path, images: Path, count: int) -> Tally:
    """Children of a process whose threads are decoding."""
    found, going = Tally("starts of decoding after a fork, while threads decode"), threading.Event()

    def work(name: str) -> None:
        while not going.is_set():
            decode(images, folder / name)

    decode(images, folder / "first")
    threads = [threading.Thread(target=work, args=(f"thread-{number}",), daemon=True) for number in range(DECODING)]
    for thread in threads:
        thread.start()
    for number in range(count):
        child = started(lambda number=number: decode(images, folder / f"child-{number}"))
        ended = wait(child, SECONDS)
        if ended is None:
            os.kill(child, signal.SIGKILL)
            wait(child)
        problem = "it has not ended" if ended is None else f"status {ended}" if ended else ""
        found.add(any(thread.is_alive() for thread in threads), problem)
    going.set()
    for thread in threads:
        thread.join()
    return found


def in_threads(folder: Path, images: Path, count: int) -> Tally:
    """Several pools at once in one process."""
    found = Tally("starts of decoding in threads, four at a time")
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(decode, images, folder / f"pool-{number}") for number in range(count)]
        for future in futures:
            error = future.exception(SECONDS)
            found.add(True, f"{type(error).__name__}: {error}" if error else "")
    return found


def commands(folder: Path, images: Path) -> list[Tally]:
    """Whole runs in surroundings that are short of something."""
    script = folder / "script.py"
    script.write_text(SCRIPT)
    run = [sys.executable, "-m", "latens", "run", str(images), *OPTIONS, "--out"]
    kinds = {
        "64 open files": ["bash", "-c", 'ulimit -n 64; exec "$@"', "-", *run],
        "a /dev/shm of 64 MB": ["unshare", "-m", "bash", "-c", SMALL_SHM, "-", *run],
        "a thread of a script without a main guard, where processes are spawned": [
            sys.executable,
            str(script),
            str(images),
        ],
    }
    tallies = []
    for kind, words in kinds.items():
        one = Tally(f"`latens run` with {kind}" if "latens" in words else f"`latens.run` in {kind}")
        tallies.append(one)
        if words[0] == "unshare" and (reason := not_allowed()):
            one.not_tried = reason
            continue
        # Not below /dev/shm, which a small one hides.
        with tempfile.TemporaryDirectory() as out:
            home = {**os.environ, "LATENS_CACHE": f"{out}/cache"}
            own = [part.replace(str(images), f"{out}/images") for part in words]
            shutil.copytree(images, f"{out}/images")
            if "script" in kind:
                own[1] = shutil.copy(script, out)
            own.append(f"{out}/run")
            try:
                done = subprocess.run(own, capture_output=True, text=True, timeout=COMMAND_SECONDS, env=home)
                one.add(True, f"status {done.returncode}: {done.stderr[-300:]}" if done.returncode else "")
            except subprocess.TimeoutExpired:
                one.add(True, f"it has not ended after {COMMAND_SECONDS:.0f} s")
    return tallies


def not_allowed() -> str:
    """Why a file system can't be mounted here; empty where it can."""
    words = ["unshare", "-m", "bash", "-c", SMALL_SHM, "-", "true"]
    tried = subprocess.run(words, capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"a tmpfs can't be mounted here: {tried.stderr.strip()[:200]}"


def many_files(folder: Path) -> Tally:
    """How soon `latens data` speaks, and whether it goes on."""
    found = Tally(
        f"{FILES:,} files in one folder: a line within {FIRST:.0f} s, and none waited for longer than {GAP:.0f} s"
    )
    many = folder / "many"
    many.mkdir()
    seeds = [encoded(pixels, "PNG") for pixels in blobs(np.random.default_rng(1))]
    for number in range(FILES):
        (many / f"{number}.png").write_bytes(seeds[number % len(seeds)])
    first, gap = spoken(["data", str(many)])
    for _ in range(2):
        if max(first, gap) > min(FIRST, GAP):
            first, gap = min((first, gap), spoken(["data", str(many)]), key=max)
    print(f"{FILES:,} files: the first line after {first:.1f} s, then at most {gap:.1f} s between two signs of life")
    found.add(True, f"the first line after {first:.1f} s" if first > FIRST else "")
    found.add(True, f"{gap:.1f} s without a sign" if gap > GAP else "")
    return found


def spoken(words: list[str]) -> tuple[float, float]:
    """The seconds until a command first writes to its terminal, and the longest silence after that, until it ends."""
    shutil.rmtree(os.environ["LATENS_CACHE"], ignore_errors=True)
    began = time.monotonic()
    child, terminal = pty.fork()
    if not child:
        os.execv(sys.executable, [sys.executable, "-m", "latens", *words])  # noqa: S606 - no shell is needed
    first, last, gap = 0.0, began, 0.0
    while True:
        try:
            there = os.read(terminal, 1 << 16)
        except OSError:  # its end was closed
            break
        if not there:
            break
        now = time.monotonic()
        if not first:
            first = now - began
        else:
            gap = max(gap, now - last)
        last = now
    os.close(terminal)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, f"latens {' '.join(words)}: status {status}"
    return first, gap


if __name__ == "__main__":
    main()

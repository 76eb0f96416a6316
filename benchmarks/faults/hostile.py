"""Run folders and files that somebody else sent: each is refused in one line, and nothing in it is run or looked up.

    python benchmarks/faults/hostile.py [--json FILE]

Each folder is opened, listed and read in a process of its own that may take 20 s and 1 GB more than before. An audit hook
notes what a run must never do: load a pickle's class, start a process, open a socket, compile code. Survived: it opens, or an
error of latens in one line. Lost: another error, a process that hangs or takes too much memory, and anything that was run.
"""

import json
import os
import pickle
import resource
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from damage import blobs
from kills import wait
from tally import Tally, fault_parser, finish

import latens
from latens.errors import LatensError
from latens.progress import Silent
from latens.runs.importing import read_state, read_weights
from latens.runs.listing import list_runs, list_unreadable

SECONDS, MORE_BYTES = 20.0, 1 << 30
NEVER = ("pickle.find_class", "subprocess.Popen", "socket.connect", "os.system", "os.exec", "os.posix_spawn", "compile")


class Command:
    """What a hostile pickle does when it is loaded."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        """A call of os.system."""
        return os.system, ("touch /tmp/latens-was-here",)


def main() -> None:
    args = fault_parser(__doc__).parse_args()
    torch.set_num_threads(1)
    folders, files = Tally("hostile run folders: opened, listed, read"), Tally("hostile `.pt` files: `latens import`")
    with tempfile.TemporaryDirectory() as temporary:
        good = Path(temporary) / "good"
        pixels = blobs(np.random.default_rng(0))
        latens.run(pixels, out=good, latent_dim=4, epochs=1, device="cpu", progress=Silent())
        for name, change in run_changes().items():
            runs = Path(temporary) / "runs"
            shutil.rmtree(runs, ignore_errors=True)
            shutil.copytree(good, runs / "hostile")
            change(runs / "hostile")
            folders.add(True, outcome(name, lambda runs=runs: use(runs)))
        for name, write in state_files().items():
            path = Path(temporary) / str(files.tries) / "state.pt"
            path.parent.mkdir()
            write(path)
            files.add(True, outcome(name, lambda path=path: read_state(path)) or handed(name, path))
    sys.exit(finish([folders, files], args.json))


def use(runs: Path) -> None:
    """Whatever a person does with a folder of runs that they were sent."""
    list_runs(runs)
    list_unreadable(runs)
    said: list[LatensError] = []
    parts: tuple[Callable[[latens.Run], Any], ...] = (
        lambda run: run.model,
        lambda run: run.latents,
        lambda run: run.map("pca"),
        lambda run: run.scores,
        lambda run: run.history,
        lambda run: run.format,
        lambda run: run.sampler("class-means"),
        lambda run: run.verdict,
    )
    run = latens.open_run(runs / "hostile")
    for part in parts:
        try:
            part(run)
        except LatensError as error:
            said.append(error)
    for error in said:
        assert "\n" not in str(error), f"more than one line: {error}"


def handed(name: str, path: Path) -> str:
    """What is wrong with how weights come from the process that reads them; empty where nothing is."""
    try:
        read_weights(path)
    except LatensError as error:
        return f"{name}: more than one line: {error}" if "\n" in str(error) else ""
    except Exception as error:
        return f"{name}: {type(error).__name__}: {error}"
    return ""


def outcome(name: str, work: Callable[[], Any]) -> str:
    """What went wrong in a process of its own; empty where nothing did."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        text = judged(work)
        os.write(writing, text.encode()[:2_000])
        os._exit(0)
    os.close(writing)
    ended = wait(child, SECONDS)
    if ended is None:
        os.kill(child, signal.SIGKILL)
        wait(child)
    told = b""
    while part := os.read(reading, 4_096):
        told += part
    os.close(reading)
    if ended is None:
        return f"{name}: took more than {SECONDS:.0f} s"
    problem = told.decode() or ("" if ended == 0 else f"ended with status {ended}")
    return f"{name}: {problem}" if problem else ""


def judged(work: Callable[[], Any]) -> str:
    """Do some work under a limit of memory and an audit hook, and say what was wrong."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MORE_BYTES, used + MORE_BYTES))
    done: list[str] = []
    own = [False]

    def hook(event: str, details: tuple[Any, ...]) -> None:
        # Source without a file is a header of numpy's, which is parsed and not run.
        if own[0] and event.startswith(NEVER) and not (event == "compile" and details[1] in (None, "<unknown>")):
            done.append(f"{event} {details!r}"[:200])

    sys.addaudithook(hook)
    try:
        own[0] = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            work()
    except LatensError as error:
        own[0] = False
        return f"more than one line: {error}" if "\n" in str(error) else ""
    except BaseException as error:
        own[0] = False
        return f"{type(error).__name__}: {str(error)[:300]}"
    finally:
        own[0] = False
    return "; ".join(sorted(set(done)))


def run_changes() -> dict[str, Callable[[Path], object]]:
    """What can be wrong with a run's folder, each a change of a good one."""
    changes: dict[str, Callable[[Path], object]] = {
        "run.json is a FIFO": lambda run: _fifo(run / "run.json"),
        "run.json is /dev/zero": lambda run: _link(run / "run.json", "/dev/zero"),
        "run.json is a folder": lambda run: _folder(run / "run.json"),
        "run.json of nested lists": lambda run: (run / "run.json").write_text("[" * 200_000),
        "run.json of a huge number": lambda run: (run / "run.json").write_text('{"format": ' + "9" * 10_000 + "}"),
        "run.json that is no UTF-8": lambda run: (run / "run.json").write_bytes(b"\xff\xfe{}"),
        "run.json of 200 MB": lambda run: (run / "run.json").write_bytes(b" " * 200_000_000),
        "weights are a FIFO": lambda run: _fifo(run / "model.safetensors"),
        "weights are /dev/zero": lambda run: _link(run / "model.safetensors", "/dev/zero"),
        "history is a FIFO": lambda run: _fifo(run / "history.jsonl"),
        "history is /dev/zero, unsealed": lambda run: (_link(run / "history.jsonl", "/dev/zero"), _unsealed(run)),
        "tags are a FIFO": lambda run: _fifo(run / "tags.jsonl"),
    }
    for key, value in (
        ("format", "1"),
        ("status", 3),
        ("created", None),
        ("data", []),
        ("data", {}),
        ("recipe", {}),
        ("recipe", "fast"),
        ("files", []),
        ("files", {"model.safetensors": 3}),
        ("files", {"\x00": "0"}),
        ("result", []),
        ("versions", "x"),
        ("forms", {"encoder": "os.system"}),
        ("left_out", 3),
    ):
        changes[f"{key} is {value!r}"] = lambda run, key=key, value=value: _entries(run, {key: value})
    for path, value in (
        (("recipe", "latent_dim"), 1_000_000),
        (("recipe", "latent_dim"), -1),
        (("recipe", "latent_dim"), "4"),
        (("recipe", "model"), "os:system"),
        (("recipe", "network"), "__import__"),
        (("recipe", "model_options"), {"noise": "x"}),
        (("recipe", "config"), None),
        (("recipe", "config", "epochs"), "x"),
        (("data", "source"), "fashion-mnist"),
        (("data", "source"), "/proc/self"),
        (("data", "source"), "/dev/zero"),
        (("data", "source"), "http://127.0.0.1:9/images.zip"),
        (("data", "source"), "file:///dev/zero"),
        (("data", "source"), 3),
        (("data", "shape"), [1, 1_000_000, 1_000_000]),
        (("data", "shape"), "x"),
        (("data", "shape"), [1]),
        (("data", "class_names"), 3),
        (("data", "value_range"), [[float(3), 1]]),
        (("data", "train"), "many"),
    ):
        changes[f"{'.'.join(path)} is {value!r}"] = lambda run, path=path, value=value: _entry(run, path, value)
    return changes


def _entries(run: Path, entries: dict[str, Any]) -> None:
    record = json.loads((run / "run.json").read_text())
    record.pop("seal", None)
    (run / "run.json").write_text(json.dumps({**record, **entries}))


def _unsealed(run: Path) -> None:
    files = json.loads((run / "run.json").read_text())["files"]
    _entries(run, {"files": {name: digest for name, digest in files.items() if name != "history.jsonl"}})


def _entry(run: Path, path: tuple[str, ...], value: Any) -> None:
    record = json.loads((run / "run.json").read_text())
    inner = record
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    _entries(run, record)


def _fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _link(path: Path, to: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(to)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def state_files() -> dict[str, Callable[[Path], object]]:
    """What can be wrong with a file of weights."""
    return {
        "a pickle of os.system": lambda path: path.write_bytes(pickle.dumps(Command())),
        "torch.save of os.system": lambda path: torch.save(Command(), path),
        "a FIFO": lambda path: os.mkfifo(path),
        "/dev/zero": lambda path: path.symlink_to("/dev/zero"),
        "a folder": lambda path: path.mkdir(),
        "nothing": lambda path: path.write_bytes(b""),
        "a list": lambda path: torch.save([1, 2], path),
        "a cut file": lambda path: (torch.save({"a": torch.zeros(99)}, path), os.truncate(path, 400)),
        "nested lists": lambda path: path.write_bytes(b"\x80\x04" + b"]" * 1_000_000 + b"a" * 999_999 + b"."),
        "a tensor that is larger than the file": lambda path: torch.save(
            {"decoder.0.weight": torch.zeros(1).expand(30_000, 30_000)}, path
        ),
    }


if __name__ == "__main__":
    main()

"""Change bytes of a run's files, and cut them: each change is noticed, or what is read is the same.

    python benchmarks/faults/damage.py [--long] [--json FILE]

A small run is made. Then single bits of each of its files are flipped and each file is cut, at places drawn at random (in the
long form at every byte of files of up to 10,000, and at 10,000 places of larger ones), and the file is read as latens reads it.
A change counts as survived where an error of latens names the file, or where what was read is what was written. A traceback,
another kind of error and a different value without a word are lost. Tags are a journal, of which a kill can leave a part of the
last line: cut, they must be those of the whole lines before.
The naive way beside it: the same weights by `torch.save` and `torch.load`.
"""

import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tally import Tally, fault_parser, finish

import latens
from latens.errors import LatensError
from latens.explorer.tags import Tags
from latens.progress import Silent
from latens.runs.journal import TAGS
from latens.runs.record import RECORD, RunFolder

SHORT, LONG = 60, 20_000  # changes of a file
NAIVE = "naive: "
TAGGED = 20  # changes of tags


def main() -> None:
    args = fault_parser(__doc__).parse_args()
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        run = latens.run(blobs(random), out=folder, latent_dim=4, epochs=2, device="cpu", progress=Silent())
        for number in range(TAGGED):
            Tags(folder).change("odd", [str(number)])
        names = (RECORD, TAGS, *sorted(RunFolder(folder).files if args.long else families(folder)))
        tallies = [flips_of(folder, name, random, args.long) for name in names]
        tallies.append(naive(Path(temporary), run, random, LONG if args.long else SHORT))
    sys.exit(finish(tallies, args.json, lambda one: not one.fault.startswith(NAIVE)))


def blobs(random: np.random.Generator) -> np.ndarray:
    """Images of 12 x 12: soft spots at random places."""
    y, x = np.mgrid[:12, :12]
    row, column = random.uniform(2, 10, (2, 60, 1, 1))
    return (255 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 6)).astype(np.uint8)


def families(folder: Path) -> set[str]:
    """One file of each kind: of each folder in the run, and each file beside them."""
    names: dict[str, str] = {}
    for name in sorted(RunFolder(folder).files):
        names.setdefault(name.split("/")[0], name)
    return set(names.values())


def flips_of(folder: Path, name: str, random: np.random.Generator, every: bool) -> Tally:
    """Flips and cuts of one file of a run."""
    path, found = folder / name, Tally(f"flips and cuts of `{name}`")
    content, expected = path.read_bytes(), read(folder, name)
    for changed in changes(content, random, every and 2 * len(content) <= LONG, LONG if every else SHORT):
        path.write_bytes(changed)
        cut = name == TAGS and content.startswith(changed)
        found.add(True, problem_of(lambda: read(folder, name), tagged(content, changed) if cut else expected, name))
    path.write_bytes(content)
    return found


def read(folder: Path, name: str) -> Any:
    """A file of a run, as latens reads it."""
    if name == RECORD:
        return RunFolder(folder).record
    if name == TAGS:
        return Tags(folder).read()
    return RunFolder(folder).load(name)


def tagged(content: bytes, cut: bytes) -> dict[str, list[str]]:
    """The tags of the whole lines in a part of a journal; one counts that lacks nothing but its end."""
    lines = zip(cut.split(b"\n"), content.split(b"\n"), strict=False)
    whole = sum(bool(line) and part == line for part, line in lines)
    return {"odd": [str(number) for number in range(whole)]} if whole else {}


def changes(content: bytes, random: np.random.Generator, each: bool, most: int) -> Iterator[bytes]:
    """A file with one bit changed, or cut: half of the tries each; of all bytes, or of some drawn at random."""
    places = np.arange(len(content)) if each else random.integers(len(content), size=most // 2)
    for at in places:
        changed = bytearray(content)
        changed[at] ^= 1 << int(random.integers(8))
        yield bytes(changed)
        yield content[:at]


def problem_of(reading: Callable[[], Any], expected: Any, name: str) -> str:
    """What is wrong with how a damaged file was read; empty where it was noticed, or is read as the same."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = reading()
    except LatensError as error:
        return "" if name in str(error) and "\n" not in str(error) else f"the message does not name the file: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    alike = value == expected if name == TAGS else same(value, expected)
    return "" if alike else "read as something else, without a word"


def same(value: Any, expected: Any) -> bool:
    """Whether what was read is what was written; names that latens does not know are not read."""
    if isinstance(expected, dict):
        known = isinstance(value, dict) and all(key in value and same(value[key], expected[key]) for key in expected)
        return known
    if isinstance(expected, np.ndarray):
        return bool(np.array_equal(value, expected, equal_nan=expected.dtype.kind == "f"))
    if isinstance(expected, torch.Tensor):
        return isinstance(value, torch.Tensor) and torch.equal(value, expected)
    return bool(value == expected)


def naive(temporary: Path, run: latens.Run, random: np.random.Generator, most: int) -> Tally:
    """The weights by torch.save and torch.load alone."""
    path, found = temporary / "state.pt", Tally(f"{NAIVE}flips and cuts of a file of `torch.save`")
    torch.save(run.model.state_dict(), path)
    content, expected = path.read_bytes(), torch.load(path, weights_only=True)
    for changed in changes(content, random, False, most):
        path.write_bytes(changed)
        try:
            value = torch.load(path, weights_only=True)
        except Exception:
            found.add(True)
            continue
        found.add(True, "" if same(value, expected) else "read as something else, without a word")
    shutil.rmtree(path, ignore_errors=True)
    return found


if __name__ == "__main__":
    main()

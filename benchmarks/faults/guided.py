"""Mutants of files, guided by the code that they reach: atheris (libFuzzer) on the parsers that are latens's own.

    .peers/fuzzing/bin/python benchmarks/faults/guided.py [--long] [--json FILE]        (make .peers/fuzzing/made)

latens is instrumented: a mutant that reaches new code is kept, and further ones are made of it. Where a check sum or a
compression would hide what is behind it, the mutant is what is inside, and the file is made around it. Each parser works in a
process of its own. A mutant hits where it is none of the files that it was begun with.

Lost, each place in the code once: an error that is not latens's, more than 2 s of processor time, more than 512 MB above the most
so far, a process that ends before its time. Pictures are read by Pillow, tifffile, astropy and pydicom as well, whose errors are
caught by who asks for a picture: only time, memory and the process count there. Mutants with which something went wrong are kept
beside the --json file.
"""

import gzip
import io
import json
import os
import resource
import shutil
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tally import Tally, fault_parser, finish

try:
    import atheris
except ImportError:  # there are no wheels for this Python or system
    atheris = None

SHORT, LONG = 2_000, 12_500  # mutants of a parser, times its weight
SECONDS, MEGABYTES = 2.0, 512  # for one mutant
GUARD = 8 << 30  # bytes of address space, so that a bomb ends the process and not the machine
STUCK = 30  # s after which a process is ended
LONGEST = 8_192  # bytes of a mutant
COUNTS = struct.Struct("<QQ")  # read, refused

Parser = Callable[[bytes], object]


def main() -> None:
    args = fault_parser(__doc__).parse_args()
    kept = Path(args.json).parent / "guided" if args.json else None
    if atheris is None:
        sys.exit(finish([Tally("mutants guided by the code that they reach", not_tried="no atheris")], args.json))
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as temporary:
        os.environ["LATENS_CACHE"] = f"{temporary}/cache"
        with atheris.instrument_imports(include=["latens"]), silent():
            parsers = made_parsers(Path(temporary))
        tallies, reached = [], []
        for number, (name, (weight, parse, seeds)) in enumerate(parsers.items()):
            runs = int(weight * (LONG if args.long else SHORT))
            folder = Path(temporary) / f"parser-{number}"
            found, told = guided(name, parse, seeds, runs, folder)
            tallies.append(found)
            reached.append(told)
            if kept is not None and found.lost:
                shutil.copytree(folder / "lost", kept / name.replace("/", "-"), dirs_exist_ok=True)
    status = finish(tallies, args.json)
    print(
        "\n| parser | read | refused | places in the code: by the first files | by all mutants |\n|---|---|---|---|---|"
    )
    print("\n".join(reached))
    sys.exit(status)


def guided(name: str, parse: Parser, seeds: list[bytes], runs: int, folder: Path) -> tuple[Tally, str]:
    """All mutants of one parser, and a row of what they reached."""
    found = Tally(f"guided mutants of {name}")
    for place in ("corpus", "lost"):
        (folder / place).mkdir(parents=True)
    for number, seed in enumerate(seeds):
        (folder / "corpus" / f"seed-{number}").write_bytes(seed)
    (folder / "counts").write_bytes(bytes(COUNTS.size))
    child = os.fork()
    if not child:
        try:
            with silent(folder / "said"):
                fuzz(parse, runs, folder)
        finally:
            os._exit(99)
    status = os.waitpid(child, 0)[1]
    read, refused = COUNTS.unpack((folder / "counts").read_bytes())
    said = (folder / "said").read_text(errors="replace")
    found.lost = [file.read_text() for file in sorted((folder / "lost").glob("*.txt"))]
    if status or read + refused + len(found.lost) < runs:
        found.lost.append(f"ended with status {status} after {read + refused} mutants: {said[-300:]!r}")
    found.tries = read + refused
    found.hit = max(0, found.tries - len(seeds))
    found.survived = max(0, found.hit - len(found.lost))
    covered = [line.partition("cov: ")[2].split()[0] for line in said.splitlines() if "cov: " in line] or ["0"]
    return found, f"| {name} | {read:,} | {refused:,} | {covered[0]} | {covered[-1]} |"


class silent:
    """Send standard error, also that of libraries in C, to a file, or nowhere."""

    def __init__(self, to: Path | str = os.devnull) -> None:
        self.to = to

    def __enter__(self) -> None:
        sys.stderr.flush()
        self.before = os.dup(2)
        file = os.open(self.to, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(file, 2)
        os.close(file)

    def __exit__(self, *error: object) -> None:
        os.dup2(self.before, 2)
        os.close(self.before)


def fuzz(parse: Parser, runs: int, folder: Path) -> None:
    """Let libFuzzer call a parser; it ends the process."""
    from latens.errors import LatensError

    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (GUARD, GUARD))
    counts = os.open(folder / "counts", os.O_RDWR)
    state = {"read": 0, "refused": 0, "most": used(), "places": set()}

    def one(content: bytes) -> None:
        problem, start = "", time.process_time()
        try:
            parse(content)
            state["read"] += 1
        except LatensError as error:
            state["refused"] += 1
            problem = f"more than one line: {error}" if "\n" in str(error) else ""
        except Exception as error:
            state["refused"] += 1
            place = next(
                (one for one in reversed(traceback.extract_tb(error.__traceback__)) if "latens" in one.filename), None
            )
            at = "" if place is None else f" in {Path(place.filename).name}, line {place.lineno}"
            problem = f"{type(error).__name__}{at}: {str(error)[:200]}"
        os.pwrite(counts, COUNTS.pack(state["read"], state["refused"]), 0)
        if (seconds := time.process_time() - start) > SECONDS:
            problem = problem or f"more than {SECONDS:.0f} s: {seconds:.1f} s"
        if (now := used()) > state["most"] + MEGABYTES:
            problem = problem or f"more than {MEGABYTES} MB: {now - state['most']} MB"
        state["most"] = max(now, state["most"])
        if problem and (place := problem.partition(":")[0]) not in state["places"]:
            state["places"].add(place)
            to = folder / "lost" / str(len(state["places"]))
            to.write_bytes(content)
            to.with_suffix(".txt").write_text(problem)

    options = [f"-runs={runs}", "-seed=1", f"-max_len={LONGEST}", f"-timeout={STUCK}", "-rss_limit_mb=0"]
    atheris.Setup(["guided", *options, f"-artifact_prefix={folder / 'lost'}/", str(folder / "corpus")], one)
    atheris.Fuzz()


def used() -> int:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def made_parsers(folder: Path) -> dict[str, tuple[float, Parser, list[bytes]]]:
    """By name: how many mutants, of a usual number; the parser; the files that it is begun with. latens is imported here."""
    from damage import blobs
    from mutants import seeds_of

    seeds = seeds_of(blobs(np.random.default_rng(0))[:12])
    return {**of_arrays(folder, seeds), **of_runs(folder), **of_tables(folder, seeds), **of_pictures(folder, seeds)}


def of_arrays(folder: Path, seeds: dict[str, bytes]) -> dict[str, tuple[float, Parser, list[bytes]]]:
    """IDX, .npy and .npz."""
    from latens.files import map_npz, read_npz
    from latens.images import idx, npy, npz
    from latens.images.assemble import assemble
    from latens.images.plan import Options

    def loaded(source: Any, path: Path) -> None:
        found = assemble(source.plan(path, Options()))
        for part in (found.train, found.test):
            np.asarray(part.pixels).max(initial=0)

    images, packed = folder / "idx" / "train-images-idx3-ubyte", folder / "gz" / "train-images-idx3-ubyte.gz"
    array, archive, other = folder / "images.npy", folder / "images.npz", folder / "other.npz"
    for one in (images, packed):
        one.parent.mkdir()

    def as_idx(content: bytes) -> None:
        images.write_bytes(content)
        loaded(idx.IDX, images.parent)

    def as_gz(content: bytes) -> None:
        packed.write_bytes(content)
        loaded(idx.IDX, packed.parent)

    def as_npy(content: bytes) -> None:
        array.write_bytes(content)
        loaded(npy.NPY, array)

    def as_npz(content: bytes) -> None:
        archive.write_bytes(content)
        loaded(npz.NPZ, archive)

    def of_members(content: bytes) -> None:
        """Two arrays, the first as long as its first two bytes say, in an archive whose check sums are right."""
        length = int.from_bytes(content[:2], "little")
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("images.npy", content[2 : 2 + length])
            file.writestr("labels.npy", content[2 + length :])
        loaded(npz.NPZ, archive)

    def of_a_run(content: bytes) -> None:
        other.write_bytes(content)
        read_npz(other)
        map_npz(other)

    with zipfile.ZipFile(io.BytesIO(seeds["npz"])) as file:
        members = [file.read(name) for name in ("images.npy", "labels.npy")]
    two = len(members[0]).to_bytes(2, "little") + b"".join(members)
    return {
        "idx": (5, as_idx, [seeds["idx"], seeds["idx"][:16]]),
        "idx.gz, as it is": (1, as_gz, [seeds["idx-gz"]]),
        "idx.gz, what is inside": (2, lambda content: as_gz(gzip.compress(content, 1, mtime=0)), [seeds["idx"]]),
        "npy": (2, as_npy, [seeds["npy"]]),
        "npz, as it is": (1, as_npz, [seeds["npz"], seeds["npz-packed"]]),
        "npz, what is inside": (2, of_members, [two]),
        "npz of a run": (1, of_a_run, [seeds["npz"], seeds["npz-packed"]]),
    }


def of_runs(folder: Path) -> dict[str, tuple[float, Parser, list[bytes]]]:
    """safetensors, run.json, history and journals."""
    import torch

    import latens
    from latens.errors import RunDamaged
    from latens.explorer.paths import Paths
    from latens.explorer.tags import Tags
    from latens.files import read_json, read_safetensors, safetensors_content
    from latens.progress import Silent
    from latens.runs import open_run
    from latens.runs.journal import SUM, append_change
    from latens.runs.record import RECORD, accept_record

    made = latens.run(
        np.random.default_rng(0).integers(0, 255, (40, 8, 8), dtype=np.uint8),
        out=folder / "made",
        latent_dim=2,
        epochs=1,
        samplers=(),
        device="cpu",
        progress=Silent(),
    )
    run = folder / "run"
    run.mkdir()
    record, tensors = (
        (made.path / RECORD).read_bytes(),
        safetensors_content({"a": torch.zeros(2, 3), "b": torch.ones(1)}),
    )
    journals = {
        "tags.jsonl": [{"tag": "a", "on": True, "ids": ["1", "2"], "id": "x"}, {"undo": "x", "on": True}],
        "paths.jsonl": [{"path": "p", "way": "linear", "stops": [{"ids": ["1"]}, {"map": "pca", "x": 0.5, "y": 1}]}],
    }
    for name, changes in journals.items():
        for change in changes:
            append_change(run / name, change)
    history = (made.path / "history.jsonl").read_bytes()

    def of_header(content: bytes) -> None:
        """A header of any length, before as many bytes of tensors as the first file has."""
        read_safetensors(io.BytesIO(len(content).to_bytes(8, "little") + content + bytes(28)))

    def of_record(content: bytes) -> None:
        (run / RECORD).write_bytes(content)
        try:
            open_run(run)
        except RunDamaged:
            accept_record(run)  # as `latens check --accept` does: what the seal would refuse is looked at as well
        found = open_run(run)
        told = (found.name, found.recipe, found.class_names, found.image_shape, found.format, found.folder.worked_on)
        assert len(told) == 6

    def of_history(content: bytes) -> None:
        path = run / "history.jsonl"
        path.write_bytes(content)
        entries = json.loads(record)
        del entries["files"]["history.jsonl"], entries["seal"]
        (run / RECORD).write_text(json.dumps(entries))
        list(open_run(run).history)

    def of_journal(name: str, read: Callable[[], object]) -> Parser:
        def parse(content: bytes) -> None:
            (run / name).write_bytes(content)
            read()

        return parse

    def without_sums(name: str) -> bytes:
        lines = [json.loads(line) for line in (run / name).read_text().splitlines()]
        return "".join(json.dumps({k: v for k, v in line.items() if k != SUM}) + "\n" for line in lines).encode()

    files = {name: [(run / name).read_bytes(), without_sums(name)] for name in journals}
    length = int.from_bytes(tensors[:8], "little")
    return {
        "safetensors, as it is": (15, lambda content: read_safetensors(io.BytesIO(content)), [tensors]),
        "safetensors, the header": (15, of_header, [tensors[8 : 8 + length], b'{"a":' + b"[" * 2_000]),
        "JSON": (
            20,
            lambda content: read_json(io.BytesIO(content)),
            [b'{"a": [1, "b", null, true, 1e9]}', b"[" * 2_000],
        ),
        "run.json": (1, of_record, [json.dumps(json.loads(record)).encode()]),
        "history.jsonl": (1, of_history, [history]),
        "tags.jsonl": (3, of_journal("tags.jsonl", Tags(run).read), files["tags.jsonl"]),
        "paths.jsonl": (3, of_journal("paths.jsonl", Paths(run).read), files["paths.jsonl"]),
    }


def of_tables(folder: Path, seeds: dict[str, bytes]) -> dict[str, tuple[float, Parser, list[bytes]]]:
    """Tables of images as text."""
    from latens.images.table_files import read_table

    def of_file(name: str) -> Parser:
        path = folder / name

        def parse(content: bytes) -> None:
            path.write_bytes(content)
            read_table(path)

        return parse

    lines = b'{"file_name": "0.png", "label": "a"}\n{"file_name": "1.png", "label": 2.5}\n'
    points = b"file_name;x;y\n0.png;1,5;2\n1.png;;-3,25\n"
    return {
        "csv": (3, of_file("table.csv"), [seeds["csv"], points]),
        "jsonl": (3, of_file("table.jsonl"), [lines]),
    }


def of_pictures(folder: Path, seeds: dict[str, bytes]) -> dict[str, tuple[float, Parser, list[bytes]]]:
    """Headers and values of pictures, whose errors are of any kind."""
    from latens.images.decode import look_at, read_values

    def of_file(name: str) -> Parser:
        path = folder / name

        def parse(content: bytes) -> None:
            path.write_bytes(content)
            try:
                look_at(path)
                list(read_values(path))
            except MemoryError:
                raise
            except Exception:  # as who asks for a picture takes it
                return

        return parse

    found = {"pnm": ("a.pgm", "pgm"), "png": ("a.png", "png16"), "tiff": ("a.tif", "tiff16")}
    found |= {"fits": ("a.fits", "fits"), "dicom": ("a.dcm", "dicom")}
    return {name: (0.5, of_file(file), [seeds[kind]]) for name, (file, kind) in found.items() if kind in seeds}


if __name__ == "__main__":
    main()

"""Run folders, weights and models that somebody else sent: each is refused in one line, and nothing in it is run or looked up.

    python benchmarks/faults/hostile.py [--long] [--json FILE]

What can be wrong with a run's folder is said in `hostile_files.py`, with weights and models in `hostile_models.py`, how each is
tried in `apart.py`: in a process of its own, with limits of time and memory, an audit hook, and a folder of the user's own beside
it. A run is opened, listed and read, and given to the commands that people use on a run. ONNX models need onnx and
onnxruntime (make .peers/pretrained/made, PYTHONPATH=.peers/pretrained). Survived: what is asked for is there, or an error
of latens in one line. Lost: another error, a process that hangs or takes too much memory, anything that was run, anything of the
user's own that comes out or is changed. The short form tries some of the wrong values.
"""

import io
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import numpy as np
import torch
from apart import Case, one_line, outcomes
from damage import blobs
from hostile_files import entries_changed, files_changed, resealed
from hostile_models import adopted_pair, onnx_models, script_models, state_files
from kills import started, wait
from tally import Tally, fault_parser, finish

import latens
from latens import cli, isolated
from latens.adapters import ADAPTERS
from latens.explorer import answer
from latens.explorer.tags import Tags
from latens.progress import Silent
from latens.runs.importing import read_state, read_weights
from latens.runs.listing import list_runs, list_unreadable
from latens.runs.run import STORED

SHORT, LONG, SHORT_MODELS = 47, 3, 5  # each so manieth of the wrong values, or models, is tried
PATIENCE = 5  # s of processor time for a model that is tried, in place of minutes

PARTS: dict[str, Callable[[latens.Run], Any]] = {
    "model": lambda run: run.model,
    "latents": lambda run: (run.latents, run.columns, run.part, run.labels_of(None)),
    "map": lambda run: run.map("pca").coordinates,
    "scores": lambda run: run.scores,
    "history": lambda run: run.history,
    "format": lambda run: run.format,
    "sampler": lambda run: run.sampler("class-means"),
    "sample": lambda run: run.sample(2, sampler="gaussian"),
    "verdict": lambda run: run.verdict,
    "images": lambda run: run.images,
    "repr": lambda run: (repr(run), run.image_shape, run.shown_shape, run.class_names, run.folder.worked_on),
}
ADDRESSES = (
    "/api/opening",
    "/api/run",
    "/api/map?name=pca",
    "/api/column?name=error",
    "/api/thumbnails?page=0",
    "/api/image?row=0",
    "/api/find?words=1",
    "/api/decode?map=pca&x=0&y=0",
    "/api/nearest?latents=[0,0,0,0]",
    "/api/list?kind=far-from-all",
    "/api/tags",
    "/api/paths",
    "/api/history",
    "/api/snapshot?epoch=1",
)
QUICK = (("check",), ("runs",), ("explore", "--get", "/api/tags"))
COMMANDS = (("map", "--map", "tsne"), ("figure", "worst"), ("export", "--html", "out.html"), ("score",))


def main() -> None:
    args = fault_parser(__doc__).parse_args()
    torch.set_num_threads(1)
    tallies = []
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["LATENS_CACHE"] = f"{temporary}/cache"
        good = Path(temporary) / "good" / "runs" / "hostile"
        make_run(good)
        # What is imported late is imported now: what is compiled while a hostile file is read is then another thing.
        for module in iter_modules(latens.images.__path__, "latens.images."):
            import_module(module.name)
        for kind in ADAPTERS:
            ADAPTERS[kind].takes("nowhere")  # each imports its module
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            problems = [problem for number in range(len(COMMANDS)) for problem in use(good.parent.parent, number)]
        assert not problems, problems
        shutil.rmtree(good)
        make_run(good)
        for fault, changes in (
            ("wrong entries in run.json", entries_changed(good)),
            ("wrong files", files_changed(good)),
        ):
            some = itertools.islice(enumerate(changes), 0, None, LONG if args.long else SHORT)
            cases = (run_case(good, name, change, number // 2) for number, (name, change) in some)
            tallies.append(tried(f"run folders with {fault}: opened, read, used", cases, Path(temporary)))
        step = 1 if args.long else SHORT_MODELS
        isolated.SECONDS = PATIENCE
        torch.save({"a": torch.zeros(2)}, Path(temporary) / "good.pt")
        read_state(Path(temporary) / "good.pt")  # torch makes a class when it first reads one
        states = [
            Case(name, lambda place, write=write: write(place / "state.pt"), imported)
            for name, write in list(state_files().items())[::step]
        ]
        tallies.append(tried("`.pt` files: `latens import`", states, Path(temporary)))
        scripts = [adopted(name, write, ".pt") for name, write in list(script_models().items())[::step]]
        tallies.append(tried("TorchScript models: `latens.adopt`", scripts, Path(temporary)))
        tallies += of_onnx(Path(temporary), step)
    sys.exit(finish(tallies, args.json))


def tried(fault: str, cases: Iterable[Case], folder: Path) -> Tally:
    """What came of some cases."""
    found = Tally(fault)
    for _, problem in outcomes(cases, folder):
        found.add(True, problem)
    return found


def of_onnx(folder: Path, step: int) -> list[Tally]:
    """ONNX models that are adopted, and those that a run holds."""
    given, held = "ONNX models: `latens.adopt`", "run folders with such ONNX models: opened, read, used"
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        return [Tally(fault, not_tried=f"no {error.name}") for fault in (given, held)]
    good = folder / "adopted" / "hostile"
    adopted_pair(folder / "pair")

    def make() -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        latens.adopt(folder / "pair", images=blobs(np.random.default_rng(0)), out=good, progress=Silent())

    assert wait(started(make)) == 0  # there, so that no thread of onnxruntime is in this process when it forks
    models = list(onnx_models().items())[::step]
    runs = [
        run_case(good, name, lambda run, content=content: resealed(run, STORED[0], content()), 1)
        for name, content in models
        if "never ends" not in name  # there it takes the time that it asks for
    ]
    pairs = [
        adopted(name, lambda path, content=content: path.write_bytes(content()), ".onnx") for name, content in models
    ]
    return [tried(given, pairs, folder), tried(held, runs, folder)]


def adopted(name: str, write: Callable[[Path], object], ending: str) -> Case:
    """A hostile encoder beside a decoder, and what is wrong with how the pair is adopted."""

    def prepare(place: Path) -> None:
        model = place / "model"
        if ending == ".onnx":
            adopted_pair(model)
        else:
            model.mkdir()
            torch.jit.script(torch.nn.Flatten()).save(str(model / "decoder.pt"))
        write(model / f"encoder{ending}")

    def work(place: Path) -> list[str]:
        pixels = blobs(np.random.default_rng(0))
        problem = one_line(
            "adopt", lambda: latens.adopt(place / "model", images=pixels, out=place / "run", progress=Silent())
        )
        return [problem] if problem else []

    return Case(name, prepare, work)


def make_run(folder: Path) -> None:
    """A good run, with labels, tags and a kept path."""
    random = np.random.default_rng(0)
    images = latens.load_images(blobs(random), labels=random.integers(0, 3, 60))
    latens.run(images, out=folder, latent_dim=4, epochs=1, device="cpu", progress=Silent())
    Tags(folder).change("odd", ["1"])


def run_case(good: Path, name: str, change: Callable[[Path], object], number: int) -> Case:
    """A changed copy of a run, and all that is done with it."""

    def prepare(place: Path) -> None:
        shutil.copytree(good, place / "runs" / "hostile")
        change(place / "runs" / "hostile")

    return Case(name, prepare, lambda place: use(place, number))


def use(place: Path, number: int) -> list[str]:
    """What went wrong with what a person does with a folder of runs that they were sent; of the slow commands one."""
    path = place / "runs" / "hostile"
    found = [one_line("list", lambda: (list_runs(path.parent), list_unreadable(path.parent)))]
    opened: list[latens.Run] = []
    found.append(one_line("open", lambda: opened.append(latens.open_run(path))))
    for run in opened:
        found += [one_line(part, partial(read, run)) for part, read in PARTS.items()]
        found += [one_line(address, partial(answer, run, address)) for address in ADDRESSES]
        found.append(one_line("tag", lambda: Tags(path).change("even", ["2"])))
    os.chdir(place)
    for command, *words in (*QUICK, COMMANDS[number % len(COMMANDS)]):
        found.append(
            one_line(f"latens {command}", lambda command=command, words=words: cli.main([command, str(path), *words]))
        )
    return [problem for problem in found if problem]


def imported(place: Path) -> list[str]:
    """What is wrong with how weights are read here, and with how they come from the process that reads them."""
    path = place / "state.pt"
    found = [one_line("read", lambda: read_state(path)), one_line("handed over", lambda: read_weights(path))]
    return [problem for problem in found if problem]


if __name__ == "__main__":
    main()

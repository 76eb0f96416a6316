"""The command line: one function a command, each a few lines of the Python API. It holds no logic of its own."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from latens import __version__
from latens.errors import LatensError
from latens.figures import FIGURES
from latens.maps import MAPS
from latens.models import MODELS
from latens.networks import NETWORKS
from latens.recipes import PRECISIONS, RECIPE_OPTIONS, RECIPES
from latens.samplers import SAMPLERS

if TYPE_CHECKING:
    from latens.runs import Run

__all__ = ["main", "parser"]

START = """\
latens trains an autoencoder on your images and shows what it learned. Three lines to start with:
  latens run mnist              train on the digits that come with it; ends with a report to open
  latens data FOLDER            what is in your own folder of images
  latens --help                 all commands"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. 0: done; 2: something the user gave is wrong, said in one line; 130: interrupted."""
    _set_up_threads()
    args = parser().parse_args(arguments)
    if args.command is None:
        print(START)
        return 0
    try:
        result, text = args.function(args)
        print(json.dumps(result, indent=2, ensure_ascii=False) if args.json else text)
    except LatensError as error:
        return _fail(args, str(error), type(error).__name__)
    except OSError as error:
        return _fail(args, f"{error.filename or 'file'}: {error.strerror or error}", type(error).__name__)
    except KeyboardInterrupt:
        print("\nlatens: stopped; `latens run --resume` goes on with the latest run", file=sys.stderr)
        return 130
    return 0


def _set_up_threads() -> None:
    """Say how torch's threads wait and take memory; it must be said before torch is loaded.

    Threads that wait by spinning are quickest alone; on a busy machine they take the processor from what they wait for,
    and training is several times slower (docs/decisions/0004-waiting-threads.md).
    """
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > 0.75 * (os.cpu_count() or 1):
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # large pages: less time in the kernel


def _fail(args: argparse.Namespace, message: str, kind: str) -> int:
    if args.json:
        print(json.dumps({"error": message, "kind": kind}, ensure_ascii=False))
    print(f"latens: {message}", file=sys.stderr)
    return 2


Answer = tuple[Any, str]


def _run(args: argparse.Namespace) -> Answer:
    from latens import experiment
    from latens.errors import UsageError
    from latens.printing import run_answer

    if args.resume:
        given = [name for name in ("size", *RECIPE_OPTIONS) if getattr(args, name) is not None]
        ignored = ["DATA"] * (args.data is not None) + [f"--{name.replace('_', '-')}" for name in given]
        if ignored:
            raise UsageError(f"--resume goes on with a run as it was started; leave out {', '.join(ignored)}")
        return run_answer(experiment.resume(_chosen(args.out).path, device=args.device, progress=_progress(args)))
    if args.data is None:
        raise UsageError(
            "run needs DATA (mnist, fashion-mnist, a folder, a file), or --resume to go on with a stopped run"
        )
    options = {name: getattr(args, name) for name in RECIPE_OPTIONS}
    return run_answer(
        experiment.run(
            args.data,
            recipe=args.recipe,
            out=args.out,
            size=args.size,
            strict=args.strict,
            device=args.device,
            progress=_progress(args),
            **options,
        )
    )


def _data(args: argparse.Namespace) -> Answer:
    from latens.images import contact_sheet, load_images, summary
    from latens.printing import summary_text, write_sheet

    with _progress(args).stage("images", "pictures") as tick:
        images = load_images(args.data, size=args.size, strict=args.strict, progress=tick)
    facts = summary(images)
    if args.output:
        facts["contact_sheet"] = str(write_sheet(contact_sheet(images.train), args.output))
    return facts, summary_text(facts)


def _encode(args: argparse.Namespace) -> Answer:
    from latens.analysis import encode_source
    from latens.files import write_npz

    arrays = encode_source(_chosen(args.run, args.device), args.data, args.part, _progress(args))
    write_npz(args.output, arrays)
    shapes = {name: list(array.shape) for name, array in arrays.items()}
    return {"file": args.output, "arrays": shapes}, f"{args.output}: {_in_words(shapes)}"


def _sample(args: argparse.Namespace) -> Answer:
    from latens.files import write_npz
    from latens.runs.folder import samples_as_arrays

    run = _chosen(args.run, args.device)
    arrays = samples_as_arrays(run.sample(args.n, args.sampler, args.seed or 0))
    write_npz(args.output, arrays)
    shapes = {name: list(array.shape) for name, array in arrays.items()}
    return {"file": args.output, "arrays": shapes}, f"{args.output}: {_in_words(shapes)}"


def _figure(args: argparse.Namespace) -> Answer:
    from latens.drawings import DrawingOptions, draw

    options = DrawingOptions(
        start=args.start,
        pairs=args.pairs,
        per_row=args.per_row,
        autoscale=args.autoscale,
        map=args.map,
        refit=args.refit,
        sampler=args.sampler,
        n=args.n,
        seed=args.seed or 0,
    )
    path = draw(_chosen(args.run, args.device), args.name, options, args.output)
    return {"file": str(path)}, str(path)


def _map(args: argparse.Namespace) -> Answer:
    from latens.analysis import map_run, probe_run
    from latens.drawings import DrawingOptions, draw

    run, progress = _chosen(args.run), _progress(args)
    made = map_run(run, args.map, seed=args.seed, coordinates=args.coordinates, progress=progress)
    name = "given" if args.coordinates else args.map
    if args.refit:
        probe_run(run, refit=True, seed=args.seed, progress=progress)
    path = draw(run, "map", DrawingOptions(map=name), run.path / "figures" / f"map-{name}.png")
    drawn = [str(path)] + ([str(draw(run, "probe-map", DrawingOptions(refit=True)))] if args.refit else [])
    return {"map": name, "points": len(made.coordinates), "figures": drawn}, "\n".join(drawn)


def _score(args: argparse.Namespace) -> Answer:
    from latens.analysis import score_run
    from latens.printing import scores_text

    run = _chosen(args.run, args.device)
    scores = score_run(run, run.images, _progress(args))
    return scores, scores_text(scores)


def _import(args: argparse.Namespace) -> Answer:
    from latens.experiment import import_run
    from latens.printing import run_answer

    return run_answer(import_run(args.state, args.data, out=args.out, device=args.device, progress=_progress(args)))


def _runs(args: argparse.Namespace) -> Answer:
    from latens.printing import run_text, runs_text
    from latens.runs import list_runs, open_run

    if args.run is not None:
        run = open_run(args.run)
        return run.record, run_text(run)
    runs = list_runs()
    return [{"path": str(run.path), **run.record} for run in runs], runs_text(runs)


def _chosen(run: str | None, device: str = "cpu") -> "Run":
    from latens.runs import latest_run, open_run

    return latest_run(device=device) if run is None else open_run(run, device)


def _progress(args: argparse.Namespace) -> Any:
    from latens.progress import Silent, progress_for

    return Silent() if args.json else progress_for()


def _in_words(shapes: dict[str, list[int]]) -> str:
    return ", ".join(f"{name} {' x '.join(map(str, shape))}" for name, shape in shapes.items())


def size(text: str) -> int | tuple[int, int]:
    """`64` -> 64, `48x64` -> (48, 64)."""
    numbers = tuple(int(part) for part in text.lower().split("x"))
    if len(numbers) not in (1, 2) or min(numbers) < 1:
        raise ValueError(text)
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


def seed(text: str) -> int:
    """A seed: a whole number, not negative."""
    if (number := int(text)) < 0:
        raise ValueError(text)
    return number


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as all errors are said; argparse would put the whole usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"latens: {message}; see `{self.prog} --help`\n")


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = _Parser(prog="latens", description="Train an autoencoder on your images and see what it learned.")
    top.add_argument("--version", action="version", version=f"latens {__version__}")
    top.set_defaults(json=False)
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    for add in (
        _add_run,
        _add_data,
        _add_encode,
        _add_sample,
        _add_figure,
        _add_map,
        _add_score,
        _add_import,
        _add_runs,
    ):
        add(commands)
    return top


DATA_HELP = "mnist, fashion-mnist, a folder of images, a folder of IDX files, a .npz or a .npy file"
RUN_HELP = "a run's folder, or its name below runs/; the latest where it is left out"


def _command(
    commands: Any, name: str, function: Callable[[argparse.Namespace], Answer], text: str
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + "."
    )
    command.add_argument("--json", action="store_true", help="print JSON, for programs")
    command.set_defaults(function=function)
    return command


def _device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, mps (default: %(default)s)")


def _pictures(command: argparse.ArgumentParser) -> None:
    command.add_argument("--size", type=size, metavar="S|HxW", help="resize and crop the images to this")
    command.add_argument("--strict", action="store_true", help="stop at an unreadable image instead of leaving it out")


def _add_run(commands: Any) -> None:
    command = _command(commands, "run", _run, "train on images, map, probe, score, and write a report")
    command.add_argument("data", nargs="?", metavar="DATA", help=DATA_HELP)
    command.add_argument("--out", metavar="DIR", help="the run's folder (default: runs/<data>-<n>)")
    command.add_argument(
        "--recipe", choices=list(RECIPES), default="fast", help="the setting to start from (default: %(default)s)"
    )
    command.add_argument("--model", choices=list(MODELS), help="what is learned")
    command.add_argument("--network", choices=list(NETWORKS), help="encoder and decoder")
    command.add_argument("--latent-dim", type=int, metavar="D", help="numbers in a latent")
    command.add_argument("--epochs", type=int, metavar="N", help="passes over the train part")
    command.add_argument("--batch-size", type=int, metavar="B", help="images a step")
    command.add_argument("--learning-rate", type=float, metavar="R", help="Adam's")
    command.add_argument("--precision", choices=PRECISIONS, help="of the arithmetic while training")
    command.add_argument("--seed", type=seed, metavar="N", help="of weights, order and noise")
    _pictures(command)
    _device(command)
    command.add_argument("--resume", action="store_true", help="go on with the run in --out, or with the latest")


def _add_data(commands: Any) -> None:
    command = _command(commands, "data", _data, "show what is in a set of images")
    command.add_argument("data", metavar="DATA", help=DATA_HELP)
    command.add_argument("-o", "--output", metavar="PNG", help="write a contact sheet")
    _pictures(command)


def _add_encode(commands: Any) -> None:
    command = _command(commands, "encode", _encode, "turn images into latents")
    command.add_argument("run", nargs="?", metavar="RUN", help=RUN_HELP)
    command.add_argument("data", metavar="DATA", help=DATA_HELP)
    command.add_argument("-o", "--output", metavar="NPZ", required=True, help="file for latents, labels, ids")
    command.add_argument(
        "--part", choices=("train", "test", "all"), default="all", help="which part (default: %(default)s)"
    )
    _device(command)


def _add_sample(commands: Any) -> None:
    command = _command(commands, "sample", _sample, "draw new images from a run")
    command.add_argument("run", nargs="?", metavar="RUN", help=RUN_HELP)
    command.add_argument("--sampler", choices=list(SAMPLERS), default="class-means", help="(default: %(default)s)")
    command.add_argument("-n", type=int, default=100, metavar="N", help="how many (default: %(default)s)")
    command.add_argument("--seed", type=seed, metavar="N", help="the same seed, the same images")
    command.add_argument("-o", "--output", metavar="NPZ", required=True, help="file for images, latents, labels")
    _device(command)


FIGURE_NAMES = ["contact-sheet", *FIGURES]  # the names of drawings.DRAWINGS, which would load torch


def _add_figure(commands: Any) -> None:
    command = _command(commands, "figure", _figure, "draw one figure of a run, with other options")
    command.add_argument("run", nargs="?", metavar="RUN", help=RUN_HELP)
    command.add_argument("name", choices=FIGURE_NAMES, metavar="NAME", help=", ".join(FIGURE_NAMES))
    command.add_argument("-o", "--output", metavar="PNG", help="(default: figures/NAME.png in the run)")
    command.add_argument(
        "--start", type=int, default=200, help="reconstructions: first test image (default: %(default)s)"
    )
    command.add_argument("--pairs", type=int, default=100, help="reconstructions: how many (default: %(default)s)")
    command.add_argument("--per-row", type=int, default=10, help="pictures or pairs a row (default: %(default)s)")
    command.add_argument(
        "--autoscale", action="store_true", help="stretch each picture's contrast, as the notebook does"
    )
    command.add_argument(
        "--map", choices=[*MAPS, "given"], default="tsne", help="map, probe-map (default: %(default)s)"
    )
    command.add_argument("--refit", action="store_true", help="probe-map: on the map that was fitted with the probe")
    command.add_argument(
        "--sampler", choices=list(SAMPLERS), default="class-means", help="samples (default: %(default)s)"
    )
    command.add_argument("-n", type=int, default=100, metavar="N", help="samples: how many (default: %(default)s)")
    command.add_argument("--seed", type=seed, metavar="N", help="samples, contact-sheet")
    _device(command)


def _add_map(commands: Any) -> None:
    command = _command(commands, "map", _map, "make another map of a run's latents")
    command.add_argument("run", nargs="?", metavar="RUN", help=RUN_HELP)
    command.add_argument("--map", choices=list(MAPS), default="tsne", help="(default: %(default)s)")
    command.add_argument("--seed", type=seed, metavar="N", help="of the map")
    command.add_argument(
        "--coordinates", metavar="FILE", help="take these (N, 2) instead: .npy, or .npz with coordinates"
    )
    command.add_argument("--refit", action="store_true", help="also fit a map anew with the probe's points")


def _add_score(commands: Any) -> None:
    command = _command(commands, "score", _score, "compute the scores of a run again")
    command.add_argument("run", nargs="?", metavar="RUN", help=RUN_HELP)
    _device(command)


def _add_import(commands: Any) -> None:
    command = _command(commands, "import", _import, "make a run of weights that were saved from the notebook")
    command.add_argument("state", metavar="STATE.pt", help="what torch.save(model.state_dict(), ...) wrote")
    command.add_argument("data", nargs="?", default="mnist", metavar="DATA", help=DATA_HELP + " (default: mnist)")
    command.add_argument("--out", metavar="DIR", help="the run's folder")
    _device(command)


def _add_runs(commands: Any) -> None:
    command = _command(commands, "runs", _runs, "list all runs, or show one")
    command.add_argument("run", nargs="?", metavar="RUN", help="a run's folder, or its name below runs/")

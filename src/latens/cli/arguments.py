"""The parser of the command line. It reads the names of the tables and loads no torch."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from latens import __version__
from latens.cli.commands import (
    DEFAULT_RECIPE,
    adopt_command,
    check_command,
    compare_command,
    completion_command,
    data_command,
    decode_command,
    denoise_command,
    detect_command,
    doctor_command,
    encode_command,
    explore_command,
    export_command,
    figure_command,
    import_command,
    map_command,
    reconstruct_command,
    review_command,
    run_command,
    runs_command,
    sample_command,
    score_command,
    search_command,
)
from latens.cli.completion import SHELLS
from latens.cli.values import (
    augmentation,
    count,
    known_encoder,
    model,
    own_class,
    rate,
    seed,
    size,
    size_of_file,
    value_range,
    whole,
)
from latens.detection import DEFAULT_DETECTOR, DETECTORS
from latens.errors import UsageError
from latens.figures import DEFAULT_PALETTE, FIGURES, PALETTES, usable_figures
from latens.images.words import BY_DATA, BY_TYPE, FITS, LAYOUTS, LINKS, MASKS, PAGES
from latens.maps import MAPS
from latens.models import MODELS
from latens.networks import NETWORKS
from latens.parts import ENGINES, ROWS
from latens.samplers import SAMPLERS
from latens.trackers import TRACKERS
from latens.training.recipes import (
    AUGMENTATIONS,
    PRECISIONS,
    RECIPES,
)

if TYPE_CHECKING:
    from latens.figures.contract import Option

__all__ = ["parser"]

Answer = tuple[Any, str]


def _together(words: Sequence[str]) -> list[str]:
    """`--range 0 900` as `--range=0,900`: two numbers, or one word, and the next word is something else again."""
    result = list(words)
    if "--range" in result:
        place = result.index("--range")
        behind = result[place + 1 : place + 3]
        taken = behind[:1] if behind and (behind[0] in (BY_TYPE, BY_DATA) or "," in behind[0]) else behind
        result[place : place + 1 + len(taken)] = [f"--range={','.join(taken)}"]
    return result


class _Parser(argparse.ArgumentParser):
    """Reports an error in one line, as all errors are reported; argparse would put the whole usage before it.

    `later` adds arguments that are slow to find, once the parser is used: those of figures load matplotlib.
    """

    later: "Callable[[_Parser], None] | None" = None
    mixed = False  # whether options may stand between its arguments: `latens encode RUN -o FILE DATA`
    _mixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._complete()
        if not self.mixed or self._mixing:
            return super().parse_known_args(_together(sys.argv[1:] if args is None else args), namespace)
        self._mixing = True  # it comes back here twice: for the options, then for what is left
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False

    def format_help(self) -> str:
        self._complete()
        return super().format_help()

    def _complete(self) -> None:
        later, self.later = self.later, None
        if later is not None:
            later(self)

    def error(self, message: str) -> NoReturn:
        further = message.partition("unrecognized arguments: ")[2].split()
        if further and os.path.exists(further[0]):  # a shell puts several names in the place of a pattern
            message += " (one DATA is taken: a folder, or a pattern in quotes, such as 'train-{000..146}.tar')"
        raise UsageError(f"{message}; see `{self.prog} --help`")


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
        _add_reconstruct,
        _add_denoise,
        _add_decode,
        _add_sample,
        _add_figure,
        _add_map,
        _add_score,
        _add_compare,
        _add_detect,
        _add_review,
        _add_search,
        _add_explore,
        _add_export,
        _add_import,
        _add_adopt,
        _add_runs,
        _add_check,
        _add_doctor,
        _add_completion,
    ):
        add(commands)
    return top


DATA_HELP = (
    "mnist, fashion-mnist, a folder of images or of IDX files, a .npz, .npy, .zip, .tar or .parquet file, a pattern such as"
    " 'photos/**/*.png', or the address of any of these (s3://…, https://…)"
)
RUN_HELP = "the folder of a run, or its name in runs/ (default: the latest run)"


def _command(commands: Any, name: str, function: Callable[[argparse.Namespace], Answer], text: str) -> "_Parser":
    command: _Parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.add_argument("--json", action="store_true", help="print JSON, for programs")
    command.set_defaults(function=function)
    command.mixed = True
    return command


def _device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, mps (default: %(default)s)")


def _reading(command: argparse.ArgumentParser, new: str = "") -> None:
    """How images are read: the one home of these options. `args.reading` names those that a command has, with their flags.

    Args:
        command: gets them, in a group of their own.
        new: what the command calls images that are read for a run that is there; size, shape, colours and range of these are
            the run's. Empty for a data set of its own.
    """
    group = command.add_argument_group(f"how {new} is read" if new else "how the images are read")
    flags: dict[str, str] = {}

    def add(flag: str, **settings: Any) -> None:
        flags[group.add_argument(flag, **settings).dest] = flag

    if not new:
        add("--size", type=size, metavar="S|HxW", help="resize the images to this")
        add(
            "--fit",
            choices=FITS,
            help="images of another shape: pad them with the colour of their border, crop them to the centre, or stretch them"
            " (default: pad)",
        )
        add("--grey", action="store_true", help="turn colour images into grey")
    add(
        "--table",
        metavar="FILE",
        help="classes, parts and further columns of the images: .csv, .tsv, .jsonl or .parquet with a column of file names"
        " (default: metadata.csv or labels.csv beside the images; none: no table)",
    )
    add("--label-column", metavar="NAME", help="the table's column of the classes (default: found by its name)")
    add(
        "--masks",
        choices=MASKS,
        help="masks that lie beside the images: leave them out or keep them as images (default: leave-out)",
    )
    add(
        "--links",
        choices=LINKS,
        help="which links of a folder are followed: those to what lies inside it, or all (default: inside)",
    )
    if not new:
        add(
            "--white",
            type=int,
            metavar="N",
            help="the pixel value of white: 4095 for 12 bits in a 16-bit file, 1 for masks",
        )
    values = "LOW HIGH are the pixel values that are 0 and 1 for the network; type: all of the type's"
    add(
        "--range",
        dest="value_range",
        type=value_range,
        metavar="LOW HIGH",
        help=f"{values} (default: the run's)" if new else f"{values}; data: those that occur",
    )
    if not new:
        add(
            "--show",
            metavar="RULE",
            help="channels to show: red=3,green=2,blue=1, or grey=2; by number from 1, or by name",
        )
    add(
        "--layout",
        type=str.upper,
        choices=LAYOUTS,
        help="the axes of an array, where its shape leaves open which are channels",
    )
    default = "as the run's images were read" if new else PAGES[0]
    add(
        "--pages",
        choices=PAGES,
        help="of files with several pages, z-slices or frames: the first, all of them as an image each, or all as the channels"
        f" of one image (default: {default})",
    )
    add(
        "--channels",
        nargs="+",
        metavar="DIR",
        help=f"one folder for each channel, in {new or 'DATA'} or anywhere: dapi/ gfp/; files are matched by name",
    )
    add("--nan", type=float, metavar="VALUE", help="the value to read instead of NaN and infinity, an error otherwise")
    add("--strict", action="store_true", help="stop at an unreadable image instead of leaving it out")
    command.set_defaults(reading=flags)


def _run(command: argparse.ArgumentParser, nargs: str | None = "?", text: str = RUN_HELP) -> None:
    """The run that a command is about, and the class of its model and its encoder, which no run's folder may import."""
    command.add_argument("run", nargs=nargs, metavar="RUN", help=text)
    command.add_argument(
        "--encoder",
        type=known_encoder,
        metavar="MODULE:NAME",
        help="the encoder that the run was given, where that is code of your own",
    )
    command.add_argument(
        "--model",
        type=own_class,
        metavar="MODULE:CLASS",
        help="the class of the run's model, where that is of a module of your own",
    )


def _within(command: argparse.ArgumentParser, text: str, metavar: str = "FOLDER") -> None:
    command.add_argument("--in", dest="within", metavar=metavar, help=text)


def _moved(command: argparse.ArgumentParser, when: str = "") -> None:
    command.add_argument(
        "--data", dest="new_data", metavar="NEW", help=f"{when}where the run's images are now, if they were moved"
    )


def _add_run(commands: Any) -> None:
    command = _command(commands, "run", run_command, "train on images, then map, probe, score, and write a report")
    command.add_argument("data", nargs="?", metavar="DATA", help=DATA_HELP)
    command.add_argument("--out", metavar="DIR", help="the run's folder (default: runs/<data>-<n>)")
    command.add_argument("--recipe", choices=list(RECIPES), help=f"settings to start from (default: {DEFAULT_RECIPE})")
    command.add_argument(
        "--model",
        type=model,
        metavar="NAME[:option=value,…]",
        help=f"the kind of autoencoder: {', '.join(MODELS)}, or package.module:Class",
    )
    command.add_argument("--network", choices=list(NETWORKS), help="encoder and decoder")
    command.add_argument("--latent-dim", type=count, metavar="D", help="latent dimension: numbers per image")
    _training(command)
    command.add_argument("--seed", type=seed, metavar="N", help="seed of weights, order and noise")
    command.add_argument(
        "--encoder",
        metavar="ENCODER",
        help="keep this encoder as it is, and train a decoder only: timm:NAME, onnx:FILE, or MODULE:NAME (docs/features.md)",
    )
    _features(command, "map, score and review by the features of this encoder too")
    _palette(command, DEFAULT_PALETTE)
    _reading(command)
    _device(command)
    command.add_argument(
        "--track",
        metavar="NAME[,NAME]",
        help=f"tell these trackers of losses, scores, figures and latents: {', '.join(TRACKERS)}",
    )
    command.add_argument(
        "--watch", action="store_true", help="show a page with the run while it trains; Ctrl-C stops it"
    )
    command.add_argument("--no-open", action="store_true", help="with --watch: print the address only, open no browser")
    command.add_argument("--resume", action="store_true", help="continue the run in --out, or the latest run")
    _moved(command, "with --resume: ")


def _training(command: argparse.ArgumentParser) -> None:
    command.add_argument("--epochs", type=count, metavar="N", help="passes over the training images")
    command.add_argument("--batch-size", type=count, metavar="B", help="images per training step")
    command.add_argument(
        "--learning-rate",
        type=rate,
        metavar="R",
        help="learning rate of Adam; with Muon (recipes fast and best), the learning rate of Muon is scaled by the same factor",
    )
    command.add_argument("--precision", choices=PRECISIONS, help="precision of the arithmetic in training")
    command.add_argument(
        "--augmentation",
        type=augmentation,
        metavar="NAME",
        help=f"how training images are varied: {', '.join(AUGMENTATIONS)}, or auto for the recipe's choice (default: auto)",
    )
    command.add_argument(
        "--window",
        type=count,
        metavar="N",
        help="images that are shuffled together (default: all, or as many as fit into an eighth of the memory where all do not"
        " fit into half of it)",
    )


def _features(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument(
        "--features", metavar="ENCODER", help=f"{what}: timm:NAME, onnx:FILE, or MODULE:NAME (docs/features.md)"
    )


def _palette(command: argparse.ArgumentParser, default: str) -> None:
    text = f"colours of the classes: {DEFAULT_PALETTE}, which everyone can tell apart, or those of the reference experiment"
    command.add_argument("--palette", choices=list(PALETTES), help=f"{text} (default: {default})")


def _add_data(commands: Any) -> None:
    command = _command(commands, "data", data_command, "show what is in a set of images")
    command.add_argument("data", metavar="DATA", help=DATA_HELP)
    command.add_argument("-o", "--output", metavar="PNG", help="write a contact sheet")
    _reading(command)


def _add_encode(commands: Any) -> None:
    command = _command(commands, "encode", encode_command, "turn images into latents")
    _run(command)
    command.add_argument("data", metavar="DATA", help=DATA_HELP + ", one image file")
    command.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        required=True,
        help="NAME.npz for arrays: latents, ids, labels, class names; NAME.parquet for a table with a row for each image;"
        " NAME.h5ad for anndata and scanpy; FOLDER/ for such tables in parts, which any number of processes write",
    )
    _in_parts(command, "with -o FOLDER/")
    _part(command)
    _device(command)
    _reading(command, "DATA")


def _share(command: argparse.ArgumentParser, when: str) -> None:
    command.add_argument(
        "--share",
        metavar="INDEX/COUNT",
        help=f"{when}: which parts this process writes, such as 0/8 (default: what torchrun or srun say, or all)",
    )


def _in_parts(command: argparse.ArgumentParser, when: str) -> None:
    _share(command, when)
    command.add_argument("--rows", type=int, metavar="N", help=f"{when}: images of a part (default: {ROWS})")
    command.add_argument(
        "--engine",
        choices=list(ENGINES),
        help=f"{when}: who writes them: this process, or actors of the Ray cluster at RAY_ADDRESS, of this machine where that is"
        " not set (default: here)",
    )


def _part(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--part",
        choices=("train", "test", "all"),
        default="all",
        help="which part of the images (default: %(default)s)",
    )


def _made(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-o",
        "--output",
        metavar="DIR|FILE",
        required=True,
        help="a folder for an image file each (PNG; TIFF where 8 bits or 3 channels do not do) and images.npz;"
        " NAME.npz: the arrays only; NAME.png: a sheet of the images",
    )
    _overwrite(command)


def _overwrite(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--overwrite",
        action="store_true",
        help="write into a folder that is not empty; files of the same names are replaced",
    )


def _given_data(command: argparse.ArgumentParser) -> None:
    _run(command)
    command.add_argument("data", metavar="DATA", help=DATA_HELP + ", one image file")
    _made(command)
    _part(command)
    _device(command)
    _reading(command, "DATA")


def _add_reconstruct(commands: Any) -> None:
    _given_data(
        _command(
            commands, "reconstruct", reconstruct_command, "encode and decode images: write what a run makes of them"
        )
    )


def _add_denoise(commands: Any) -> None:
    text = "remove noise from images, by a run that was trained to (--model autoencoder:noise=0.2)"
    _given_data(_command(commands, "denoise", denoise_command, text))


def _add_decode(commands: Any) -> None:
    command = _command(commands, "decode", decode_command, "turn latents into images")
    _run(command)
    command.add_argument(
        "latents",
        metavar="LATENTS",
        help=".npz with latents (N, D) and ids, as `latens encode` writes it, or .npy (N, D)",
    )
    _made(command)
    _device(command)


def _add_sample(commands: Any) -> None:
    command = _command(commands, "sample", sample_command, "draw new images from a run")
    _run(command)
    command.add_argument("--sampler", choices=list(SAMPLERS), default="class-means", help="(default: %(default)s)")
    command.add_argument("-n", type=count, default=100, metavar="N", help="number of images (default: %(default)s)")
    command.add_argument("--seed", type=seed, metavar="N", help="seed; the same seed gives the same images")
    _made(command)
    _device(command)


def _add_figure(commands: Any) -> None:
    text = "draw one figure of a run, with other options"
    command = _command(commands, "figure", figure_command, text)
    command.later = _add_figure_options
    _run(command)
    command.add_argument("figure", choices=list(FIGURES), metavar="NAME", help=", ".join(FIGURES))
    command.add_argument("-o", "--output", metavar="PNG", help="(default: figures/NAME.png in the run)")
    _moved(command)
    _device(command)


def _add_figure_options(command: argparse.ArgumentParser) -> None:
    """One argument for each flag; its help says for each figure that has it what it sets there."""
    uses: dict[str, list[tuple[str, Option]]] = {}
    for name, entry in usable_figures().items():
        for option in entry.options:
            uses.setdefault(option.flag or f"--{option.name.replace('_', '-')}", []).append((name, option))
    for flag, used in uses.items():
        words: dict[str, list[str]] = {}
        for name, option in used:
            default = "" if option.default in (None, False, ()) else f" (default: {option.default})"
            words.setdefault(option.help + default, []).append(name)
        option = used[0][1]
        settings: dict[str, Any] = {"action": "store_true"} if option.read is bool else {"type": option.read}
        if option.read is not bool:
            settings |= {"choices": option.choices, "metavar": option.metavar, "nargs": "+" if option.many else None}
        text = "; ".join(f"{', '.join(names)}: {one}" for one, names in words.items()).replace("%", "%%")
        command.add_argument(flag, dest=option.name, default=argparse.SUPPRESS, help=text, **settings)


def _add_map(commands: Any) -> None:
    command = _command(commands, "map", map_command, "make another map of a run's latents")
    _run(command)
    command.add_argument("--map", choices=list(MAPS), default="tsne", help="(default: %(default)s)")
    command.add_argument("--seed", type=seed, metavar="N", help="seed of the map")
    command.add_argument(
        "--coordinates", metavar="FILE", help="use these coordinates (N, 2): .npy, or .npz with an array coordinates"
    )
    _features(command, "map the features that this encoder sees in the images, beside the latents")
    command.add_argument("--refit", action="store_true", help="also fit a new map together with the probe's points")
    _within(command, "map the parts of latents that `latens encode -o FOLDER/` wrote, as parts in FOLDER/map-NAME/")
    command.add_argument(
        "--sample",
        type=count,
        metavar="N",
        help="with --in: how many latents the map is made of, up to 1,000,000; the others are placed on it, and PCA is of all"
        " (default: 100,000)",
    )
    _share(command, "with --in")
    _palette(command, "the run's")
    _device(command)


def _add_score(commands: Any) -> None:
    command = _command(commands, "score", score_command, "compute the scores of a run again, or of more samplers")
    _run(command)
    command.add_argument(
        "--samplers",
        nargs="+",
        choices=["all", *SAMPLERS],
        metavar="NAME",
        help=f"samplers to score: all, or some of {', '.join(SAMPLERS)}"
        " (default: those that are quick to fit and keep no training data)",
    )
    _features(command, "compare images by the features of this encoder, and show what they say of the classes")
    _within(
        command,
        "score the parts of latents that `latens encode -o FOLDER/` wrote, without images; nothing is kept in the run",
    )
    command.add_argument("--against", metavar="FOLDER", help="with --in: other parts, which they are compared with")
    _moved(command)
    _device(command)


def _add_compare(commands: Any) -> None:
    text = "train several models on the same images, or take existing runs, and compare their scores"
    command = _command(commands, "compare", compare_command, text)
    command.add_argument("data", nargs="*", metavar="DATA", help=DATA_HELP + "; each of several is compared by itself")
    command.add_argument("--runs", nargs="+", metavar="RUN", help="compare these runs instead of training on DATA")
    names = f"kinds of autoencoders: {', '.join(MODELS)}"
    command.add_argument("--models", nargs="+", type=model, metavar="NAME[:option=value,…]", help=names)
    command.add_argument("--networks", nargs="+", choices=list(NETWORKS), help="encoder and decoder")
    command.add_argument(
        "--latent-dims", nargs="+", type=count, metavar="D", help="latent dimension: numbers per image"
    )
    command.add_argument("--seeds", nargs="+", type=seed, metavar="N", help="seed of weights, order and noise")
    command.add_argument(
        "--samplers",
        nargs="+",
        choices=list(SAMPLERS),
        help="samplers to score and show; the best is chosen among them (default: those of the verdict)",
    )
    command.add_argument(
        "--out", metavar="DIR", help="a new folder, or one to continue (default: comparisons/<data>-<n>)"
    )
    command.add_argument(
        "--recipe", choices=list(RECIPES), default="fast", help="settings to start from (default: %(default)s)"
    )
    _training(command)
    _palette(command, "each run's")
    _reading(command)
    _device(command)


def _add_detect(commands: Any) -> None:
    text = "say which new images are odd beside a run's own, where, and how sure that is"
    command = _command(commands, "detect", detect_command, text)
    _run(command)
    command.add_argument("new", metavar="NEW", help="the new images: " + DATA_HELP + ", one image file")
    command.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        required=True,
        help="folder for detections.csv, detections.html, maps/ and overlays/",
    )
    command.add_argument(
        "--parts",
        action="store_true",
        help="write tables of scores, p-values and decisions in parts, which any number of processes write, and nothing else",
    )
    _in_parts(command, "with --parts")
    command.add_argument(
        "--method", choices=list(DETECTORS), help=f"how the score is computed (default: {DEFAULT_DETECTOR})"
    )
    command.add_argument(
        "--false-alarms",
        type=float,
        metavar="SHARE",
        help="the share of normal images that may be called odd (default: 0.01, or the least that the run's images allow)",
    )
    _features(command, "compare patches in the features of this encoder")
    command.add_argument(
        "--maps",
        choices=("flagged", "all", "none"),
        help="which images get a heat map and an overlay (default: all of up to 1,000, of more those that are called odd)",
    )
    _overwrite(command)
    _moved(command)
    _device(command)
    _reading(command, "NEW")


def _add_review(commands: Any) -> None:
    command = _command(
        commands,
        "review",
        review_command,
        "find odd images, near-duplicates and doubtful labels, in a run's own images or in new ones",
    )
    _run(command)
    command.add_argument(
        "new",
        nargs="?",
        metavar="NEW",
        help=f"new images to review instead of the run's own: {DATA_HELP}, one image file",
    )
    command.add_argument(
        "-n",
        type=count,
        metavar="N",
        help="findings of a kind to print (default: 5, with --json all)",
    )
    command.add_argument(
        "--csv",
        metavar="FILE",
        help="also write the table here (that of the run's own is kept as review.csv in the run)",
    )
    command.add_argument(
        "-o", "--output", metavar="DIR", help="with NEW: write review.csv, review.json and the sheet review.png here"
    )
    _features(command, "find neighbours, odd images and doubtful labels by the features of this encoder")
    _overwrite(command)
    _moved(command)
    _device(command)
    _reading(command, "NEW")


def _add_search(commands: Any) -> None:
    text = "find the nearest images to an image, or to one of the run's own by its id"
    command = _command(commands, "search", search_command, text)
    _run(command)
    command.add_argument(
        "what", nargs="+", metavar="IMAGE|ID", help="image files, folders of images, or ids, such as train/7"
    )
    command.add_argument("-k", type=count, default=10, metavar="K", help="how many of each (default: %(default)s)")
    command.add_argument("-o", "--output", metavar="PNG", help="write a sheet of the images that were found")
    _within(
        command,
        "search a file of `latens encode` (.npz), an .npy (N, D), or a folder of parts, instead of the run's own latents",
        "LATENTS",
    )
    command.add_argument("--images", metavar="DATA", help="with --in and -o: where the images are that were encoded")
    _moved(command)
    _device(command)
    _reading(command, "IMAGE")


def _add_explore(commands: Any) -> None:
    command = _command(commands, "explore", explore_command, "open a page that decodes any point of the map")
    _run(command)
    command.add_argument("--beside", metavar="RUN", help="a second run of the same images, beside it and linked to it")
    _within(
        command,
        "show the parts of latents that `latens encode -o FOLDER/` wrote, by their map of `latens map --in FOLDER/`",
    )
    command.add_argument("--images", metavar="DATA", help="with --in: where the images are that were encoded")
    command.add_argument("--columns", metavar="CSV", help="your own columns by id, as colours of the points")
    _palette(command, "the run's")
    command.add_argument(
        "--port", type=whole(0, 65535), default=0, metavar="N", help="the first port to try (default: any)"
    )
    command.add_argument("--no-open", action="store_true", help="print the address only, open no browser")
    command.add_argument(
        "--token-file", metavar="FILE", help="keep the address's token and port there (default: in the cache folder)"
    )
    command.add_argument("--get", metavar="ADDRESS", help="print the answer of a route, such as /api/run, and stop")
    _moved(command)


def _add_export(commands: Any) -> None:
    command = _command(
        commands,
        "export",
        export_command,
        "write a run as one HTML file that explores and decodes offline, or its networks as ONNX or as programs of torch.export",
    )
    _run(command)
    command.add_argument("--html", metavar="FILE", help="the page to write")
    command.add_argument(
        "--onnx",
        metavar="DIR",
        nargs="?",
        const="onnx",
        help="write encoder.onnx, decoder.onnx and, where the run can detect, detect.onnx into this folder (default: onnx)",
    )
    command.add_argument(
        "--method",
        choices=list(DETECTORS),
        help=f"with --onnx: how the score of detect.onnx is computed (default: {DEFAULT_DETECTOR})",
    )
    command.add_argument(
        "--torch-export",
        metavar="DIR",
        nargs="?",
        const="torch-export",
        help="write encoder.pt2 and decoder.pt2, programs of torch.export, into this folder (default: torch-export)",
    )
    command.add_argument(
        "--beside",
        metavar="RUN",
        help="with --html: a second run of the same images, put into the file and linked to it",
    )
    command.add_argument(
        "--size",
        type=size_of_file,
        metavar="SIZE",
        help="with --html: the most that the file may have, such as 20MB: as many images and as fine pictures as fit (default:"
        " 8MB, or more where the networks alone are large)",
    )
    _moved(command)


def _add_import(commands: Any) -> None:
    command = _command(
        commands, "import", import_command, "make a run from weights of the reference experiment's network"
    )
    command.add_argument("state", metavar="STATE.pt", help="a file of torch.save(model.state_dict(), ...)")
    command.add_argument("data", nargs="?", default="mnist", metavar="DATA", help=DATA_HELP + " (default: mnist)")
    command.add_argument("--out", metavar="DIR", help="the run's folder")
    _device(command)


def _add_adopt(commands: Any) -> None:
    command = _command(commands, "adopt", adopt_command, "make a run of a model that other tools have made")
    command.add_argument(
        "adopted",
        metavar="MODEL",
        help="a folder with encoder and decoder as .onnx, .pt (TorchScript) or .keras, or one that diffusers or pythae wrote",
    )
    command.add_argument("data", metavar="DATA", help=DATA_HELP)
    command.add_argument("--out", metavar="DIR", help="the run's folder (default: runs/<data>-<n>)")
    command.add_argument("--name", default="", metavar="NAME", help="of the model (default: its own)")
    command.add_argument("--size", type=size, metavar="S|HxW", help="resize the images to this")
    command.add_argument("--seed", type=seed, default=0, metavar="N", help="seed of maps, samplers and scores")


def _add_runs(commands: Any) -> None:
    command = _command(commands, "runs", runs_command, "list all runs, or show one")
    command.add_argument("run", nargs="?", metavar="RUN", help="the folder of a run, or its name in runs/")


def _add_check(commands: Any) -> None:
    command = _command(commands, "check", check_command, "read every byte of a run, and repair what can be made again")
    _run(command, None, "the folder of a run, or its name in runs/")
    command.add_argument(
        "--repair",
        action="store_true",
        help="make damaged files again: latents, maps, samplers, scores, figures, report",
    )
    command.add_argument(
        "--accept", action="store_true", help="take run.json as it is, where you have changed it on purpose"
    )
    _moved(command)
    _device(command)


def _add_doctor(commands: Any) -> None:
    _command(commands, "doctor", doctor_command, "show versions, device, kernels, cache, and what each extra lacks")


def _add_completion(commands: Any) -> None:
    text = 'print the script by which a shell completes commands and options: eval "$(latens completion bash)"'
    command = _command(commands, "completion", completion_command, text)
    command.add_argument("shell", choices=list(SHELLS), help="the shell")

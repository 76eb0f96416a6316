"""One function for each command; it returns the answer as JSON and as text."""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latens.cli.outputs import is_folder, output_file, output_folder, output_place
from latens.parts import ROWS
from latens.text import bytes_text, counted, quoted, shown
from latens.training.recipes import RECIPE_OPTIONS

if TYPE_CHECKING:
    from latens.computed.making import Made
    from latens.parts import WrittenParts
    from latens.runs import Run

__all__ = [
    "DEFAULT_RECIPE",
    "adopt_command",
    "compare_command",
    "completion_command",
    "data_command",
    "decode_command",
    "denoise_command",
    "detect_command",
    "doctor_command",
    "encode_command",
    "explore_command",
    "export_command",
    "figure_command",
    "import_command",
    "map_command",
    "reconstruct_command",
    "review_command",
    "run_command",
    "runs_command",
    "sample_command",
    "score_command",
    "search_command",
]

Answer = tuple[Any, str]
DEFAULT_RECIPE = "fast"
OF_MAPPED_PARTS = {"sample": "--sample", "share": "--share"}
OF_PARTS = {"share": "--share", "rows": "--rows", "engine": "--engine"}
MADE = (".npz", ".png")  # files that images which were made can be written to, besides a folder


def run_command(args: argparse.Namespace) -> Answer:
    """Train, map, probe, score and draw; or continue a stopped run."""
    from latens.errors import UsageError

    _check_there(args.data)
    from latens import experiment  # which takes seconds, as torch does
    from latens.cli.printing import run_answer
    from latens.encoders import give_encoder

    watch = _Watch(args)
    if args.resume:
        others = ("features", "palette", "recipe", "track")
        flags = {name: f"--{name.replace('_', '-')}" for name in (*RECIPE_OPTIONS, *others)} | args.reading
        own = args.model if ":" in (args.model or "") else None  # of a class, without which such a run can't be opened
        flags = {name: flag for name, flag in flags.items() if own is None or name != "model"}
        given = _given(args, flags)
        if given:
            raise UsageError(f"--resume continues a run as it was started; leave out {', '.join(given)}")
        if args.encoder is not None:  # a run looks for none of your code by itself
            give_encoder(args.encoder)
        if args.data is not None and args.new_data is not None:
            raise UsageError("DATA and --data both say where the images are; give one of them")
        stopped = _chosen(args.out, data=args.data if args.new_data is None else args.new_data)
        watch.start(stopped)
        return watch.end(
            run_answer(experiment.resume(stopped.path, device=args.device, model=own, progress=watch.progress))
        )
    if args.data is None and args.channels:  # the folder that holds those of the channels
        args.data = os.path.commonpath([os.path.dirname(os.path.abspath(one)) for one in args.channels])
    if args.data is None:
        raise UsageError(
            "run needs DATA (mnist, fashion-mnist, a folder, a file), or --resume to continue a stopped run"
        )
    if args.new_data is not None:
        raise UsageError(
            "--data goes with --resume: it says where the images of a run are now; give DATA without --data"
        )
    options = {name: getattr(args, name) for name in RECIPE_OPTIONS}
    finished = experiment.run(
        args.data,
        recipe=args.recipe or DEFAULT_RECIPE,
        out=args.out,
        **_reading(args),
        device=args.device,
        features=args.features,
        encoder=args.encoder,
        started=watch.start,
        palette=args.palette,
        track=args.track,
        progress=watch.progress,
        **options,
    )
    return watch.end(run_answer(finished))


def _check_there(source: str | None) -> None:
    """Refuse a name of images that are not there, before torch is loaded."""
    if source is not None and not os.path.exists(os.path.expanduser(source)):
        from latens.images.load import reader_of

        reader_of(os.path.expanduser(source))


def _reading(args: argparse.Namespace) -> dict[str, Any]:
    """How images are read, as a command was told: options of `load_images`, or those of `GivenImages`."""
    return {name: getattr(args, name) for name in args.reading}


def _given(args: argparse.Namespace, flags: dict[str, str]) -> list[str]:
    """Those of some flags that were given."""
    return [
        flag for name, flag in flags.items() if getattr(args, name) is not None and getattr(args, name) is not False
    ]


class _Watch:
    """The page of a run while it trains, if --watch was given."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.serving: Any = None
        self.progress: Any = _progress(args)
        if args.watch:
            from latens.explorer.work import Both, Work

            self.work = Work()
            self.progress = Both(self.progress, self.work)

    def start(self, run: "Run") -> None:
        _advise(self.args, run)
        if self.args.watch:
            from latens.explorer import watch

            self.serving = watch(run, open_page=not self.args.no_open, work=self.work)

    def end(self, answer: Answer) -> Answer:
        """The answer. Without --json it is printed now, and the page stays open until Ctrl-C."""
        if self.serving is None or self.args.json:
            return answer
        print(f"{answer[1]}\nthe page stays open: {self.serving.address}  Ctrl-C stops it", flush=True)
        self.args.advice = ""  # the run is complete: Ctrl-C ends the page
        self.serving.wait()
        return answer[0], "the page has ended"


def data_command(args: argparse.Namespace) -> Answer:
    """Facts about a set of images."""
    from latens.cli.printing import summary_text, write_sheet
    from latens.images import contact_sheet, load_images, summary

    output_file(args.output, ".png")
    with _progress(args).stage("images", "images") as tick:
        images = load_images(args.data, **_reading(args), progress=tick)
    facts = summary(images)
    if args.output:
        facts["contact_sheet"] = str(write_sheet(contact_sheet(images.train), args.output))
    return facts, summary_text(facts)


def encode_command(args: argparse.Namespace) -> Answer:
    """Encode images into a file of latents, or into a folder of parts."""
    from latens.computed import encode_source
    from latens.errors import UsageError
    from latens.exports.anndata_file import check_anndata, write_anndata
    from latens.exports.latents_file import write_latents
    from latens.files import write_npz
    from latens.sheets import check_parquet

    if is_folder(args.output):
        return _encode_in_parts(args)
    given = _given(args, OF_PARTS)
    if given:
        raise UsageError(f"{', '.join(given)}: only with a folder of parts: -o FOLDER/")
    output_file(args.output, ".npz", ".parquet", ".h5ad")
    writers = {".parquet": (check_parquet, write_latents), ".h5ad": (check_anndata, write_anndata)}
    check, write = writers.get(os.path.splitext(args.output)[1].lower(), (None, None))
    if check is not None:  # before the work
        check()
    progress = _progress(args)
    run = _chosen(args.run, args.device)
    encoded = encode_source(run, args.data, args.part, progress, **_reading(args))
    for note in encoded.notes:
        progress.say(f"note: {note}")
    if write is not None:
        write(run, encoded.arrays, args.output)
    else:
        write_npz(args.output, encoded.arrays)
    shapes = {name: list(array.shape) for name, array in encoded.arrays.items()}
    answer = {"file": args.output, "arrays": shapes, "notes": list(encoded.notes)}
    return answer, f"{shown(args.output)}: {_in_words(shapes)}"


def _encode_in_parts(args: argparse.Namespace) -> Answer:
    from latens.exports.latents_parts import encode_in_parts

    return _in_parts(args, lambda run, **options: encode_in_parts(run, args.data, args.output, args.part, **options))


def _in_parts(args: argparse.Namespace, write: Callable[..., "WrittenParts"]) -> Answer:
    """Write this process's share of a folder of parts."""
    output_folder(args.output, overwrite=True)
    options = {"rows": ROWS if args.rows is None else args.rows, "engine": args.engine or "here", **_reading(args)}
    return _written(args, args.output, lambda run, **more: write(run, **options, **more))


def _written(args: argparse.Namespace, folder: str, write: Callable[..., "WrittenParts"]) -> Answer:
    """Have this process's share of the parts of a folder written, and tell of it."""
    from dataclasses import asdict

    from latens.parts import Share
    from latens.progress import helper_number
    from latens.training.team import share_processors

    share = None if args.share is None else Share.from_text(args.share)
    share_processors()
    progress, run = _progress(args), _chosen(args.run, args.device, getattr(args, "new_data", None))
    made = write(run, share=share, progress=progress)
    for note in () if helper_number() else made.notes:
        progress.say(f"note: {note}")
    text = f"{shown(folder)}: {counted(made.written, 'part')} of {made.parts} written, {counted(made.images, 'image')}"
    if made.there:
        text += f"; {counted(made.there, 'part')} of this share had been written before"
    if made.missing:
        text += f"; {counted(made.missing, 'part')} of other shares not there yet"
    return asdict(made), text


def reconstruct_command(args: argparse.Namespace) -> Answer:
    """Write the reconstructions of images."""
    from latens.computed.making import reconstructed

    output_place(args.output, *MADE, overwrite=args.overwrite)
    run = _chosen(args.run, args.device)
    return _write_made(args, run, reconstructed(run, args.data, args.part, **_reading(args)))


def denoise_command(args: argparse.Namespace) -> Answer:
    """Write images without their noise."""
    from latens.computed.making import denoised

    output_place(args.output, *MADE, overwrite=args.overwrite)
    run = _chosen(args.run, args.device)
    return _write_made(args, run, denoised(run, args.data, args.part, **_reading(args)))


def decode_command(args: argparse.Namespace) -> Answer:
    """Write the images of latents."""
    from latens.computed.making import decoded

    output_place(args.output, *MADE, overwrite=args.overwrite)
    run = _chosen(args.run, args.device)
    return _write_made(args, run, decoded(run, args.latents))


def sample_command(args: argparse.Namespace) -> Answer:
    """Write new images."""
    from latens.computed.making import drawn

    output_place(args.output, *MADE, overwrite=args.overwrite)
    run = _chosen(args.run, args.device)
    run.sampler(args.sampler, _progress(args))  # fitted before, as that may take a minute
    return _write_made(args, run, drawn(run, run.sample(args.n, args.sampler, args.seed or 0)))


def _write_made(args: argparse.Namespace, run: "Run", made: "Made") -> Answer:
    """Make images and write them where -o says."""
    from latens.computed.making import write_made

    progress = _progress(args)
    facts = write_made(run, made, args.output, progress)
    for note in facts["notes"]:
        progress.say(f"note: {note}")
    place, images = shown(args.output), counted(facts["images"], "image")
    if "folder" in facts:
        return facts, f"{place}: {images} as {facts['format'].upper()}, and images.npz: {_in_words(facts['arrays'])}"
    if "arrays" in facts:
        return facts, f"{place}: {_in_words(facts['arrays'])}"
    return facts, f"{place}: a sheet of {images}"


def figure_command(args: argparse.Namespace) -> Answer:
    """Draw one figure with other options."""
    from latens.figures import usable_figures
    from latens.figures.of_run import draw

    output_file(args.output, ".png")
    names = {option.name for entry in usable_figures().values() for option in entry.options}
    given = {name: value for name, value in vars(args).items() if name in names}
    path = draw(_chosen(args.run, args.device, args.new_data), args.figure, args.output, **given)
    return {"file": str(path)}, str(path)


def map_command(args: argparse.Namespace) -> Answer:
    """Make another map, and write the report again."""
    from latens.cli.printing import classes_text
    from latens.errors import UsageError
    from latens.experiment import make_map
    from latens.maps import FEATURES, GIVEN

    if args.within is not None:
        return _map_in_parts(args)
    given = _given(args, OF_MAPPED_PARTS)
    if given:
        raise UsageError(f"{', '.join(given)}: only with a folder of parts: --in FOLDER/")
    run, progress = _chosen(args.run, args.device), _progress(args)
    options = {name: getattr(args, name) for name in ("seed", "coordinates", "features", "refit", "palette")}
    made = make_map(run, args.map, **options, progress=progress)
    name = GIVEN if args.coordinates else FEATURES if args.features else args.map
    drawn = [str(run.path / "figures" / f"{file}.png") for file in (f"map-{name}", *(["probe-map"] * args.refit))]
    answer = {"map": name, "points": len(made.coordinates), "figures": drawn}
    if not args.features:
        return answer, "\n".join(drawn)
    scores = run.map_scores(name)
    answer |= {
        "features": args.features,
        "scores": [one.as_dict() for one in scores.scores],
        "notes": list(scores.notes),
    }
    return answer, "\n".join([classes_text(scores), *drawn])


def _map_in_parts(args: argparse.Namespace) -> Answer:
    from latens.computed.parts_map import SAMPLE, map_in_parts
    from latens.errors import UsageError

    flags = {name: f"--{name}" for name in ("coordinates", "features", "refit", "palette")}
    given = _given(args, flags)
    if given:
        raise UsageError(f"{', '.join(given)}: not with --in FOLDER/")
    sample = SAMPLE if args.sample is None else args.sample
    return _written(
        args,
        os.path.join(args.within, f"map-{args.map}"),
        lambda run, **options: map_in_parts(run, args.within, args.map, sample=sample, seed=args.seed, **options),
    )


def score_command(args: argparse.Namespace) -> Answer:
    """Compute the scores again, or of more samplers."""
    from latens.cli.printing import run_answer
    from latens.errors import UsageError
    from latens.experiment import score

    if args.within is not None:
        return _score_parts(args)
    if args.against is not None:
        raise UsageError("--against: only with a folder of parts: --in FOLDER/")
    run = _chosen(args.run, args.device, args.new_data)
    return run_answer(score(run, args.samplers, features=args.features, progress=_progress(args)))


def _score_parts(args: argparse.Namespace) -> Answer:
    from latens.cli.printing import scores_text
    from latens.computed.parts_scores import score_parts
    from latens.errors import UsageError

    given = _given(args, {"samplers": "--samplers", "features": "--features"})
    if given:
        raise UsageError(f"{', '.join(given)}: not with --in FOLDER/")
    run = _chosen(args.run, args.device, args.new_data)
    found = score_parts(run, args.within, against=args.against, progress=_progress(args))
    return found.as_json(), "\n".join([scores_text(found), *(f"note: {note.text}" for note in found.notes)])


def compare_command(args: argparse.Namespace) -> Answer:
    """Compare a grid of settings, or existing runs."""
    for source in args.data or ():
        _check_there(source)
    from latens.cli.printing import comparison_text
    from latens.comparison import compare

    varied = {name: getattr(args, name) for name in ("models", "networks", "latent_dims", "seeds", "runs")}
    options = {
        name: getattr(args, name) for name in RECIPE_OPTIONS if name not in ("model", "network", "latent_dim", "seed")
    }
    if args.out:
        args.advice = "; the same command continues it"
    compared = compare(
        args.data or None,
        **varied,
        **{name: value for name, value in options.items() if value is not None},
        samplers=args.samplers,
        recipe=args.recipe,
        out=args.out,
        **_reading(args),
        device=args.device,
        palette=args.palette,
        progress=_progress(args),
    )
    tables = [(sheet.title, sheet.headings, sheet.rows, sheet.right) for sheet in compared.sheets(screen=True)]
    return compared.as_json(), comparison_text(compared.path, tables, compared.sentences)


def review_command(args: argparse.Namespace) -> Answer:
    """Find images to check among the run's own, or among new ones."""
    from latens.cli.printing import review_text
    from latens.errors import UsageError
    from latens.experiment import LEAST_FINDINGS, review
    from latens.files import atomic_write

    output_file(args.csv)
    if args.new is not None:
        return _review_new(args)
    flags = {"output": "-o", "overwrite": "--overwrite", **args.reading}
    given = _given(args, flags)
    if given:
        raise UsageError(
            f"{', '.join(given)}: only with new images: latens review RUN NEW -o DIR; --csv FILE writes the table"
        )
    run = _chosen(args.run, args.device, args.new_data)
    found = review(run, most=max(args.n or 0, LEAST_FINDINGS), features=args.features, progress=_progress(args))
    if args.csv:
        atomic_write(args.csv, found.as_csv().encode())
    path = args.csv or str(run.path / "review.csv")
    printed = found if args.n is None else found.first(args.n)
    return {"file": path, **printed.as_json()}, review_text(found, path, args.n)


def _review_new(args: argparse.Namespace) -> Answer:
    """Find images to check among new ones."""
    from latens.cli.printing import new_review_text
    from latens.computed.review import review_new
    from latens.figures.canvas import save_png
    from latens.figures.findings import draw_new
    from latens.files import atomic_write, write_json

    if args.output is not None:
        output_folder(args.output, args.overwrite)
    run, progress = _chosen(args.run, args.device, args.new_data), _progress(args)
    found = review_new(run, args.new, features=args.features, progress=progress, **_reading(args))
    for note in found.notes:
        progress.say(f"note: {note}")
    files = []
    if args.csv:
        atomic_write(args.csv, found.as_csv().encode())
        files.append(args.csv)
    if args.output is not None:
        folder = Path(args.output)
        atomic_write(folder / "review.csv", found.as_csv().encode())
        write_json(folder / "review.json", found.as_json())
        files += [str(folder / "review.csv"), str(folder / "review.json")]
        figure = draw_new(run, found)
        if figure is not None:
            save_png(figure, folder / "review.png")
            files.append(str(folder / "review.png"))
    return {"files": files, **found.as_json()}, new_review_text(found, files, args.n)


def search_command(args: argparse.Namespace) -> Answer:
    """Find the nearest images."""
    from latens.cli.printing import search_text
    from latens.computed import search_run
    from latens.errors import UsageError

    output_file(args.output, ".png")
    if args.images is not None and (args.within is None or args.output is None):
        raise UsageError(
            "--images says where the images of --in LATENTS are, for the sheet -o; give all three, or leave it out"
        )
    run, progress = _chosen(args.run, args.device, args.new_data), _progress(args)
    reading = _reading(args)
    found = search_run(run, args.what, args.k, within=args.within, progress=progress, **reading)
    for note in found.notes:
        progress.say(f"note: {note}")
    if args.output:
        from latens.figures.canvas import save_png
        from latens.figures.search import draw_found

        save_png(draw_found(run, found, args.images, **reading), args.output)
    file = {} if args.output is None else {"file": args.output}
    return {**file, **found.as_json()}, search_text(found, args.output)


def detect_command(args: argparse.Namespace) -> Answer:
    """Say which new images are odd, where, and how sure that is."""
    from latens.cli.printing import detections_text
    from latens.detection import DEFAULT_DETECTOR, detect_images
    from latens.errors import UsageError
    from latens.report.detections import write_detections

    flags = {"maps": "--maps", "overwrite": "--overwrite"} if args.parts else OF_PARTS
    given = _given(args, flags)
    if given:
        raise UsageError(f"{', '.join(given)}: only {'without' if args.parts else 'with'} --parts")
    method = args.method or ("features" if args.features else DEFAULT_DETECTOR)
    detector = {"method": method, "false_alarms": args.false_alarms, "features": args.features}
    if args.parts:
        return _detect_in_parts(args, detector)
    output_folder(args.output, args.overwrite)
    run, progress = _chosen(args.run, args.device, args.new_data), _progress(args)
    found = detect_images(run, args.new, **detector, progress=progress, **_reading(args))
    files = write_detections(found, args.new, args.output, maps=args.maps, progress=progress)
    for note in found.notes:
        progress.say(f"note: {note}")
    return {"files": [str(path) for path in files], **found.as_json()}, detections_text(found, files)


def _detect_in_parts(args: argparse.Namespace, detector: dict[str, Any]) -> Answer:
    from latens.detection.in_parts import detect_in_parts

    return _in_parts(args, lambda run, **options: detect_in_parts(run, args.new, args.output, **detector, **options))


def explore_command(args: argparse.Namespace) -> Answer:
    """Serve the page of a run until Ctrl-C; or print one answer of its routes."""
    from latens.errors import UsageError
    from latens.explorer import answer, explore

    if args.images is not None and args.within is None:
        raise UsageError("--images: only with a folder of parts: --in FOLDER/")
    run, beside = _chosen(args.run, data=args.new_data), None if args.beside is None else _chosen(args.beside)
    shown_parts = {"within": args.within, "images": args.images}
    if args.get is not None:
        found = answer(run, args.get, beside, **shown_parts, columns=args.columns)
        return found, json.dumps(found, ensure_ascii=False)
    explore(
        run,
        beside,
        **shown_parts,
        columns=args.columns,
        port=args.port,
        open_page=not args.no_open,
        palette=args.palette,
        token_file=args.token_file,
    )
    return {"run": str(run.path)}, "the explorer has ended"


def export_command(args: argparse.Namespace) -> Answer:
    """Write a run as one HTML file, its networks as ONNX files or programs of torch.export, or several of these."""
    from latens.errors import UsageError

    if args.html is None and args.onnx is None and args.torch_export is None:
        raise UsageError("export needs --html FILE, --onnx [DIR] or --torch-export [DIR]")
    if args.html is None and (flags := _given(args, {"beside": "--beside", "size": "--size"})):
        raise UsageError(f"{', '.join(flags)}: only with --html FILE")
    if args.onnx is None and args.method is not None:
        raise UsageError("--method: only with --onnx [DIR]")
    output_file(args.html, ".html", ".htm")
    for folder in (args.onnx, args.torch_export):
        if folder is not None:
            output_folder(folder, overwrite=True)
    run = _chosen(args.run, data=args.new_data)
    answers = [_export_onnx(run, args)] if args.onnx is not None else []
    answers += [_export_programs(run, args.torch_export)] if args.torch_export is not None else []
    answers += [_export_html(run, args)] if args.html is not None else []
    return {key: value for facts, _ in answers for key, value in facts.items()}, "\n".join(text for _, text in answers)


def _export_html(run: "Run", args: argparse.Namespace) -> Answer:
    from latens.explorer import write_html

    left: list[str] = []
    beside = None if args.beside is None else _chosen(args.beside)
    path = write_html(run, args.html, args.size, beside=beside, say=left.append)
    size = path.stat().st_size
    lines = [f"{path}: {bytes_text(size)}, works offline in any browser", *(f"in it: {line}" for line in left)]
    return {"file": str(path), "bytes": size, "left_out": left}, "\n".join(lines)


def _export_onnx(run: "Run", args: argparse.Namespace) -> Answer:
    from latens.detection import DEFAULT_DETECTOR
    from latens.errors import ImagesError, RunError
    from latens.exports import write_onnx, write_onnx_detector

    detectors, left = [], []
    try:
        method = args.method or DEFAULT_DETECTOR
        detectors.append(write_onnx_detector(run, args.onnx, method, progress=_progress(args)))
    except (RunError, ImagesError) as error:
        if args.method is not None:  # then it was asked for
            raise
        left.append(f"detect.onnx: not written: {error}")
    paths = [*write_onnx(run, args.onnx), *detectors]
    lines = [f"{shown(path)}: {bytes_text(path.stat().st_size)}, runs in onnxruntime without torch" for path in paths]
    return {"onnx": [str(path) for path in paths], "onnx_left_out": left}, "\n".join([*lines, *left])


def _export_programs(run: "Run", folder: str) -> Answer:
    from latens.exports import write_programs

    paths = write_programs(run, folder)
    lines = [f"{shown(path)}: {bytes_text(path.stat().st_size)}, runs in torch without latens" for path in paths]
    return {"torch_export": [str(path) for path in paths]}, "\n".join(lines)


def import_command(args: argparse.Namespace) -> Answer:
    """Make a run from weights of the reference experiment's network."""
    from latens.cli.printing import run_answer
    from latens.experiment import import_run

    def started(run: "Run") -> None:
        _advise(args, run)

    made = import_run(
        args.state, args.data, out=args.out, device=args.device, started=started, progress=_progress(args)
    )
    return run_answer(made)


def adopt_command(args: argparse.Namespace) -> Answer:
    """Make a run of a model that other tools have made."""
    _check_there(args.data)
    from latens.cli.printing import run_answer
    from latens.experiment import adopt

    progress = _progress(args)
    settings = {name: getattr(args, name) for name in ("out", "name", "size", "seed")}
    return run_answer(adopt(args.adopted, images=args.data, **settings, progress=progress))


def runs_command(args: argparse.Namespace) -> Answer:
    """List all runs, or show one."""
    from latens.cli.printing import run_text, runs_text
    from latens.runs import list_runs, list_unreadable, open_run

    if args.run is not None:
        run = open_run(args.run)
        return run.record, run_text(run)
    runs, others = list_runs(), list_unreadable()
    records = [{"path": str(run.path), **run.record} for run in runs]
    records += [{"path": str(path), "error": reason} for path, reason in others.items()]
    return records, runs_text(runs, others)


def completion_command(args: argparse.Namespace) -> Answer:
    """The script by which a shell completes this command line."""
    from latens.cli.arguments import parser
    from latens.cli.completion import script_for

    script = script_for(args.shell, parser())
    return {"shell": args.shell, "script": script}, script


def doctor_command(args: argparse.Namespace) -> Answer:
    """Versions, device, kernels, cache, and what each extra lacks."""
    from latens.cli.printing import doctor_text
    from latens.doctor import examine

    facts = examine()
    return facts, doctor_text(facts)


def check_command(args: argparse.Namespace) -> Answer:
    """Read every byte of a run, and repair what can be made again."""
    from latens.errors import RunDamaged
    from latens.experiment import resume
    from latens.runs import Run
    from latens.runs.checking import check_run, folder_of, forget_damaged
    from latens.runs.journal import JOURNALS

    path = folder_of(args.run)
    found = check_run(path, accept=args.accept)
    if found and not args.repair:
        listed = "; ".join(f"{damage.name}: {damage.way_out}" for damage in found)
        raise RunDamaged(f"{path}: {counted(len(found), 'file')} of it not as written: {listed}")
    if found:
        forget_damaged(path)
    run = Run(path, args.device)
    facts = {"path": str(path), "files": len(run.folder.files), "repaired": [damage.name for damage in found]}
    taken_out = [damage for damage in found if damage.name not in JOURNALS]
    if taken_out and run.record["status"] == "done":
        resume(path, data=args.new_data, device=args.device, progress=_progress(args))
    elif taken_out:
        return facts, f"{path}: taken out; to continue: latens run --resume --out {quoted(path)}"
    done = f", {counted(len(found), 'file')} repaired" if found else ""
    return facts, f"{path}: {counted(len(run.folder.files), 'file')}, all as written{done}"


def _advise(args: argparse.Namespace, run: "Run") -> None:
    """Name the command that continues this run, for the case that it is interrupted from now on."""
    args.advice = f"; to continue: latens run --resume --out {quoted(run.path)}"


def _chosen(run: str | None, device: str = "cpu", data: str | None = None) -> "Run":
    from latens.runs import latest_run, open_run

    return open_run(latest_run().path if run is None else run, device, data=data)


def _progress(args: argparse.Namespace) -> Any:
    from latens.progress import Silent, progress_for

    return Silent() if args.json else progress_for()


def _in_words(shapes: dict[str, list[int]]) -> str:
    return ", ".join(f"{name} {' x '.join(map(str, shape))}" for name, shape in shapes.items())

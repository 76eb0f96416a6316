"""The whole experiment in one function: what `latens run` does, in the order of the reference experiment."""

import os
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from latens.adapters import Adapted, adapt, adapter_of
from latens.adapters.trial import try_files
from latens.computed import encode_run, map_run, probe_run, score_run
from latens.computed.given_features import RunFeatures, features_of_run
from latens.computed.review import FEWEST, Review, review_run
from latens.computed.scoring import score_maps
from latens.device import choose_device, describe_device
from latens.encoders import Encoder, encoder_of, give_encoder
from latens.errors import MissingExtra, RunElsewhere, RunError, UnknownName, UsageError
from latens.exports.onnx_pair import pair_of_modules
from latens.figures import PALETTES
from latens.figures.live import in_notebook, live_loss
from latens.figures.network_stages import stages_of
from latens.figures.of_run import draw, draw_run
from latens.images import Dataset, load_images
from latens.left_out import LeftOut
from latens.maps import FEATURES, GIVEN, Map
from latens.models import MODELS, FrozenModel
from latens.models.contract import Model, Prepared
from latens.networks import NETWORKS
from latens.progress import Progress, progress_for
from latens.report.from_run import REPORT, write_report
from latens.runs import Run, adopt_functions, import_weights, open_run, record, start_run
from latens.runs.adopting import differs
from latens.runs.importing import read_weights
from latens.runs.keeping import keep_model
from latens.runs.kept_images import IMAGES
from latens.runs.record import check_free, is_run
from latens.runs.recording import last_state
from latens.runs.run import CHECKPOINT, ENCODER, HISTORY_FILE, STORED, TEST, WEIGHTS, weights_in
from latens.samplers import SAMPLERS, samplers_for
from latens.text import quoted, seconds_in_words, shown
from latens.trackers import Tracker, tracker_names, trackers_of
from latens.training.loop import (
    Expected,
    build_model,
    estimated_seconds,
    known_forms,
    num_learned,
    train,
    use_forms,
)
from latens.training.recipes import (
    FROZEN,
    RECIPES,
    TRAINED_ELSEWHERE,
    Recipe,
    TrainConfig,
    model_name,
    options_of_encoder,
    recipe_for,
)
from latens.training.team import Team, join_team, restarted, team_of_process

__all__ = [
    "adopt",
    "check_settings",
    "import_run",
    "keep",
    "make_map",
    "resume",
    "review",
    "run",
    "score",
    "store_adopted",
    "train_run",
]

LONG = 120  # seconds of training, above which its time is said before it starts
KEPT = (
    WEIGHTS,
    CHECKPOINT,
    HISTORY_FILE,
    IMAGES,
    ENCODER,
    "snapshots/",
)  # of a run that trains on; all other files were computed of its weights
LEAST_FINDINGS = 100  # of a kind, that are kept


def run(
    source: Any,
    *,
    recipe: str = "fast",
    out: str | os.PathLike[str] | None = None,
    size: int | tuple[int, int] | None = None,
    white: int | None = None,
    fit: str | None = None,
    grey: bool = False,
    value_range: Any = None,
    show: str | None = None,
    layout: str | None = None,
    table: Any = None,
    label_column: str | None = None,
    masks: str | None = None,
    links: str | None = None,
    pages: str | None = None,
    channels: Sequence[str | os.PathLike[str]] | None = None,
    nan: float | None = None,
    strict: bool = False,
    device: str = "auto",
    samplers: Sequence[str] | None = None,
    features: Any = None,
    encoder: Any = None,
    started: Callable[[Run], object] | None = None,
    palette: str | None = None,
    track: str | Sequence[str] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Run:
    """Train a model on images, map its latents, probe, score and draw it, and write the report.

    Args:
        source: see `load_images`; or a `Dataset`.
        recipe: a name of `RECIPES`.
        out: the run's folder; `runs/<data>-<n>` by default.
        size: see `load_images`.
        white: see `load_images`.
        fit: see `load_images`.
        grey: see `load_images`.
        value_range: see `load_images`.
        show: see `load_images`.
        layout: see `load_images`.
        table: see `load_images`.
        label_column: see `load_images`.
        masks: see `load_images`.
        links: see `load_images`.
        pages: see `load_images`.
        channels: see `load_images`.
        nan: see `load_images`.
        strict: see `load_images`.
        device: see `choose_device`.
        samplers: names of `SAMPLERS` whose samples are scored; None means those of the verdict, `("all",)` all.
        features: an encoder, see `latens.encoders`: a map of its features is made beside those of the latents, scores
            compare images by them, and the review finds neighbours by them.
        encoder: an encoder that stays as it is: only a decoder is trained for its features (`latens.models.FrozenModel`).
        started: called with the run once its folder is there; `latens.explorer.watch` shows it while it trains.
        palette: colours of the classes in figures and explorer, a name of `latens.figures.PALETTES`.
        track: names of `latens.trackers.TRACKERS`, a list or with commas, which are told of losses, scores, figures and latents.
        progress: shows the progress; a bar in a terminal by default.
        **options: parts of the recipe to replace: model, network, latent_dim, epochs, batch_size, learning_rate, seed, …
            The model is a name of `MODELS`, `package.module:Class`, or a subclass of `latens.models.Model`.

    Returns:
        The run, complete.

    Where torchrun has started several processes, each calls this with the same arguments: they train together, process 0 does the
    rest, and all return the run once it is complete. A run of the same `out` is continued after torchrun has started them again.

    Raises:
        ImagesError: the images can't be used.
        UsageError: an option is not allowed.
        TrainingDiverged: the loss is no longer finite; the run keeps the last good state.
    """
    progress = progress or progress_for()
    if palette is not None and palette not in PALETTES:
        raise UnknownName("palette", palette, PALETTES)
    team = join_team()
    choose_device(device)
    trackers = tracker_names(track)
    seen_by = None if features is None else encoder_of(features)
    if encoder is not None:
        options = options_of_encoder(give_encoder(encoder).name, options)
    again = team is not None and restarted() and out is not None and is_run(out)
    if out is not None and not again and (team is None or not team.rank):
        check_free(out)
    options["model"] = model_name(options.get("model"))
    check_settings(recipe, options, samplers)
    with progress.stage("images", "images") as tick:
        given = isinstance(source, Dataset)
        asked: dict[str, Any] = {"size": size, "white": white, "fit": fit, "grey": grey, "strict": strict}
        asked |= {"value_range": value_range, "show": show, "layout": layout}
        asked |= {"table": table, "label_column": label_column, "masks": masks, "links": links}
        asked |= {"pages": pages, "channels": channels, "nan": nan}
        images = source if given else load_images(source, **asked, progress=tick)
    if team is not None and team.rank:
        return _helped(images, team, device)
    if again:
        assert out is not None
        return resume(out, images=images, device=device, samplers=samplers, features=features, progress=progress)
    chosen = recipe_for(recipe, images).with_options(**options)
    trial = build_model(chosen, images.shape)
    _check_samplers(trial, samplers)  # all that can be refused is, before there is a folder
    if isinstance(trial, FrozenModel):
        trial.check(images.train.inputs)
    new = start_run(images, chosen, out, device)
    if palette is not None:
        new.update(palette=palette)  # only for drawing: it is no part of the recipe
    if trackers:
        new.update(track=list(trackers))  # the same
    if seen_by is not None:
        new.update(features=seen_by.name)  # so that `resume` goes on with them
    if started is not None:
        started(new)
    return _complete(new, images, progress, samplers, seen_by)


def check_settings(recipe: str, options: Mapping[str, Any], samplers: Sequence[str] | None = None) -> None:
    """Refuse settings that are wrong for any images, before images are loaded.

    Args:
        recipe: a name of `RECIPES`.
        options: parts of the recipe to replace.
        samplers: names of `SAMPLERS`, `("all",)` or None.

    Raises:
        UnknownName: there is no such recipe, model, network, sampler or option.
        UsageError: a value is not allowed, or the model cannot have a sampler.
    """
    if isinstance(samplers, str):
        raise UsageError(f"samplers is {samplers!r}; a list of names is needed")
    _ = RECIPES[recipe], [SAMPLERS[name] for name in samplers or () if name != "all"]
    trial = Recipe("trial", "autoencoder", "convolutional", 64, TrainConfig(epochs=1, batch_size=1)).with_options(
        **options
    )
    _ = trial.model == FROZEN or MODELS[trial.model], NETWORKS[trial.network]
    if trial.model not in (FROZEN, *MODELS.own) or trial.network not in NETWORKS.own:
        return  # they may be for images of one shape; they are made for the real one before a folder is
    errors, tried = [], [replace(trial, latent_dim=64), replace(trial, latent_dim=128)]
    # A latent dimension may be right for the images alone: for a latent on their map it must be a multiple of its cells.
    tried += [trial, trial] if options.get("latent_dim") is not None else []
    for chosen, shape in zip(tried, [(1, 32, 32), (3, 64, 64)] * 2, strict=False):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about the real model are given when it is made
            try:
                _check_samplers(build_model(chosen, shape), samplers)
            except UsageError as error:
                errors.append(error)
    if len(errors) == len(tried):  # so the error depends neither on the images nor on the latent dimension
        raise errors[-1]


def _check_samplers(model: Model, samplers: Sequence[str] | None) -> None:
    for name in samplers or ():
        reason = "" if name == "all" else SAMPLERS[name].unavailable(model)
        if reason:
            others = ", ".join(samplers_for(model))
            raise UsageError(f"sampler {name!r} is not available ({reason}); take another: {others}")


def resume(
    path: str | os.PathLike[str],
    *,
    images: Dataset | None = None,
    data: Any = None,
    device: str = "auto",
    samplers: Sequence[str] | None = None,
    features: Any = None,
    recipe: str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Run:
    """Continue a run that was stopped, from its last epoch, and complete it.

    On the same machine with the same number of threads the weights come out bit for bit as if it had never been stopped.

    Args:
        path: the run's folder, or its name below `runs/`.
        images: those that it was trained on, where they are at hand; they are loaded otherwise.
        data: where its images are now, if they were moved, see `open_run`.
        device: see `choose_device`.
        samplers: see `run`.
        features: see `run`; only for a run that was started with a function, which has no name to find it by: the same again.
        recipe: see `run`; a run is continued as it was started, and another recipe than its own is refused.
        progress: shows the progress.
        **options: parts of the recipe, see `run`; others than the run's own are refused. A run of a class of your own needs it
            as `model`.

    Raises:
        RunNotFound: there is no run there.
        RunError: its images have changed, or another process is working on it.
        UsageError: it was started with another recipe or other options.
    """
    progress = progress or progress_for()
    team = join_team()
    asked = options.get("model")
    own = asked if isinstance(asked, type) else None
    if own is None and asked is not None:
        model_name(asked)
    stopped = open_run(path, device, data=data, model=own)
    if own is not None or asked == stopped.recipe.model:  # no more than whose class its model is
        options.pop("model")
    if team is not None and team.rank:
        return _helped(stopped.images if images is None else images, team, device)
    if stopped.record["status"] == "diverged":
        raise RunError(f"{path}: {stopped.record['error']}; a resumed run would diverge again; start a new one")
    _check_recipe(stopped, recipe, options)
    encoder = _encoder_again(stopped, features)
    if samplers is not None and not stopped.recipe.is_adopted:
        _check_samplers(stopped.untrained_model(), samplers)
    if images is not None:
        stopped.images = images
    return _complete(stopped, stopped.images, progress, samplers, encoder)


def _encoder_again(run: Run, features: Any) -> Encoder | None:
    """The encoder by whose features a run was started."""
    recorded = run.record.get("features")
    encoder = None if features is None else encoder_of(features)
    if encoder is not None and encoder.name != recorded:
        was = f"the features of {recorded}" if recorded else "no features of an encoder"
        raise UsageError(
            f"{run.path}: was started with {was}; a run is continued as it was started, and `latens score RUN --features"
            " ENCODER` scores it by others afterwards"
        )
    if encoder is None and recorded:
        try:
            return encoder_of(recorded)
        except UsageError as error:
            raise UsageError(
                f"{run.path}: was started with the features of {recorded}, which can't be loaded again ({error}); from Python"
                " give the same encoder: latens.resume(RUN, features=...)"
            ) from None
    return encoder


def _check_recipe(run: Run, recipe: str | None, options: dict[str, Any]) -> None:
    """See that what is asked for is what a run was started with."""
    other = []
    if recipe is not None and recipe != run.recipe.name:
        _ = RECIPES[recipe]  # an unknown name is said as such
        other.append(f"recipe {run.recipe.name!r}, not {recipe!r}")
    was, now = (
        {**one.to_json(), **one.to_json()["config"]} for one in (run.recipe, run.recipe.with_options(**options))
    )
    other += [f"{name} {was[name]!r}, not {now[name]!r}" for name in was if name != "config" and was[name] != now[name]]
    if other:
        raise UsageError(
            f"{run.path}: was started with {'; '.join(other)}; a run is continued as it was started:"
            " leave these options out, or start a new run"
        )


def import_run(
    state: str | os.PathLike[str],
    source: Any = "mnist",
    *,
    out: str | os.PathLike[str] | None = None,
    device: str = "auto",
    started: Callable[[Run], object] | None = None,
    progress: Progress | None = None,
) -> Run:
    """Make a run from weights of the reference experiment's network, and complete it: maps, probe, scores, figures, report.

    Args:
        state: a file of `torch.save(model.state_dict(), path)`.
        source: the images that the weights were trained on.
        out: the run's folder.
        device: see `choose_device`.
        started: see `run`.
        progress: shows the progress.

    Raises:
        UsageError: the file holds no weights of that network.
    """
    progress = progress or progress_for()
    choose_device(device)
    if out is not None:
        check_free(out)
    with progress.stage("weights, in a process without network"):
        weights = read_weights(state)  # a file that holds none is refused before the images are loaded
    with progress.stage("images", "images") as tick:
        images = load_images(source, progress=tick)
    new = import_weights(state, images, out, device, weights)
    if started is not None:
        started(new)
    return _complete(new, images, progress)


def score(
    run: Run, samplers: Sequence[str] | None = ("all",), *, features: Any = None, progress: Progress | None = None
) -> Run:
    """Score a complete run again, or with more samplers, and write its report again.

    Args:
        run: complete.
        samplers: names of `SAMPLERS`; `("all",)` means all that its model can have, None those of the verdict. Each is
            fitted if it was not yet.
        features: an encoder, see `latens.encoders`: images are compared by its features in place of latens's own, and
            what they say of the classes stands beside what the latents say.
        progress: shows the progress.

    Raises:
        UnknownName: there is no such sampler.
        RunError: the run is not complete, or its model has no prior.
        UsageError: there is no such encoder, or it fails.
    """
    progress = progress or progress_for()
    with run.folder.working("scoring it"):
        images, left = run.images, LeftOut(progress.say)
        score_run(run, images, progress, samplers, left, features)
        draw_run(run, images, left=left, names=["samples"])
        _report(run, images, left)
    return run


def make_map(
    run: Run,
    name: str = "tsne",
    *,
    seed: int | None = None,
    coordinates: str | os.PathLike[str] | None = None,
    features: Any = None,
    refit: bool = False,
    palette: str | None = None,
    progress: Progress | None = None,
) -> Map:
    """Make another map of a run, draw it, and write the report of a complete run again.

    Args:
        run: with latents.
        name: see `latens.computed.map_run`, as seed, coordinates and features.
        seed: of the map.
        coordinates: of a map that was made elsewhere.
        features: an encoder whose features are mapped.
        refit: also fit a t-SNE together with the probe's points, and draw it.
        palette: colours of the classes; the run's by default.
        progress: shows the progress.

    Raises:
        UnknownName: there is no such map.
        UsageError: see `latens.computed.map_run`.
    """
    progress = progress or progress_for()
    with run.folder.working("mapping it"):
        made = map_run(run, name, seed=seed, coordinates=coordinates, features=features, progress=progress)
        kept = GIVEN if coordinates else FEATURES if features is not None else name
        if refit:
            probe_run(run, refit=True, seed=seed, progress=progress)
        draw(run, "map", run.path / "figures" / f"map-{kept}.png", map=kept, palette=palette)
        if refit or (kept == "tsne" and "probe.npz" in run.record["files"]):  # the probe's points lie elsewhere now
            draw(run, "probe-map", refit=refit, palette=palette)
        if run.record["status"] == "done":
            left = LeftOut(progress.say)
            score_maps(run, run.images)
            _report(run, run.images, left)
    return made


def adopt(
    encode: Any,
    decode: Any = None,
    images: Any = None,
    *,
    out: str | os.PathLike[str] | None = None,
    name: str = "",
    size: int | tuple[int, int] | None = None,
    batch_size: int = 256,
    seed: int = 0,
    progress: Progress | None = None,
) -> Run:
    """Make a run of any model, and complete it: maps, probe, scores, figures, report.

    A model of torch is stored as ONNX where ONNX can hold it (`pip install "latens[onnx]"`), and ONNX files as they are: such a
    run is opened again with its model. Of others the folder holds all computed results, but not the functions: adopting the
    same functions with the same images and `out` gives the complete run, without computing again.

    Args:
        encode: images -> latents, float32 (B, C, H, W) in [0, 1] -> (B, D) or maps (B, c, h, w), array or tensor; deterministic.
            Or, without `decode`, a whole model, or its folder: one of `latens.adapters.ADAPTERS`.
        decode: latents as `encode` gives them -> images, (B, C, H, W) or flat (B, C·H·W), about [0, 1].
        images: what the model is scored on: see `load_images`; or a `Dataset`.
        out: the run's folder; `runs/<data>-<n>` by default.
        name: of the model; by default its own, or "adopted".
        size: see `load_images`.
        batch_size: the most images per call of a function.
        seed: of maps, samplers and scores.
        progress: shows the progress.

    Raises:
        UsageError: the result of a function has a wrong shape, or is not finite; or no adapter takes the model.
        MissingExtra: the package of the model is not installed.
        RunError: the folder is not empty, or holds a run of other images or functions.

    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> pixels = np.random.default_rng(0).random((90, 64))
    >>> pca = PCA(4).fit(pixels)
    >>> encode, decode = lambda x: pca.transform(x.reshape(len(x), 64)), pca.inverse_transform
    >>> latens.adopt(encode, decode, pixels.reshape(90, 1, 8, 8), name="PCA").scores  # doctest: +SKIP
    >>> latens.adopt(pca, images=pixels.reshape(90, 1, 8, 8)).scores  # doctest: +SKIP
    """
    progress = progress or progress_for()
    if images is None:
        raise UsageError(
            "images are missing: latens.adopt(encode, decode, images), or latens.adopt(model, images=images)"
        )
    both = decode is not None and isinstance(encode, torch.nn.Module) and isinstance(decode, torch.nn.Module)
    whole = decode is None or both
    if whole:
        adapter_of((encode, decode) if both else encode)  # what is no model is refused before the images are loaded
    with progress.stage("images", "images") as tick:
        loaded = images if isinstance(images, Dataset) else load_images(images, size=size, progress=tick)
    if decode is None and isinstance(encode, str | os.PathLike):
        with progress.stage("the model, first in a process without network"):
            try_files(encode, loaded.shape)
    model = adapt((encode, decode) if both else encode) if whole else Adapted(encode, decode, "adopted")
    settings: dict[str, Any] = {"batch_size": batch_size, "seed": seed}
    run = adopt_functions(model.encode, model.decode, loaded, out, name or model.name, **settings)
    if run.record["status"] == "done":
        return run
    store_adopted(run, model, loaded, progress)
    return _complete(run, loaded, progress)


def store_adopted(run: Run, model: Adapted, images: Dataset, progress: Progress) -> None:
    """Store an adopted model as ONNX, if that gives the same latents and images; otherwise say why it is not stored."""
    pair, why = model.pair, ""
    try:
        if pair is None and model.modules is not None:
            pair = pair_of_modules(model.modules, run.image_shape, tuple(run.record["latent_shape"]))
        if pair is not None:
            why = differs(run.model, pair, images)
    except (MissingExtra, RunError) as error:
        why = str(error)
    if pair is not None and not why:
        run.folder.commit(dict(zip(STORED, pair, strict=True)))
    elif why:
        progress.say(f"note: the model is not stored in the run, so it must be given again ({why})")


def keep(
    model: Any,
    images: Any,
    history: Any = (),
    *,
    out: str | os.PathLike[str] | None = None,
    network: str = "convolutional",
    options: Mapping[str, Any] | None = None,
    name: str = "",
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Run:
    """Make a run of a model that was trained in your own loop, and complete it: maps, probe, scores, figures, report.

    Args:
        model: trained. A `latens.models.Model` is stored with its weights: an opened run makes it again from its class, `network`
            and `options`, which is tried before a folder is made. A class of your own is given to `open_run` again. Of another
            `torch.nn.Module` the methods `encode` and `decode` are adopted, see `adopt`.
        images: what it was trained on, see `load_images`; or a `Dataset`. It is scored on the test part.
        history: what the loop noted, a dict for each epoch: see `latens.runs.keeping.history_rows`.
        out: the run's folder; `runs/<data>-<n>` by default.
        network: of a `Model`: the name that it was made with.
        options: of a `Model`: its further options, `{"beta": 4}`.
        name: of a module that is no `Model`; that of its class by default.
        size: see `load_images`.
        seed: of maps, samplers and scores.
        device: see `choose_device`.
        progress: shows the progress.

    Raises:
        UsageError: the model is for other images, or can't be made again so; or the history is none.
        RunError: the folder is not empty.
    """
    progress = progress or progress_for()
    if out is not None:
        check_free(out)
    with progress.stage("images", "images") as tick:
        loaded = images if isinstance(images, Dataset) else load_images(images, size=size, progress=tick)
    given: dict[str, Any] = {"network": network, "options": options, "name": name, "seed": seed, "device": device}
    run = keep_model(model, loaded, history, out, **given)
    if run.recipe.is_adopted:
        store_adopted(run, adapt(model), loaded, progress)
    return _complete(run, loaded, progress)


def review(run: Run, *, most: int = LEAST_FINDINGS, features: Any = None, progress: Progress | None = None) -> Review:
    """Find images to check among a run's own, into review.csv and into the report of a complete run.

    Args:
        run: complete.
        most: the most findings of each kind.
        features: an encoder by whose features neighbours are found, see `latens.encoders`; None takes the latents.
        progress: shows the progress.
    """
    progress = progress or progress_for()
    with run.folder.working("reviewing it"):
        found = review_run(run, run.images, most=most, features=features, progress=progress)
        if "metrics.json" in run.record["files"]:
            left = LeftOut(progress.say)
            draw_run(run, run.images, left=left, names=["review"])
            _report(run, run.images, left)
    return found


def _complete(
    run: Run,
    images: Dataset,
    progress: Progress,
    samplers: Sequence[str] | None = None,
    encoder: Encoder | None = None,
) -> Run:
    with run.folder.working():
        completed = _completed(run, images, progress, samplers, encoder)
    team = team_of_process()
    if team is not None:
        team.tell(str(run.path.resolve()))
    return completed


def _helped(images: Dataset, team: Team, device: str) -> Run:
    """What a process of a team other than process 0 does: it trains along, waits until the run is complete, and opens it.

    Raises:
        UsageError: its images are not those of process 0.
        RunElsewhere: the run is complete, in a folder that this process can't see.
    """
    job = team.tell()
    if job is not None:
        team.check_same(images.fingerprint, "images")
        recipe = Recipe.from_json(job["recipe"])
        model = build_model(recipe, images.shape).to(choose_device(device))
        if model.device.type == "cpu":
            use_forms(model, known_forms(job["forms"]))
        for _ in train(model, images, recipe.config, job["state"]):
            pass
    path = team.tell()
    if not is_run(path):
        raise RunElsewhere(f"{path}: the run is complete, and this process can't see its folder")
    return open_run(path, device)


def _completed(
    run: Run, images: Dataset, progress: Progress, samplers: Sequence[str] | None, encoder: Encoder | None
) -> Run:
    _introduce(run, images, progress)
    trackers = trackers_of(run)
    train_run(run, images, progress, trackers.values())
    encode_run(run, images, progress)
    if run.recipe.is_adopted:
        run.update(result={**run.record["result"], "test_mse": float(run.of_part("squared_error", TEST).mean())})
    left = LeftOut(progress.say)
    for name in ("pca", "tsne"):
        with left.attempt(f"map {name}"):
            map_run(run, name, progress=progress)
    given: RunFeatures | None = None
    if encoder is not None:
        with left.attempt(f"features {encoder.name}"):
            given = features_of_run(run, encoder, images, progress)
    if given is not None:
        with left.attempt("map features"):
            map_run(run, "tsne", features=given, progress=progress)
    with left.attempt("probe"):
        probe_run(run)
    with left.attempt("scores"):
        score_run(run, images, progress, samplers, left, given)
    if len(images.train) + len(images.test) >= FEWEST:
        with left.attempt("review"):
            review_run(run, images, features=given, progress=progress)
    draw_run(run, images, progress, left)
    for name, tracker in trackers.items():
        with left.attempt(f"tracker {name}"):
            tracker.end(run)
    _report(run, images, left)
    if run.record["status"] != "stopped":
        run.update(status="done")
    return run


def _report(run: Run, images: Dataset, left: LeftOut) -> None:
    """Write the report, and record what was left out, before it (the report says it) and after it (its own chapters)."""
    stages: tuple[tuple[str, tuple[int, ...]], ...] = ()
    with left.attempt("stages of the network"):
        stages = tuple(stages_of(run))
    run.update(left_out=left.added_to(run.record.get("left_out", {})))
    with left.attempt("report"):
        run.forget(REPORT)  # an old report must not stay if this one fails
        write_report(run, images, stages, left)
    run.update(left_out=left.added_to(run.record["left_out"]))


def _introduce(run: Run, images: Dataset, progress: Progress) -> None:
    for note in images.notes:
        progress.say(f"note: {note}")
    device = choose_device(run.device)
    progress.say(f"{shown(run.path)}: {describe_device(device)}; {_in_words(run)}")


def _in_words(run: Run) -> str:
    recipe = run.recipe
    if "imported" in run.record["result"]:
        weights = f"imported weights ({shown(run.record['result']['imported'])})"
        return f"{recipe.model} with a {recipe.network} network, latent dimension {recipe.latent_dim}, {weights}"
    if recipe.is_adopted:
        return f"{recipe.network}, an adopted model, latent dimension {recipe.latent_dim}"
    if recipe.name == TRAINED_ELSEWHERE:
        return f"{shown(recipe.model)}, trained by other code, latent dimension {recipe.latent_dim}"
    config = recipe.config
    return (
        f"{recipe.model} with a {recipe.network} network, latent dimension {recipe.latent_dim},"
        f" {config.epochs} epochs of batches of {config.batch_size} by {config.optimiser}, seed {config.seed}"
    )


def _long_training(expected: Expected, epochs: int, resumed: bool) -> str:
    """How long training will take, what of it comes before the first epoch, and how many epochs would take less."""
    told = f"training will take about {seconds_in_words(expected.whole)} on this machine"
    if expected.start > LONG / 4:
        told += f", {seconds_in_words(expected.start)} of it before the first epoch"
    fewer = max(1, int(epochs * (LONG - expected.start) / max(expected.epochs, 1e-9)))
    if resumed or expected.start >= LONG or fewer >= epochs:  # a resumed run has its epochs; others gain nothing
        return told
    shorter = expected.start + expected.epochs * fewer / epochs
    return f"{told}; --epochs {fewer} takes about {seconds_in_words(shorter)}"


def train_run(run: Run, images: Dataset, progress: Progress, trackers: Collection[Tracker] = ()) -> None:
    """Train a run's model and record it; from the last checkpoint if there is one. A trained model is left as it is.

    Each epoch is told to the trackers.

    Where someone asks for it (`RunFolder.ask_to_stop`, the page's button), the training ends after the epoch under way. The run's
    status is then `stopped`: it can be completed as it is, and continued by `resume`, which forgets what was computed of it.
    """
    team = team_of_process()
    if run.record["status"] not in ("training", "stopped"):
        if team is not None:
            team.tell(None)  # there is nothing to help with
        return
    config = run.recipe.config
    steps_an_epoch = -(-num_learned(len(images.train), config) // config.batch_size)
    state = last_state(run)
    # Without a checkpoint, weights are of a first epoch that did not end: it starts again with the initial weights of the seed.
    computed = [name for name in run.folder.files if not name.startswith(KEPT)]
    run.folder.commit(forget=computed if state else [*computed, WEIGHTS], status="training")
    run.folder.ask_to_stop(False)  # of an earlier training
    run.model = run.untrained_model()
    if isinstance(run.model, Prepared):
        if state:
            run.model.load_state_dict(weights_in(state))
        with progress.stage("preparing", "images") as prepared:
            run.model.prepare(images.train.inputs, images.test.inputs, progress=prepared)
    epochs = config.epochs - (int(state["position"][0]) if state else 0)
    expected = estimated_seconds(run.model, images, config, epochs, resumed=state is not None)
    if expected.whole > LONG:
        progress.say(_long_training(expected, epochs, resumed=state is not None))
    if team is not None:
        team.tell({"recipe": run.recipe.to_json(), "forms": run.record.get("forms", {}), "state": state})
        team.check_same(images.fingerprint, "images")
    with progress.stage("training", "steps") as tick:

        def on_batch(epoch: int, step: int, loss: float) -> None:
            text = f"epoch {epoch} of {config.epochs}  loss {loss:.5f}  {speed}"
            tick(step, steps_an_epoch * config.epochs, text)

        speed, said = "", set[str]()
        steps = record(run, train(run.model, images, config, state, on_batch), images)
        for step in live_loss(steps) if in_notebook() else steps:
            speed = f"test mse {step.test_mse:.5f}  {step.images_per_second:,.0f} images/s"
            for tracker in trackers:
                tracker.step(step)
            for remark in step.remarks:
                if remark not in said:
                    progress.say(f"epoch {step.epoch}: {remark}")
            said |= set(step.remarks)
            if run.folder.stop_asked and step.epoch < config.epochs:
                steps.close()  # which writes the checkpoint
                progress.say(
                    f"epoch {step.epoch}: stopped, as was asked; the run is completed as it is, and"
                    f" latens run --resume --out {quoted(run.path)} trains on"
                )
                break
    run.folder.ask_to_stop(False)

"""The story of a run: its folder's facts as the plain data that the page is built from."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from latens.computed.review import KINDS, read_review
from latens.computed.review.findings import FILE
from latens.images import Dataset, summary
from latens.left_out import LeftOut
from latens.metrics import ScoreTable
from latens.models.contract import HasPrior
from latens.report.page import build_html
from latens.runs import Run, list_runs
from latens.runs.kept_images import can_be_loaded_again
from latens.runs.record import own_file
from latens.runs.run import TEST
from latens.story import DataFacts, FoundImage, NetworkFacts, PriorFacts, ProbeFacts, Story, TrainingFacts
from latens.text import quoted
from latens.training.recipes import FROZEN, RECIPE_OPTIONS, RECIPES, TRAINED_ELSEWHERE, options_of_encoder
from latens.verdict import judge

__all__ = ["REPORT", "command_of", "story_of", "write_report"]

REPORT = "report.html"
WORST = 20
FLAT, FEWEST_EPOCHS = 0.02, 8  # a fall of the error that is none, and the epochs it takes to see one


def write_report(
    run: Run,
    images: Dataset,
    stages: tuple[tuple[str, tuple[int, ...]], ...] = (),
    left: LeftOut | None = None,
) -> Path:
    """Write report.html into a run's folder, from what is there.

    Args:
        run: complete but for the report.
        images: what it was trained on.
        stages: the network's layers with their shapes.
        left: keeps the reasons of what could not be written; by default its failure is an error.
    """
    run.save(REPORT, build_html(story_of(run, images, stages), left).encode())
    return run.path / REPORT


def story_of(run: Run, images: Dataset, stages: tuple[tuple[str, tuple[int, ...]], ...] = ()) -> Story:
    """All that the report tells of a run."""
    scores = run.scores if "metrics.json" in run.record["files"] else ScoreTable()
    errors = run.of_part("squared_error", TEST)
    rows = np.argsort(-errors, kind="stable")[:WORST]
    return Story(
        title=f"{images.name}: what an autoencoder learned",
        command=command_of(run, images),
        data=_data(images),
        network=_network(run, stages),
        training=_training(run),
        scores=tuple(scores),
        score_notes=scores.notes,
        figures={
            path.stem: own_file(run.path, f"figures/{path.name}")
            for path in sorted((run.path / "figures").glob("*.png"))
        },
        probe=_probe(run),
        verdict=judge(scores, quoted(run.path), relu=run.recipe.has_relu_latent),
        prior=_prior(run),
        worst=tuple((str(run.of_part("ids", TEST)[row]), float(errors[row])) for row in rows),
        findings=_findings(run),
        reviewed=len(run.latents["ids"]) if FILE in run.record["files"] else 0,
        reviewed_by=read_review(run).features if FILE in run.record["files"] else "",
        versions=run.record["versions"],
        run_path=str(run.path),
        mapped="test" if run.mapped_part == TEST else "train and test",
        created=run.record["created"],
        notes=tuple(_notes(run)),
    )


def command_of(run: Run, images: Dataset) -> str:
    """The command that repeats this run; every setting that differs from the recipe is an option.

    A command line, or the Python call where an option is one that only Python takes.
    """
    data, recipe = run.record["data"], run.recipe
    # No path leads to images that were given as an array.
    source = repr(data["source"]) if can_be_loaded_again(images) else "images"
    if recipe.is_adopted:
        return f"latens.adopt(encode, decode, {source}, name={recipe.network!r}, seed={recipe.config.seed})"
    if recipe.name == TRAINED_ELSEWHERE:
        return f"latens.keep(model, {source}, history)"
    if "imported" in run.record["result"]:
        return shlex.join(["latens", "import", str(run.record["result"]["imported"]), str(data["source"])])
    if recipe.name not in RECIPES:
        return shlex.join(["latens", "run", str(data["source"])])
    default = RECIPES[recipe.name](images)
    told: dict[str, Any] = {}
    if recipe.model == FROZEN:
        default = default.with_options(**options_of_encoder(recipe.model_options["encoder"]))
    elif recipe.model_choice != default.model_choice:
        told["model"] = recipe.model_choice
    if recipe.latent_dim != default.latent_dim:
        told["latent_dim"] = recipe.latent_dim
    if recipe.config.learning_rate != default.config.learning_rate:
        told["learning_rate"] = recipe.config.learning_rate  # which scales the matrix learning rate too
    settled = default.with_options(**told)  # with what goes with the model and the dimension
    changed = {**told, **_differences(recipe, settled), **_differences(recipe.config, settled.config)}
    asked = {name: value for name, value in data["options"].items() if value}
    encoders = {"encoder": recipe.model_options["encoder"] if recipe.model == FROZEN else ""}
    encoders |= {"features": run.record.get("features", "")}
    encoders = {option: name for option, name in encoders.items() if name}
    # Others are functions, which have no name to find them by.
    named = {option: ":" in name or name.endswith(".onnx") for option, name in encoders.items()}
    if source == "images" or not set(changed) <= set(RECIPE_OPTIONS) or not all(named.values()):
        options = {**({} if recipe.name == "fast" else {"recipe": recipe.name}), **asked, **changed}
        arguments = [source, *(f"{name}={value!r}" for name, value in options.items())]
        arguments += [
            f"{option}={name!r}" if named[option] else f"{option}=encoder" for option, name in encoders.items()
        ]
        return f"latens.run({', '.join(arguments)})"
    words = ["latens", "run", str(data["source"])]
    words += [] if recipe.name == "fast" else ["--recipe", recipe.name]
    for option, value in {**changed, **encoders}.items():
        words += [f"--{option.replace('_', '-')}", str(value)]
    if "size" in asked:
        words += ["--size", "x".join(map(str, np.atleast_1d(asked["size"])))]
    return shlex.join(words + (["--strict"] if "strict" in asked else []))


def _differences(ours: object, usual: object) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(ours).items()
        if name not in ("name", "config") and value != getattr(usual, name)
    }


def _data(images: Dataset) -> DataFacts:
    facts = summary(images)
    return DataFacts(
        name=images.name,
        source=str(images.source),
        shape=images.shape,
        train=len(images.train),
        test=len(images.test),
        class_names=images.class_names,
        class_counts={row["name"]: (row["train"], row["test"]) for row in facts["classes"]},
        notes=images.notes,
        fingerprint=images.fingerprint,
    )


def _network(run: Run, stages: tuple[tuple[str, tuple[int, ...]], ...]) -> NetworkFacts:
    # The weights of an adopted model are not known here.
    parameters = None if run.recipe.is_adopted else sum(p.numel() for p in run.model.parameters())
    return NetworkFacts(run.recipe.model, run.recipe.network, run.recipe.latent_dim, parameters, tuple(stages))


def _training(run: Run) -> TrainingFacts | None:
    recipe, result = run.recipe, run.record["result"]
    config, history = recipe.config, tuple(run.history)
    if "kept" in result:
        facts = TrainingFacts(TRAINED_ELSEWHERE, result["epochs"], 0, config.seed, run.record["device"], 0)
        return replace(facts, history=history, elsewhere=True)
    if recipe.is_adopted or "imported" in result:
        return None
    settings = {"Optimiser": config.optimiser, "Learning rate": f"{config.learning_rate:g} (Adam)"}
    if config.optimiser == "muon":
        settings["Learning rate"] += f", {config.matrix_learning_rate:g} (Muon)"
    if config.decay:
        settings["Schedule"] = f"rises over {config.warmup:.0%} of the steps, then falls linearly to zero"
    if config.augmentation != "none":
        settings["Augmentation"] = config.augmentation
    if config.precision != "float32":
        settings["Precision"] = config.precision
    return TrainingFacts(
        recipe=recipe.name,
        epochs=result.get("epochs", 0),
        batch_size=config.batch_size,
        seed=config.seed,
        device=run.record["device"],
        threads=run.record["threads"],
        settings=settings,
        seconds=result.get("seconds"),
        images_per_second=result.get("images_per_second"),
        history=history,
    )


def _probe(run: Run) -> ProbeFacts | None:
    if "probe.npz" not in run.record["files"]:
        return None
    probe = run.folder.load("probe.npz", ("names", "noises", "ratios"))
    return ProbeFacts(
        names=tuple(probe["names"].tolist()),
        noise_std=float(probe["noises"][-1]),
        clusters="clusters" in probe,
        distance_ratios=tuple(probe["ratios"].tolist()),
    )


def _findings(run: Run) -> dict[str, tuple[FoundImage, ...]]:
    if FILE not in run.record["files"]:
        return {}
    review = read_review(run)
    return {
        kind: tuple(FoundImage(one.image, one.labelled, one.score, one.across_parts) for one in review.of_kind(kind))
        for kind in KINDS
        if kind != "worst-rebuilt"  # which have a figure and a list of their own
    }


def _prior(run: Run) -> PriorFacts | None:
    """What a report says of a model with a prior; the plain autoencoder is the newest one in the same folder of runs."""
    if run.recipe.is_adopted or not isinstance(run.model, HasPrior):
        return None
    learned = str(getattr(run.model, "learned_prior", ""))
    command = shlex.join(["latens", "run", str(run.record["data"]["source"])])
    for other in reversed(list_runs(run.path.parent)):
        same = other.record["data"].get("fingerprint") == run.record["data"].get("fingerprint")
        if same and other.recipe.model == "autoencoder" and "metrics.json" in other.record["files"]:
            scores = other.scores
            return PriorFacts(learned, other.name, tuple(scores), judge(scores).headline, command)
    return PriorFacts(learned, command=command)


def _notes(run: Run) -> Iterator[str]:
    result, asked = run.record["result"], run.recipe.config.epochs
    if run.recipe.is_adopted:
        yield f"The model was not trained by latens: {run.recipe.network} was adopted as two functions."
        if run.record["adopted"]["varies"]:
            yield f"Scores will not come out the same again: {run.record['adopted']['varies']}."
    elif "kept" in result:
        yield "The model was not trained by latens: it was trained by other code, and kept as a run."
    elif "imported" in result:
        yield f"The weights were not trained by latens: they were imported from {result['imported']}."
    elif result.get("epochs", 0) < asked:
        yield f"Training was stopped after epoch {result.get('epochs', 0)} of {asked}."
    left_out = run.record.get("left_out", {})
    if left_out:
        yield f"Left out: {'; '.join(f'{what} ({reason})' for what, reason in left_out.items())}."
    if "metrics.json" not in run.record["files"]:
        return
    values = {score.name: score.value for score in run.scores if score.group == "reconstruction"}
    if values.get("mse", 0.0) > values.get("pca_mse", float("inf")):
        trained = result.get("train_mse", result.get("train_loss"))  # which in the first runs was the same
        errors = [line["test_mse"] for line in run.history if line["test_mse"] is not None]
        yield _why_not_better(values["mse"], values["pca_mse"], trained, run.record["data"]["train"], errors)


def _why_not_better(
    mse: float, pca_mse: float, train_mse: float | None, num_train: int, errors: Sequence[float]
) -> str:
    """Why the network's error is larger than that of PCA with as many numbers: it overfits, or it was trained too little.

    `errors` are those of the test part after each epoch: where they have stopped falling, more epochs are not advised.
    """
    text = f"PCA with as many numbers has a smaller error on the test part ({pca_mse:.5f}; this model {mse:.5f})."
    if train_mse is None:
        return text
    if train_mse < 0.8 * mse:
        return (
            f"{text} The network overfits: on its {num_train:,} training images the error is much smaller ({train_mse:.5f})."
            " More images would help, or fewer epochs."
        )
    text += f" On its training images it is no better either (error {train_mse:.5f})"
    if _has_flattened(errors):
        return f"{text}, and it had stopped falling: more epochs would not help; `--network linear-path` starts as PCA."
    return f"{text}: more epochs would help."


def _has_flattened(errors: Sequence[float]) -> bool:
    """Whether the error fell by less than FLAT over the last quarter of the epochs.

    >>> _has_flattened([8, 4, 2, 1, 0.5, 0.25, 0.12, 0.06]), _has_flattened([8, 4, 2, 2, 2, 2, 2, 2]), _has_flattened([8, 8])
    (False, True, False)
    """
    if len(errors) < FEWEST_EPOCHS:
        return False
    quarter = len(errors) // 4
    return min(errors[-quarter:]) > (1 - FLAT) * min(errors[:-quarter])

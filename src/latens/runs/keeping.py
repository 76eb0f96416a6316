"""Make a run of a model that was trained in the user's own loop: its weights, and what the loop noted of each epoch."""

import json
import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from latens.adapters import adapt
from latens.errors import UsageError
from latens.images import Dataset
from latens.images.pixels import to_unit
from latens.models.contract import Model, evaluating
from latens.models.own import know_class
from latens.runs.adopting import adopt_functions
from latens.runs.recording import HISTORY, start_run
from latens.runs.run import HISTORY_FILE, WEIGHTS, Run
from latens.training.loop import Step, build_model, check_trainable, evaluate
from latens.training.recipes import TRAINED_ELSEWHERE, Recipe, TrainConfig, read_choice, whole_number

__all__ = ["history_rows", "keep_model"]

TRIED = 16  # images on which the model is compared with the one that is made again
SAME = 1e-4  # of the spread of the latents or of the pixels, that the two may differ


def keep_model(
    model: nn.Module,
    images: Dataset,
    history: Any = (),
    out: str | os.PathLike[str] | None = None,
    *,
    network: str = "convolutional",
    options: Mapping[str, Any] | None = None,
    name: str = "",
    seed: int = 0,
    device: str = "cpu",
) -> Run:
    """Make a run of a trained model. For a module that is no `Model`, its methods `encode` and `decode` are adopted.

    Args:
        model: a `Model`, which is made again from its class, shape, dimension, `network` and `options`; or a module with the
            methods `encode` and `decode`, see `latens.models.adopted.AdoptedModel`.
        images: what it was trained on; it is scored on the test part.
        history: see `history_rows`.
        out: the new run's folder.
        network: of a `Model`: the name that it was made with.
        options: of a `Model`: the further options that it was made with.
        name: of a module that is no `Model`; that of its class by default.
        seed: of maps, samplers and scores.
        device: where the run's model works.

    Raises:
        UsageError: the model can't be made again so, or is for other images; or the history is none.
        RunError: the folder is taken.
    """
    rows = history_rows(history)
    told: dict[str, Any] = {HISTORY_FILE: "".join(json.dumps(row) + "\n" for row in rows).encode()} if rows else {}
    last = rows[-1] if rows else {}
    facts: dict[str, Any] = {"epochs": last.get("epoch", 0)}
    facts |= {key: last[key] for key in ("train_loss", "train_mse") if last.get(key) is not None}
    if not isinstance(model, Model):
        adapted = adapt(model)
        run = adopt_functions(adapted.encode, adapted.decode, images, out, name or type(model).__name__, seed=seed)
        run.folder.commit(told, result={**run.record["result"], **facts, "kept": type(model).__name__})
        return run
    check_trainable(model, images.shape)
    kind = know_class(type(model))
    config = TrainConfig(epochs=max(1, facts["epochs"]), batch_size=1, seed=seed)
    recipe = Recipe(TRAINED_ELSEWHERE, kind, network, model.latent_dim, config, model_options=dict(options or {}))
    weights = {key: tensor.detach().cpu() for key, tensor in model.state_dict().items()}
    _check_same(_made_again(recipe, images, weights), model, images)
    run = start_run(images, recipe, out, device)
    run.model.load_state_dict(weights)
    facts |= {"kept": kind, "test_mse": evaluate(run.model, images.test.inputs)}
    run.folder.commit({WEIGHTS: weights, **told}, status="trained", result=facts)
    return run


def history_rows(history: Any) -> list[dict[str, Any]]:
    """What a loop noted, as the lines of a run's history: numbers by name, one dict an epoch.

    Args:
        history: a list of dicts, or of Steps; a dict of lists; or a data frame. Names that latens shows are `epoch` (1, 2, …
            where it is left out), `step`, `train_loss`, `train_mse`, `test_mse`, `learning_rate` and `elapsed` (seconds).

    Raises:
        UsageError: it is none of these, or its epochs do not ascend.

    >>> history_rows({"train_loss": [0.5, 0.25]})[1]["epoch"]
    2
    """
    if hasattr(history, "to_dict"):  # a data frame of pandas or polars
        history = {str(name): list(history[name]) for name in history.columns}
    if isinstance(history, Mapping):
        columns = {name: list(values) for name, values in history.items()}
        if len({len(values) for values in columns.values()}) > 1:
            lengths = ", ".join(f"{name} {len(values)}" for name, values in columns.items())
            raise UsageError(f"the history's lists have other lengths ({lengths}); one value an epoch is needed")
        history = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    if isinstance(history, str | bytes) or not isinstance(history, Iterable):
        raise UsageError(f"history is a {type(history).__name__}; a list with a dict for each epoch is needed")
    rows = [_row(one, number) for number, one in enumerate(history, 1)]
    epochs = [row["epoch"] for row in rows]
    if sorted(set(epochs)) != epochs:
        raise UsageError("the history's epochs do not ascend; give each epoch once, in order")
    return rows


def _row(one: Any, number: int) -> dict[str, Any]:
    given = {name: getattr(one, name) for name in HISTORY} if isinstance(one, Step) else one
    if not isinstance(given, Mapping):
        raise UsageError(f"the history's entry {number} is a {type(one).__name__}; a dict of numbers by name is needed")
    row = {**dict.fromkeys(HISTORY), **{str(name): _number(str(name), value) for name, value in given.items()}}
    row["epoch"] = whole_number("an epoch of the history", given.get("epoch", number), 0)
    return row


def _number(name: str, value: Any) -> float | int | None:
    """A number as JSON has it, None for what is not finite."""
    if value is None:
        return None
    try:
        number = value.item() if hasattr(value, "item") else value
        return number if isinstance(number, int) else float(number) if math.isfinite(number) else None
    except (TypeError, ValueError):
        raise UsageError(f"the history's {name} is {value!r}; a number is needed") from None


def _made_again(recipe: Recipe, images: Dataset, weights: Mapping[str, torch.Tensor]) -> Model:
    """The model as an opened run makes it.

    Raises:
        UsageError: it can't be made so, or the weights do not fit it.
    """
    made = build_model(recipe, images.shape)
    try:
        made.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise UsageError(f"{_how(recipe)} has other weights: {' '.join(str(error).split())[:300]}") from None
    return made


def _how(recipe: Recipe) -> str:
    kind = read_choice(recipe.model)[0].rpartition(":")[2]
    return f"{kind} made with network={recipe.network!r}, options={dict(recipe.model_options)!r}, as an opened run makes it,"


def _check_same(made: Model, model: Model, images: Dataset) -> None:
    """Check that the model that an opened run will make is the one that was given.

    Raises:
        UsageError: it gives other latents or images.
    """
    x = to_unit(torch.from_numpy(np.array(images.test.inputs[:TRIED])))
    with evaluating(made), evaluating(model), torch.no_grad():
        z = model.encode(x.to(model.device, model.dtype)).float()
        pairs = [
            ("latents", z.cpu(), made.encode(x)),
            ("images", model.decode(z.to(model.dtype)).float().cpu(), made.decode(z.cpu())),
        ]
    for what, given, again in pairs:
        if (
            given.shape != again.shape
            or float((given - again).abs().max()) > SAME * float(given.std(correction=0)) + 1e-6
        ):
            raise UsageError(
                f"{type(model).__name__} made again gives other {what}: say which network=… and options={{…}} it was made with;"
                " what it computes must follow from these and its weights"
            )

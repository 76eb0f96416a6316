"""What a comparison has to train: every model with every network, dimension and seed, each in a folder of its own."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from latens.comparison.rows import Row, failed_row
from latens.errors import UsageError
from latens.images import Dataset
from latens.training.loop import build_model
from latens.training.recipes import Recipe, recipe_for

__all__ = ["Grid", "Planned", "folder_name", "plan_runs"]


@dataclass(frozen=True)
class Grid:
    """What is varied; None for what the recipe says.

    Args:
        models: names with options, such as `"variational:beta=4"`.
        networks: names of `NETWORKS`.
        latent_dims: D.
        seeds: of weights, order and noise.
    """

    models: Sequence[str] | None = None
    networks: Sequence[str] | None = None
    latent_dims: Sequence[int] | None = None
    seeds: Sequence[int] | None = None

    def choices(self) -> list[dict[str, Any]]:
        """All combinations, as options of a recipe; the seed runs fastest.

        Raises:
            UsageError: an empty list, a text in place of a list, or a value twice.
        """
        varied = {"model": self.models, "network": self.networks, "latent_dim": self.latent_dims, "seed": self.seeds}
        for name, values in varied.items():
            if isinstance(values, str) or (values is not None and (not values or len(set(values)) < len(values))):
                raise UsageError(f"{name}s is {values!r}; a list of different ones is needed, at least one")
        return [dict(zip(varied, some, strict=True)) for some in product(*(v or [None] for v in varied.values()))]


@dataclass(frozen=True)
class Planned:
    """One run that is wanted.

    Args:
        recipe: the whole setting.
        options: what made it of the recipe of its name.
        images: what it is trained on.
        name: of its folder.
    """

    recipe: Recipe
    options: Mapping[str, Any]
    images: Dataset
    name: str

    @property
    def words(self) -> str:
        """The run in words."""
        recipe = self.recipe
        return (
            f"{self.images.name}, {recipe.model_choice}, {recipe.network}, latent dimension {recipe.latent_dim},"
            f" seed {recipe.config.seed}"
        )

    def failed(self, path: Path, error: BaseException) -> Row:
        """The row of it that says why there is nothing of it in its folder."""
        return failed_row(self.recipe, (self.images.name, self.images.fingerprint, self.images.shape), path, error)


def folder_name(data: str, recipe: Recipe) -> str:
    """The name of a run's folder: its data set and what a comparison varies, in characters that every file system takes.

    >>> from latens.training.recipes import TrainConfig
    >>> folder_name("mnist", Recipe("fast", "variational", "dense", 16, TrainConfig(3, 64), {"beta": 4}))
    'mnist-variational-beta=4-dense-16-seed-0'
    """
    parts = (data, recipe.model_choice, recipe.network, recipe.latent_dim, "seed", recipe.config.seed)
    return re.sub(r"[^\w.=+]+", "-", "-".join(map(str, parts)))


def plan_runs(datasets: Iterable[Dataset], grid: Grid, recipe: str, options: Mapping[str, Any]) -> list[Planned]:
    """All runs of a comparison, in the order in which they are trained and shown.

    Args:
        datasets: each is compared by itself.
        grid: what is varied.
        recipe: a name of `RECIPES`, to start from.
        options: parts of the recipe that are the same for all runs.

    Raises:
        UnknownName: no such recipe, model, network or option.
        UsageError: a value that is not allowed, the same images twice, or two settings that would share a folder.
    """
    planned: list[Planned] = []
    for images in datasets:
        base = recipe_for(recipe, images)
        for choice in grid.choices():
            asked = {**options, **choice}
            chosen = base.with_options(**asked)
            planned.append(Planned(chosen, asked, images, folder_name(images.name, chosen)))
    _check_folders(planned)
    _check_models(planned)
    return planned


def _check_folders(planned: Sequence[Planned]) -> None:
    taken: dict[str, Planned] = {}
    for one in planned:
        other = taken.setdefault(one.name, one)
        if other is not one:
            raise UsageError(
                f"{one.name} would be the folder of two runs: give each data set a name of its own and each choice once"
            )


def _check_models(planned: Sequence[Planned]) -> None:
    """Say what no model allows before hours are spent on the others."""
    seen: set[str] = set()
    for one in planned:
        what = f"{one.recipe.model_choice} {one.recipe.network} {one.images.shape}"
        if what not in seen:
            seen.add(what)
            build_model(one.recipe, one.images.shape)

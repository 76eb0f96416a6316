"""Training: a model and images in, a generator of `Step`s out; the recipes by name.

`loop` holds `train`, `recipes` the settings by name, `optimisers` Muon and Adam, `graphs` whole steps on a GPU.
"""

from typing import TYPE_CHECKING

from latens.tables import lazy_names

if TYPE_CHECKING:
    from latens.training.loop import Step as Step
    from latens.training.loop import build_model as build_model
    from latens.training.loop import train as train
    from latens.training.recipes import RECIPES as RECIPES
    from latens.training.recipes import Recipe as Recipe
    from latens.training.recipes import TrainConfig as TrainConfig

_HOMES = {
    "RECIPES": "recipes",
    "Recipe": "recipes",
    "Step": "loop",
    "TrainConfig": "recipes",
    "build_model": "loop",
    "train": "loop",
}

__all__ = ["RECIPES", "Recipe", "Step", "TrainConfig", "build_model", "train"]


# The command line reads the names of the recipes; that must not import torch.
__getattr__ = lazy_names(__name__, _HOMES)

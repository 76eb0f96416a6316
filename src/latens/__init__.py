"""latens: train an autoencoder on your images and see what it learned.

The public names are imported when they are first used, so that `import latens` loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latens.comparison import Comparison as Comparison
    from latens.comparison import compare as compare
    from latens.computed.review import Review as Review
    from latens.computed.review import review_run as review_run
    from latens.errors import LatensError as LatensError
    from latens.estimators import TSNE as TSNE
    from latens.estimators import Autoencoder as Autoencoder
    from latens.estimators import Mixture as Mixture
    from latens.experiment import adopt as adopt
    from latens.experiment import keep as keep
    from latens.experiment import resume as resume
    from latens.experiment import run as run
    from latens.explorer import create_app as create_app
    from latens.explorer import explore as explore
    from latens.figures.live import live_loss as live_loss
    from latens.images import Dataset as Dataset
    from latens.images import Images as Images
    from latens.images import load_images as load_images
    from latens.interpolation import PATHS as PATHS
    from latens.interpolation import interpolate as interpolate
    from latens.interpolation import latent_arithmetic as latent_arithmetic
    from latens.interpolation import traverse as traverse
    from latens.latents import decode_latents as decode_latents
    from latens.latents import encode_images as encode_images
    from latens.maps import MAPS as MAPS
    from latens.metrics import METRICS as METRICS
    from latens.models import MODELS as MODELS
    from latens.networks import NETWORKS as NETWORKS
    from latens.runs import Run as Run
    from latens.runs import import_weights as import_weights
    from latens.runs import list_runs as list_runs
    from latens.runs import open_run as open_run
    from latens.samplers import SAMPLERS as SAMPLERS
    from latens.training import RECIPES as RECIPES
    from latens.training import Step as Step
    from latens.training import TrainConfig as TrainConfig
    from latens.training import train as train

__version__ = "0.1.0"

_HOMES = {
    "Autoencoder": "estimators",
    "Comparison": "comparison",
    "Dataset": "images",
    "Images": "images",
    "LatensError": "errors",
    "MAPS": "maps",
    "METRICS": "metrics",
    "MODELS": "models",
    "Mixture": "estimators",
    "NETWORKS": "networks",
    "PATHS": "interpolation",
    "RECIPES": "training",
    "Run": "runs",
    "Review": "computed.review",
    "SAMPLERS": "samplers",
    "Step": "training",
    "TSNE": "estimators",
    "TrainConfig": "training",
    "compare": "comparison",
    "adopt": "experiment",
    "create_app": "explorer",
    "decode_latents": "latents",
    "encode_images": "latents",
    "explore": "explorer",
    "import_weights": "runs",
    "keep": "experiment",
    "interpolate": "interpolation",
    "latent_arithmetic": "interpolation",
    "list_runs": "runs",
    "live_loss": "figures.live",
    "load_images": "images",
    "open_run": "runs",
    "resume": "experiment",
    "review_run": "computed.review",
    "run": "experiment",
    "train": "training",
    "traverse": "interpolation",
}

__all__ = sorted([*_HOMES, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'latens' has no attribute {name!r}")
    return getattr(import_module(f"latens.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)

"""Models: a pair of networks, a rule for the latent and a loss. `models.contract.Model` is the contract."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from latens.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from latens.models.autoencoder import AutoencoderModel as AutoencoderModel
    from latens.models.contract import Model as Model
    from latens.models.quantised import QuantisedModel as QuantisedModel
    from latens.models.regularised import RegularisedModel as RegularisedModel
    from latens.models.variational import VariationalModel as VariationalModel
    from latens.models.wasserstein import WassersteinModel as WassersteinModel

__all__ = [
    "MODELS",
    "AutoencoderModel",
    "Model",
    "QuantisedModel",
    "RegularisedModel",
    "VariationalModel",
    "WassersteinModel",
]

MODELS: "Table[Callable[..., Model]]" = Table(
    "model",
    {
        "autoencoder": "latens.models.autoencoder:AutoencoderModel",
        "variational": "latens.models.variational:VariationalModel",
        "wasserstein": "latens.models.wasserstein:WassersteinModel",
        "regularised": "latens.models.regularised:RegularisedModel",
        "quantised": "latens.models.quantised:QuantisedModel",
    },
    group="models",
)
"""Name -> function (image_shape, latent_dim, network, ...) -> Model."""


def __getattr__(name: str) -> Any:
    # The command line reads the names of the models; that must not import torch.
    if name in __all__:
        module = "contract" if name == "Model" else name.removesuffix("Model").lower()
        return getattr(import_module(f"latens.models.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

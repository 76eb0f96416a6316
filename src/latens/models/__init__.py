"""Models: a pair of networks, a rule for the latent and a loss. `models.contract.Model` is the contract."""

from typing import TYPE_CHECKING

from latens.tables import Table, lazy_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from latens.models.autoencoder import AutoencoderModel as AutoencoderModel
    from latens.models.contract import Model as Model
    from latens.models.frozen import FrozenModel as FrozenModel
    from latens.models.quantised import QuantisedModel as QuantisedModel
    from latens.models.regularised import RegularisedModel as RegularisedModel
    from latens.models.variational import VariationalModel as VariationalModel
    from latens.models.wasserstein import WassersteinModel as WassersteinModel

__all__ = [
    "MODELS",
    "AutoencoderModel",
    "FrozenModel",
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
"""Name -> function (image_shape, latent_dim, network, ...) -> Model. `FrozenModel` is not in it: it needs an encoder."""


_HOMES = {
    "AutoencoderModel": "autoencoder",
    "FrozenModel": "frozen",
    "Model": "contract",
    "QuantisedModel": "quantised",
    "RegularisedModel": "regularised",
    "VariationalModel": "variational",
    "WassersteinModel": "wasserstein",
}

# The command line reads the names of the models; that must not import torch.
__getattr__ = lazy_names(__name__, _HOMES)

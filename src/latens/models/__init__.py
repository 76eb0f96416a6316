"""Models: what is learned. A network pair, a rule for the latent, and a loss; the contract is `models.contract.Model`."""

from typing import TYPE_CHECKING

from latens.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from latens.models.contract import Model

__all__ = ["MODELS"]

MODELS: "Table[Callable[..., Model]]" = Table(
    "model",
    {
        "autoencoder": "latens.models.autoencoder:Autoencoder",
        "variational": "latens.models.variational:Variational",
        "wasserstein": "latens.models.wasserstein:Wasserstein",
        "regularised": "latens.models.regularised:Regularised",
        "quantised": "latens.models.quantised:Quantised",
    },
)
"""Name -> function (image_shape, latent_dim, network, ...) -> Model."""

"""scikit-learn's estimators: our models, t-SNE and mixtures behind the conventions of scikit-learn.

They hold no method of their own: `Autoencoder` trains as `latens.training` does, `TSNE` is `latens.maps.tsne`, `Mixture` is
`latens.samplers.em`. scikit-learn's `check_estimator` passes for each.
"""

from typing import TYPE_CHECKING

from latens.tables import lazy_names

if TYPE_CHECKING:
    from latens.estimators.autoencoder import Autoencoder as Autoencoder
    from latens.estimators.mixture import Mixture as Mixture
    from latens.estimators.tsne import TSNE as TSNE

_HOMES = {"Autoencoder": "autoencoder", "Mixture": "mixture", "TSNE": "tsne"}

__all__ = ["TSNE", "Autoencoder", "Mixture"]

__getattr__ = lazy_names(__name__, _HOMES)

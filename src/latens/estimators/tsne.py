"""t-SNE as a transformer of scikit-learn."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from latens.device import choose_device
from latens.errors import UsageError
from latens.estimators.random import seed_of
from latens.maps.tsne import PERPLEXITY, TSNEMap

__all__ = ["TSNE"]


class TSNE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # no types
    """t-SNE in two dimensions that also places new points: `latens.maps.tsne.TSNEMap` in the manner of scikit-learn.

    Args:
        perplexity: about how many neighbours count, above 0; of fewer than three times as many points a third is taken.
        device: `"auto"`, `"cpu"`, `"cuda"` or `"mps"`.
        random_state: of the noise at the start.

    `transform` puts a row that `fit` has seen where `fit` put it, and others where their nearest neighbours are.
    After `fit`: `embedding_` float32 (N, 2), `trust_` float32 (N,): the share of each point's 10 nearest on the map that are so
    in the data; `n_features_in_`, `feature_names_in_`.

    >>> from sklearn.datasets import load_iris
    >>> TSNE().fit_transform(load_iris().data).shape
    (150, 2)
    """

    def __init__(self, perplexity: float = PERPLEXITY, *, device: str = "auto", random_state: Any = 0) -> None:
        self.perplexity = perplexity
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Lay rows out.

        Args:
            X: (N, F), N at least 2.
            y: not used.

        Raises:
            UsageError: the perplexity is not above 0.
        """
        if not self.perplexity > 0:
            raise UsageError(f"perplexity is {self.perplexity!r}; a number above 0 is needed")
        rows = validate_data(self, X, dtype=(np.float64, np.float32), ensure_min_samples=2)
        self._centre, self._scale = _frame_of(rows)
        made = TSNEMap(choose_device(self.device), self.perplexity)
        self._map = made.fit(self._framed(rows), seed_of(self.random_state))
        self.embedding_, self.trust_ = made.coordinates, made.trust
        self._n_features_out = 2
        known = zip(made.latents[::-1], made.coordinates[::-1], strict=True)  # of equal rows the first
        self._known = {row.tobytes(): place for row, place in known}
        return self

    def fit_transform(self, X: Any, y: Any = None) -> NDArray[np.float32]:
        """Lay rows out; their places, float32 (N, 2)."""
        return self.fit(X).embedding_

    def transform(self, X: Any) -> NDArray[np.float32]:
        """The places of rows on the map as it is, float32 (N, 2)."""
        check_is_fitted(self)
        rows = self._framed(validate_data(self, X, dtype=(np.float64, np.float32), reset=False))
        places = self._map.place(rows)
        for number, row in enumerate(rows):
            places[number] = self._known.get(row.tobytes(), places[number])
        return places

    def _framed(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Rows about zero and of unit size, so that float32 keeps their differences."""
        framed: NDArray[np.float32] = np.ascontiguousarray((rows - self._centre) / self._scale, np.float32)
        return framed

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _frame_of(rows: NDArray[Any]) -> tuple[NDArray[np.float64], float]:
    centre = rows.mean(0, dtype=np.float64)
    return centre, float(np.abs(rows - centre).max(initial=0)) or 1.0

"""A mixture of Gaussians as a density of scikit-learn."""

from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from latens.errors import UsageError
from latens.samplers.em import Mixture as Components
from latens.samplers.em import fit_mixture
from latens.samplers.mixture import WHOLE, best_mixtures, prior_strength

__all__ = ["Mixture"]

ROUNDS = 100  # at most, of a fit with a given number of components


class Mixture(DensityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A mixture of Gaussians that chooses its number of components: `latens.samplers.em` in the manner of scikit-learn.

    Args:
        n_components: how many; None takes the number from 1 to 200, and full or diagonal covariances, under which rows that
            are held out are likeliest.
        random_state: of `sample`. The fit itself draws nothing that it changes.

    Features are standardised inside. Covariances are drawn towards their mean, which counts as much as F / 4 rows, so that a
    component of few rows stays regular; `sklearn.mixture.GaussianMixture` has no such prior.

    After `fit`: `n_components_`, `weights_` (K,), `means_` (K, F), `covariances_` (K, F, F), `n_features_in_`,
    `feature_names_in_`.

    >>> from sklearn.datasets import load_iris
    >>> Mixture(3).fit(load_iris().data).means_.shape
    (3, 4)
    """

    def __init__(self, n_components: int | None = None, *, random_state: Any = 0) -> None:
        self.n_components = n_components
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit to rows.

        Args:
            X: (N, F), N at least 2 and at least `n_components`.
            y: not used.

        Raises:
            UsageError: `n_components` is no whole number from 1 to N.
        """
        rows = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        wanted = self.n_components
        if wanted is not None and not (isinstance(wanted, int | np.integer) and 1 <= wanted <= len(rows)):
            raise UsageError(
                f"n_components is {wanted!r}; a whole number from 1 to the {len(rows)} rows, or None, is needed"
            )
        self._centre, spread = rows.mean(0), rows.std(0)
        self._spread = np.where(spread > 1e-12 * np.abs(self._centre), spread, 1.0)
        x = self._standard(rows)
        if wanted is None:
            (self._mixture,) = best_mixtures([x], WHOLE, _unheard)
        else:
            self._mixture = fit_mixture(x, int(wanted), prior_strength(x), diagonal=False, rounds=ROUNDS)
        self.weights_, self.means_, self.covariances_ = self._in_units_of_rows(self._mixture)
        self.n_components_ = len(self.weights_)
        return self

    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """The log-density of each row, (N,), in the units of the features."""
        density = self._mixture_of(X)[1].logsumexp(1).numpy()
        scores: NDArray[np.float64] = density - np.log(self._spread).sum()
        return scores

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`: higher is better."""
        return float(self.score_samples(X).mean())

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """How likely each row comes from each component, (N, K), rows of sum 1."""
        probabilities: NDArray[np.float64] = self._mixture_of(X)[1].softmax(1).numpy()
        return probabilities

    def predict(self, X: Any) -> NDArray[np.int64]:
        """The component from which each row most likely comes, int64 (N,)."""
        components: NDArray[np.int64] = self.predict_proba(X).argmax(1)
        return components

    def fit_predict(self, X: Any, y: Any = None) -> NDArray[np.int64]:
        """`fit`, then `predict` of the same rows."""
        return self.fit(X).predict(X)

    def sample(self, n_samples: int = 1) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Draw rows (n, F), and the component of each, int64 (n,); by `random_state`, as scikit-learn's mixtures do."""
        check_is_fitted(self)
        if n_samples < 1:
            raise UsageError(f"{n_samples} samples were asked for; at least 1 is needed")
        random = check_random_state(self.random_state)
        components = np.sort(random.choice(self.n_components_, n_samples, p=self.weights_))
        factors = self._mixture.factors.numpy()[components] * self._spread[:, None]  # (n, F, F)
        noise = random.standard_normal((n_samples, self.n_features_in_))
        return self.means_[components] + np.einsum("nij,nj->ni", factors, noise), components

    def _mixture_of(self, X: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Standardised rows (N, F), and the log of weight times density of each under each component (N, K)."""
        check_is_fitted(self)
        x = self._standard(validate_data(self, X, dtype=np.float64, reset=False))
        parts = [self._mixture.log_joint(rows) for rows in torch.split(x, self._mixture.rows_at_once)]
        return x, torch.cat(parts)

    def _standard(self, rows: NDArray[np.float64]) -> torch.Tensor:
        return torch.from_numpy((rows - self._centre) / self._spread)

    def _in_units_of_rows(
        self, mixture: Components
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Weights that sum to 1 exactly, means and covariances."""
        weights = mixture.weights.numpy()
        factors = mixture.factors.numpy() * self._spread[:, None]
        means = mixture.means.numpy() * self._spread + self._centre
        return weights / weights.sum(), means, factors @ factors.transpose(0, 2, 1)


def _unheard(done: int, total: int) -> None:
    """Progress that nobody asked for."""

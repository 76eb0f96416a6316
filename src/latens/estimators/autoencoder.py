"""An autoencoder as a transformer of scikit-learn."""

import copy
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from latens.device import choose_device
from latens.errors import UsageError
from latens.estimators.inputs import Features, Inputs, Pictures, as_dataset, picture_axes
from latens.estimators.random import seed_of
from latens.images import Dataset
from latens.latents import decode_latents, in_batches
from latens.models.checks import OF_ROWS
from latens.models.contract import Model
from latens.training.loop import build_model, train, use_forms
from latens.training.recipes import LINEAR_PATH, RECIPES, Recipe, TrainConfig, model_name

__all__ = ["Autoencoder"]

ROWS_AT_ONCE = 64  # of features in a step
STEPS = 800  # for features; more of them overfit, since the start is PCA already
FEWEST_STEPS = 100  # for features; in between as many as there are rows
MOST_LATENT = 64  # numbers of a row's latent where nothing is said


class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # no types
    """An autoencoder in the manner of scikit-learn: `fit`, `transform` to latents, `inverse_transform` back.

    Args:
        latent_dim: D. None: for images what the recipe says; for features half of them, at most 64.
        model: a name of `latens.MODELS`, with options as in `"variational:beta=4"`. None: the recipe's; for features a plain
            autoencoder without an activation on its latent.
        network: a name of `latens.NETWORKS`. None: the recipe's; for features dense layers beside principal
            components, from which training starts (`"linear-path"`); `"dense"` is the other one that they can have.
        recipe: a name of `latens.RECIPES`, of images; features have settings of their own.
        epochs: passes over the data. None: what the recipe says.
        batch_size: rows a step. None: what the recipe says.
        learning_rate: see `latens.TrainConfig`. None: what the recipe says.
        image_shape: (H, W) or (H, W, C) of images that are given as rows. None: rows are plain features.
        contamination: the share of the rows of `fit` that `decision_function` calls odd, above 0 and at most 0.5.
        device: `"auto"`, `"cpu"`, `"cuda"` or `"mps"`.
        random_state: of weights, order and noise; the same number gives the same result on the same machine.

    X is (N, H, W), (N, H, W, C), or rows (N, F): with `image_shape` they are images, without it plain features, which are
    standardised inside. All of X is trained on, except for the rows that a recipe holds out to choose the weights by.

    After `fit`: `model_`, the `latens.models.Model`; `history_`, a dict an epoch; `offset_`, what `decision_function` takes
    away; `n_features_in_`, `feature_names_in_`.

    >>> from sklearn.datasets import load_iris
    >>> Autoencoder(2, epochs=3).fit_transform(load_iris().data).shape
    (150, 2)
    """

    def __init__(
        self,
        latent_dim: int | None = None,
        *,
        model: str | None = None,
        network: str | None = None,
        recipe: str = "fast",
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        image_shape: tuple[int, ...] | None = None,
        contamination: float = 0.01,
        device: str = "auto",
        random_state: Any = 0,
    ) -> None:
        self.latent_dim = latent_dim
        self.model = model
        self.network = network
        self.recipe = recipe
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.image_shape = image_shape
        self.contamination = contamination
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on all rows.

        Args:
            X: see the class; at least two rows.
            y: not used.

        Raises:
            UsageError: an option or a shape is not allowed. It is a ValueError.
            TrainingDiverged: the loss is not finite.
        """
        if not 0 < self.contamination <= 0.5:
            raise UsageError(f"contamination is {self.contamination!r}; above 0 and at most 0.5 is needed")
        rows = self._checked(X, fitting=True)
        inputs = self._inputs_of(rows)
        x = inputs.to_model(rows)
        images = as_dataset(x)
        recipe = self._recipe_for(images, isinstance(inputs, Features))
        model = build_model(recipe, inputs.shape).to(choose_device(self.device))
        use_forms(model, _forms_of(model, recipe))
        self.history_ = [
            {"epoch": step.epoch, "loss": step.train_loss, **step.parts} for step in train(model, images, recipe.config)
        ]
        self.model_, self._inputs, self._n_features_out = model, inputs, model.latent_dim
        self.offset_ = float(np.quantile(self._scores_of(x), self.contamination))
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """The latents of rows, float32 (N, D)."""
        return self._encoded(self._given(X))

    def inverse_transform(self, X: Any) -> NDArray[np.float32]:
        """The rows of latents (N, D), float32 in the shape and the unit of those given to `fit`; not rounded."""
        check_is_fitted(self)
        latents = check_array(X, dtype=np.float32)
        return self._inputs.from_model(decode_latents(self.model_, latents))

    def score_samples(self, X: Any) -> NDArray[np.float32]:
        """Minus the mean squared error of each row's reconstruction, float32 (N,): low where a row is odd.

        Images count by their range, 0 to 1; features in standard deviations, so that -1 is no better than their means.
        """
        return self._scores_of(self._given(X))

    def decision_function(self, X: Any) -> NDArray[np.float32]:
        """`score_samples` less `offset_`: below 0 where a row is odder than all but `contamination` of those of `fit`."""
        return self.score_samples(X) - np.float32(self.offset_)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`: higher is better, 0 is perfect."""
        return float(self.score_samples(X).mean(dtype=np.float64))

    def _checked(self, X: Any, fitting: bool = False) -> NDArray[Any]:
        """X as an array of numbers, with scikit-learn's checks and messages."""
        least = 2 if fitting else 1
        if len(getattr(X, "shape", ())) in (3, 4):
            images: NDArray[Any] = check_array(X, dtype="numeric", allow_nd=True, ensure_min_samples=least)
            count = int(np.prod(images.shape[1:]))
            if fitting:
                self.n_features_in_ = count
            elif count != self.n_features_in_:
                shape = " x ".join(map(str, images.shape[1:]))
                raise UsageError(f"X has images of {shape}, {count} numbers; {self.n_features_in_} are expected")
            return images
        kind = "numeric" if self.image_shape is not None or not fitting else (np.float64, np.float32)
        rows: NDArray[Any] = validate_data(self, X, dtype=kind, reset=fitting, ensure_min_samples=least)
        return rows

    def _inputs_of(self, rows: NDArray[Any]) -> Inputs:
        if self.image_shape is None and rows.ndim == 2:
            return Features.of(rows)
        axes = rows.shape[1:] if self.image_shape is None else picture_axes(self.image_shape)
        if np.prod(axes) != self.n_features_in_:
            raise UsageError(
                f"image_shape {self.image_shape} has {np.prod(axes)} numbers; X has {self.n_features_in_} features"
            )
        return Pictures(axes, flat=rows.ndim == 2).ranged(rows)

    def _recipe_for(self, images: Dataset, features: bool) -> Recipe:
        if features and (self.recipe != "fast" or self.network not in (None, *OF_ROWS)):
            raise UsageError(
                f"recipe {self.recipe!r} and network {self.network!r} are for images: give image_shape=(H, W),"
                " or leave them out for rows of plain features"
            )
        started = _recipe_of_features(images) if features else RECIPES[self.recipe](images)
        return started.with_options(
            latent_dim=self.latent_dim,
            model=model_name(self.model),
            network=self.network,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            seed=seed_of(self.random_state),
        )

    def _given(self, X: Any) -> NDArray[np.float32]:
        check_is_fitted(self)
        return self._inputs.to_model(self._checked(X))

    def _encoded(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return in_batches(self.model_, x, self.model_.encode, (self.model_.latent_dim,))

    def _scores_of(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        errors = (decode_latents(self.model_, self._encoded(x)) - x).reshape(len(x), -1) / self._inputs.unit
        scores: NDArray[np.float32] = -np.square(errors).mean(1)
        return scores

    def __getstate__(self) -> dict[str, Any]:
        """For pickle: with the weights on the CPU, so that a machine without this device opens it."""
        state: dict[str, Any] = super().__getstate__()
        if "model_" in state and state["model_"].device.type != "cpu":
            state = {**state, "model_": copy.deepcopy(state["model_"]).cpu()}
        return state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.three_d_array = True
        return tags


def _forms_of(model: Model, recipe: Recipe) -> dict[str, list[str]]:
    """The kernels where they can be used. `fastest_forms` would measure, so that two fits might round differently."""
    if recipe.config.precision == "bfloat16":
        return {}
    halves = ("encoder", "decoder")
    return {half: ["torch" if half in model.twice_differentiated else "native", "native"] for half in halves}


def _recipe_of_features(images: Dataset) -> Recipe:
    """The settings for rows of plain features."""
    num_rows, num_features = len(images.train), images.shape[2]
    batch_size = min(ROWS_AT_ONCE, num_rows)
    steps = min(STEPS, max(FEWEST_STEPS, num_rows))
    config = TrainConfig(
        epochs=max(1, round(steps / -(-num_rows // batch_size))),
        batch_size=batch_size,
        optimiser="muon",
        learning_rate=0.003,
        matrix_learning_rate=0.01,
        beta2=0.99,
        warmup=0.02,
        decay=True,
    )
    latent_dim = min(MOST_LATENT, max(1, num_features // 2))
    plain = {"activation": "none"}
    return Recipe("features", "autoencoder", LINEAR_PATH, latent_dim, config, model_options=plain, output_bias=0.5)

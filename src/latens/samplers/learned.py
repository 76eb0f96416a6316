"""Base class of the samplers: their arrays, the checks, and the labels."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.samplers.contract import Sampler, Tick
from latens.samplers.density import Normals, log_density
from latens.samplers.rectified import fill_zeros, rectified_units

__all__ = ["Learned", "chances_and_noise"]

UNFITTED = "the sampler was not fitted; call fit(latents, labels) first"


class Learned(Sampler):
    """A sampler whose fitted state is a few named arrays.

    They are rounded to float32 when they are fitted, so that a sampler that is opened again draws the same.
    """

    fills_zeros: ClassVar[bool] = False  # zeros of a ReLU are filled before the fit, and cut after sampling
    names: ClassVar[tuple[str, ...]]  # of the arrays beside `classes`; those of classes are empty without labels

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}

    @abstractmethod
    def _learn(
        self, latents: NDArray[np.float64], labels: NDArray[np.int64] | None, progress: Tick
    ) -> dict[str, NDArray[Any]]:
        """The arrays called `names`, and `classes` where those aren't the labels' own; long work calls `progress`."""

    @abstractmethod
    def _draw(self, n: int, random: np.random.Generator, index: NDArray[np.int64] | None) -> NDArray[Any]:
        """Draw n latents; `index` (n,) gives the index in `classes` of each."""

    def fit(self, latents: NDArray[Any], labels: NDArray[Any] | None = None, progress: Tick | None = None) -> Self:
        """See `Sampler.fit`."""
        checked, checked_labels = _checked(latents, labels)
        classes = np.empty(0, np.int64) if checked_labels is None else np.unique(checked_labels)
        rectified = rectified_units(checked) if self.fills_zeros else np.zeros(0, np.bool_)
        if rectified.any():
            checked = fill_zeros(checked, checked_labels)
        learned = {"classes": classes, **self._learn(checked, checked_labels, progress or _unheard)}
        if rectified.any():
            learned["rectified"] = rectified
        self.arrays = {
            name: np.ascontiguousarray(array, np.float32 if array.dtype.kind == "f" else np.int64)
            for name, array in learned.items()
        }
        return self

    @property
    def classes(self) -> NDArray[np.int64]:
        """See `Sampler.classes`."""
        classes: NDArray[np.int64] = self.arrays["classes"]
        return classes

    def labels_for(self, n: int) -> NDArray[np.int64] | None:
        """See `Sampler.labels_for`."""
        return self.classes[np.arange(n) % len(self.classes)] if len(self.classes) else None

    def sample(self, n: int, seed: int = 0, labels: NDArray[Any] | None = None) -> NDArray[np.float32]:
        """See `Sampler.sample`."""
        if not self.arrays:
            raise UsageError(UNFITTED)
        if n < 0:
            raise UsageError(f"{n} samples were asked for; give 0 or more")
        index = None if labels is None else self._index(n, np.asarray(labels))
        drawn: NDArray[np.float32] = np.asarray(self._draw(n, np.random.default_rng(seed), index), np.float32)
        if "rectified" in self.arrays:
            drawn[:, self.arrays["rectified"] == 1] = drawn[:, self.arrays["rectified"] == 1].clip(min=0)
        return drawn

    @property
    def no_density(self) -> str:
        """See `Sampler.no_density`."""
        if "rectified" in self.arrays:
            return "its latents come from a ReLU, and zeros have a probability in place of a density"
        return super().no_density if self._normals(of_classes=False) is None else ""

    def _normals(self, of_classes: bool) -> Normals | None:
        """The Gaussians that it draws from: all, or those of the classes; None where it draws otherwise."""
        return None

    def log_prob(self, latents: NDArray[Any], labels: NDArray[Any] | None = None) -> NDArray[np.float64]:
        """See `Sampler.log_prob`."""
        if not self.arrays:
            raise UsageError(UNFITTED)
        normals = None if self.no_density else self._normals(of_classes=labels is not None)
        if normals is None:
            return super().log_prob(latents, labels)  # which refuses
        checked, _ = _checked(latents, None)
        if checked.shape[1] != normals.means.shape[1]:
            raise UsageError(f"latents have {checked.shape[1]} numbers; the sampler knows {normals.means.shape[1]}")
        return log_density(checked, normals, None if labels is None else self._index(len(checked), np.asarray(labels)))

    def _index(self, n: int, labels: NDArray[Any]) -> NDArray[np.int64]:
        if labels.shape != (n,):
            raise UsageError(f"labels have shape {labels.shape}; {n} samples need ({n},)")
        unknown = np.setdiff1d(labels, self.classes)
        if len(unknown):
            known = ", ".join(map(str, self.classes.tolist())) or "none; leave the labels out"
            raise UsageError(f"the sampler knows no class {unknown[0]}; known classes: {known}")
        index: NDArray[np.int64] = np.searchsorted(self.classes, labels)
        return index

    def state(self) -> dict[str, NDArray[Any]]:
        """See `Sampler.state`."""
        return dict(self.arrays)

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]], options: Mapping[str, Any] | None = None) -> Self:
        """See `Sampler.restore`."""
        missing = [name for name in ("classes", *cls.names) if name not in state]
        if missing:
            raise UsageError(f"a sampler's state lacks {', '.join(missing)}; fit the sampler again")
        restored = cls(**(options or {}))
        restored.arrays = {name: np.asarray(array) for name, array in state.items()}
        return restored


def _unheard(done: int, total: int) -> None:
    """The progress that is used when none is asked for."""


def _checked(
    latents: NDArray[Any], labels: NDArray[Any] | None
) -> tuple[NDArray[np.float64], NDArray[np.int64] | None]:
    latents = np.asarray(latents, np.float64)
    if latents.ndim != 2 or 0 in latents.shape:
        raise UsageError(f"latents have shape {latents.shape}; a sampler takes (N, D), at least one number each")
    if not np.isfinite(latents).all():
        raise UsageError(
            "latents hold NaN or infinity; a sampler takes finite numbers: look at the model that made them"
        )
    if labels is None:
        return latents, None
    labels = np.asarray(labels)
    if labels.shape != (len(latents),) or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise UsageError(
            f"labels have shape {labels.shape} and type {labels.dtype}; whole numbers from 0, ({len(latents)},), are needed"
        )
    return latents, labels.astype(np.int64)


def chances_and_noise(
    random: np.random.Generator, n: int, width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A uniform number (n,) and a row of normal ones (n, width) for each sample.

    Each comes from a stream of its own, so that the first n of more samples are the same n.
    """
    for_chances, for_noise = random.spawn(2)
    return for_chances.random(n), for_noise.standard_normal((n, width))

"""Transformers of scikit-learn that have an inverse: PCA, NMF, a Pipeline of them, …; fitted on images as rows in [0, 1]."""

from typing import Any

import numpy as np

from latens.adapters.contract import Adapted, Adapter

__all__ = ["ADAPTER"]


def _adapt(model: Any) -> Adapted:
    kind = np.float64 if getattr(model, "components_", np.empty(0)).dtype == np.float64 else np.float32

    def encode(images: np.ndarray) -> np.ndarray:
        return np.asarray(model.transform(images.reshape(len(images), -1).astype(kind)))

    def decode(latents: np.ndarray) -> np.ndarray:
        return np.asarray(model.inverse_transform(latents.astype(kind)))

    return Adapted(encode, decode, type(model).__name__)


def _takes(model: Any) -> bool:
    return callable(getattr(model, "transform", None)) and callable(getattr(model, "inverse_transform", None))


ADAPTER = Adapter("a transformer of scikit-learn with inverse_transform", _takes, _adapt)

"""Models of Keras: a pair (encoder, decoder), or a folder with encoder.keras and decoder.keras. Their channels are last."""

from typing import Any

import numpy as np

from latens.adapters.contract import Adapted, Adapter, folder_of, from_package
from latens.errors import MissingExtra

__all__ = ["ADAPTER"]

FILES = ("encoder.keras", "decoder.keras")


def _adapt(model: Any) -> Adapted:
    folder = folder_of(model, *FILES)
    try:
        import keras
    except ImportError as error:
        raise MissingExtra(f"a model of Keras needs {error.name}: pip install keras") from None
    if folder is not None:  # safe_mode: no Lambda layers, which are code
        model = [keras.saving.load_model(folder / file, compile=False, safe_mode=True) for file in FILES]

    def called(half: Any, given: np.ndarray) -> np.ndarray:
        last = given.transpose(0, 2, 3, 1) if given.ndim == 4 else given
        made = np.asarray(keras.ops.convert_to_numpy(half(last, training=False)))
        return made.transpose(0, 3, 1, 2) if made.ndim == 4 else made

    encoder, decoder = model
    name = folder.resolve().name if folder is not None else encoder.name
    return Adapted(lambda x: called(encoder, x), lambda z: called(decoder, z), name)


ADAPTER = Adapter(
    "a pair of Keras models, or a folder with encoder.keras and decoder.keras",
    lambda model: (
        folder_of(model, *FILES) is not None
        or (isinstance(model, tuple | list) and len(model) == 2 and all(from_package(half, "keras") for half in model))
    ),
    _adapt,
)

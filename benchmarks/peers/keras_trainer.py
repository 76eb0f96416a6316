"""Keras on torch with the reference experiment's network in its own layers: `compile` and `fit` on an array in memory.

    python keras_trainer.py IMAGES.npy [--epochs 1] [--test TEST.npy] [--layout channels_first]

Needs keras and torch. Layers are padded as Keras pads "same": as many numbers, one pixel further left and up. An epoch runs from
on_epoch_begin to on_epoch_end. Prints one line of JSON.
"""

import argparse
import importlib.metadata
import os
import time
from typing import Any

import numpy as np
from setting import LEARNING_RATE, Trained, measure, peer_parser

__all__ = ["build_keras_network", "train"]


def build_keras_network(channels_first: bool) -> Any:
    import keras
    from keras import layers

    halve = {"kernel_size": 3, "strides": 2, "padding": "same"}
    return keras.Sequential(
        [
            keras.Input((1, 28, 28) if channels_first else (28, 28, 1)),
            layers.Conv2D(16, activation="relu", **halve),
            layers.Conv2D(32, activation="relu", **halve),
            layers.Conv2D(64, 7, activation="relu"),
            layers.Conv2DTranspose(32, 7, activation="relu"),
            layers.Conv2DTranspose(16, activation="relu", **halve),
            layers.Conv2DTranspose(1, **halve),
        ]
    )


def train(pixels: np.ndarray, epochs: int, args: argparse.Namespace) -> Trained:
    import keras

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.began = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            seconds.append(time.perf_counter() - self.began)

    seconds: list[float] = []
    keras.config.set_image_data_format(args.layout)
    keras.utils.set_random_seed(args.seed)
    channels_first = args.layout == "channels_first"
    model = build_keras_network(channels_first)
    assert model.count_params() == 210_369
    model.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE), loss="mean_squared_error")
    x = pixels.astype(np.float32) / 255
    x = x if channels_first else x.transpose(0, 2, 3, 1).copy()
    history = model.fit(x, x, batch_size=args.batch, epochs=epochs, verbose=0, callbacks=[Clock()])

    def reconstruct(x: np.ndarray) -> np.ndarray:
        y = model.predict(x if channels_first else x.transpose(0, 2, 3, 1), batch_size=1000, verbose=0)
        return y if channels_first else y.transpose(0, 3, 1, 2)

    return seconds, history.history["loss"][-1], reconstruct


def main() -> None:
    parser = peer_parser(__doc__, workers=False)
    parser.add_argument("--layout", choices=["channels_first", "channels_last"], default="channels_first")
    args = parser.parse_args()
    os.environ["KERAS_BACKEND"] = "torch"
    measure(f"keras {importlib.metadata.version('keras')} on torch", args, train)


if __name__ == "__main__":
    main()

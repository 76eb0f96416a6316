"""pythae's BaseTrainer with the reference experiment's network: its AE model, data set and settings except batch and rate.

    python pythae_trainer.py IMAGES.npy [--epochs 1] [--workers 0] [--test TEST.npy]

Needs pythae. An epoch runs from its callback on_epoch_begin to on_epoch_end; saving is outside. Its loss is summed over pixels;
here it is given a pixel. Prints one line of JSON.
"""

import argparse
import importlib.metadata
import tempfile
import time

import numpy as np
from setting import LEARNING_RATE, Trained, as_tensor, build_network, measure, peer_parser

__all__ = ["train"]


def train(pixels: np.ndarray, epochs: int, args: argparse.Namespace) -> Trained:
    import torch
    from pythae.data.datasets import BaseDataset
    from pythae.models import AE, AEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    class Encoder(BaseEncoder):
        def __init__(self, layers):
            super().__init__()
            self.layers = layers

        def forward(self, x):
            return ModelOutput(embedding=self.layers(x).flatten(1))

    class Decoder(BaseDecoder):
        def __init__(self, layers):
            super().__init__()
            self.layers = layers

        def forward(self, z):
            return ModelOutput(reconstruction=self.layers(z[:, :, None, None]))

    class Clock(TrainingCallback):
        def on_epoch_begin(self, training_config, **_):
            self.began = time.perf_counter()

        def on_epoch_end(self, training_config, **_):
            seconds.append(time.perf_counter() - self.began)

        def on_log(self, training_config, logs, **_):
            losses.append(float(logs["train_epoch_loss"]))

    seconds: list[float] = []
    losses: list[float] = []
    encoder, decoder = build_network()
    model = AE(AEConfig(input_dim=pixels.shape[1:], latent_dim=64), Encoder(encoder), Decoder(decoder))
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=epochs,
            learning_rate=LEARNING_RATE,
            per_device_train_batch_size=args.batch,
            train_dataloader_num_workers=args.workers,
            seed=args.seed,
            no_cuda=True,
        )
        data = BaseDataset(as_tensor(pixels), torch.zeros(len(pixels)))
        BaseTrainer(model, data, training_config=config, callbacks=[Clock()]).train()

    def reconstruct(x: np.ndarray) -> np.ndarray:
        model.eval()
        with torch.no_grad():
            return model({"data": torch.from_numpy(x)}).recon_x.numpy()

    return seconds, losses[-1] / float(np.prod(pixels.shape[1:])), reconstruct


def main() -> None:
    args = peer_parser(__doc__).parse_args()
    measure(f"pythae {importlib.metadata.version('pythae')}", args, train)


if __name__ == "__main__":
    main()

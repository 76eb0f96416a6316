"""Lightning's Trainer with the reference experiment's network: a DataLoader over a TensorDataset, as its guides do.

    python lightning_trainer.py IMAGES.npy [--epochs 1] [--workers 0] [--test TEST.npy]

Needs lightning. Logging, checkpoints, progress bar and summary are off (its `barebones` mode, meant for measuring). An epoch runs
from on_train_epoch_start to on_train_epoch_end. Prints one line of JSON.
"""

import argparse
import importlib.metadata
import time

import numpy as np
from setting import LEARNING_RATE, Trained, as_tensor, build_network, measure, peer_parser, reconstructor

__all__ = ["train"]


def train(pixels: np.ndarray, epochs: int, args: argparse.Namespace) -> Trained:
    import lightning
    import torch
    from torch.nn import functional
    from torch.utils.data import DataLoader, TensorDataset

    class Notebook(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.network = build_network()

        def training_step(self, batch, batch_idx):
            (x,) = batch
            loss = functional.mse_loss(self.network(x), x)
            losses.append(loss.detach())
            return loss

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=LEARNING_RATE)

        def on_train_epoch_start(self):
            losses.clear()
            self.began = time.perf_counter()

        def on_train_epoch_end(self):
            seconds.append(time.perf_counter() - self.began)

    seconds: list[float] = []
    losses: list[torch.Tensor] = []
    data = TensorDataset(as_tensor(pixels))
    loader = DataLoader(data, batch_size=args.batch, shuffle=True, num_workers=args.workers)
    model = Notebook()
    lightning.Trainer(max_epochs=epochs, accelerator="cpu", devices=1, barebones=True).fit(model, loader)
    return seconds, torch.stack(losses).mean().item(), reconstructor(model.network)


def main() -> None:
    args = peer_parser(__doc__).parse_args()
    measure(f"lightning {importlib.metadata.version('lightning')}", args, train)


if __name__ == "__main__":
    main()

"""The reference experiment's network and training step, written independently of src."""

import torch
from torch import nn


class NotebookNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 7),
            nn.ReLU(),
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(64, 32, 7),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 16, 3, 2, 1, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 1, 3, 2, 1, 1),
        )


def train_steps(net, batches, learning_rate=2e-4):
    """The loss before each step, for batches of float images (B, 1, 28, 28) in [0, 1]."""
    optimiser, losses = torch.optim.Adam(net.parameters(), lr=learning_rate), []
    for x in batches:
        loss = nn.MSELoss()(x, net.decoder(net.encoder(x)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

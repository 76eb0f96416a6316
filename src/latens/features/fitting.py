"""Making feature networks: trained on labels, or with random weights."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from latens.device import flushed_denormals, generator, seeded_weights
from latens.features.network import LARGEST_SIDE, FeatureNetwork, folded
from latens.images.pixels import to_unit

__all__ = ["images_to_see", "random_network", "train_network"]

BATCH = 128
LEARNING_RATE = 0.004
SMOOTHING = 0.05  # of labels: so that features differ within a class too, once the classes are separated
SHIFT = 2  # pixels by which pictures are moved while training
LOOKED_AT = 10_000  # images by which features are scaled
TOTAL_VARIANCE = 100.0
SMALLEST, FEW_IMAGES = 1e-3, 0.1  # of the mean variance, added before whitening; the latter times features over images
FEWEST, LOOKS, PIXELS = 20_000, 8, 60_000 * 32 * 32  # pictures seen; times that each is; pixels seen in all


def images_to_see(num_images: int, height: int, width: int) -> int:
    """How many pictures training looks at: each eight times, within some 15 seconds on two cores."""
    factor = -(-max(height, width) // LARGEST_SIDE)
    bound = PIXELS // math.ceil(height / factor) // math.ceil(width / factor)
    return max(FEWEST, min(LOOKS * num_images, bound))


def train_network(
    pixels: NDArray[Any],
    labels: NDArray[np.int64],
    num_classes: int,
    *,
    num_seen: int,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    progress: Callable[[int, int], object] | None = None,
) -> FeatureNetwork:
    """Train a classifier.

    In float64 what the number of threads or the machine changes of a sum stays far below what rounding the weights to
    float16 hides: the weights are the same wherever they are trained.

    Args:
        pixels: uint8, or float32 in [0, 1], (N, C, H, W), in memory or memory-mapped.
        labels: int (N,), 0 to K - 1.
        num_classes: K, at least 2.
        num_seen: pictures that training looks at, with repetition.
        seed: of the weights, of the order and of the shifts.
        dtype: in which it is trained.
        progress: called with (done, total) pictures.

    Returns:
        The network, its weights of float16's precision, its features scaled so that the variances of the train pictures'
        features add up to 100.
    """
    with seeded_weights(seed):
        network = FeatureNetwork(pixels.shape[1], num_classes, normalised=True).to(dtype)
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.01)
    batch = min(BATCH, len(pixels))
    num_steps = max(1, num_seen // BATCH)
    targets = torch.from_numpy(np.array(labels, np.int64))
    # float32 has fast kernels for channels that lie last; float64 has none for either.
    layout = torch.channels_last if dtype == torch.float32 else torch.contiguous_format
    network.train().to(memory_format=layout)  # type: ignore[call-overload]
    with flushed_denormals():
        for step, rows in enumerate(_batches(len(pixels), batch, num_steps, seed)):
            x = _shifted(_floats(pixels[rows], dtype), seed, step).contiguous(memory_format=layout)
            loss = F.cross_entropy(
                network.logits(network(x)), targets[torch.from_numpy(rows)], label_smoothing=SMOOTHING
            )
            for group in optimiser.param_groups:
                group["lr"] = LEARNING_RATE * _factor(step / num_steps)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if progress is not None:
                progress((step + 1) * batch, num_steps * batch)
    return _finished(folded(network), pixels)


def random_network(pixels: NDArray[Any], seed: int = 0) -> FeatureNetwork:
    """Draw the weights of a network at random: a fixed function, but for the scale of its features.

    Random embeddings separate distributions well without any training: Naeem et al. 2020. Their features are whitened by those
    of the images: brightness would outweigh everything else, and a kernel distance would not see blur.

    Args:
        pixels: uint8, or float32 in [0, 1], (N, C, H, W), by which the features are whitened and scaled as in `train_network`.
        seed: of the weights.
    """
    with torch.device("meta"):
        network = FeatureNetwork(pixels.shape[1], 0)
    network, draw = network.to_empty(device="cpu"), generator(seed)
    network.scale.fill_(1)
    for layer in (*network.convolutions, network.to_features):
        weight, bias = layer.weight, layer.bias
        assert isinstance(weight, Tensor)
        assert isinstance(bias, Tensor)
        with torch.no_grad():
            weight.normal_(0, math.sqrt(2 / weight[0].numel()), generator=draw)
            bias.zero_()
    return _finished(network.eval(), pixels, whitens=True)


def _batches(num: int, batch: int, steps: int, seed: int) -> "list[NDArray[np.int64]]":
    """Rows of each step: epoch after epoch, each in an order of its own."""
    epochs = -(-steps // (num // batch))
    orders = [np.random.default_rng((seed, epoch)).permutation(num) for epoch in range(epochs)]
    parts = [order[start : start + batch] for order in orders for start in range(0, num - batch + 1, batch)]
    return parts[:steps]


def _factor(done: float) -> float:
    """Of the learning rate: rises over a fifth of the steps, then falls to zero."""
    return min(done / 0.2 + 0.05, (1 - done) / 0.8, 1.0)


def _floats(pixels: NDArray[Any], dtype: torch.dtype) -> Tensor:
    return to_unit(torch.from_numpy(np.array(pixels)), dtype)


def _shifted(x: Tensor, seed: int, step: int) -> Tensor:
    """Each picture moved by at most two pixels along each axis; what comes in repeats the edge."""
    num, _, height, width = x.shape
    moves = np.random.default_rng((seed, step, 1)).integers(0, 2 * SHIFT + 1, (2, num))
    padded = F.pad(x, (SHIFT,) * 4, mode="replicate")
    rows = torch.from_numpy(moves[0][:, None] + np.arange(height))
    columns = torch.from_numpy(moves[1][:, None] + np.arange(width))
    which = torch.arange(num)[:, None, None]
    return padded.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2)


@torch.no_grad()
def _finished(network: FeatureNetwork, pixels: NDArray[Any], whitens: bool = False) -> FeatureNetwork:
    """Weights in float16's precision, held in float32; the whitening, if any; the scale."""
    network = network.half().float().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    looked = pixels[:LOOKED_AT] if len(pixels) <= LOOKED_AT else pixels[:: len(pixels) // LOOKED_AT][:LOOKED_AT]
    parts = [network(_floats(looked[start : start + 500], torch.float32)) for start in range(0, len(looked), 500)]
    features = torch.cat(parts).double()
    if whitens and len(looked) > 1:
        network.centre, network.whitening = _whitening(features)
        features = (features - network.centre) @ network.whitening.double()
    variance = float(features.var(0).sum()) if len(looked) > 1 else 0.0
    if variance > 0:
        network.scale.fill_(math.sqrt(TOTAL_VARIANCE / variance))
        network.scale.copy_(network.scale.half())
    return network


def _whitening(features: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of features (N, F), and the matrix (F, F) that gives each principal direction the same variance."""
    mean = features.mean(0)
    squares, axes = torch.linalg.eigh(torch.cov(features.T))
    ridge = max(SMALLEST, FEW_IMAGES * features.shape[1] / len(features)) * squares.clamp(min=0).mean()
    matrix = axes * (squares.clamp(min=0) + ridge + torch.finfo(torch.float32).tiny).rsqrt()
    return mean.float(), matrix.float()

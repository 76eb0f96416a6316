"""Flow matching: a small network transforms normal noise into latents."""

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from latens.algebra import covariance, factor
from latens.device import seeded_weights
from latens.errors import UsageError
from latens.networks.velocity import Velocity, carry
from latens.samplers.contract import Cost, Tick
from latens.samplers.learned import Learned, chances_and_noise
from latens.samplers.velocity import train_velocity

__all__ = ["FlowSampler"]

PASSES = 60  # over the latents in training, at most: more would overfit small sets
WAY = 15  # steps from noise to latents
WHITENED = 0.5  # power of the variance by which a direction's weight in the loss is evened out: 0 not at all, 1 wholly
THINNEST = 1e-6  # variance of a direction, where the largest is 1


class FlowSampler(Learned):
    """A flow that carries a Gaussian a class to the latents of that class; one for all where there are no labels.

    Each class begins as a Gaussian with its own mean and covariance, so the network has to learn only how latents differ from
    a Gaussian. It works on latents that are half whitened: the weight of a direction in the loss is its standard deviation,
    because wide directions are the most visible in images. Units that never vary keep their value; zeros of a ReLU are
    handled as `fill_zeros` says.

    Args:
        steps: of training at most, 0 or more; with none it draws the Gaussians.
        batch: latents of a step, 1 or more.
        width: of the network, 1 or more.
        num_blocks: of the network, 0 or more.
        temperature: of the noise that is carried, as its standard deviation, 0 or more. A flow that is trained for a minute
            spreads too far; below 1, samples are more likely and less diverse.

    Source: Lipman et al., "Flow matching for generative modeling", 2023, equation 14; the arcs are those of Albergo et al.,
    "Stochastic interpolants", 2023. Temperature: Kingma and Dhariwal, "Glow", 2018, section 6.
    """

    fills_zeros: ClassVar[bool] = True
    cost: ClassVar[Cost] = "long"
    names: ClassVar[tuple[str, ...]] = (
        *("means", "factors", "shares"),  # of the classes, in the flow's space
        *("centre", "back"),  # latents = centre + points @ back
        *("sizes", "parameters"),  # of the network
    )

    def __init__(
        self, steps: int = 3000, batch: int = 1024, width: int = 128, num_blocks: int = 4, temperature: float = 0.9
    ) -> None:
        super().__init__()
        whole = {"steps": (steps, 0), "batch": (batch, 1), "width": (width, 1), "num_blocks": (num_blocks, 0)}
        for name, (value, least) in whole.items():
            if value < least:
                raise UsageError(f"{name} is {value}; it must be {least} or more")
        if not (np.isfinite(temperature) and temperature >= 0):
            raise UsageError(f"temperature is {temperature}; it must be 0 or more")
        self.steps, self.batch, self.width, self.num_blocks = steps, batch, width, num_blocks
        self.temperature = temperature

    def _learn(
        self, latents: NDArray[np.float64], labels: NDArray[np.int64] | None, progress: Tick
    ) -> dict[str, NDArray[Any]]:
        index = np.zeros(len(latents), np.int64) if labels is None else np.unique(labels, return_inverse=True)[1]
        counts, dim = np.bincount(index), latents.shape[1]
        centre = latents.mean(0)
        into, back = _half_white(latents - centre, index)
        points = (latents - centre) @ into
        groups = [points[index == k] for k in range(len(counts))]
        own = [covariance(group) for group in groups]
        within = np.tensordot(counts / len(points), np.stack(own), 1)
        # As for the sampler `gaussian`: a class with fewer latents than dimensions has no covariance of its own.
        drawn_in = [(n * matrix + dim * within) / (n + dim) for n, matrix in zip(counts, own, strict=True)]
        learned = {
            "means": np.stack([group.mean(0) for group in groups]),
            "factors": np.stack([factor(matrix) for matrix in drawn_in]),
            "shares": counts / len(points),
            "centre": centre,
            "back": back,
            "sizes": np.array([self.width, self.num_blocks]),
        }
        net = _network(dim, len(counts), self.width, self.num_blocks)
        batch = min(self.batch, len(points))
        steps = min(self.steps, PASSES * len(points) // batch)
        data, means, factors = (
            torch.from_numpy(array).float() for array in (points, learned["means"], learned["factors"])
        )
        index_of = torch.from_numpy(index)
        train_velocity(net, data, means, factors, index_of, steps=steps, batch=batch, progress=progress)
        parameters = torch.nn.utils.parameters_to_vector(net.parameters())
        return {**learned, "parameters": parameters.detach().numpy()}

    def _draw(self, n: int, random: np.random.Generator, index: NDArray[np.int64] | None) -> NDArray[Any]:
        arrays = self.arrays
        shares, (classes, dim) = arrays["shares"].astype(np.float64), arrays["means"].shape
        chances, noise = chances_and_noise(random, n, dim)
        noise *= self.temperature
        if index is None:
            index = np.searchsorted(np.cumsum(shares)[:-1] / shares.sum(), chances, side="right")
        start = np.empty((n, dim), np.float32)
        for k in np.unique(index):
            start[index == k] = arrays["means"][k] + noise[index == k] @ arrays["factors"][k].T
        net = _network(dim, classes, *arrays["sizes"].tolist())
        torch.nn.utils.vector_to_parameters(torch.from_numpy(np.array(arrays["parameters"])), net.parameters())
        end = carry(net, torch.from_numpy(start), torch.from_numpy(index), WAY).numpy()
        drawn: NDArray[np.float32] = arrays["centre"] + end @ arrays["back"]
        return drawn


def _network(dim: int, num_classes: int, width: int, num_blocks: int) -> Velocity:
    with seeded_weights(0):
        return Velocity(dim, num_classes, width, num_blocks)


def _half_white(centred: NDArray[np.float64], index: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Matrices (D, D) into the space of the flow, where points vary by about 1, and back, where dead units stay so."""
    means = np.stack([centred[index == k].mean(0) for k in range(index.max() + 1)])
    variances, directions = np.linalg.eigh(covariance(centred - means[index]))
    largest = variances.max()
    lengths = np.maximum(variances / largest, THINNEST) ** (WHITENED / 2) if largest > 0 else np.ones_like(variances)
    into = (directions / lengths) @ directions.T
    scale = (centred @ into).std() or 1.0
    back = (directions * lengths) @ directions.T * scale
    back[:, centred.std(0) <= 1e-7 * centred.std(0).max()] = 0
    return into / scale, back

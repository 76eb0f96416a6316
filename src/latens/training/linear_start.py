"""The start of a linear path: principal components of the train images, estimated so that they hold for images not seen.

With a few hundred images of thousands of pixels, the principal components of the sample fit its noise. Two remedies are tried,
and what has the least error on images held out is taken:

- mirrored copies of the images are added, left to right or upside down, with a weight;
- the covariance of two pixels is multiplied by a weight that falls with their distance, since the sample says least of pixels
  that are far apart. This is the localisation of covariances in ensemble data assimilation: Houtekamer and Mitchell, "A
  sequential ensemble Kalman filter for atmospheric data assimilation", 2001, equation 6.

Further components are then predicted from the principal ones (`latens.training.further_start`), where that helps on these images.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from latens.models.contract import HasPrior, Model
from latens.networks.linear_path import MOST_FURTHER, NUM_CENTRES, FromLinear, Further, ToLinear
from latens.training.further_start import (
    OTHERS,
    RIDGES,
    WIDTHS,
    Fitted,
    Smoothness,
    choose_smoothness,
    fit_further,
    further_directions,
)

__all__ = [
    "Estimate",
    "Principal",
    "Start",
    "choose_augmentation",
    "choose_estimate",
    "gain_of_more",
    "linear_error",
    "principal_components",
    "start_linear_path",
    "start_seconds",
]

MOST_CHOSEN = 4096  # numbers of an image with which estimates are compared; larger images are averaged down to it
FEWEST_CHOSEN = 1024  # numbers of an image with which augmentations are compared
CLEAR = 0.99  # of the error without mirrored images, that it must be below with them
MOST_LOCALISED = 12_288  # numbers of an image, of which all covariances are held in memory: 600 MB
EXTRA, ROUNDS = 32, 8  # directions beyond those wanted, and rounds, of the subspace iteration
NEAR_ROUNDS = 4  # from the directions of a similar estimate
WEIGHTS = (0.2, 0.5)
KEPT = (0.8, 0.5, 0.0)
LENGTHS = (1 / 8, 1 / 16, 1 / 4)  # of the larger side
LEAST_SPREAD = 1e-3  # of the largest
TIMED = 512  # rows of the product by which the speed of this machine is measured
BESIDE_PRODUCTS = 1.5  # times of the products, with decompositions and passes over memory


@dataclass(frozen=True)
class Estimate:
    """How a covariance is estimated.

    Args:
        mirrored: weight of copies of all images mirrored left to right, 0 to 0.5.
        upended: weight of copies of these mirrored upside down, 0 to 0.5.
        kept: what stays of the covariance of pixels that are far apart, 0 to 1; 1 leaves all as the sample has it.
        length: the distance in which the rest falls, as a Gaussian's standard deviation, as a share of the larger side.
    """

    mirrored: float = 0.0
    upended: float = 0.0
    kept: float = 1.0
    length: float = 0.125

    @property
    def localised(self) -> bool:
        """Whether distance matters."""
        return self.kept < 1

    def __str__(self) -> str:
        parts = ["principal components"]
        parts += [f"with mirrored images at a weight of {self.mirrored:g}"] if self.mirrored else []
        parts += [f"with images upside down at a weight of {self.upended:g}"] if self.upended else []
        parts += (
            [f"with {1 - self.kept:.0%} of covariances limited to {self.length:.3g} of the side"]
            if self.localised
            else []
        )
        return " ".join(parts)


@dataclass(frozen=True)
class Principal:
    """The mean (P,), the directions (P, D) and the standard deviation along each (D,) of images of P numbers."""

    mean: Tensor
    directions: Tensor
    spread: Tensor


def principal_components(x: Tensor, num: int, estimate: Estimate | None = None) -> Principal:
    """The principal components of some images.

    Args:
        x: float (N, C, H, W), N at least 1.
        num: D, how many; at most C · H · W. Where the images have fewer, the rest are any orthogonal directions.
        estimate: of the covariance; by default the sample's own.

    By subspace iteration (Halko, Martinsson and Tropp, "Finding structure with randomness", 2011, algorithm 4.4).

    >>> x = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> found = principal_components(x, 4)
    >>> torch.allclose(found.directions.T @ found.directions, torch.eye(4), atol=1e-5)
    True
    """
    estimate = estimate or Estimate()
    return _Covariance(x, estimate).principal(num, estimate)


class _Covariance:
    """The centred images, and the covariance of their pixels where it is needed as a matrix.

    `rows` are scaled so that the covariance is the product of their transpose with them.
    """

    def __init__(self, x: Tensor, estimate: Estimate) -> None:
        self.shape = tuple(x.shape[1:])
        weighted = [(x, 1.0)]
        for weight, axis in ((estimate.mirrored, 3), (estimate.upended, 2)):
            if weight:
                copies = [(images.flip(axis), share * weight) for images, share in weighted]
                weighted = [(images, share * (1 - weight)) for images, share in weighted] + copies
        flat = [(images.reshape(len(images), -1), share) for images, share in weighted]
        self.mean = torch.stack([images.mean(0) * share for images, share in flat]).sum(0)
        self.rows = torch.cat([(images - self.mean) * math.sqrt(share / len(x)) for images, share in flat])
        self.matrix: Tensor | None = None

    def principal(self, num: int, estimate: Estimate, start: Tensor | None = None, rounds: int = ROUNDS) -> Principal:
        width = min(self.rows.shape[1], num + EXTRA)
        directions = self._random(width) if start is None else start
        weighted = self._weighted(estimate) if estimate.localised else None
        for _ in range(rounds):
            directions = torch.linalg.qr(self._times(directions, weighted))[0]
        inner = directions.T @ self._times(directions, weighted)
        values, turn = torch.linalg.eigh((inner + inner.T) / 2)
        order = values.argsort(descending=True)
        directions = directions @ turn[:, order]
        spread = values[order].clamp_min(0).sqrt()
        return Principal(self.mean, directions[:, :num].contiguous(), spread[:num])

    def _random(self, width: int) -> Tensor:
        seeded = torch.Generator().manual_seed(0)
        drawn = torch.randn(self.rows.shape[1], width, generator=seeded, dtype=self.rows.dtype)
        directions: Tensor = torch.linalg.qr(drawn)[0]
        return directions

    def _times(self, directions: Tensor, weighted: Tensor | None) -> Tensor:
        if weighted is not None:
            limited: Tensor = weighted @ directions
            return limited
        product: Tensor = self.rows.T @ (self.rows @ directions)
        return product

    def _weighted(self, estimate: Estimate) -> Tensor:
        if self.matrix is None:
            self.matrix = self.rows.T @ self.rows
        channels, height, width = self.shape
        down, right = (_falling(size, estimate.length * max(height, width)) for size in (height, width))
        near = torch.kron(down, right).to(self.matrix.dtype) * (1 - estimate.kept) + estimate.kept
        blocks = self.matrix.view(channels, height * width, channels, height * width)
        weighted: Tensor = (blocks * near[None, :, None]).view_as(self.matrix)
        return weighted


def _falling(size: int, length: float) -> Tensor:
    """A Gaussian of the distance of any two of some places in a row."""
    places = torch.arange(size, dtype=torch.float32)
    return torch.exp(-((places[:, None] - places) / length).square() / 2)


def linear_error(found: Principal, x: Tensor) -> float:
    """The mean squared error with which principal components rebuild images (N, C, H, W)."""
    centred = x.reshape(len(x), -1) - found.mean
    return (centred - centred @ found.directions @ found.directions.T).square().mean().item()


def choose_estimate(x: Tensor, held: Tensor, num: int) -> Estimate:
    """The estimate of the covariance with the least error on images held out.

    Args:
        x: float (N, C, H, W), on which principal components are computed.
        held: float (n, C, H, W), on which they are compared.
        num: D.

    Images of more than 4,096 numbers are compared at a smaller size.
    """
    localising = math.prod(x.shape[1:]) <= MOST_LOCALISED
    (x, held), num = _smaller(num, x, held)
    best = Estimate()
    covariance = _Covariance(x, best)
    first = covariance.principal(num + EXTRA, best)
    least, start = linear_error(replace(first, directions=first.directions[:, :num]), held), first.directions
    for name in ("mirrored", "upended", "kept", "length") if localising else ("mirrored", "upended"):
        before = best
        for candidate in _others(best, name):
            tried = covariance if name in ("kept", "length") else _Covariance(x, candidate)
            found = tried.principal(num, candidate, start, NEAR_ROUNDS)
            if (error := linear_error(found, held)) < least:
                best, least = candidate, error
        if name in ("mirrored", "upended") and best != before:
            covariance = _Covariance(x, best)
    return best


def _others(estimate: Estimate, name: str) -> list[Estimate]:
    """Estimates that differ in one part."""
    if name in ("mirrored", "upended"):
        return [replace(estimate, **{name: weight}) for weight in WEIGHTS]
    if name == "kept":
        return [replace(estimate, kept=kept) for kept in KEPT]
    return [replace(estimate, length=length) for length in LENGTHS if estimate.localised]


@dataclass(frozen=True)
class Start:
    """How a linear path starts: the estimate of its covariance, and how it predicts further components, if it does."""

    estimate: Estimate
    smoothness: Smoothness | None = None

    def __str__(self) -> str:
        return f"{self.estimate}, {self.smoothness}" if self.smoothness else str(self.estimate)

    def to_numbers(self) -> list[float]:
        """Its settings as numbers: four of the estimate, and four of the prediction, if there is one."""
        return [*astuple(self.estimate), *(astuple(self.smoothness) if self.smoothness else ())]

    @classmethod
    def from_numbers(cls, numbers: Sequence[float]) -> "Start":
        """The start that `to_numbers` made numbers of."""
        estimate = Estimate(*numbers[:4])
        if len(numbers) == 4:
            return cls(estimate)
        width, ridge, whitening, count = numbers[4:]
        return cls(estimate, Smoothness(width, ridge, whitening, int(count)))


def start_linear_path(model: Model, x: Tensor, held: Tensor | None = None, start: Start | None = None) -> Start | None:
    """Set the linear maps of a model from train images, and what it predicts from them, if it has such maps.

    Args:
        model: whose encoder and decoder may be `ToLinear` and `FromLinear`; changed in place.
        x: float32 (N, C, H, W) in [0, 1], on the CPU; fewer than all where there are many.
        held: (n, C, H, W), to choose the start by; None takes the sample's own covariance, and predicts nothing.
        start: the one to take, in place of a choice.

    Returns:
        The start that was taken; None for a model without such maps.
    """
    encoder, decoder = model.encoder, model.decoder
    if not isinstance(encoder, ToLinear) or not isinstance(decoder, FromLinear):
        return None
    x = x.contiguous()
    num = min(model.latent_dim, x[0].numel())
    # Noise on a latent, and what cuts it off, would be taken for a place on the curve.
    predicts = decoder.further is not None and not isinstance(model, HasPrior) and not len(model.after_encoder)
    with torch.no_grad():
        if start is None:
            start = Start(Estimate()) if held is None else _choose_start(x, held.contiguous(), num, predicts)
        found = principal_components(x, num, start.estimate)
        _set(model, encoder, decoder, found)
        if decoder.further is not None:
            _set_further(model, decoder.further, encoder, found, x, start.smoothness)
    return start


def _choose_start(x: Tensor, held: Tensor, num: int, predicts: bool) -> Start:
    estimate = choose_estimate(x, held, num)
    if not predicts:
        return Start(estimate)
    (x, held), num = _smaller(num, x, held)
    fitted = _Rebuilt(x, num, Start(estimate))
    directions = further_directions(fitted.rest, MOST_FURTHER * num)
    seen, rest = _seen_and_rest(fitted.found, held)
    return Start(estimate, choose_smoothness(fitted.seen, fitted.rest @ directions, seen, rest @ directions))


def _smaller(num: int, *parts: Tensor) -> tuple[tuple[Tensor, ...], int]:
    """Images averaged down to what estimates are compared with, and as many components as those can have."""
    while tuple(parts[0].shape[1:]) != _smaller_shape(parts[0].shape[1:]):
        parts = tuple(F.avg_pool2d(part, 2) for part in parts)
    return parts, max(1, min(num, math.prod(parts[0].shape[1:]) - 1))


def start_seconds(model: Model, num_images: int, num_held: int) -> float:
    """About how long choosing and setting the start of a linear path takes on this CPU; 0 for a model without linear maps.

    Args:
        model: not changed.
        num_images: N, train images of which it starts.
        num_held: n, those held out.

    The products are counted and one of them is timed.
    """
    encoder, decoder = model.encoder, model.decoder
    if not isinstance(encoder, ToLinear) or not isinstance(decoder, FromLinear):
        return 0.0
    size, smaller = math.prod(model.image_shape), math.prod(_smaller_shape(model.image_shape))
    num, localising = min(model.latent_dim, size), size <= MOST_LOCALISED
    wide, more, centres = num + EXTRA, MOST_FURTHER * num, min(num_images, NUM_CENTRES)

    def covariance(numbers: int) -> float:  # a multiplication and an addition count as one
        return num_images * numbers**2 if localising else 0.0

    def iterated(rounds: int, numbers: int, copies: int = 1, localised: bool = localising) -> float:
        each = numbers**2 if localised else 2 * copies * num_images * numbers
        return (rounds + 1) * each * (wide + EXTRA)

    def further(numbers: int, widths: int, ridges: int) -> float:
        directions = 7 * num_images * numbers * more
        features = num_images * centres * (num + centres + more) + 20 * centres**3
        return directions + 2 * widths * (features + ridges * centres * more * (centres + num_held))  # in float64

    mirrored = sum(len(WEIGHTS) * iterated(NEAR_ROUNDS, smaller, copies, False) for copies in (2, 4))
    near = (len(KEPT) + len(LENGTHS)) * iterated(NEAR_ROUNDS, smaller) if localising else 0.0
    chosen = iterated(ROUNDS, smaller, localised=False) + mirrored + near + 4 * covariance(smaller)
    compared = 3 * (iterated(ROUNDS, smaller) + further(smaller, 1, 1))  # before prediction, and in `gain_of_more`
    taken = covariance(size) + iterated(ROUNDS, size) + further(size, 1, 1)
    predicted = further(smaller, len(WIDTHS) + len(OTHERS), len(RIDGES)) if decoder.further is not None else 0.0
    return BESIDE_PRODUCTS * (chosen + compared + taken + predicted) * _seconds_a_product()


def _seconds_a_product() -> float:
    """How long a multiplication and an addition take within a product of matrices."""
    x, took = torch.ones(TIMED, TIMED), []
    for _ in range(4):
        began = time.perf_counter()
        _ = x @ x
        took.append(time.perf_counter() - began)
    return min(took) / TIMED**3


def _smaller_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    channels, height, width = shape
    while channels * height * width > MOST_CHOSEN and min(height, width) >= 16:
        height, width = height // 2, width // 2
    return channels, height, width


@torch.no_grad()
def gain_of_more(x: Tensor, held: Tensor, num: int, start: Start) -> float:
    """The factor, at least 1, by which the error on images held out falls when the start is fitted to a ninth more images.

    Args:
        x: float (N, C, H, W), of which a tenth is left out for the comparison.
        held: (n, C, H, W).
        num: D.
        start: to be fitted twice.
    """
    (x, held), num = _smaller(num, x, held)
    fewer = x[torch.arange(len(x)) % 10 != 5]
    if not len(fewer):
        return 1.0
    errors = [_Rebuilt(part, num, start).error(held) for part in (fewer, x)]
    return max(1.0, errors[0] / max(errors[1], 1e-12))


class _Rebuilt:
    """Images (N, C, H, W) as a start rebuilds them."""

    def __init__(self, x: Tensor, num: int, start: Start) -> None:
        self.found = principal_components(x, num, start.estimate)
        self.seen, self.rest = _seen_and_rest(self.found, x)
        self.further: Fitted | None = None
        if start.smoothness is not None:
            self.directions = further_directions(self.rest, start.smoothness.count)
            self.further = fit_further(self.seen, self.rest @ self.directions, start.smoothness)

    def error(self, x: Tensor) -> float:
        """The mean squared error on images."""
        seen, rest = _seen_and_rest(self.found, x)
        if self.further is not None:
            made: Tensor = self.further(seen).to(rest.dtype) @ self.directions.T
            rest = rest - made
        return rest.square().mean().item()


def _seen_and_rest(found: Principal, x: Tensor) -> tuple[Tensor, Tensor]:
    """Each image's principal components (N, D), and what they leave of it (N, P)."""
    centred = x.flatten(1) - found.mean
    components = centred @ found.directions
    return components, centred - components @ found.directions.T


def _calm(spread: Tensor) -> Tensor:
    return spread.clamp_min(LEAST_SPREAD * float(spread.max()) + 1e-8)


def _set_further(
    model: Model, further: Further, encoder: ToLinear, found: Principal, x: Tensor, smoothness: Smoothness | None
) -> None:
    """Let a decoder predict further components of images (N, C, H, W), or none."""
    for buffer in further.buffers():
        buffer.zero_()
    further.scale.fill_(1)
    if smoothness is None:
        return
    seen, rest = _seen_and_rest(found, x)
    directions = further_directions(rest, min(smoothness.count, len(further.amounts)))
    fitted = fit_further(seen, rest @ directions, smoothness)
    (count, num), made = fitted.centres.shape, directions.shape[1]
    inverse_scales = encoder.weight[:num].norm(dim=1)  # of latents, which are components divided by a scale
    further.scale[:num].copy_(fitted.scale.to(inverse_scales.device) * inverse_scales)
    further.centres[:count, :num].copy_(fitted.centres)
    further.amounts[:made, :count].copy_(fitted.amounts)
    further.directions[:, :made].copy_(directions)
    if model.decodes_logits:
        mean = found.mean.clamp(0.01, 0.99).to(further.directions.device)
        further.directions.div_((mean * (1 - mean))[:, None])


def _set(model: Model, encoder: ToLinear, decoder: FromLinear, found: Principal) -> None:
    """Let a model encode and decode by principal components.

    Latents have a mean square of 1 over all numbers; where the model has a prior, each number has a variance of 1.
    """
    num = len(found.spread)
    spread = _calm(found.spread)
    scale = spread if isinstance(model, HasPrior) else spread.square().mean().sqrt().expand(num)
    encoder.weight.zero_()
    encoder.weight[:num].copy_((found.directions / scale).T)
    encoder.bias.zero_()
    encoder.bias[:num].copy_(-(found.mean @ found.directions) / scale)
    decoder.weight.zero_()
    decoder.weight[:, :num].copy_(found.directions * scale)
    decoder.bias.copy_(found.mean)
    if model.decodes_logits:  # the same to first order about the mean
        mean = found.mean.clamp(0.01, 0.99)
        decoder.weight.div_((mean * (1 - mean))[:, None])
        decoder.bias.copy_(torch.logit(mean))
    encoder.spread.fill_(1)
    encoder.spread[:num].copy_(spread / scale)
    decoder.spread.fill_(1)
    decoder.spread[:num].copy_(spread / scale)
    for half in (encoder, decoder):
        half.start_linear()


def choose_augmentation(x: Tensor, held: Tensor, num: int) -> str:
    """The augmentation whose principal components rebuild images held out with the least error: a name of `AUGMENTATIONS`.

    Args:
        x: float (N, C, H, W).
        held: float (n, C, H, W).
        num: D.

    Mirrored images help where things face both ways, and harm letters and X-rays; blended ones help where places far apart have
    little to do with each other.
    """
    while math.prod(x.shape[1:]) > FEWEST_CHOSEN and min(x.shape[2:]) >= 16:
        x, held = F.avg_pool2d(x, 2), F.avg_pool2d(held, 2)
    num = max(1, min(num, math.prod(x.shape[1:]) // 4))
    plain, mirrored = (principal_components(x, num, Estimate(mirrored=weight)) for weight in (0.0, 0.5))
    flips = linear_error(mirrored, held) < CLEAR * linear_error(plain, held)
    found = choose_estimate(x, held, num)
    if found.localised:
        return "blend-flip" if flips else "blend"
    return "flip" if flips else "none"

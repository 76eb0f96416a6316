"""The repulsion between all points of a t-SNE map, by the square of a Cauchy kernel.

Between few points it is summed directly. Between many it is a convolution: the points are spread over a grid by cubic
splines, the grid is convolved with the kernel of the force by FFT, and the result is read off by the same splines. The
normalisation, a sum over all pairs, comes from the spectrum without a second convolution (Parseval). Spreading and reading by
one and the same spline makes the force between two points equal and opposite, and that of a point upon itself zero.

The idea of interpolation and FFT: Linderman, Rachh, Hoskins, Steinerberger and Kluger 2019, who interpolate with polynomials over
boxes, convolve four charges instead of one, and sum the normalisation in real space.
"""

import math

import torch
from torch import Tensor

__all__ = ["EXACT_UP_TO", "MOST_CELLS", "kernel_spectra", "repulsion_between", "smooth_number", "spacing_for"]

EXACT_UP_TO = 1500  # points
SPACING = 0.5  # of the grid; the kernel is 1 wide
MOST_CELLS = 1536  # along a side; of wider maps the grid is coarser
ROWS = 256


def repulsion_between(num: int) -> "ExactRepulsion | GridRepulsion":
    """The fastest method for so many points: a function of (N, 2) that returns forces and normalisation."""
    return ExactRepulsion() if num <= EXACT_UP_TO else GridRepulsion()


class ExactRepulsion:
    """The sum over all pairs."""

    def __call__(self, y: Tensor) -> tuple[Tensor, float]:  # (N, 2) -> (N, 2)
        """For each point the sum of w² (y_i - y_j), w = 1 / (1 + |y_i - y_j|²), and the sum of w over all ordered pairs."""
        forces, total = torch.empty_like(y), 0.0
        for start in range(0, len(y), ROWS):
            rows = y[start : start + ROWS]
            across, down = rows[:, :1] - y[:, 0], rows[:, 1:] - y[:, 1]  # (ROWS, N)
            weights = 1 / (1 + across.square() + down.square())
            total += weights.sum(dtype=torch.float64).item()
            weights = weights.square()
            forces[start : start + ROWS] = torch.stack(((weights * across).sum(1), (weights * down).sum(1)), 1)
        return forces, total - len(y)


class GridRepulsion:
    """The same by FFT over a grid, which is made again when the map has outgrown it."""

    def __init__(self, spacing: float = SPACING) -> None:
        self.finest = self.spacing = spacing
        self.size = 0  # nodes along a side

    def __call__(self, y: Tensor) -> tuple[Tensor, float]:  # (N, 2) -> (N, 2)
        """See `ExactRepulsion`; both to about one per cent."""
        corner = y.amin(0)
        reach = float((y.amax(0) - corner).amax())
        if not math.isfinite(reach):
            return torch.full_like(y, math.nan), math.nan
        self._fit_grid(reach, y.device)
        places = (y - corner) / self.spacing
        first = places.floor()
        splines = _cubic_spline(places - first)  # (N, 2, 4)
        weights = (splines[:, 0, :, None] * splines[:, 1, None]).flatten(1)  # (N, 16)
        nodes = self._nodes(first)
        grid = _sum_at(nodes, weights, self.size**2).view(self.size, self.size)
        spectrum = torch.fft.fft(torch.fft.rfft(grid, n=2 * self.size).t().contiguous(), n=2 * self.size)
        real, imaginary = spectrum.real, spectrum.imag
        total = ((real.square() + imaginary.square()) * self.kernel).sum(dtype=torch.float64).item()
        # The kernels of the two components are odd: their spectra are imaginary, and only these parts are kept.
        product = torch.complex(-imaginary * self.kernels, real * self.kernels)
        part = torch.fft.ifft(product)[:, :, : self.size].mT  # the half of the doubled grid that is not padding
        fields = torch.fft.irfft(part, n=2 * self.size)[:, :, : self.size]
        pairs = torch.view_as_real(torch.complex(fields[0], fields[1]).view(-1).index_select(0, nodes.view(-1)))
        forces = torch.bmm(weights[:, None], pairs.view(-1, 16, 2))[:, 0]
        return forces, total - len(y)

    def _nodes(self, first: Tensor) -> Tensor:
        """The numbers of the 16 nodes around each point: int32 (N, 16)."""
        start = first.int()
        four = torch.arange(4, dtype=torch.int32, device=first.device)
        rows, columns = (start[:, :1] + four) * self.size, start[:, 1:] + four
        return (rows[:, :, None] + columns[:, None]).flatten(1)

    def _fit_grid(self, reach: float, device: torch.device) -> None:
        spacing = spacing_for(reach, self.finest)
        needed = math.ceil(reach / spacing) + 5
        if spacing == self.spacing and 0.7 * self.size < needed <= self.size:
            return
        self.spacing = spacing
        self.size = smooth_number(math.ceil(1.03 * reach / spacing) + 5)  # room to grow
        self._transform_kernels(device)

    def _transform_kernels(self, device: torch.device) -> None:
        even, odd = kernel_spectra(self.size, self.spacing)
        self.kernel, self.kernels = _laid_out(even, device), _laid_out(odd, device)


def kernel_spectra(size: int, spacing: float, near: float = 0.0) -> tuple[Tensor, Tensor]:
    """The kernels of normalisation and force, transformed for a grid of `size` nodes along a side.

    Args:
        size: nodes along a side; the kernels are twice as wide, so that the convolution does not wrap around.
        spacing: of the nodes.
        near: 1 + the squared distance within which the kernels are replaced by parabolas of it, which meet them there with
            two derivatives: what these lack is summed pair by pair (embedding.c). 0: nowhere.

    Returns:
        Half spectra: of 1 / u, (2 * size, size + 1), times what Parseval's sum takes, and the imaginary parts of those of the
        force along both axes, (2, 2 * size, size + 1); float64.
    """
    double = 2 * size
    step = torch.arange(double, dtype=torch.float64)
    step = torch.where(step < size, step, step - double) * spacing
    step[size] = 0  # never reached, and no odd kernel has a value there
    u = 1 + step[:, None].square() + step.square()
    weight, squared = 1 / u, 1 / u.square()
    if near:
        t, inside = u / near - 1, u < near
        weight = torch.where(inside, (1 - t + t * t) / near, weight)
        squared = torch.where(inside, (1 - 2 * t + 3 * t * t) / near**2, squared)
    # Spline coefficients instead of samples, of both variables of the kernel: it is then interpolated, not blurred.
    angle = 2 * math.pi * torch.arange(double, dtype=torch.float64) / double
    blur = ((4 + 2 * angle.cos()) / 6).square()
    blur = blur[:, None] * blur[: size + 1]
    twice = torch.full((size + 1,), 2.0, dtype=torch.float64)  # of the half spectrum, all but the ends
    twice[[0, -1]] = 1
    forces = torch.stack((squared * step[:, None], squared * step))
    return torch.fft.rfft2(weight).real / blur * twice / double**2, torch.fft.rfft2(forces).imag / blur


def _laid_out(spectrum: Tensor, device: torch.device) -> Tensor:
    return spectrum.mT.to(device, torch.float32).contiguous()


def _sum_at(nodes: Tensor, weights: Tensor, size: int) -> Tensor:
    if weights.device.type == "cpu":
        return torch.zeros(size).index_add_(0, nodes.view(-1), weights.view(-1))
    # Whole numbers: the order in which a GPU adds them does not matter.
    whole = torch.zeros(size, dtype=torch.int64, device=weights.device)
    whole.index_add_(0, nodes.view(-1), (weights.view(-1) * 2**24).long())
    return whole.float() / 2**24


def _cubic_spline(t: Tensor) -> Tensor:
    """The four cubic B-splines that are not zero at a place, t behind the second of their nodes: (..., 4)."""
    square = t * t
    cube = square * t
    parts = (1 - 3 * t + 3 * square - cube, 4 - 6 * square + 3 * cube, 1 + 3 * t + 3 * square - 3 * cube, cube)
    return torch.stack(parts, -1) / 6


def spacing_for(reach: float, finest: float) -> float:
    """The finest spacing, or for wide maps one that keeps the grid small; in steps, so that not every move needs a new grid."""
    steps = math.ceil(4 * math.log2(max(1.0, reach / (MOST_CELLS * finest))))
    return float(finest * 2 ** (steps / 4))


def smooth_number(number: int, primes: tuple[int, ...] = (2, 3, 5, 7)) -> int:
    """The next number without other prime factors: what FFTs are quick with."""
    while True:
        rest = number
        for prime in primes:
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return number
        number += 1

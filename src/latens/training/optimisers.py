"""Optimisers, their parameters, and the schedule of the learning rate."""

import ctypes
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from latens.errors import TrainingDiverged, UsageError
from latens.native import MuonMatrix, library

__all__ = [
    "LOOK_EVERY",
    "FiniteGuard",
    "Muon",
    "as_matrix",
    "check_state",
    "diverged",
    "learning_rate_factor",
    "make_optimisers",
    "note_not_finite",
    "orthogonalise",
    "row_blocks",
    "split_parameters",
]

LOOK_EVERY = 50  # steps between two checks of a GPU's losses by the host
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
PADDED = 128  # rows up to which it is cheaper to pad small matrices than to multiply them apart
WHOLE = 256  # rows up to which a matrix is orthogonalised as one


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The weights of a model, which are treated as matrices, and all other parameters (biases).

    The first and the last weight, next to the pixels, are among the matrices, unlike in Jordan et al. (2024): they are small,
    16 × 9 in the network of the reference experiment, but with Adam they learn more slowly (docs/log.md).
    """
    parameters = list(model.parameters())
    return [p for p in parameters if p.ndim >= 2], [p for p in parameters if p.ndim < 2]


def as_matrix(weight: Tensor, like: Tensor | None = None) -> Tensor:
    """A weight as the matrix (first axis, all others).

    Args:
        weight: or a tensor of its shape.
        like: gives the order of the columns, so that the result is a view for this tensor; by default `weight`.
    """
    like = weight if like is None else like
    return weight.flatten(1) if like.ndim != 4 or like.is_contiguous() else weight.permute(0, 2, 3, 1).flatten(1)


def orthogonalise(matrices: list[Tensor], steps: int = 5) -> list[Tensor]:
    """The factors that bring all singular values of each matrix near 1, multiplied from the left.

    Args:
        matrices: each (R, C), R <= C; of any sizes.
        steps: of a quintic Newton-Schulz iteration; after five, singular values lie in about [0.7, 1.2].

    Returns:
        As many square matrices (R, R).

    Each iteration multiplies x from the left with a polynomial in its Gram matrix. These small matrices commute, so the iteration
    runs on them only, all at once, padded with zeros to one size; a long matrix is read twice, not ten times.

    Source: Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024.
    """
    a, b, c = NEWTON_SCHULZ
    size = max(len(x) for x in matrices)
    if size > PADDED and (small := [x for x in matrices if 2 * len(x) <= size]):
        apart = iter(orthogonalise(small, steps))
        together = iter(orthogonalise([x for x in matrices if 2 * len(x) > size], steps))
        return [next(apart if 2 * len(x) <= size else together) for x in matrices]
    gram = matrices[0].new_zeros(len(matrices), size, size)
    for place, x in zip(gram, matrices, strict=True):
        torch.mm(x, x.mT, out=place) if len(x) == size else place[: len(x), : len(x)].copy_(x @ x.mT)
    norm = gram.diagonal(dim1=1, dim2=2).sum(1).clamp_(min=1e-14)[:, None, None]  # Frobenius, squared
    gram = gram / norm
    # With q = b g + c g g, the polynomial is a + q; every line below is one batched product, the identity folded in.
    q = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
    product = q.clone()
    product.diagonal(dim1=1, dim2=2).add_(a)
    for _ in range(steps - 1):
        half = torch.baddbmm(gram, q, gram, beta=a)
        gram = torch.baddbmm(half, q, half, beta=a)
        q = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        product = torch.baddbmm(product, q, product, beta=a)
    product *= norm.rsqrt()
    return [square[: len(x), : len(x)] for square, x in zip(product, matrices, strict=True)]


def row_blocks(rows: int) -> list[slice]:
    """The blocks of rows of a wide matrix that are orthogonalised each by itself.

    The work grows with the square of the rows of a block (and for its own factor with their cube), so a matrix of many rows takes
    blocks of 128 or a few fewer: then it grows with the rows, as that of a training step does.

    Source: Khaled et al., "MuonBP: faster Muon via block-periodic orthogonalization", 2025; here never across blocks.

    >>> row_blocks(256), row_blocks(300)
    ([slice(0, 256, None)], [slice(0, 100, None), slice(100, 200, None), slice(200, 300, None)])
    """
    count = 1 if rows <= WHOLE else -(-rows // PADDED)
    return [slice(start, stop) for start, stop in pairwise(rows * k // count for k in range(count + 1))]


class Muon(torch.optim.Optimizer):
    """Momentum with an orthogonalised direction, for weights that act as matrices.

    Args:
        params: weights of two or more axes; each is treated as the matrix of its first axis and all others.
        lr: length of a step in the spectral norm; times sqrt(rows / columns) for tall matrices. A number, or, in the group of
            parameters, a tensor () on the device of the weights, which each step reads there.
        momentum: of the Nesterov kind.
        weight_decay: share of a weight, times the length of a step, that is subtracted before each step; decoupled from the
            gradient (Loshchilov and Hutter 2019, "Decoupled weight decay regularization").

    `torch.optim.Muon` does the same in bfloat16, for two axes only and one weight at a time; a CPU without bfloat16 units
    emulates them about twenty times slower (docs/decisions/0003-muon.md). Ours works in float32, on all weights at once.

    `found_inf` is as in torch's fused optimisers: a tensor (); while it is 1, a step changes nothing.
    """

    native = True  # use the kernels in C where possible; tests turn it off
    found_inf: Tensor | None = None

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.9, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        for weight in (weight for group in self.param_groups for weight in group["params"]):
            if not _in_one_piece(weight):  # a step is written to a weight as a matrix, of which it must be a view
                weight.data = weight.data.contiguous()
        self._scratch: dict[tuple[int, int], Tensor] = {}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Take one step with the gradients that are there."""
        assert closure is None
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            moments = [self._moment(weight) for weight in weights]
            rate = group["lr"]
            from_host = self.found_inf is None and not isinstance(rate, Tensor)
            if self.native and from_host and _native_can(weights):
                _shrink(weights, rate, group["weight_decay"])
                self._step_natively(weights, moments, rate, group["momentum"])
                continue
            gradients = [weight.grad for weight in weights]
            if self.found_inf is not None:
                # A step of length 0 from finite values only: the gradient is replaced by the moment.
                finite = self.found_inf == 0
                gradients = [torch.where(finite, g, m) for g, m in zip(gradients, moments, strict=True)]
                rate = rate * finite
            torch._foreach_lerp_(moments, gradients, 1 - group["momentum"])
            directions = torch._foreach_lerp(gradients, moments, group["momentum"])
            lengths = [_length(weight) for weight in weights]
            wide = [_wide(as_matrix(d, like=w)) for d, w in zip(directions, weights, strict=True)]
            blocks = [(number, rows) for number, x in enumerate(wide) for rows in row_blocks(len(x))]
            factors = orthogonalise([wide[number][rows] for number, rows in blocks])
            _shrink(weights, rate, group["weight_decay"])
            if isinstance(rate, Tensor):  # addmm takes its alpha from the host, so the factors are scaled
                factors, rate = list(torch._foreach_mul(factors, rate)), 1.0
            for (number, rows), factor in zip(blocks, factors, strict=True):
                matrix = _wide(as_matrix(weights[number]))[rows]
                matrix.addmm_(factor, wide[number][rows], alpha=-rate * lengths[number])

    def _step_natively(self, weights: list[nn.Parameter], moments: list[Tensor], lr: float, momentum: float) -> None:
        kernels = library()
        assert kernels is not None
        entries, kept = [], []  # the latter keeps the tensors behind the pointers alive
        for weight, moment in zip(weights, moments, strict=True):
            assert weight.grad is not None
            gradient = _laid_out_like(weight.grad, weight)
            kept.append(gradient)
            height, width = len(weight), weight.numel() // len(weight)
            rows, columns = sorted((height, width))
            row_step, column_step = (width, 1) if height <= width else (1, width)
            for block in row_blocks(rows):
                size, first = block.stop - block.start, block.start * row_step * weight.element_size()
                scratch = self._scratch.get((id(weight), block.start))
                if scratch is None:
                    scratch = torch.empty(kernels.latens_muon_numbers(size, columns))
                    self._scratch[id(weight), block.start] = scratch
                entries.append(
                    MuonMatrix(
                        rows=size,
                        columns=columns,
                        row_step=row_step,
                        column_step=column_step,
                        scale=_length(weight),
                        weight=weight.data_ptr() + first,
                        gradient=gradient.data_ptr() + first,
                        moment=moment.data_ptr() + first,
                        direction=scratch.data_ptr(),
                    )
                )
        matrices = (MuonMatrix * len(entries))(*entries)
        coefficients = (ctypes.c_float * 15)(*NEWTON_SCHULZ * 5)
        kernels.latens_muon_step(matrices, len(entries), lr, momentum, coefficients, 5, torch.get_num_threads())
        torch.autograd.graph.increment_version(weights)  # so that autograd notices the change

    def _moment(self, weight: nn.Parameter) -> Tensor:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        moment = state.get("momentum")
        # The kernels write to it in place: another size or order in memory would be written past its end.
        if not isinstance(moment, Tensor) or moment.shape != weight.shape:
            raise UsageError(
                f"Muon's state of a weight {_shape_text(weight)} is {_state_text(state)}; momentum {_shape_text(weight)} is"
                " needed; give the state of a Muon optimiser over the same weights"
            )
        if (moment.stride(), moment.dtype, moment.device) != (weight.stride(), weight.dtype, weight.device):
            moment = state["momentum"] = torch.empty_like(weight, requires_grad=False).copy_(moment)
        return moment


def _native_can(weights: list[nn.Parameter]) -> bool:
    """Whether the kernels compute a step: for contiguous matrices; for large ones torch's products are faster."""
    return library() is not None and all(
        w.device.type == "cpu"
        and w.dtype == torch.float32
        and _in_one_piece(w)
        and all(block.stop - block.start <= PADDED for block in row_blocks(min(len(w), w.numel() // len(w))))
        for w in weights
    )


def _length(weight: Tensor) -> float:
    """The length of a step for a weight: longer for tall matrices."""
    return math.sqrt(max(1, len(weight) ** 2 / weight.numel()))


def _in_one_piece(weight: Tensor) -> bool:
    return weight.is_contiguous() or (weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last))


def _shrink(weights: list[nn.Parameter], rate: float | Tensor, weight_decay: float) -> None:
    if weight_decay:
        kept = 1 - rate * weight_decay
        for weight in weights:
            weight.mul_(kept)


def _laid_out_like(gradient: Tensor, weight: Tensor) -> Tensor:
    if gradient.stride() == weight.stride():
        return gradient
    return torch.empty_like(weight).copy_(gradient)


def _wide(matrix: Tensor) -> Tensor:
    return matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT


def learning_rate_factor(step: int, total: int, warmup: int, decay: bool) -> float:
    """The factor of the learning rate at a step, counted from 0: a linear rise, then a linear fall to zero.

    >>> [learning_rate_factor(step, 8, 2, True) for step in (0, 1, 4, 7)]
    [0.5, 0.875, 0.5, 0.125]
    """
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    return min(rise, 1 - step / total) if decay else rise


def make_optimisers(
    model: nn.Module,
    name: str,
    learning_rate: float,
    matrix_learning_rate: float,
    beta2: float,
    weight_decay: float = 0.0,
) -> list[torch.optim.Optimizer]:
    """The optimisers of a model: `"adam"` for all parameters; or `"muon"` for the weights, which decay, and Adam for the rest."""
    matrices, rest = split_parameters(model) if name == "muon" else ([], list(model.parameters()))
    optimisers: list[torch.optim.Optimizer] = []
    if rest:
        optimisers.append(torch.optim.Adam(rest, lr=learning_rate, betas=(0.9, beta2), fused=True))
    if matrices:
        optimisers.append(Muon(matrices, lr=matrix_learning_rate, weight_decay=weight_decay))
    return optimisers


def check_state(
    optimisers: Sequence[torch.optim.Optimizer], states: Mapping[tuple[int, int], Mapping[str, Tensor]]
) -> None:
    """Check that stored optimiser states fit these optimisers; the compiled steps of torch and of latens do not check them.

    Args:
        optimisers: each with one group of parameters.
        states: (number of the optimiser, index of the parameter) -> name -> tensor; a parameter that has not been updated yet
            has none.

    Raises:
        UsageError: a state is of another kind of optimiser, of other parameters or of other shapes, or not finite.
    """
    wrong = "the training state does not fit this model and configuration"
    for (number, index), state in states.items():
        if number >= len(optimisers) or index >= len(optimisers[number].param_groups[0]["params"]):
            have = ", ".join(f"{type(o).__name__} of {len(o.param_groups[0]['params'])} tensors" for o in optimisers)
            raise UsageError(f"{wrong}: it holds optimiser {number}, tensor {index}; this training has {have}")
        optimiser = optimisers[number]
        parameter, names = optimiser.param_groups[0]["params"][index], _STATE_NAMES[type(optimiser)]
        needed = {name: torch.Size() if name == "step" else parameter.shape for name in names}
        if state.keys() != needed.keys() or any(state[name].shape != needed[name] for name in needed):
            raise UsageError(
                f"{wrong}: tensor {index} of {type(optimiser).__name__} has {_state_text(state)};"
                f" {', '.join(f'{name} {_shape_text(shape)}' for name, shape in needed.items())} is needed"
            )
        if not all(bool(torch.isfinite(value).all()) for value in state.values()):
            raise UsageError(f"{wrong}: tensor {index} of {type(optimiser).__name__} holds NaN or infinity")


_STATE_NAMES: Mapping[type[torch.optim.Optimizer], tuple[str, ...]] = {
    torch.optim.Adam: ("step", "exp_avg", "exp_avg_sq"),
    Muon: ("momentum",),
}


def _shape_text(shape: Tensor | torch.Size) -> str:
    size = shape.shape if isinstance(shape, Tensor) else shape
    return f"({', '.join(map(str, size))})"


def _state_text(state: Mapping[str, Any]) -> str:
    told = [f"{name} {_shape_text(v) if isinstance(v, Tensor) else type(v).__name__}" for name, v in state.items()]
    return ", ".join(told) or "empty"


class FiniteGuard:
    """Keeps a loss, a gradient or a weight that is not finite from changing weights.

    On a CPU the host checks loss, gradient and weights before each step is taken. On a GPU that would wait for the device at
    every step: there the step is computed, undone on the device if one of them was not finite, and the host checks every
    `LOOK_EVERY` steps.

    Args:
        optimisers: whose steps are guarded.
        device: of the parameters.
        masked: undo on the device; by default on all devices but a CPU.
    """

    def __init__(
        self, optimisers: list[torch.optim.Optimizer], device: torch.device, masked: bool | None = None
    ) -> None:
        self.optimisers = optimisers
        self.masked = device.type != "cpu" if masked is None else masked
        self.good = torch.ones((), dtype=torch.bool, device=device)
        self.first_bad = torch.zeros((), dtype=torch.long, device=device)
        self.bad = torch.zeros((), device=device)  # of the gradient of the step that is taken

    def check(self, loss: Tensor, epoch: int, step: int) -> None:
        """Check a loss before its step.

        Raises:
            TrainingDiverged: it is not finite, or, where steps are masked, one of the last `LOOK_EVERY` was not.
        """
        if not self.masked:
            if not math.isfinite(loss.item()):
                raise diverged(epoch, step)
            return
        self._note(torch.isfinite(loss.detach()), step)
        if step % LOOK_EVERY == 0:
            self.look(epoch)

    def take_step(self, epoch: int, step: int) -> None:
        """Step all optimisers, or change nothing after a number that was not finite.

        Raises:
            TrainingDiverged: a gradient or a weight is not finite; where steps are masked, `look` says so later.
        """
        self.bad.zero_()
        note_not_finite((p for o in self.optimisers for p in o.param_groups[0]["params"]), self.bad)
        if not self.masked:
            if self.bad.item():
                raise diverged(epoch, step)
        else:
            self._note(self.bad == 0, step)
        before = {key: tensor.clone() for key, tensor in self._tensors()} if self.masked else {}
        for optimiser in self.optimisers:
            optimiser.step()
        if self.masked:
            for key, tensor in self._tensors():
                # A moment that this step created was zero before it.
                old = before.get(key, torch.zeros((), dtype=tensor.dtype, device=tensor.device))
                tensor.copy_(torch.where(self.good, tensor, old))

    def _note(self, finite: Tensor, step: int) -> None:
        self.first_bad = torch.where(self.good & ~finite, step, self.first_bad)
        self.good = self.good & finite

    def look(self, epoch: int) -> None:
        """Check on the host what the masked steps found; called at the end of an epoch too.

        Raises:
            TrainingDiverged: a loss or a gradient was not finite.
        """
        if self.masked and not self.good.item():
            raise diverged(epoch, int(self.first_bad.item()))

    def _tensors(self) -> Iterator[tuple[tuple[int, str], Tensor]]:
        for optimiser in self.optimisers:
            for parameter in optimiser.param_groups[0]["params"]:
                yield (id(parameter), ""), parameter.data
                for name, value in optimiser.state[parameter].items():
                    yield (id(parameter), name), value


@torch.no_grad()
def note_not_finite(parameters: Iterable[nn.Parameter], found: Tensor) -> None:
    """Set `found` (), float32 on the device, to 1 if a weight that is about to change, or its gradient, holds NaN or infinity.

    Without a wait of the host. A weight of infinity can hide behind a ReLU or a tanh, so that loss and gradient are finite. The
    check is that of torch.amp.GradScaler, one pass over all tensors, here with a scale of 1, which changes none: 36 µs for
    440,000 numbers on a CPU, where a norm or `isfinite` of each takes 40 to 70 times as long.
    """
    tensors: dict[torch.dtype, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            tensors.setdefault(parameter.dtype, []).append(parameter.data)
            tensors.setdefault(parameter.grad.dtype, []).append(parameter.grad)
    for alike in tensors.values():
        torch._amp_foreach_non_finite_check_and_unscale_(alike, found, torch.ones_like(found))


def diverged(epoch: int, step: int) -> TrainingDiverged:
    """The error that a loss, its gradient or a weight is not finite."""
    return TrainingDiverged(
        f"the loss, its gradient or a weight is not finite in epoch {epoch}, step {step}; the last good state is kept;"
        " lower --learning-rate"
    )

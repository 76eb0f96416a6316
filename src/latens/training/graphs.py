"""Whole training steps on the device: a CUDA graph that is captured once and replayed.

A step of 512 small images is about a hundred kernels, which a GPU computes faster than a host can launch them one by one. So a
step here reads nothing from the host. Its inputs and outputs are in buffers with fixed addresses: tables with one row a batch,
and a counter on the device for the next row. The same code runs on any device, call by call; a graph is a recording of it.

This file depends on no model and no data set: a loss is a function, images are a tensor on the device.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from latens.images.pixels import to_unit
from latens.losses import Losses
from latens.training.optimisers import LOOK_EVERY, diverged, note_not_finite
from latens.training.precision import lowered

__all__ = ["Plan", "Replay", "StaticStep"]

# Steps of each size before it is captured: libraries choose kernels and allocate memory, optimisers create their state.
WARM_UP = 3


@dataclass(frozen=True)
class Plan:
    """The inputs of the S steps of an epoch.

    Args:
        order: int64 (N,), the order of the images.
        rates: float32 (S, K), the learning rate of each of K optimisers.
        seed: of the noise that a model draws.
        moves: int64 (S, H) and (S, W), the source row and column of each pixel; None without augmentation.
    """

    order: Tensor
    rates: Tensor
    seed: int
    moves: tuple[Tensor, Tensor] | None = None


class StaticStep:
    """One training step whose inputs and outputs have fixed addresses in memory.

    Args:
        loss: (B, C, H, W), generator -> Losses: a model's. It reads only its arguments and tensors on the device: a graph
            would keep a number of the host as it was when the graph was captured.
        pixels: uint8, or floats in [0, 1], (N, C, H, W), where the weights are.
        optimisers: each of one group of parameters, and with the `found_inf` of torch's fused ones. They belong to this step
            afterwards: their learning rates become tensors that it fills.
        batch_size: B; the last batch of an epoch has the remaining images.
        moving: images are augmented as plans say.
        precision: of the loss, see `latens.training.precision`.
        dtype: of the weights.

    After a loss or a gradient that is not finite nothing changes any more: neither weights nor optimiser state nor the counter,
    which so gives the number of the step. `FiniteGuard` copies and selects each tensor instead, which works with every optimiser
    but takes about 150 kernels, more than the step itself.
    """

    def __init__(
        self,
        loss: Callable[[Tensor, torch.Generator], Losses],
        pixels: Tensor,
        optimisers: Sequence[torch.optim.Optimizer],
        batch_size: int,
        *,
        moving: bool = False,
        precision: str = "float32",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        device, num_batches = pixels.device, -(-len(pixels) // batch_size)
        self.loss, self.pixels, self.precision, self.dtype = loss, pixels, precision, dtype
        self.optimisers, self.moving = optimisers, moving
        self.sizes = [min(batch_size, len(pixels) - start) for start in range(0, len(pixels), batch_size)]
        self.noise = torch.Generator(device)
        self.order = torch.zeros(num_batches, batch_size, dtype=torch.long, device=device)
        self.rates = torch.zeros(num_batches, len(optimisers), device=device)
        self.rows, self.columns = (
            torch.zeros(num_batches, size, dtype=torch.long, device=device) for size in pixels.shape[2:]
        )
        # The row of the tables that is read next, which is the number of steps taken in the epoch.
        self.next = torch.zeros(1, dtype=torch.long, device=device)
        self.rate = torch.zeros(1, len(optimisers), device=device)
        self.good = torch.ones((), dtype=torch.bool, device=device)
        self.bad = torch.zeros((), device=device)  # 1 if a gradient of the step is not finite
        self.skip = torch.zeros((), device=device)  # the negation, in the form that optimisers read
        self.last_loss = torch.zeros((), device=device)
        self.names: tuple[str, ...] = ()
        self.sums = torch.zeros(0, device=device)
        for index, optimiser in enumerate(optimisers):
            optimiser.param_groups[0]["lr"] = self.rate[0, index]
            optimiser.found_inf = self.skip  # type: ignore[attr-defined]  # as torch.amp.GradScaler sets it

    def begin(self, plan: Plan) -> None:
        """Write an epoch into the buffers."""
        self.order.view(-1)[: len(plan.order)].copy_(plan.order)
        self.rates.copy_(plan.rates)
        if self.moving:
            assert plan.moves is not None
            self.rows.copy_(plan.moves[0])
            self.columns.copy_(plan.moves[1])
        self.noise.manual_seed(plan.seed)
        self.next.zero_()
        self.sums.zero_()

    def take(self, size: int) -> None:
        """Take the next step of the epoch, on this many images, without a wait of the host."""
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        x = self._pictures(size)
        with lowered(self.precision, x.device):
            losses = self.loss(x, self.noise)
        loss = losses.total.mean()
        loss.backward()  # type: ignore[no-untyped-call]
        self._judge(loss.detach())
        torch.index_select(self.rates, 0, self.next, out=self.rate)
        for optimiser in self.optimisers:
            optimiser.step()
        self._add_up(losses)
        self.next += self.good

    def _pictures(self, size: int) -> Tensor:  # -> (B, C, H, W), float32 in [0, 1], channels_last
        order = self.order.index_select(0, self.next)[0, :size]
        x = self.pixels.index_select(0, order)
        if self.moving:
            rows, columns = self.rows.index_select(0, self.next)[0], self.columns.index_select(0, self.next)[0]
            x = x.index_select(2, rows).index_select(3, columns)
        return to_unit(x.contiguous(memory_format=torch.channels_last), self.dtype)

    def _judge(self, loss: Tensor) -> None:
        self.last_loss.copy_(loss)
        self.bad.zero_()
        note_not_finite((p for o in self.optimisers for p in o.param_groups[0]["params"]), self.bad)
        # The difference is NaN for NaN and infinity; `isfinite` takes twice the kernels.
        self.good &= loss - loss == self.bad
        torch.logical_not(self.good, out=self.skip)

    def _add_up(self, losses: Losses) -> None:
        if not self.names:  # in the very first step, which is never captured
            self.names = ("total", *losses.parts)
            self.sums = self.sums.new_zeros(len(self.names))
        self.sums += torch.stack([losses.total, *losses.parts.values()]).detach().sum(1)

    def means(self) -> dict[str, float]:
        """The mean over the epoch's images of the total loss and of each part."""
        return {name: value / len(self.pixels) for name, value in zip(self.names, self.sums.tolist(), strict=True)}


class Replay:
    """Runs epochs of a step: the first steps of each size call by call, the others from a graph on CUDA.

    Args:
        step: the step.

    Two sizes make two graphs, of the full batches and of the last one. Where a step can't be captured, a warning says why, and
    training continues call by call with the same results.
    """

    def __init__(self, step: StaticStep) -> None:
        self.step, self.device = step, step.pixels.device
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self.taken: Counter[int] = Counter()
        self.may_capture = self.device.type == "cuda"
        # Everything runs on the stream that is captured: autograd and libraries keep the stream of their first use.
        self.stream = torch.cuda.Stream(self.device) if self.may_capture else None  # type: ignore[no-untyped-call]
        self.pool = torch.cuda.graph_pool_handle() if self.may_capture else None

    def run_epoch(
        self, plan: Plan, epoch: int, first_step: int, on_batch: Callable[[int, int, float], None] | None = None
    ) -> dict[str, float]:
        """Run an epoch.

        Args:
            plan: see `Plan`.
            epoch: its number, for errors and for `on_batch`.
            first_step: number of steps before it.
            on_batch: called with (epoch, step, loss) every `LOOK_EVERY` steps.

        Returns:
            See `StaticStep.means`.

        Raises:
            TrainingDiverged: a loss or its gradient is not finite. The weights are the last good ones.
        """
        with self._own_stream():
            self.step.begin(plan)
            for number, size in enumerate(self.step.sizes, first_step + 1):
                self._take(size)
                if number % LOOK_EVERY == 0:
                    self._look(epoch, first_step)
                    if on_batch is not None:
                        on_batch(epoch, number, self.step.last_loss.item())
            self._look(epoch, first_step)
            return self.step.means()

    def _look(self, epoch: int, first_step: int) -> None:
        if not self.step.good.item():
            raise diverged(epoch, first_step + int(self.step.next.item()) + 1)

    def _take(self, size: int) -> None:
        if self.may_capture and size not in self.graphs and self.taken[size] >= WARM_UP:
            self._capture(size)
        if size in self.graphs:
            self.graphs[size].replay()
        else:
            self.step.take(size)
        self.taken[size] += 1

    def _capture(self, size: int) -> None:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.step.noise)
        recording = torch.cuda.graph(graph, self.pool, self.stream, capture_error_mode="thread_local")
        try:
            with _capturable(self.step.optimisers), recording:
                self.step.take(size)
        except RuntimeError as error:
            self.may_capture = False
            # Leaving a failed capture raises a second error, which says less than the first.
            reason = str(error.__context__ or error).strip().partition("\n")[0]
            warnings.warn(f"a training step is launched kernel by kernel: no CUDA graph of it: {reason}", stacklevel=2)
        else:
            self.graphs[size] = graph

    @contextmanager
    def _own_stream(self) -> Iterator[None]:
        if self.stream is None:
            yield
            return
        outside = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(outside)
        try:
            with torch.cuda.stream(self.stream):
                yield
        finally:
            outside.wait_stream(self.stream)


@contextmanager
def _capturable(optimisers: Sequence[torch.optim.Optimizer]) -> Iterator[None]:
    """Mark these as capturable for the time of a capture only: torch warns of such optimisers that run uncaptured.

    With `fused` the steps are counted on the device either way; nothing else depends on the mark.
    """
    for optimiser in optimisers:
        optimiser.param_groups[0]["capturable"] = True
    try:
        yield
    finally:
        for optimiser in optimisers:
            optimiser.param_groups[0]["capturable"] = False

"""Training in many processes, which torchrun starts: each takes its share of every batch, and all take the same step."""

import atexit
import gc
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn

from latens.errors import ProcessLost, UsageError
from latens.losses import Losses
from latens.models.contract import Model

__all__ = ["Team", "end_process", "join_team", "noticing_loss", "restarted", "share_processors", "team_of_process"]

LossOf = Callable[[Tensor, torch.Generator], Losses]


@dataclass(frozen=True)
class Team:
    """The processes of a training, as one of them sees them.

    Args:
        rank: the number of this process, from 0; process 0 keeps the run.
        size: how many there are, at least 2.
    """

    rank: int
    size: int

    def share(self, rows: np.ndarray) -> np.ndarray:
        """This process's rows of a batch; where there are fewer rows than processes one of them, which counts nothing."""
        return rows[self.rank :: self.size] if self.rank < len(rows) else rows[:1]

    def counts(self, rows: np.ndarray) -> bool:
        """Whether this process has rows of its own in a batch."""
        return self.rank < len(rows)

    def loss(self, total: Tensor, rows: np.ndarray) -> Tensor:
        """What this process differentiates: the mean of it over the processes is that of `total` over the batch."""
        return total.sum() * (self.size / len(rows) if self.counts(rows) else 0.0)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a number over the processes; the same bits for each."""
        return self.sum(value) / self.size

    def sum(self, value: Tensor) -> Tensor:
        """The sum of numbers over the processes; the same bits for each."""
        total = value.detach().clone()
        with noticing_loss():
            distributed.all_reduce(total)
        return total

    def tell(self, message: Any = None) -> Any:
        """What process 0 says: it gives a message, and all get it."""
        said = [message]
        with noticing_loss():
            distributed.broadcast_object_list(said, src=0)
        return said[0]

    def check_same(self, mine: str, what: str) -> None:
        """Check that something is the same in every process.

        Raises:
            UsageError: it is not; in each of them.
        """
        found: list[Any] = [None] * self.size
        with noticing_loss():
            distributed.all_gather_object(found, mine)
        others = [str(rank) for rank, one in enumerate(found) if one != found[0]]
        if others:
            raise UsageError(
                f"process {', '.join(others)} has other {what} than process 0; give each of the {self.size} the same"
            )

    def wrapped(self, model: Model) -> LossOf:
        """A model's loss, whose gradients are the means over the processes; begins with the weights of process 0."""
        # Models may leave a part unused in some step; looking for it costs little beside the networks.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="find_unused_parameters=True was specified")
            together = nn.parallel.DistributedDataParallel(_LossOf(model), find_unused_parameters=True)

        def loss(x: Tensor, noise: torch.Generator) -> Losses:
            parts: dict[str, Tensor] = together(x, noise)
            return Losses(parts.pop(TOTAL), parts)

        return loss


TOTAL = "total"


@contextmanager
def noticing_loss() -> Iterator[None]:
    """Say in one line that another process is gone: the backends raise RuntimeErrors of many words.

    Raises:
        ProcessLost: the connection to another process broke inside.
    """
    try:
        yield
    except RuntimeError as error:
        if team_of_process() is None or not (isinstance(error, distributed.DistError) or "gloo" in str(error)):
            raise
        raise ProcessLost(
            "another process of this training is gone, so it can't go on; `torchrun --max-restarts 3` starts all again, and"
            " the training continues from the last checkpoint in --out"
        ) from error


class _LossOf(nn.Module):
    """The loss as a forward pass, as DistributedDataParallel needs it."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, noise: torch.Generator) -> dict[str, Tensor]:
        losses = self.model.loss(x, noise)
        return {TOTAL: losses.total, **losses.parts}


_joined: list[Team] = []  # what this process has joined; processes that its user has grouped for other work are no team


def team_of_process() -> Team | None:
    """The team that this process has joined; None where it trains alone."""
    return _joined[0] if _joined else None


def join_team() -> Team | None:
    """Join the processes that torchrun has started with this one; None where it did not start several.

    The processors of a machine are shared among its processes, and each takes a GPU of its own where there are any.

    Raises:
        UsageError: the process is a member of a group already, which may be for other work.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return None
    if not _joined:
        if distributed.is_initialized():
            raise UsageError("torch.distributed is initialised already; under torchrun latens does that itself")
        share_processors()
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        # They wait for process 0, which also makes the maps; one that is lost is noticed by its connection.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, timeout=timedelta(days=7), **_own_store())
        atexit.register(_leave)
        _joined.append(Team(distributed.get_rank(), distributed.get_world_size()))
    return _joined[0]


def _leave() -> None:
    """End the group before the interpreter: its threads would outlive what they use, and the process would be aborted."""
    gc.collect()  # a wrapped model refers to itself and to the group
    if distributed.is_initialized():
        distributed.destroy_process_group()


def end_process(code: int) -> None:
    """End a process of a team with this exit code, at once; returns where the process is alone.

    torch aborts now and then ("terminate called without an active exception") while the interpreter of such a process ends, and
    torchrun would take the finished work for failed.
    """
    if _joined:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # closed, or nobody reads it
                stream.flush()
        _leave()
        os._exit(code)


def share_processors() -> None:
    """Give this process its share of the machine's processors, where torchrun has started several on it."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def _own_store() -> dict[str, Any]:
    """A place for the addresses of this attempt, where torchrun keeps one for all attempts.

    It lets processes that were started again find the addresses of lost ones (pytorch/pytorch#135712). The attempts are counted
    by each machine for itself: with several machines torchrun is asked for a new store by TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1.
    """
    if os.environ.get("GROUP_WORLD_SIZE", "1") != "1":
        return {}
    from torch.distributed import PrefixStore, rendezvous  # type: ignore[attr-defined]  # not in every build

    store, rank, size = next(iter(rendezvous("env://")))
    attempt = PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    return {"store": attempt, "rank": rank, "world_size": size}


def restarted() -> bool:
    """Whether torchrun has started the processes again, after one of them was lost."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0

"""Work on several things at a time, each by threads of its own: small steps, and those of numpy, gain nothing of more threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits

__all__ = ["for_each"]

T = TypeVar("T")
R = TypeVar("R")


def for_each(items: Sequence[T], work: Callable[[T], R]) -> list[R]:
    """What `work` gives for each item, in their order: as many at a time as torch has threads, which they share.

    Args:
        items: one or more.
        work: is called from several threads at the same time.
    """
    threads = torch.get_num_threads()
    at_once = min(threads, len(items))
    if at_once == 1:
        return [work(one) for one in items]
    each = threads // at_once
    try:
        with (
            threadpool_limits(each, user_api="blas"),  # numpy's products
            ThreadPoolExecutor(at_once, initializer=torch.set_num_threads, initargs=(each,)) as pool,
        ):
            return list(pool.map(work, items))
    finally:
        torch.set_num_threads(threads)  # a part of it is of the process, not of the thread that sets it

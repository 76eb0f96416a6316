"""Work on several classes at a time."""

import threading

import pytest
import torch

from latens.together import for_each


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize(("number", "items", "each"), [(1, 3, 1), (2, 3, 1), (4, 2, 2), (3, 1, 3)])
def test_threads_are_shared_and_given_back(threads, number, items, each):
    threads(number)
    assert for_each(range(items), lambda one: (one, torch.get_num_threads())) == [(one, each) for one in range(items)]
    assert torch.get_num_threads() == number


def test_as_many_as_there_are_threads_work_at_a_time(threads):
    threads(2)
    both = threading.Barrier(2, timeout=60)
    assert len(for_each(range(4), lambda one: both.wait())) == 4


def test_an_error_comes_out(threads):
    threads(2)
    with pytest.raises(ZeroDivisionError):
        for_each([1, 0], lambda one: 1 / one)
    assert torch.get_num_threads() == 2

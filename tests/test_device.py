"""Devices, random generators, denormal numbers and the layout of kernels."""

import pytest
import torch

from latens.device import choose_device, describe_device, flushed_denormals, generator, images_at_once
from latens.errors import DeviceUnavailable, UsageError


def test_cpu_is_always_there_and_auto_finds_one():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    assert choose_device() == choose_device("auto")


@pytest.mark.parametrize("name", ["nonsense", "", "gpu", "CPU"])
def test_an_unknown_device_is_named_beside_the_known_ones(name):
    with pytest.raises(UsageError, match=f"unknown device '{name}'; known: auto, cpu, cuda, mps"):
        choose_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_an_absent_device_says_what_to_use(name):
    with pytest.raises(DeviceUnavailable, match=f"device '{name}' is not available .*; use --device auto or cpu"):
        choose_device(name)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_auto_prefers_cuda():
    assert choose_device("auto").type == "cuda"
    assert torch.cuda.get_device_name(0) in describe_device(choose_device("cuda"))


def test_a_device_is_described_with_its_threads():
    text = describe_device(torch.device("cpu"))
    assert text.startswith("cpu (")
    assert text.endswith(f", {torch.get_num_threads()} threads)")
    assert "\n" not in text
    assert text.removeprefix("cpu (").split(",")[0].strip()  # the processor has a name


def test_a_generator_is_a_pure_function_of_its_numbers():
    def numbers(*key):
        return torch.rand(8, generator=generator(*key))

    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = numbers(0, 3)
    torch.manual_seed(2)
    assert torch.equal(numbers(0, 3), first)
    torch.manual_seed(1)
    numbers(5)
    assert torch.equal(torch.get_rng_state(), state)  # torch's own is left alone
    keys = [(0, 0), (0, 1), (1, 0), (0, 3), (3, 0), (3, 3), (2**63, 0)]
    drawn = {tuple(numbers(*key).tolist()) for key in keys}
    assert len(drawn) == len(keys)


def test_denormals_are_flushed_inside_only():
    smallest = torch.finfo(torch.float32).tiny

    def halved():
        return torch.full((64,), smallest).mul(0.5)

    assert (halved() > 0).all()
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor can't flush denormals")
    with flushed_denormals():
        assert (halved() == 0).all()
    assert (halved() > 0).all()
    with pytest.raises(KeyError), flushed_denormals():
        raise KeyError
    assert (halved() > 0).all()


@pytest.mark.parametrize(("device", "least"), [("cpu", 1), ("mps", 1), ("cuda", 16)])
def test_larger_images_are_read_fewer_at_once(device, least):
    counts = [images_at_once(shape, device) for shape in ((1, 8, 8), (1, 28, 28), (3, 256, 256), (3, 2000, 2000))]
    assert counts == sorted(counts, reverse=True)
    assert counts[2] >= 5 * least
    assert counts[3] >= 1

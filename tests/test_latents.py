"""Images to latents in batches: one after the other, and through the lanes of a GPU."""

import numpy as np
import pytest
import torch

from latens.arrays import blocks
from latens.latents import LANES, _in_turn, _through_lanes, decode_latents, encode_images
from latens.models.autoencoder import AutoencoderModel

CPU = torch.device("cpu")


def mean_of_pictures(block):
    return block.float().mean((1, 2, 3))[:, None]


@pytest.mark.parametrize("count", [0, 1, 6, 7 * LANES + 2])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_lanes_bring_everything_in_its_order(count, dtype):
    array = np.random.default_rng(0).integers(0, 256, (count, 3, 4, 5)).astype(dtype)
    expected = [part.clone() for part in _in_turn(blocks(array, 7), mean_of_pictures, CPU)]
    got = [part.clone() for part in _through_lanes(blocks(array, 7), mean_of_pictures, CPU)]
    assert len(got) == len(expected) == -(-count // 7)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(got, expected, strict=True))


def test_lanes_take_arrays_that_torch_can_not(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4), np.uint8)
    np.save(tmp_path / "a.npy", array)
    closed = np.load(tmp_path / "a.npy", mmap_mode="r")
    for each in (closed, array[:, :, ::-1], array[::2]):
        parts = list(_through_lanes(blocks(each, 8), lambda block: block.float(), CPU))
        assert np.array_equal(torch.cat(parts).numpy(), each)


def test_at_most_so_many_batches_are_under_way():
    seen = []

    def parts():
        for number in range(3 * LANES):
            seen.append(number)
            yield np.zeros((1, 1, 2, 2), np.uint8)

    for done, _ in enumerate(_through_lanes(parts(), mean_of_pictures, CPU)):
        assert len(seen) <= done + LANES + 1
    assert len(seen) == 3 * LANES


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_card_encodes_and_decodes_as_a_processor_does():
    torch.manual_seed(0)
    model = AutoencoderModel((1, 28, 28), 64)
    pixels = np.random.default_rng(0).integers(0, 256, (40_000, 1, 28, 28), np.uint8)
    latents = encode_images(model, pixels)
    images = decode_latents(model, latents[:2000])
    model.cuda()
    np.testing.assert_allclose(encode_images(model, pixels), latents, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(decode_latents(model, latents[:2000]), images, rtol=1e-4, atol=1e-5)

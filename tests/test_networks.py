"""One contract for every network, over many shapes, and the layer kinds against torch's convolutions."""

import itertools

import pytest
import torch
from torch import nn

from latens.networks import NETWORKS
from latens.networks.layers import LAYER_KINDS, MapToVector, VectorToMap

SHAPES = [(1, 28, 28), (3, 32, 32), (1, 8, 8), (3, 8, 256), (1, 17, 23), (3, 64, 48), (1, 256, 256), (1, 9, 100)]


@pytest.mark.parametrize(("name", "shape"), list(itertools.product(NETWORKS, SHAPES)))
def test_contract(name, shape):
    encoder, decoder = NETWORKS[name](shape, 5, 3)
    assert encoder(torch.rand(2, *shape)).shape == (2, 5)
    assert decoder(torch.rand(2, 3)).shape == (2, *shape)
    assert all(type(layer) in LAYER_KINDS for half in (encoder, decoder) for layer in half)
    assert not isinstance(encoder[-1], nn.ReLU)  # the activation of the latent belongs to the model
    assert not isinstance(decoder[-1], nn.ReLU)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_map_to_vector_is_the_convolution(memory_format):
    ours = MapToVector(6, (3, 5), 4).double()
    theirs = nn.Conv2d(6, 4, (3, 5)).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.rand(7, 6, 3, 5, dtype=torch.float64).to(memory_format=memory_format)
    torch.testing.assert_close(ours.to(memory_format=memory_format)(x), theirs(x).flatten(1))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_vector_to_map_is_the_transposed_convolution(memory_format):
    ours = VectorToMap(4, 6, (3, 5)).double()
    theirs = nn.ConvTranspose2d(4, 6, (3, 5)).double()
    theirs.load_state_dict(ours.state_dict())
    z = torch.rand(7, 4, dtype=torch.float64)
    torch.testing.assert_close(ours.to(memory_format=memory_format)(z), theirs(z[:, :, None, None]))

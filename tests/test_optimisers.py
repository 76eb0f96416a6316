"""Muon against torch's, orthogonality against the SVD, the schedule."""

import pytest
import torch
from torch import nn

from latens.models.autoencoder import Autoencoder
from latens.optimisers import Muon, as_matrix, learning_rate_factor, make_optimisers, orthogonalise, split_parameters


def test_the_four_large_weights_of_the_notebooks_network_go_to_muon():
    model = Autoencoder((1, 28, 28), 64)
    names = {id(p): name for name, p in model.named_parameters()}
    matrices, rest = split_parameters(model)
    assert [names[id(p)] for p in matrices] == [
        f"{half}.weight" for half in ("encoder.2", "encoder.4", "decoder.0", "decoder.2")
    ]
    assert len(matrices) + len(rest) == len(list(model.parameters()))


def test_as_matrix_is_a_view_in_channels_last():
    weight = torch.rand(4, 3, 5, 5).to(memory_format=torch.channels_last)
    assert as_matrix(weight).data_ptr() == weight.data_ptr()
    assert as_matrix(weight).shape == (4, 75)


def test_as_matrix_orders_columns_like_another_tensor():
    weight = torch.rand(4, 3, 5, 5)
    like = torch.rand(4, 3, 5, 5).to(memory_format=torch.channels_last)
    assert torch.equal(as_matrix(weight, like), as_matrix(weight.to(memory_format=torch.channels_last)))
    assert torch.equal(as_matrix(weight.to(memory_format=torch.channels_last), weight), weight.flatten(1))


def test_orthogonalise_brings_singular_values_near_one_and_keeps_the_singular_vectors():
    generator = torch.Generator().manual_seed(0)
    matrices = [torch.randn(shape, dtype=torch.float64, generator=generator) for shape in [(8, 20), (8, 8), (3, 30)]]
    for matrix, factor in zip(matrices, orthogonalise(matrices), strict=True):
        assert factor.shape == (len(matrix), len(matrix))
        near = factor @ matrix
        values = torch.linalg.svdvals(near)
        assert values.min() > 0.6
        assert values.max() < 1.3
        u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
        diagonal = u.mT @ near @ vh.mT
        assert (diagonal - torch.diag(diagonal.diagonal())).abs().max() < 1e-9


def test_orthogonalise_leaves_a_matrix_of_zeros_alone():
    (factor,) = orthogonalise([torch.zeros(2, 5)])
    assert torch.isfinite(factor).all()


@pytest.mark.parametrize("shape", [(8, 20), (20, 8)])
def test_muon_is_torchs_muon_up_to_bfloat16(shape):
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(shape, generator=generator)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    mine = Muon([ours], lr=0.1)
    reference = torch.optim.Muon([theirs], lr=0.1, weight_decay=0.0)
    for _ in range(4):
        gradient = torch.randn(shape, generator=generator)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        mine.step()
        reference.step()
    moved = (ours - start).norm()
    assert (ours - theirs).norm() < 0.03 * moved


def test_matrices_of_one_shape_step_together_as_they_do_alone():
    weights = [nn.Parameter(torch.randn(4, 6, 3, 3).to(memory_format=torch.channels_last)) for _ in range(2)]
    weights.append(nn.Parameter(torch.randn(54, 4)))
    alone = [nn.Parameter(w.detach().clone()) for w in weights]
    gradients = [torch.randn_like(w) for w in weights]
    for parameter, gradient in zip(weights + alone, gradients + gradients, strict=True):
        parameter.grad = gradient.clone()
    Muon(weights, lr=0.1).step()
    for parameter in alone:
        Muon([parameter], lr=0.1).step()
    for together, single in zip(weights, alone, strict=True):
        torch.testing.assert_close(together, single)


def test_adam_alone_and_muon_with_adam():
    model = Autoencoder((1, 28, 28), 64)
    assert [type(o) for o in make_optimisers(model, "adam", 1e-3, 0.03, 0.99)] == [torch.optim.Adam]
    assert [type(o) for o in make_optimisers(model, "muon", 1e-3, 0.03, 0.99)] == [torch.optim.Adam, Muon]


def test_schedule():
    factors = [learning_rate_factor(step, 100, 10, True) for step in range(100)]
    assert factors[:10] == sorted(factors[:10])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[-1] == pytest.approx(0.01)
    assert [learning_rate_factor(step, 100, 0, False) for step in (0, 50, 99)] == [1, 1, 1]


def test_muon_leaves_weights_without_gradients_alone():
    weight = nn.Parameter(torch.ones(2, 3))
    Muon([weight], lr=0.1).step()
    assert torch.equal(weight, torch.ones(2, 3))

"""Muon against torch's, orthogonality against the SVD, the schedule."""

import pytest
import torch
from torch import nn

from latens.errors import UsageError
from latens.models.autoencoder import AutoencoderModel
from latens.training.optimisers import (
    Muon,
    as_matrix,
    learning_rate_factor,
    make_optimisers,
    orthogonalise,
    row_blocks,
    split_parameters,
)


def test_all_weights_go_to_muon_and_the_biases_to_adam():
    model = AutoencoderModel((1, 28, 28), 64)
    names = {id(p): name for name, p in model.named_parameters()}
    matrices, rest = split_parameters(model)
    assert [names[id(p)] for p in matrices] == [name for name in names.values() if name.endswith("weight")]
    assert [names[id(p)] for p in rest] == [name for name in names.values() if name.endswith("bias")]


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


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_the_kernels_take_the_steps_of_torchs_products(lanes, instruction_sets):
    instruction_sets(lanes)
    torch.manual_seed(0)
    shapes = [(32, 16, 3, 3), (64, 8, 7, 7), (5, 3, 2, 2), (7, 100), (1, 40), (128, 260), (16, 1, 3, 3), (300, 20)]
    shapes += [(300, 320), (520, 257), (258, 33, 3, 3)]  # in blocks of rows
    weights = [torch.randn(shape) for shape in shapes]
    weights = [w.contiguous(memory_format=torch.channels_last) if w.ndim == 4 else w for w in weights]
    ours, theirs = ([nn.Parameter(weight.clone()) for weight in weights] for _ in range(2))
    native, plain = (Muon(weights, lr=0.02, weight_decay=0.1) for weights in (ours, theirs))
    plain.native = False
    for _ in range(3):
        for one, other in zip(ours, theirs, strict=True):
            # A gradient in another order than its weight, as some of torch's operators make them.
            one.grad = torch.randn(one.shape)
            other.grad = one.grad.clone()
        native.step()
        plain.step()
    for one, other, start in zip(ours, theirs, weights, strict=True):
        moved = other.detach() - start
        # Each of the five rounds may multiply what float32 rounds away, 6e-8, by its first coefficient, 3.4.
        assert (one.detach() - other.detach()).norm() <= 6e-8 * 3.4445**5 * moved.norm()


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("shape", [(384, 600), (600, 384)])
def test_a_block_of_rows_takes_the_step_that_it_would_take_alone(native, shape):
    weight, gradient = torch.randn(shape), torch.randn(shape)
    short = shape.index(min(shape))
    whole = nn.Parameter(weight.clone())
    apart = [nn.Parameter(part.clone()) for part in weight.split(128, short)]
    optimisers = Muon([whole], lr=0.1), Muon(apart, lr=0.1)
    whole.grad = gradient
    for part, its in zip(apart, gradient.split(128, short), strict=True):
        part.grad = its.clone()
    for optimiser in optimisers:
        optimiser.native = native
        optimiser.step()
    length = max(1, shape[0] / shape[1]) ** 0.5
    expected = torch.cat([part.detach() for part in apart], short) - weight
    lengths = [max(1, part.shape[0] / part.shape[1]) ** 0.5 for part in apart]
    torch.testing.assert_close(whole.detach() - weight, expected * length / lengths[0], rtol=1e-3, atol=1e-5)


def test_few_rows_are_orthogonalised_as_one():
    assert [len(row_blocks(rows)) for rows in (1, 128, 256, 257, 512, 1000)] == [1, 1, 1, 3, 4, 8]
    assert all(max(block.stop - block.start for block in row_blocks(rows)) <= 128 for rows in range(257, 2000))


def test_a_step_by_the_kernels_is_seen_by_autograd():
    weight = nn.Parameter(torch.rand(4, 6))
    loss = weight.square().sum()
    weight.grad = torch.rand(4, 6)
    Muon([weight], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("decay", [0.0, 0.5])
@pytest.mark.parametrize("shape", [(8, 20), (20, 8)])
def test_muon_is_torchs_muon_up_to_bfloat16(shape, decay):
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(shape, generator=generator)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    mine = Muon([ours], lr=0.1, weight_decay=decay)
    reference = torch.optim.Muon([theirs], lr=0.1, momentum=0.9, weight_decay=decay)
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
    model = AutoencoderModel((1, 28, 28), 64)
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


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("state", [{"momentum": torch.zeros(3)}, {"exp_avg": torch.zeros(2, 3)}, {"momentum": 1.0}])
def test_muon_refuses_a_state_that_is_not_its_own(state, native):
    weight = nn.Parameter(torch.ones(2, 3))
    weight.grad = torch.ones(2, 3)
    muon = Muon([weight], lr=0.1)
    muon.native = native
    muon.state[weight] = dict(state)
    with pytest.raises(UsageError, match=r"momentum \(2, 3\) is needed"):
        muon.step()
    assert torch.equal(weight, torch.ones(2, 3))


def test_muon_takes_a_state_in_another_order_in_memory():
    (weight,), (other,) = (weights_with_gradients((4, 3, 5, 5)) for _ in range(2))
    moment = torch.randn(4, 3, 5, 5)
    steps = []
    for parameter, stored in ((weight, moment), (other, moment.to(memory_format=torch.channels_last).double())):
        muon = Muon([parameter], lr=0.1)
        muon.state[parameter]["momentum"] = stored.clone()
        muon.step()
        steps.append(parameter.detach())
    assert torch.equal(*steps)


def weights_with_gradients(*shapes):
    generator = torch.Generator().manual_seed(2)
    weights = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    for weight in weights:
        weight.grad = torch.randn(weight.shape, generator=generator)
    return weights


def test_muon_reads_its_rate_from_a_tensor():
    told, read = (weights_with_gradients((4, 6), (6, 4), (3, 3)) for _ in range(2))
    by_number, by_tensor = Muon(told, lr=0.1), Muon(read, lr=0.1)
    rate = by_tensor.param_groups[0]["lr"] = torch.tensor(0.1)
    for number in (0.1, 0.025):
        by_number.param_groups[0]["lr"] = number
        rate.fill_(number)
        by_number.step()
        by_tensor.step()
    for one, other in zip(told, read, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("rate", [0.1, torch.tensor(0.1)])
def test_muon_takes_no_step_where_numbers_are_not_finite(rate):
    weights = weights_with_gradients((4, 6), (6, 4))
    muon = Muon(weights, lr=0.1)
    muon.param_groups[0]["lr"] = rate
    muon.found_inf = torch.zeros(())
    muon.step()
    before = [(w.detach().clone(), muon.state[w]["momentum"].clone()) for w in weights]
    muon.found_inf.fill_(1)
    for weight in weights:
        weight.grad.fill_(torch.nan)
    muon.step()
    for weight, (value, moment) in zip(weights, before, strict=True):
        assert torch.equal(weight, value)
        assert torch.equal(muon.state[weight]["momentum"], moment)
    muon.found_inf.zero_()
    weights[0].grad = torch.ones_like(weights[0])
    muon.step()
    assert not torch.equal(weights[0], before[0][0])

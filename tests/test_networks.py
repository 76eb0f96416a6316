"""One contract for every network, over many shapes, and the layer kinds against torch's convolutions."""

import copy
import itertools
import json
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from latens.errors import UnknownName
from latens.native import library
from latens.networks import NETWORKS
from latens.networks.forms import fastest_form
from latens.networks.half import FORMS, Half
from latens.networks.layers import LAYER_KINDS, MapToVector, ResidualBlock, SubPixel, VectorToMap
from latens.networks.native_form import NATIVE_KINDS

SHAPES = [(1, 28, 28), (3, 32, 32), (1, 8, 8), (3, 8, 256), (1, 17, 23), (3, 64, 48), (1, 256, 256), (1, 9, 100)]


@pytest.mark.parametrize(("name", "shape"), list(itertools.product(NETWORKS, SHAPES)))
def test_contract(name, shape):
    network = NETWORKS[name](shape, 5, 3)
    encoder, decoder = network
    assert encoder(torch.rand(2, *shape)).flatten(1).shape == (2, 5)
    assert decoder(torch.rand(2, *(network.latent_shape or (3,)))).shape == (2, *shape)
    for half in (encoder, decoder):
        if isinstance(half, Half):
            assert all(type(layer) in LAYER_KINDS for layer in half)
            # The activation of the latent belongs to the model; and a recipe says where both last biases start.
            assert isinstance(half[-1].bias, nn.Parameter)


def test_the_networks_of_latens_are_halves_with_kernels():
    for name in ("convolutional", "residual", "dense"):
        assert all(isinstance(half, Half) for half in NETWORKS[name]((1, 28, 28), 5, 3))


@pytest.mark.parametrize("name", NETWORKS)
def test_each_picture_is_seen_alone_and_every_weight_learns(name):
    torch.manual_seed(0)
    encoder, decoder = NETWORKS[name]((1, 9, 12), 5, 3)
    for half, x in ((encoder, torch.rand(4, 1, 9, 12)), (decoder, torch.rand(4, 3))):
        y = half.train()(x)
        torch.testing.assert_close(half(x[2:3]), y[2:3], atol=1e-6, rtol=1e-5)
        assert torch.equal(half.eval()(x), y)
        y.square().sum().backward()
        assert all(parameter.grad.any() for parameter in half.parameters())


def test_the_weights_of_a_dense_network_are_bounded_for_any_image_size():
    assert sum(p.numel() for half in NETWORKS["dense"]((3, 256, 256), 64, 64) for p in half.parameters()) < 1 << 26


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


def test_a_residual_block_adds_two_convolutions_of_smooth_activations():
    block = ResidualBlock(3).double()
    x = torch.randn(2, 3, 5, 6, dtype=torch.float64) + 4
    y = torch.stack([(one - one.mean()) / (one.var(correction=0) + 1e-5).sqrt() for one in x])
    for layer in (block.first, block.second):
        y = F.conv2d(y / (1 + (-y).exp()), layer.weight, layer.bias, padding=layer.kernel_size[0] // 2)
    torch.testing.assert_close(block(x), x + y)
    with torch.no_grad():
        block.second.weight.zero_()
        block.second.bias.zero_()
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("size", [(6, 8), (5, 7)])
def test_sub_pixel_lays_four_channels_out_as_four_pixels(size):
    layer = SubPixel(2, 3, size).double()
    with torch.no_grad():
        layer.weight.normal_()
    x = torch.randn(4, 2, 3, 4, dtype=torch.float64)
    y, groups = layer(x), F.conv2d(x, layer.weight, layer.bias, padding=1)
    assert y.shape == (4, 3, *size)
    for channel, row, column in itertools.product(range(3), range(size[0]), range(size[1])):
        place = 4 * channel + 2 * (row % 2) + column % 2
        assert torch.equal(y[:, channel, row, column], groups[:, place, row // 2, column // 2])


def checkerboard(picture):
    """How far each pixel of a block of 2 x 2 is from the block's mean, against how far the blocks are from each other."""
    blocks = F.pixel_unshuffle(picture, 2)
    return ((blocks - blocks.mean(1, keepdim=True)).std() / blocks.mean(1).std()).item()


def test_a_new_residual_decoder_draws_no_checkerboard():
    torch.manual_seed(0)
    z = torch.randn(3, 8)
    assert checkerboard(NETWORKS["residual"]((1, 28, 28), 8, 8).decoder(z)) < 1e-5
    assert checkerboard(NETWORKS["convolutional"]((1, 28, 28), 8, 8).decoder(z)) > 0.1


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler: latens was installed without its kernels")
def test_the_kernels_were_built():
    assert library() is not None


native = pytest.mark.skipif(library() is None, reason="the kernels were not built")


@native
def test_some_layer_kinds_have_a_native_form_and_torch_computes_the_others():
    known = [
        nn.Conv2d(2, 3, 3),
        nn.ReLU(),
        MapToVector(3, (4, 4), 5),
        VectorToMap(5, 2, (3, 3)),
        nn.ConvTranspose2d(2, 3, 3),
    ]
    others = [nn.SiLU(), nn.Linear(5, 5), ResidualBlock(3), SubPixel(3, 3, (5, 6))]
    assert {type(layer) for layer in known} == set(NATIVE_KINDS)
    assert {type(layer) for layer in others} == set(LAYER_KINDS) - set(NATIVE_KINDS)
    assert Half(*known).forms() == FORMS
    for other in others:
        assert Half(known[0], other, *known[2:]).forms() == ("torch",)


def test_a_form_that_does_not_exist_is_refused():
    half = Half(nn.Conv2d(1, 2, 3))
    for names in (("columns",), ("torch", "columns"), ("torch", "")):
        with pytest.raises(UnknownName, match=r"unknown form '(columns)?'; known: native, torch"):
            half.use(*names)
    assert (half.form, half.reading) == ("torch", "torch")


def test_without_the_kernels_torch_computes(monkeypatch):
    monkeypatch.setattr("latens.networks.native_form.library", lambda: None)
    half = Half(nn.Conv2d(1, 2, 3))
    assert half.forms() == ("torch",)
    assert half.use("native").form == "torch"
    assert fastest_form(half, (1, 8, 8), 2) == "torch"


@native
@pytest.mark.parametrize(
    "layers",
    [
        [nn.Conv2d(2, 4, 3, groups=2)],
        [nn.Conv2d(2, 4, 3, dilation=2)],
        [nn.Conv2d(2, 4, 3, padding="same")],
        [nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular")],
        [nn.Conv2d(2, 4, 3, bias=False)],
        [nn.Conv2d(2, 4, 3), nn.ReLU()],
        [nn.ReLU(), nn.Conv2d(2, 4, 3)],
        [nn.Conv2d(2, 4, 3), nn.SiLU(), nn.Conv2d(4, 2, 3)],
        [nn.Conv2d(2, 2, 1) for _ in range(65)],
    ],
)
def test_other_layers_stay_with_torch(layers):
    half = Half(*layers)
    assert half.forms() == ("torch",)
    assert half.use("native").form == "torch"
    x = torch.rand(2, 2, 9, 9)
    assert torch.equal(half(x), nn.Sequential(*layers)(x))


GEOMETRIES = [  # kernel, stride, padding
    (3, 2, 1),
    (3, 1, 1),
    (1, 1, 0),
    (4, 2, 1),
    (5, 3, 2),
    (2, 3, 0),
    ((3, 5), (2, 1), (0, 2)),
]


def gradients(half, x, direction):
    x = x.clone().requires_grad_()
    y = half(x)
    return [y, *torch.autograd.grad((y * direction(y)).sum(), [x, *half.parameters()])]


def assert_same_in_both_forms(half, x, tolerance=1e-6):
    generator = torch.Generator().manual_seed(1)
    directions = {}

    def direction(y):
        return directions.setdefault(y.shape, torch.randn(y.shape, generator=generator))

    expected = gradients(half.use("torch"), x, direction)
    got = gradients(half.use("native"), x, direction)
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.shape == theirs.shape
        # In the norm: a unit that rounding takes over zero changes a few gradients by more than rounding does.
        assert (ours - theirs).norm() <= tolerance * theirs.norm()


@native
@pytest.mark.parametrize(("kernel", "stride", "padding"), GEOMETRIES)
@pytest.mark.parametrize("size", [(9, 12), (7, 7)])
@pytest.mark.parametrize("channels", [(3, 4), (9, 37), (37, 9)])  # few: over images; many: over rows of the kernel
def test_native_kernels_are_the_convolutions_for_any_geometry(kernel, stride, padding, size, channels):
    torch.manual_seed(0)
    x = torch.randn(5, channels[0], *size)
    assert_same_in_both_forms(Half(nn.Conv2d(*channels, kernel, stride, padding)), x)
    assert_same_in_both_forms(Half(nn.ConvTranspose2d(*channels, kernel, stride, padding)), x)


@native
@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_every_instruction_set_gives_the_same(lanes, instruction_sets):
    instruction_sets(lanes)
    torch.manual_seed(0)
    encoder, decoder = NETWORKS["convolutional"]((3, 17, 23), 5, 3)
    assert_same_in_both_forms(encoder, torch.rand(37, 3, 17, 23), 1e-5)
    assert_same_in_both_forms(decoder, torch.rand(37, 3), 1e-5)
    for layer in (nn.Conv2d, nn.ConvTranspose2d):
        assert_same_in_both_forms(Half(layer(10, 35, (3, 5), 2, (0, 3))), torch.randn(200, 10, 11, 9), 1e-5)


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_rectified_away(value, lanes, instruction_sets):
    instruction_sets(lanes)
    torch.manual_seed(0)
    half = Half(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1))
    with torch.no_grad():
        half[0].weight[1, 0, 1, 1] = value
    x = torch.randn(5, 1, 6, 6)
    found = []
    for form in FORMS:
        y = half.use(form)(x)
        found.append([y, *torch.autograd.grad(y.sum(), list(half.parameters()))])
    assert half.form == "native"
    for theirs, ours in zip(*found, strict=True):
        assert torch.equal(torch.isfinite(theirs), torch.isfinite(ours))
    assert not torch.isfinite(found[1][0]).all()


@native
def test_native_gradients_are_the_same_bits_for_any_number_of_threads():
    torch.manual_seed(0)
    encoder, _ = NETWORKS["convolutional"]((1, 28, 28), 5, 3)
    x, threads = torch.rand(300, 1, 28, 28), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = gradients(encoder.use("native"), x, torch.ones_like)
        torch.set_num_threads(3)
        got = gradients(encoder, x, torch.ones_like)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


@native
def test_native_kernels_keep_an_output_padding():
    assert_same_in_both_forms(Half(nn.ConvTranspose2d(3, 4, 3, 2, 1, output_padding=(1, 0))), torch.randn(5, 3, 6, 7))


@native
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("batch", [1, 7, 70])  # one image; a part of a chunk; a chunk and some
def test_both_forms_of_a_network_give_the_same_outputs_and_gradients(shape, batch):
    if batch == 70 and shape[1] > 64:
        pytest.skip("one large batch is enough")
    torch.manual_seed(0)
    encoder, decoder = NETWORKS["convolutional"](shape, 5, 3)
    assert_same_in_both_forms(encoder, torch.rand(batch, *shape), 1e-2)
    assert_same_in_both_forms(decoder, torch.rand(batch, 3), 1e-2)


@native
def test_buffers_are_not_shared_by_two_graphs_nor_spoilt_by_a_second_backward():
    torch.manual_seed(0)
    encoder, _ = NETWORKS["convolutional"]((1, 8, 8), 5, 3)
    encoder.use("native")
    x, other = torch.rand(2, 6, 1, 8, 8)
    expected = torch.autograd.grad(encoder(x).square().sum(), list(encoder.parameters()))
    y = encoder(x)
    encoder(other)  # another graph, and one without a graph, before the first is used
    with torch.no_grad():
        encoder(other)
    for retain in (True, False):
        got = torch.autograd.grad(y.square().sum(), list(encoder.parameters()), retain_graph=retain)
        assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


@native
def test_buffers_follow_weights_that_move():
    torch.manual_seed(0)
    encoder, _ = NETWORKS["convolutional"]((1, 8, 8), 5, 3)
    encoder.use("native")
    x = torch.rand(2, 1, 8, 8)
    encoder(x)
    copied = copy.deepcopy(encoder)
    for parameter in encoder.parameters():
        parameter.data = parameter.data * 2
    torch.testing.assert_close(encoder(x), encoder.use("torch")(x))
    assert not torch.allclose(copied(x), encoder(x))
    torch.testing.assert_close(copied(x), copied.use("torch")(x))
    torch.testing.assert_close(pickle.loads(pickle.dumps(copied.use("native")))(x), copied(x))


@native
def test_buffers_made_in_inference_mode_serve_training():
    encoder, _ = NETWORKS["convolutional"]((1, 8, 8), 5, 3)
    encoder.use("native")
    x = torch.rand(4, 1, 8, 8)
    with torch.inference_mode():
        expected = encoder(x).clone()
    y = encoder(x)
    y.sum().backward()
    assert torch.equal(y, expected)


@native
def test_weights_that_change_before_the_backward_pass_are_noticed():
    encoder, _ = NETWORKS["convolutional"]((1, 8, 8), 5, 3)
    encoder.use("native")
    y = encoder(torch.rand(4, 1, 8, 8))
    with torch.no_grad():
        encoder[0].weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@native
def test_threads_do_not_share_buffers():
    torch.manual_seed(0)
    encoder, _ = NETWORKS["convolutional"]((1, 8, 8), 5, 3)
    encoder.use("native")
    batches = torch.rand(40, 6, 1, 8, 8)
    with torch.no_grad():
        expected = [encoder(batch) for batch in batches]

    def encode(batch):
        with torch.no_grad():
            return encoder(batch)

    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(encode, batches.repeat(5, 1, 1, 1, 1)))
    assert all(torch.equal(one, expected[index % 40]) for index, one in enumerate(got))


@native
def test_what_native_kernels_cannot_compute_runs_in_torchs_form():
    encoder, _ = NETWORKS["convolutional"]((1, 8, 8), 5, 3)
    encoder.use("native").double()
    assert encoder(torch.rand(2, 1, 8, 8, dtype=torch.float64)).dtype == torch.float64
    encoder.float()
    with torch.autocast("cpu", torch.bfloat16):
        assert encoder(torch.rand(2, 1, 8, 8)).dtype == torch.bfloat16
    assert encoder(torch.rand(0, 1, 8, 8)).shape == (0, 5)


def test_a_half_of_one_form_is_not_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("LATENS_CACHE", str(tmp_path))
    encoder, _ = NETWORKS["residual"]((1, 8, 8), 5, 3)
    assert fastest_form(encoder, (1, 8, 8), 4) == "torch"
    assert not list(tmp_path.iterdir())


@native
def test_the_fastest_form_is_measured_once_and_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("LATENS_CACHE", str(tmp_path))
    encoder, _ = NETWORKS["convolutional"]((1, 8, 8), 5, 3)
    form = fastest_form(encoder, (1, 8, 8), 4)
    assert form in FORMS
    assert encoder.form == "torch"
    assert all(parameter.grad is None for parameter in encoder.parameters())
    (file,) = (tmp_path / "forms").iterdir()
    other = next(name for name in FORMS if name != form)
    file.write_text(json.dumps({"form": other}))
    assert fastest_form(encoder, (1, 8, 8), 4) == other
    for damaged in ("{", "[]", '{"form": "other"}'):  # measured again
        file.write_text(damaged)
        fastest_form(encoder, (1, 8, 8), 4)
        assert json.loads(file.read_text())["form"] in FORMS
    fastest_form(encoder, (1, 8, 8), 8)
    assert len(list((tmp_path / "forms").iterdir())) == 2

"""One contract for every model."""

import copy
import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from latens.errors import UnknownName, UsageError
from latens.figures import FIGURES
from latens.figures.network_stages import network_stages
from latens.losses import normal_kl
from latens.models import MODELS
from latens.models.contract import HasPrior, Model, evaluating
from latens.models.matching import Matching
from latens.models.variational import VariationalModel
from latens.networks import NETWORKS
from latens.samplers import samplers_for
from latens.training.loop import build_model
from latens.training.recipes import RECIPES, read_choice

SHAPE = (1, 12, 10)
SHAPES = [(1, 28, 28), (3, 32, 32), (1, 17, 23)]


# Known to draw noise; of every other model the tests find out.
NOISY = ["variational", "wasserstein", "autoencoder:noise=0.2", "regularised:penalty=gradient,decoder_weight=1"]
OPTIONED = [
    "autoencoder:noise=0.2,sparsity=0.1,activation=none",
    "variational:likelihood=bernoulli",
    "variational:likelihood=fixed,variance=0.1,free_bits=0.5",
    "variational:match=10,warmup=4",
    "variational:likelihood=bernoulli,sharpness=1.5",
    "variational:likelihood=bernoulli,sharpness=matched,warmup=4",
    "wasserstein:discrepancy=flow",
    "regularised:penalty=gradient",
    "regularised:penalty=none",
    "quantised:levels=5",
    "quantised:spatial=true",
]


def chosen(choice):
    name, options = read_choice(choice)
    if options.get("spatial"):  # which takes a multiple of 3 x 3
        return MODELS[name](SHAPE, 9, **options)
    return make(name, **options)


def make(name, network="convolutional", **options):
    torch.manual_seed(0)
    return MODELS[name](SHAPE, 6, network, **options)


@pytest.mark.parametrize(("name", "network", "shape"), list(itertools.product(MODELS, NETWORKS, SHAPES)))
def test_contract(name, network, shape):
    torch.manual_seed(0)
    model = MODELS[name](shape, 6, network)
    x = torch.rand(4, *shape)
    z = model.encode(x)
    assert isinstance(model, Model)
    assert (model.image_shape, model.latent_dim) == (shape, 6)
    assert z.shape == (4, 6)
    assert model.decode(z).shape == x.shape
    losses = model.loss(x, torch.Generator().manual_seed(0))
    assert losses.total.shape == (4,)
    assert all(part.shape == (4,) for part in losses.parts.values())
    assert "squared_error" in losses.parts
    losses.total.mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_encode_is_deterministic_and_sees_each_picture_alone(name):
    model = make(name).double()
    x = torch.rand(5, *SHAPE, dtype=torch.float64)
    together = model.encode(x)
    torch.testing.assert_close(model.encode(x), together, rtol=0, atol=0)
    torch.testing.assert_close(model.encode(x.flip(0)).flip(0), together)
    torch.testing.assert_close(torch.cat([model.encode(one[None]) for one in x]), together)


@pytest.mark.parametrize("name", MODELS)
def test_state_dict_round_trip(name):
    model, other = make(name), make(name)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.rand_like(p))
    other.load_state_dict(model.state_dict())
    x = torch.rand(3, *SHAPE)
    torch.testing.assert_close(other.decode(other.encode(x)), model.decode(model.encode(x)), rtol=0, atol=0)


def test_the_loss_is_the_mean_squared_error():
    model, x = make("autoencoder"), torch.rand(4, *SHAPE)
    expected = torch.nn.functional.mse_loss(model.decode(model.encode(x)), x)
    torch.testing.assert_close(model.loss(x).total.mean(), expected)


@pytest.mark.parametrize("choice", dict.fromkeys([*MODELS, *OPTIONED, *NOISY]))
def test_all_noise_comes_from_the_generator(choice):
    model, x = chosen(choice), torch.rand(4, *SHAPE)
    before = torch.random.get_rng_state()
    state = copy.deepcopy(model.state_dict())
    losses = []
    for seed in (1, 1, 2):
        model.load_state_dict(state)
        losses.append(model.loss(x, torch.Generator().manual_seed(seed)).total)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(losses[0], losses[1])
    noisy = not torch.equal(losses[0], losses[2])
    assert noisy or choice not in NOISY
    torch.manual_seed(5)
    model.load_state_dict(state)
    first = model.loss(x).total
    model.load_state_dict(state)
    # Torch's own generator where none is given; without noise a loss is the same at each call.
    assert torch.equal(first, model.loss(x).total) != noisy


@pytest.mark.parametrize("choice", [*MODELS, *OPTIONED])
def test_the_loss_of_one_picture_is_finite(choice):
    """The last batch of an epoch may have one."""
    losses = chosen(choice).loss(torch.rand(1, *SHAPE))
    assert all(value.isfinite().all() and value.shape == (1,) for value in (losses.total, *losses.parts.values()))


@pytest.mark.parametrize("choice", [*MODELS, *OPTIONED])
def test_the_part_squared_error_is_that_of_a_reconstruction(choice):
    model, x = chosen(choice).eval(), torch.rand(4, *SHAPE)
    losses = [model.loss(x, torch.Generator().manual_seed(seed)).parts["squared_error"] for seed in (1, 2)]
    if not torch.equal(*losses) and not isinstance(model, VariationalModel):
        pytest.skip("its reconstructions are noisy")
    if isinstance(model, VariationalModel):  # without its noise
        with torch.no_grad():
            model.encoder[-1].weight[6:] = 0
            model.encoder[-1].bias[6:] = -40
    expected = (model.decode(model.encode(x)) - x).square().flatten(1).mean(1)
    torch.testing.assert_close(model.loss(x).parts["squared_error"], expected)


@pytest.mark.parametrize("name", [name for name in MODELS if isinstance(make(name), HasPrior)])
def test_a_prior_draws_what_the_decoder_takes(name):
    model = make(name)
    drawn = [model.sample_prior(7, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert drawn[0].shape == (7, 6)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert model.decode(drawn[0]).shape == (7, *SHAPE)
    assert model.sample_prior(0).shape == (0, 6)


def test_models_with_and_without_a_prior():
    assert all(isinstance(make(name), HasPrior) for name in ("variational", "wasserstein", "quantised"))
    assert not any(isinstance(make(name), HasPrior) for name in ("autoencoder", "regularised"))


def test_the_options_of_the_autoencoder():
    x = torch.rand(4, *SHAPE)
    plain, noisy, sparse = make("autoencoder"), make("autoencoder", noise=0.3), make("autoencoder", sparsity=0.5)
    assert not torch.equal(noisy.loss(x).total, plain.loss(x).total)
    torch.testing.assert_close(noisy.eval().loss(x).total, plain.loss(x).total, rtol=0, atol=0)
    z = sparse.encode(x)
    expected = (sparse.decode(z) - x).square().flatten(1).mean(1) + 0.5 * z.abs().mean(1)
    torch.testing.assert_close(sparse.loss(x).total, expected)


def test_activation_of_the_latent():
    x = torch.rand(20, *SHAPE)
    assert make("autoencoder").encode(x).min() == 0
    assert make("autoencoder", activation="none").encode(x).min() < 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((1, 7, 28), 4), "7 x 28"),
        (((1, 28, 513), 4), "use --size"),
        (((65, 28, 28), 4), "1 to 64 channels"),
        (((1, 28, 28), 0), "latent dimension is 0"),
    ],
)
@pytest.mark.parametrize("name", MODELS)
def test_what_is_not_allowed_is_said(name, arguments, message):
    with pytest.raises(UsageError, match=message):
        MODELS[name](*arguments)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("autoencoder:activation=tanh", "activation is 'tanh'; known: relu, none"),
        ("autoencoder:noise=-1", "noise is -1; a finite number, at least 0, is needed"),
        ("autoencoder:sparsity=nan", "sparsity is nan"),
        ("variational:beta=-1", "beta is -1"),
        ("variational:free_bits=inf", "free_bits is inf"),
        ("variational:likelihood=laplace", "known: calibrated, fixed, bernoulli"),
        ("variational:likelihood=fixed,variance=0", "variance is 0; a finite number, above 0"),
        ("variational:variance=0.1", "only likelihood=fixed takes one"),
        ("variational:sharpness=2", "sharpness is 2 with likelihood=calibrated; only likelihood=bernoulli takes one"),
        ("variational:likelihood=bernoulli,sharpness=0", "sharpness is 0; a finite number, above 0"),
        ("variational:likelihood=bernoulli,sharpness=high", "sharpness is 'high'; known: matched"),
        ("wasserstein:weight=much", "weight is 'much'"),
        ("wasserstein:scale=0", "scale is 0"),
        ("regularised:penalty=spectral", "known: weight_decay, gradient, none"),
        ("regularised:latent_weight=-1", "latent_weight is -1"),
        ("regularised:decoder_weight=true", "decoder_weight is True"),
        ("regularised:penalty=none,decoder_weight=1", "leave out one"),
        ("quantised:spatial=maybe", "spatial is 'maybe'; known: False, True"),
        ("quantised:levels=true", "levels is True"),
        ("quantised:levels=1", "levels is 1; a whole number from 2 to 256"),
        ("quantised:levels=2.5", "levels is 2.5"),
    ],
)
def test_options_that_are_not_allowed_are_said(choice, message):
    with pytest.raises(UsageError, match=message):
        chosen(choice)


def test_unknown_names_list_the_known():
    with pytest.raises(UnknownName, match="unknown model 'vea'; known: autoencoder, quantised, reg"):
        MODELS["vea"]
    with pytest.raises(UnknownName, match="unknown network"):
        MODELS["autoencoder"](SHAPE, 4, "transformer")


def test_a_model_comes_with_its_options(blobs):
    recipe = RECIPES["notebook"](blobs).with_options(model="autoencoder:activation=none", latent_dim=4)
    assert recipe.model_choice == "autoencoder:activation=none"
    assert build_model(recipe, SHAPE).activation == "none"
    assert recipe.with_options(model="autoencoder").model_options == {}
    with pytest.raises(UnknownName, match="unknown option of autoencoder 'beta'; known: activation, noise, sparsity"):
        build_model(recipe.with_options(model="autoencoder:beta=4"), SHAPE)


def test_what_keeps_a_relu_alive_is_for_a_relu_alone(blobs):
    recipe = replace(RECIPES["fast"](blobs).with_options(model="autoencoder"), latent_bias=0.6)
    assert recipe.with_options(latent_dim=3).latent_bias == 0.6
    assert recipe.with_options(model="autoencoder:activation=none").latent_bias == 0


@pytest.mark.parametrize("choice", [*MODELS, *OPTIONED])
def test_the_drawing_shows_the_latent_between_the_halves(choice):
    model = chosen(choice)
    stages = network_stages(model)
    assert stages[0] == ("input", SHAPE)
    assert stages[-1][1] == SHAPE
    place = stages.index(("latent", model.latent_shape))
    with torch.no_grad():
        encoded = tuple(model.encoder(torch.rand(1, *SHAPE)).shape[1:])
    # An encoder that gives more than the latent, such as means and variances, is shown with what it gives.
    assert (stages[place - 1][1] == encoded) == (encoded != model.latent_shape)
    assert FIGURES["network"](stages).axes
    assert 0 < place < len(stages) - 1


class _Shifted(torch.nn.Module):
    """The velocity of latents that are normal around another mean: cos(a) times the mean everywhere."""

    def __init__(self, mean):
        super().__init__()
        self.mean = mean

    def forward(self, x, angle, index):
        return angle.cos()[:, None] * self.mean


def test_the_divergence_of_all_latents_from_the_prior_is_that_of_the_closed_form(monkeypatch):
    monkeypatch.setattr("latens.models.matching.STEEPEST", float("inf"))
    mean = torch.tensor([1.0, -0.5, 0.0])
    matching = Matching(3)
    matching.velocity = _Shifted(mean)
    z = (torch.randn(4000, 3, generator=torch.Generator().manual_seed(0)) + mean).requires_grad_()
    divergence, _ = matching(z, torch.Generator().manual_seed(1))
    expected = normal_kl(mean, torch.zeros(3)).sum()
    torch.testing.assert_close(divergence.mean(), expected, rtol=1e-2, atol=0)
    (gradient,) = torch.autograd.grad(divergence.sum(), z)
    torch.testing.assert_close(gradient.mean(0), mean / 2, rtol=1e-2, atol=1e-6)  # the mean of sin² times the mean


def test_the_network_learns_how_far_latents_are_from_the_prior():
    found = []
    for spread in (1.0, 0.4):
        torch.manual_seed(0)
        matching, draws = Matching(2), torch.Generator().manual_seed(0)
        optimiser = torch.optim.Adam(matching.parameters(), lr=3e-3)
        for _ in range(150):
            optimiser.zero_grad()
            z = spread * torch.randn(256, 2, generator=draws)
            matching(z, draws)[1].mean().backward()
            optimiser.step()
        found.append(float(matching(spread * torch.randn(4000, 2, generator=draws), draws)[0].mean()))
    exact = float(normal_kl(torch.zeros(2), torch.full((2,), 2 * math.log(0.4))).sum())
    assert found[0] < 0.05
    assert 0.7 * exact < found[1] < 1.1 * exact


def test_the_weights_of_the_divergences_rise():
    model, x = make("variational", likelihood="fixed", beta=3.0, warmup=4), torch.rand(5, *SHAPE)
    model.train()
    for step in range(1, 7):
        losses = model.loss(x, torch.Generator().manual_seed(0))
        risen = min(1, step / 4)
        torch.testing.assert_close(losses.total, losses.parts["reconstruction"] + risen * 3 * losses.parts["kl"])
    model.eval().loss(x)
    assert model.steps == 6  # evaluation counts none
    with pytest.raises(UsageError, match="warmup is -1"):
        make("variational", warmup=-1)


def test_a_sharper_decoder_gives_the_likelihood_the_mean_of_what_it_decodes():
    sharper, plain = (make("variational", likelihood="bernoulli", sharpness=sharpness) for sharpness in (2.0, 1.0))
    last = [part for part in plain.decoder.modules() if getattr(part, "bias", None) is not None][-1]
    with torch.no_grad():
        for parameter in (last.weight, last.bias):
            parameter.div_(2)
    x, z = torch.rand(5, *SHAPE), torch.randn(5, 6)
    losses = [model.loss(x, torch.Generator().manual_seed(0)).parts["reconstruction"] for model in (sharper, plain)]
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(sharper.decode(z).logit(), 2 * plain.decode(z).logit())


def test_a_matched_sharpness_follows_the_mean_squares_after_the_warm_up():
    bright, dark = torch.rand(8, *SHAPE).round(), torch.full((8, *SHAPE), 0.01)
    model = make("variational", likelihood="bernoulli", sharpness="matched", warmup=3)
    model.eval().loss(bright)
    model.train()
    found = []
    for x in [bright] * 6 + [dark] * 200:
        model.loss(x, torch.Generator().manual_seed(0))
        found.append(float(model.sharpness))
    assert found[:3] == [1.0] * 3  # which the untrained network must rise from
    assert 1 < found[3] < found[4] < found[5]
    assert found[-1] == 1.0  # images can't be greyer than their mean
    torch.nan_to_num(model.loss(torch.full_like(dark, math.nan)).total)
    assert model.sharpness == 1.0
    again = make("variational", likelihood="bernoulli", sharpness="matched", warmup=3)
    model.sharpness.fill_(1.7)
    again.load_state_dict(model.state_dict())
    assert float(again.sharpness) == pytest.approx(1.7)
    assert "sharpness" not in make("variational", likelihood="bernoulli").state_dict()  # as stored by earlier versions


def test_a_model_with_a_matched_prior_has_a_learned_one_beside_it():
    assert make("variational").learned_prior == make("wasserstein").learned_prior == ""
    for model in (make("variational", match=1.0), make("wasserstein", discrepancy="flow")):
        assert model.learned_prior in samplers_for(model, every=False)
    model = make("variational")
    assert "flow" not in samplers_for(model, every=False)
    model.learned_prior = "flow"  # which takes a minute to fit, and is scored all the same
    assert "flow" in samplers_for(model, every=False)
    assert not any("matching" in name or "steps" in name for name in make("variational").state_dict())


def test_the_quantised_loss_of_nan_is_nan_and_no_error():
    model = make("quantised")
    x = torch.rand(3, *model.image_shape)
    x[1, 0, 2, 2] = torch.nan
    losses = model.loss(x)
    assert torch.isnan(losses.total).tolist() == [False, True, False]
    assert torch.isfinite(losses.parts["prior"]).all()


def test_a_model_stays_in_evaluation_mode_until_the_last_thread_has_left():
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(1))
    model[1].eval()
    first, second = evaluating(model), evaluating(model)
    first.__enter__()
    second.__enter__()
    assert not any(module.training for module in model.modules())
    first.__exit__(None, None, None)
    assert not any(module.training for module in model.modules())
    second.__exit__(None, None, None)
    assert [module.training for module in model.modules()] == [True, True, False]

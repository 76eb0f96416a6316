"""Loss terms and the remarks of models, against closed forms, naive loops and whole enumerations."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import nn

from latens.errors import UsageError
from latens.losses import bernoulli_nll, gaussian_nll, jacobian_norm, mean_discrepancy, normal_kl
from latens.models import MODELS
from latens.models.code_prior import CodePrior
from latens.models.contract import Watched
from latens.networks import Network
from latens.networks.grid import on_grid
from latens.training.loop import build_model, fastest_forms, train
from latens.training.recipes import RECIPES

SHAPE = (1, 8, 8)
NUM_PIXELS = 64


def normal(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def test_kl_is_the_integral():
    for mu, logvar in [(0.0, 0.0), (1.5, -2.0), (-0.3, 1.0)]:
        q = stats.norm(mu, math.exp(logvar / 2))
        expected, _ = integrate.quad(lambda t, q=q: q.pdf(t) * (q.logpdf(t) - stats.norm.logpdf(t)), -30, 30)
        assert normal_kl(torch.tensor([[mu]]), torch.tensor([[logvar]])).item() == pytest.approx(expected, abs=1e-6)


def test_likelihoods_are_scipys():
    x, y = normal(3, 2, 4, 4), normal(3, 2, 4, 4, seed=1)
    expected = -stats.norm.logpdf(x, y, math.sqrt(0.3)).reshape(3, -1).sum(1)
    error = (x - y).square().flatten(1).mean(1)
    np.testing.assert_allclose(gaussian_nll(error, 0.3, 32), expected)
    bits = (x > 0).double()
    expected = -stats.bernoulli.logpmf(bits, 1 / (1 + np.exp(-y.numpy()))).reshape(3, -1).sum(1)
    np.testing.assert_allclose(bernoulli_nll(bits, y), expected)


def test_discrepancy_is_the_double_loop():
    z, p = normal(6, 3), normal(6, 3, seed=1) * 2

    def kernel(a, b):
        widths = [2 * 3 * 0.7 * s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10)]
        return sum(c / (c + float((a - b).square().sum())) for c in widths)

    pairs = list(itertools.permutations(range(6), 2))
    expected = sum(kernel(z[i], z[j]) + kernel(p[i], p[j]) for i, j in pairs) / 30
    expected -= 2 * sum(kernel(a, b) for a in z for b in p) / 36
    assert mean_discrepancy(z, p, 0.7).mean().item() == pytest.approx(expected, rel=1e-9)


def test_discrepancy_is_unbiased_and_notices_another_distribution():
    same = [mean_discrepancy(normal(40, 5, seed=s), normal(40, 5, seed=999 + s)).mean().item() for s in range(300)]
    assert abs(np.mean(same)) < 3 * np.std(same) / math.sqrt(300)
    assert min(same) < 0
    other = [
        mean_discrepancy(normal(40, 5, seed=s) * 0.5, normal(40, 5, seed=999 + s)).mean().item() for s in range(20)
    ]
    assert min(other) > np.mean(same) + 3 * np.std(same)


def test_discrepancy_of_equal_latents_has_a_gradient():
    z = torch.zeros(4, 3, requires_grad=True)
    mean_discrepancy(z, torch.randn(4, 3, generator=torch.Generator().manual_seed(0))).mean().backward()
    assert z.grad.isfinite().all()


def test_jacobian_norm_is_that_of_the_jacobian():
    decode = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 16), nn.Unflatten(1, (1, 4, 4))).double()
    z = normal(1, 3)
    jacobian = torch.func.jacrev(decode)(z).reshape(16, 3)
    generator = torch.Generator().manual_seed(0)
    found = torch.stack([jacobian_norm(decode, z.expand(200, 3), generator).mean() for _ in range(20)])
    expected = jacobian.square().sum().item() / 16
    assert found.mean().item() == pytest.approx(expected, abs=4 * found.std().item() / math.sqrt(20))


def test_jacobian_norm_reaches_the_weights_and_works_without_gradients():
    decode = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Unflatten(1, (1, 2, 2))).double()
    z, generator = normal(5, 3), torch.Generator()
    jacobian_norm(decode, z, generator.manual_seed(1)).sum().backward()
    # Of a linear decoder the norm is vT W of the drawn v, whose gradient by W is 2 v vT W.
    v = torch.empty(5, 1, 2, 2, dtype=torch.float64).normal_(generator=generator.manual_seed(1)).flatten(1)
    torch.testing.assert_close(decode[0].weight.grad, 2 * v.T @ v @ decode[0].weight.detach() / 4)
    with torch.no_grad():
        norm = jacobian_norm(decode, z, generator.manual_seed(1))
    torch.testing.assert_close(norm, (v @ decode[0].weight.detach()).square().sum(1) / 4)


class Linear:
    """A variational model that is linear and Gaussian: x = W z + b + noise, the columns of W orthogonal."""

    def __init__(self, variance=0.2, off=0.0):
        self.model = MODELS["variational"](SHAPE, 3, likelihood="fixed", variance=variance).double().eval()
        basis = torch.linalg.qr(normal(NUM_PIXELS, 3))[0] * torch.tensor([2.0, 1.0, 0.3])
        self.b, self.weight, self.variance = normal(NUM_PIXELS, seed=1), basis, variance
        precision = basis.square().sum(0) / variance + 1
        encode = nn.Linear(NUM_PIXELS, 6).double()
        with torch.no_grad():
            encode.weight[:3] = basis.T / variance / precision[:, None]
            encode.bias[:3] = -encode.weight[:3] @ self.b + off
            encode.weight[3:] = 0
            encode.bias[3:] = -precision.log()
        decode = nn.Linear(3, NUM_PIXELS).double()
        with torch.no_grad():
            decode.weight.copy_(basis)
            decode.bias.copy_(self.b)
        self.model.encoder = nn.Sequential(nn.Flatten(), encode)
        self.model.decoder = nn.Sequential(decode, nn.Unflatten(1, SHAPE))
        self.off, self.precision = off, precision

    def images(self, count):
        x = normal(count, 3, seed=2) @ self.weight.T + self.b + normal(count, NUM_PIXELS, seed=3) * self.variance**0.5
        return x.view(count, *SHAPE)

    def log_density(self, x):
        covariance = self.weight @ self.weight.T + self.variance * torch.eye(NUM_PIXELS, dtype=torch.float64)
        return stats.multivariate_normal(self.b, covariance).logpdf(x.flatten(1))


def test_bound_is_the_density_where_the_posterior_is_exact():
    linear = Linear()
    x = linear.images(5)
    for k in (1, 3):
        np.testing.assert_allclose(linear.model.bound(x, k), linear.log_density(x))


def test_bound_falls_short_by_the_divergence_and_approaches_the_density():
    linear = Linear(off=0.1)
    x = linear.images(1).expand(4000, *SHAPE)
    density = linear.log_density(x[:1]).item()
    generator = torch.Generator().manual_seed(0)
    one, ten, many = (linear.model.bound(x, k, generator) for k in (1, 10, 100))
    divergence = 0.5 * 0.1**2 * linear.precision.sum().item()
    assert one.mean().item() == pytest.approx(density - divergence, abs=4 * one.std().item() / math.sqrt(4000))
    assert one.mean() < ten.mean() < many.mean() < density + 0.01
    assert many.mean().item() == pytest.approx(density, abs=0.03)
    loss = linear.model.loss(x, generator).total
    assert loss.mean().item() == pytest.approx(divergence - density, abs=4 * one.std().item() / math.sqrt(4000))
    with pytest.raises(UsageError, match="k is 0; at least 1"):
        linear.model.bound(x[:1], 0)


def test_the_calibrated_variance_is_the_best_one():
    model = MODELS["variational"](SHAPE, 3).double()
    x = torch.rand(50, *SHAPE, dtype=torch.float64)
    losses = model.loss(x, torch.Generator().manual_seed(0))
    assert model.variance.item() == pytest.approx(losses.parts["squared_error"].mean().item())
    model.eval()
    best, found = losses.parts["reconstruction"].mean().item(), []
    for factor in (0.8, 0.95, 1.0, 1.05, 1.2):
        other = MODELS["variational"](SHAPE, 3, likelihood="fixed", variance=factor * model.variance.item()).double()
        other.load_state_dict({**model.state_dict(), "variance": other.variance})
        found.append(other.loss(x, torch.Generator().manual_seed(0)).parts["reconstruction"].mean().item())
    assert np.argmin(found) == 2
    assert found[2] == pytest.approx(best)
    assert model.loss(x, torch.Generator().manual_seed(0)).parts["reconstruction"].mean().item() == pytest.approx(best)


def test_the_variance_is_a_running_mean_that_nothing_spoils():
    model, errors = MODELS["variational"](SHAPE, 3), []
    for _ in range(5):
        errors.append(model.loss(torch.rand(4, *SHAPE)).parts["squared_error"].mean().item())
    assert model.variance.item() == pytest.approx(np.mean(errors))
    model.loss(torch.full((4, *SHAPE), torch.nan))
    assert model.variance.item() == pytest.approx(np.mean(errors))


def test_beta_and_free_bits_weigh_the_divergence():
    x = torch.rand(6, *SHAPE)

    def losses(**options):
        torch.manual_seed(0)
        return MODELS["variational"](SHAPE, 3, **options).loss(x, torch.Generator().manual_seed(0))

    plain, beta, free, none = losses(), losses(beta=4), losses(free_bits=2.0), losses(free_bits=1e-9)
    torch.testing.assert_close(plain.total, plain.parts["negative_bound"])
    torch.testing.assert_close(beta.total, plain.parts["reconstruction"] + 4 * plain.parts["kl"])
    torch.testing.assert_close(free.total, plain.parts["reconstruction"] + 3 * 2.0)  # at first no unit tells 2 nats
    torch.testing.assert_close(none.total, plain.total)
    for found in (beta, free):
        torch.testing.assert_close(found.parts["kl"], plain.parts["kl"])


def test_collapsed_units_are_noticed():
    model, x = MODELS["variational"](SHAPE, 4), torch.rand(20, *SHAPE)
    assert isinstance(model, Watched)
    with torch.no_grad():
        model.encoder[-1].weight.zero_()
        model.encoder[-1].bias.copy_(torch.tensor([1.0, 0, 0, 1, 0, 0, 0, 0]))
    assert model.remarks(x) == ("2 of 4 latent units have collapsed and carry no information; 2 would be enough",)
    with torch.no_grad():
        model.encoder[-1].bias.zero_()
    (remark,) = model.remarks(x)
    assert remark.startswith("all latent units have collapsed")
    with torch.no_grad():
        model.encoder[-1].bias.fill_(1.0)
    assert list(model.remarks(x)) == []


def test_a_bernoulli_decoder_starts_at_the_mean_pixel(blobs):
    options = {"model": "variational:likelihood=bernoulli", "network": "convolutional"}
    recipe = replace(RECIPES["fast"](blobs), latent_dim=4).with_options(**options)
    model = build_model(recipe, blobs.shape)
    with torch.no_grad():
        model.decoder[-1].weight.zero_()
    mean = blobs.train.pixels.mean() / 255
    assert model.decode(torch.zeros(1, 4)).mean().item() == pytest.approx(mean, abs=2e-3)
    black = build_model(replace(recipe, output_bias=0.0), blobs.shape)
    assert 0 < black.decode(torch.zeros(1, 4)).mean().item() < 0.05


def test_the_gradient_penalty_keeps_to_torchs_form(blobs, monkeypatch):
    monkeypatch.setattr("latens.training.loop.fastest_form", lambda *_, learning=True: "native")
    options = {"model": "regularised:penalty=gradient", "network": "convolutional", "epochs": 1}
    recipe = replace(RECIPES["fast"](blobs), latent_dim=4).with_options(**options)
    forms = fastest_forms(recipe, blobs.shape)
    assert forms == {"encoder": ["native", "native"], "decoder": ["torch", "native"]}
    model = build_model(recipe, blobs.shape)
    for half, names in forms.items():
        getattr(model, half).use(*names)
    (step,) = train(model, blobs, recipe.config)
    assert math.isfinite(step.train_loss)


def test_weight_decay_is_the_squared_norm_of_the_decoders_weights():
    model, x = MODELS["regularised"](SHAPE, 4, latent_weight=0.5, decoder_weight=0.1), torch.rand(3, *SHAPE)
    losses, z = model.loss(x), model.encode(x)
    norm = sum(w.square().sum().item() for name, w in model.decoder.named_parameters() if name.endswith("weight"))
    expected = losses.parts["squared_error"] + 0.25 * z.square().sum(1) + 0.1 * norm
    torch.testing.assert_close(losses.total, expected)


@pytest.mark.parametrize("levels", [2, 3, 8])
def test_quantised_latents_are_the_nearest_levels(levels):
    model, x = MODELS["quantised"](SHAPE, 6, levels=levels), torch.rand(40, *SHAPE)
    with torch.no_grad():
        model.encoder[-1].weight.mul_(20)
        soft = model.encoder(x).tanh().numpy()
    grid = np.linspace(-1, 1, levels)
    nearest = np.abs(soft[..., None] - grid).argmin(-1)
    np.testing.assert_array_equal(model.codes(x), nearest)
    np.testing.assert_allclose(model.encode(x).detach(), grid[nearest], atol=1e-6)


def test_gradients_pass_the_rounding_and_the_prior_keeps_its_to_itself():
    model, x = MODELS["quantised"](SHAPE, 6), torch.rand(8, *SHAPE)
    model.encode(x).sum().backward()
    through = model.encoder[-1].bias.grad.clone()
    model.zero_grad()
    model.encoder(x).tanh().sum().backward()
    torch.testing.assert_close(through, model.encoder[-1].bias.grad)
    model.zero_grad()
    model.loss(x).parts["prior"].sum().backward()
    assert all(p.grad is None for half in (model.encoder, model.decoder) for p in half.parameters())
    assert all(p.grad.abs().sum() > 0 for p in model.prior.parameters())


@pytest.mark.parametrize(("places", "levels"), [(1, 3), (3, 4), (5, 2)])
def test_the_prior_is_a_distribution_that_its_samples_follow(places, levels):
    torch.manual_seed(0)
    prior = CodePrior(places, levels).double()
    with torch.no_grad():
        for p in prior.parameters():
            p.add_(0.5 * torch.randn_like(p))
    rows = torch.tensor(list(itertools.product(range(levels), repeat=places)))
    probabilities = (-prior.nll(rows)).exp().detach()
    assert probabilities.sum().item() == pytest.approx(1)
    drawn = prior.sample(20_000, torch.Generator().manual_seed(0))
    numbers = (drawn * levels ** torch.arange(places - 1, -1, -1)).sum(1)
    counts = torch.bincount(numbers, minlength=len(rows))
    likely = probabilities > 1e-3
    expected = torch.cat([probabilities[likely], (1 - probabilities[likely].sum()).clamp(min=1e-9)[None]]) * 20_000
    found = torch.cat([counts[likely], counts[~likely].sum()[None]])
    chi = ((found - expected).square() / expected).sum().item()
    assert stats.chi2.sf(chi, len(found) - 1) > 1e-4


def test_no_place_sees_itself_or_what_comes_after():
    torch.manual_seed(0)
    prior, codes = CodePrior(5, 3), torch.zeros(1, 5, dtype=torch.long)
    plain = prior.logits(codes)
    for place in range(5):
        changed = codes.clone()
        changed[0, place] = 2
        moved = (prior.logits(changed) != plain).any(2)[0]
        assert not moved[: place + 1].any()
        assert moved[place + 1 :].all()


def test_code_use():
    model = MODELS["quantised"](SHAPE, 2, levels=4)
    codes = torch.tensor([[0, 1], [1, 1], [2, 1], [3, 1]])
    model._quantise = lambda x: (None, codes)
    use = model.code_use(torch.zeros(4, *SHAPE))
    assert use["levels_used"] == pytest.approx(5 / 8)
    assert use["still"] == 1
    assert (use["capacity"], use["entropy"], use["perplexity"]) == (4, 2, 2)
    assert use["prior"] == pytest.approx(model.prior.nll(codes).mean().item() / math.log(2))
    remarks = model.remarks(torch.zeros(4, *SHAPE))
    assert remarks[0].startswith("62% of the levels are used")
    assert remarks[1] == "1 of 2 latent numbers are the same for every image"


def test_a_spatial_latent_sees_and_paints_its_part_of_the_picture_alone():
    model = MODELS["quantised"]((1, 28, 28), 98, spatial=True).double()
    x = torch.rand(1, 1, 28, 28, dtype=torch.float64)
    other = x.clone()
    other[..., :4, :4] = 1 - other[..., :4, :4]
    moved = (model.encoder(x) != model.encoder(other)).view(7, 7, 2).any(2)
    assert moved[0, 0]
    assert not moved[3:].any()
    assert not moved[:, 3:].any()
    z = model.encode(x)
    changed = z.clone()
    changed[0, :2] = -changed[0, :2]
    painted = (model.decode(z) != model.decode(changed))[0, 0]
    assert painted[:4, :4].any()
    assert not painted[12:].any()
    assert not painted[:, 12:].any()


def test_a_spatial_latent_needs_a_map_and_its_multiple():
    with pytest.raises(UsageError, match="on a grid of 7 x 7 a multiple of 49 is needed, such as 49"):
        MODELS["quantised"]((1, 28, 28), 64, spatial=True)
    made = MODELS["quantised"]((1, 28, 28), 49)
    with pytest.raises(UsageError, match="narrows to a map"):
        on_grid(Network(made.decoder, made.encoder), 49)

"""The linear path: it starts as PCA, held-out images choose what is kept, and resuming continues to the same weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.kernel_ridge import KernelRidge
from torch.utils.flop_counter import FlopCounterMode

import latens
from latens.errors import UsageError
from latens.experiment import train_run
from latens.images import Dataset
from latens.models import MODELS
from latens.models.contract import HasPrior
from latens.networks.linear_path import LinearPath
from latens.progress import Silent
from latens.runs import start_run
from latens.training.augmentation import moved
from latens.training.further_start import Smoothness, fit_further
from latens.training.linear_start import (
    Estimate,
    Start,
    choose_augmentation,
    choose_estimate,
    gain_of_more,
    linear_error,
    principal_components,
    start_linear_path,
    start_seconds,
)
from latens.training.loop import Expected, build_model, estimated_seconds, evaluate, held_out
from latens.training.recipes import AUGMENTATIONS, RECIPES, Recipe, TrainConfig


def smooth(count, shape=(1, 12, 12), seed=0, noise=0.05):
    """Images of a few smooth blobs: near places are alike, far ones are not."""
    rng = np.random.default_rng(seed)
    channels, height, width = shape
    coarse = torch.from_numpy(rng.random((count, channels, 4, 4)))
    fine = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)
    noisy = fine.numpy() + noise * rng.normal(size=(count, channels, height, width))
    return (255 * noisy.clip(0, 1)).astype(np.uint8)


def data(count=60, shape=(1, 12, 12)):
    return latens.load_images(smooth(count, shape))


def config(**more):
    return TrainConfig(**{"epochs": 3, "batch_size": 8, "optimiser": "muon", "learning_rate": 1e-3} | more)


def recipe(model="autoencoder", **more):
    options = {"activation": "none"} if model == "autoencoder" else {}
    return Recipe("test", model, "linear-path", 6, config(**more), model_options=options)


def test_principal_components_are_those_of_scikit_learn():
    x = torch.rand(50, 2, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x *= torch.linspace(0.2, 2, 60, dtype=torch.float64).view(1, 2, 6, 5)  # so that no two are nearly alike
    found, theirs = principal_components(x, 4), PCA(4, svd_solver="full").fit(x.flatten(1).numpy())
    np.testing.assert_allclose(found.mean.numpy(), theirs.mean_, atol=1e-9)
    cosines = np.abs((found.directions.numpy() * theirs.components_.T).sum(0))
    np.testing.assert_allclose(cosines, 1, atol=1e-4)
    np.testing.assert_allclose(found.spread.numpy() * np.sqrt(50 / 49), np.sqrt(theirs.explained_variance_), rtol=1e-4)


def test_a_limited_covariance_is_the_products_with_a_gaussian_of_the_distance():
    x = torch.rand(30, 2, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    estimate = Estimate(kept=0.3, length=0.25)
    rows = (x - x.mean(0)).flatten(1)
    places = [(c, i, j) for c in range(2) for i in range(4) for j in range(5)]
    near = np.array(
        [[np.exp(-((a - p) ** 2 + (b - q) ** 2) / 2 / 1.25**2) for _, p, q in places] for _, a, b in places]
    )
    matrix = (rows.T @ rows / 30).numpy() * (0.3 + 0.7 * near)
    values, vectors = np.linalg.eigh(matrix)
    found = principal_components(x, 3, estimate)
    np.testing.assert_allclose(found.spread.numpy() ** 2, values[::-1][:3], rtol=1e-3)
    np.testing.assert_allclose(np.abs((found.directions.numpy() * vectors[:, ::-1][:, :3]).sum(0)), 1, atol=1e-2)


def test_more_components_than_images_have_are_any_orthogonal_ones():
    found = principal_components(torch.rand(3, 1, 8, 8), 10)
    torch.testing.assert_close(found.directions.T @ found.directions, torch.eye(10), atol=1e-4, rtol=0)
    assert bool((found.spread >= 0).all())


def test_the_estimate_of_few_local_images_is_limited_and_better_on_others():
    images = torch.from_numpy(smooth(300, noise=0.2)).float() / 255
    x, held, others = images[:25], images[25:50], images[50:]
    chosen = choose_estimate(x, held, 8)
    assert chosen.localised
    assert "limited" in str(chosen)
    errors = [linear_error(principal_components(x, 8, one), others) for one in (chosen, Estimate())]
    assert errors[0] < errors[1]


def test_mirrored_copies_have_their_weight():
    x = torch.rand(30, 1, 4, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    copies = [x, x.flip(3), x.flip(2), x.flip(2, 3)]
    shares = np.repeat([0.8 * 0.7, 0.2 * 0.7, 0.8 * 0.3, 0.2 * 0.3], 30)
    rows = torch.cat(copies).flatten(1).numpy()
    mean = np.average(rows, axis=0, weights=shares)
    values = np.linalg.eigvalsh(np.cov(rows.T, aweights=shares, ddof=0))
    found = principal_components(x, 3, Estimate(mirrored=0.2, upended=0.3))
    np.testing.assert_allclose(found.mean.numpy(), mean, atol=1e-12)
    np.testing.assert_allclose(found.spread.numpy() ** 2, values[::-1][:3], rtol=1e-3)


def test_mirrored_images_are_chosen_where_they_help_only():
    symmetric = torch.from_numpy(smooth(40, (1, 16, 16))).float() / 255
    assert choose_augmentation(symmetric, symmetric[:10].flip(3), 12).endswith("flip")
    ramp = torch.linspace(0, 1, 16).view(1, 1, 1, 16) * torch.rand(
        40, 1, 1, 1, generator=torch.Generator().manual_seed(0)
    )
    ramp = ramp + 0.2 * symmetric * torch.linspace(0, 1, 16).view(1, 1, 1, 16)
    assert not choose_augmentation(ramp[:30], ramp[30:], 4).endswith("flip")


@pytest.mark.parametrize("name", sorted(set(MODELS) - set(MODELS.plugins)))
def test_every_model_starts_with_the_linear_path_and_trains(name):
    images = data(40)
    model = build_model(recipe(name, holdout=0.1), images.shape)
    steps = list(latens.train(model, images, recipe(name, epochs=1, holdout=0.1).config))
    assert np.isfinite(steps[-1].test_mse)


@pytest.mark.parametrize("shape", [(1, 12, 12), (3, 9, 14)])
def test_the_start_is_pca(shape):
    images = data(60, shape)
    model = build_model(recipe(), images.shape)
    x = torch.from_numpy(images.train.pixels).float() / 255
    assert start_linear_path(model, x, None) == Start(Estimate())
    theirs = PCA(6, svd_solver="full").fit(x.flatten(1).numpy())
    test = images.test.pixels.reshape(len(images.test), -1) / 255
    expected = np.square(theirs.inverse_transform(theirs.transform(test)) - test).mean()
    assert evaluate(model, images.test.pixels) == pytest.approx(expected, rel=1e-4)
    z = model.encode(x)
    assert z.square().mean().item() == pytest.approx(1, rel=0.01)
    assert not isinstance(model, HasPrior)


def test_latents_of_a_model_with_a_prior_start_at_its_variance():
    images = data(60)
    model = build_model(recipe("variational"), images.shape)
    x = torch.from_numpy(images.train.pixels).float() / 255
    start_linear_path(model, x, None)
    torch.testing.assert_close(model.encode(x).var(0, unbiased=False), torch.ones(6), rtol=0.01, atol=0.01)


def floats(images):
    return torch.from_numpy(images.train.pixels).float() / 255


def test_the_kept_weights_are_the_best_on_images_held_out():
    images = data(60)
    wild = config(epochs=6, holdout=0.2, matrix_learning_rate=0.1, learning_rate=0.01)
    dense = Recipe("test", "autoencoder", "dense", 6, wild)
    model = build_model(dense, images.shape)
    _, held = held_out(len(images.train), 0.2, 0)
    errors = []
    for last in latens.train(model, images, wild):  # noqa: B007
        errors.append(evaluate(model, images.train.pixels[held]))
    assert errors[-1] == pytest.approx(min(errors), rel=1e-6)  # the last step has put the best weights back
    assert last.test_mse == pytest.approx(evaluate(model, images.test.pixels), rel=1e-6)


def test_a_start_that_training_does_not_improve_is_kept_from_all_train_images():
    images = data(60)
    wild = config(epochs=4, holdout=0.2, matrix_learning_rate=3.0, learning_rate=1.0)
    model, other = (build_model(recipe(), images.shape) for _ in range(2))
    *_, last = latens.train(model, images, wild)
    assert any("from all train images" in remark for remark in last.remarks)
    learned, held = held_out(len(images.train), 0.2, 0)
    x = floats(images)
    start = start_linear_path(other, x[learned], x[held])
    start_linear_path(other, torch.cat([x[learned], x[held]]), start=start)
    assert last.test_mse == pytest.approx(evaluate(other, images.test.pixels), rel=1e-5)
    assert last.test_mse == pytest.approx(evaluate(model, images.test.pixels), rel=1e-6)


def test_weights_that_training_improves_are_kept():
    images = latens.load_images(smooth(300, noise=0.0).clip(0, 128) // 64 * 64)  # steps, which no linear map makes
    calm = config(epochs=8, holdout=0.1, matrix_learning_rate=0.01)
    model, at_start = (build_model(recipe(), images.shape) for _ in range(2))
    learned, held = held_out(len(images.train), 0.1, 0)
    x = floats(images)
    start_linear_path(at_start, x[learned], x[held])
    *_, last = latens.train(model, images, calm)
    assert not any("from all train images" in remark for remark in last.remarks)
    assert evaluate(model, images.train.pixels[held]) < evaluate(at_start, images.train.pixels[held])


def curve(count, seed=0):
    """Images of a dot at a place on a line, for each of which a few numbers suffice that no linear map finds."""
    places = np.random.default_rng(seed).uniform(2, 10, count)
    rows, columns = np.mgrid[:12, :12]
    far = (rows - 6) ** 2 + (columns - places[:, None, None]) ** 2
    return (255 * np.exp(-far / 3)).round().astype(np.uint8)[:, None]


def test_further_components_of_images_on_a_curve_are_predicted():
    images = latens.load_images(curve(200))
    learned, held = held_out(len(images.train), 0.1, 0)
    x = floats(images)
    plain, predicting = (build_model(recipe(), images.shape) for _ in range(2))
    start_linear_path(plain, x[learned])
    start = start_linear_path(predicting, x[learned], x[held])
    assert start.smoothness is not None
    assert "further components" in str(start)
    assert Start.from_numbers(start.to_numbers()) == start
    assert evaluate(predicting, images.test.pixels) < 0.2 * evaluate(plain, images.test.pixels)


def test_the_prediction_is_scikit_learns_kernel_ridge():
    rng = np.random.default_rng(0)
    u, new, amounts = rng.normal(size=(40, 3)), rng.normal(size=(10, 3)), rng.normal(size=(40, 2))
    fitted = fit_further(torch.from_numpy(u), torch.from_numpy(amounts), Smoothness(1.0, 0.1, 1.0, 2))
    gamma = 1 / (fitted.scale[0].item() / u[:, 0].std()) ** 2
    theirs = KernelRidge(alpha=0.1, kernel="rbf", gamma=gamma).fit(u / u.std(0), amounts)
    np.testing.assert_allclose(fitted(torch.from_numpy(new)).numpy(), theirs.predict(new / u.std(0)), atol=1e-5)


@pytest.mark.parametrize("model", ["variational", "quantised", "autoencoder:activation=relu"])
def test_nothing_is_predicted_from_latents_that_are_noisy_or_cut(model):
    images = latens.load_images(curve(60))
    built = build_model(recipe().with_options(model=model), images.shape)
    x = floats(images)
    assert start_linear_path(built, x[:40], x[40:]).smoothness is None
    assert not built.decoder.further.amounts.any()


def test_weights_without_further_components_are_read():
    model, other = (build_model(recipe(), (1, 12, 12)) for _ in range(2))
    model.decoder.further.amounts.normal_()
    older = {name: tensor for name, tensor in other.state_dict().items() if ".further." not in name}
    model.load_state_dict(older)
    for name, tensor in other.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name


@pytest.mark.parametrize("augmentation", ["blend-flip", "flip"])
def test_resuming_gives_the_same_weights_bit_for_bit(augmentation):
    images, setting = data(50), config(epochs=5, holdout=0.2, augmentation=augmentation, matrix_learning_rate=0.3)
    whole = build_model(recipe(), images.shape)
    states = [step.state() for step in latens.train(whole, images, setting)]
    for stopped in (0, 2):
        again = build_model(recipe(), images.shape)
        *_, last = latens.train(again, images, setting, state=states[stopped])
        assert last.state().keys() == states[-1].keys()
        for name, tensor in states[-1].items():
            assert name == "elapsed" or torch.equal(last.state()[name], tensor), name


def test_a_state_without_chosen_weights_is_refused():
    images, setting = data(40), config(holdout=0.2)
    state = next(latens.train(build_model(recipe(), images.shape), images, setting)).state()
    for broken in (
        {name: tensor for name, tensor in state.items() if name != "best_loss"},
        {name: tensor[:1] if name == "best.decoder.bias" else tensor for name, tensor in state.items()},
    ):
        with pytest.raises(UsageError, match="held out"):
            next(latens.train(build_model(recipe(), images.shape), images, setting, state=broken))


@pytest.mark.parametrize("share", [-0.1, 0.6, float("nan")])
def test_a_share_to_hold_out_is_checked(share):
    with pytest.raises(UsageError, match="holdout is"):
        config(holdout=share)


def test_held_out_rows_are_a_part_of_their_own():
    learned, held = held_out(101, 0.1, seed=3)
    assert sorted([*learned, *held]) == list(range(101))
    assert len(held) == 10
    assert [len(rows) for rows in held_out(2, 0.1, 0)] == [1, 1]
    assert [len(rows) for rows in held_out(5, 0.0, 0)] == [5, 0]


@pytest.mark.parametrize("kind", [kind for kind in AUGMENTATIONS if kind != "none"])
def test_an_augmentation_keeps_shape_and_range(kind):
    x = torch.rand(6, 2, 10, 13, generator=torch.Generator().manual_seed(0))
    for seed in range(5):
        y = moved(x, kind, np.random.default_rng(seed))
        assert y.shape == x.shape
        assert x.min() <= y.min() <= y.max() <= x.max()


def test_the_recipe_of_a_small_set_takes_the_linear_path():
    chosen = RECIPES["fast"](data(60))
    assert (chosen.network, chosen.config.holdout) == ("linear-path", 0.1)
    assert chosen.model_options == {"activation": "none"}
    assert chosen.with_options(model="quantised:spatial=true").network == "convolutional"
    assert isinstance(build_model(chosen, (1, 12, 12)).encoder, LinearPath)
    assert RECIPES["notebook"](data(60)).network == "convolutional"
    assert isinstance(data(60), Dataset)


def test_the_time_of_training_is_estimated_without_changing_the_model():
    images, setting = data(60), config(epochs=200, holdout=0.1, augmentation="blend")
    model = build_model(recipe(), images.shape)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    whole, half = (estimated_seconds(model, images, setting, epochs) for epochs in (200, 100))
    assert whole.epochs > 0
    assert half.epochs > 0
    assert whole.whole == whole.start + whole.epochs > whole.start > 0
    assert estimated_seconds(model, images, setting, 200, resumed=True).start == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    plain = build_model(replace(recipe(), network="dense"), images.shape)
    assert estimated_seconds(plain, images, setting, 200).start == 0


def test_the_products_of_a_start_are_counted(monkeypatch):
    """In units of one product, so that no clock is looked at: what is counted is about what is multiplied."""
    monkeypatch.setattr("latens.training.linear_start._seconds_a_product", lambda: 1.0)
    shape = (3, 24, 24)
    x, held = (torch.from_numpy(smooth(num, shape, num)) / 255 for num in (300, 30))
    model = build_model(recipe(), shape)
    with FlopCounterMode(display=False) as done:
        start = start_linear_path(model, x, held)
        gain_of_more(x, held, 6, start)
    assert 0.7 < start_seconds(model, len(x), len(held)) / (done.get_total_flops() / 2) < 4


def test_long_training_is_said_before_it_starts_with_what_would_be_shorter(tmp_path, monkeypatch):
    lines = []

    class Lines(Silent):
        def say(self, text):
            lines.append(text)

    images = data(40)
    for place, (expected, told) in enumerate(
        (
            (Expected(0, 600), "10 min 0 s on this machine; --epochs 1 takes about 2 min 0 s"),
            (Expected(60, 120), "3 min 0 s on this machine, 1 min 0 s of it before the first epoch; --epochs 2 takes"),
            (Expected(300, 1), "5 min 1 s on this machine, 5 min 0 s of it before the first epoch"),
        )
    ):
        monkeypatch.setattr("latens.experiment.estimated_seconds", lambda *_, of=expected, **__: of)
        run = start_run(images, recipe(epochs=5, holdout=0.1), tmp_path / f"run-{place}")
        lines.clear()
        train_run(run, images, Lines())
        assert lines[0].startswith(f"training will take about {told}")
        assert ("--epochs" in lines[0]) == ("--epochs" in told)

"""scikit-learn's estimators, tested by scikit-learn's own checks and in its own pipelines."""

import json
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import latens
from conftest import make_blobs
from latens.errors import UsageError

CHECKS = """
import json, sys, latens
from sklearn.utils.estimator_checks import check_estimator
found = check_estimator(getattr(latens, sys.argv[1])(), on_fail="warn", on_skip=None)
print(json.dumps([(one["check_name"], one["status"], str(one["exception"])) for one in found]))
"""


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["Autoencoder", "Mixture", "TSNE"])
def test_scikit_learns_own_checks_pass(name):
    """All of them, with default settings: none is expected to fail, and none is skipped."""
    environment = {"SCIPY_ARRAY_API": "1", "PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", CHECKS, name], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    checks = json.loads(done.stdout.splitlines()[-1])
    assert len(checks) > 35
    assert [check for check in checks if check[1] != "passed"] == []


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)


@pytest.fixture(scope="module")
def of_images(digits):
    return latens.Autoencoder(8, image_shape=(8, 8), epochs=2, recipe="notebook").fit(digits[0][:400])


def test_features_are_rebuilt_better_than_by_pca():
    rows = load_breast_cancer().data
    train, test = rows[::2], rows[1::2]
    scaler = StandardScaler().fit(train)
    pca = PCA(15).fit(scaler.transform(train))
    by_pca = np.square(scaler.transform(test) - pca.inverse_transform(pca.transform(scaler.transform(test)))).mean()
    found = latens.Autoencoder(15, epochs=20).fit(train)
    assert -found.score(test) < by_pca
    again = found.inverse_transform(found.transform(test))
    assert np.square(scaler.transform(again) - scaler.transform(test)).mean() == pytest.approx(
        -found.score(test), rel=1e-3
    )


def test_features_are_never_rounded_or_clipped():
    """Units and places do not matter, and a row far outside of those of `fit` goes through as it is."""
    rows = load_iris().data
    moved = rows * [1e-6, 1e6, 1, 1] + [0, 1e9, 0, 0]
    first, second = (latens.Autoencoder(4, epochs=3).fit(one) for one in (rows, moved))
    assert second.score(moved) == pytest.approx(first.score(rows), rel=0.05, abs=1e-6)
    outside = rows[:3] + 100 * (rows[3:6] - rows[:3])
    rebuilt = latens.Autoencoder(4, epochs=1, learning_rate=1e-9).fit(rows)  # as many numbers as features: PCA is exact
    np.testing.assert_allclose(rebuilt.inverse_transform(rebuilt.transform(outside)), outside, rtol=1e-3, atol=1e-2)


def test_images_as_rows_as_grey_and_as_colour(digits, of_images):
    rows = digits[0][:400]
    as_images = latens.Autoencoder(8, epochs=2, recipe="notebook").fit(rows.reshape(-1, 8, 8))
    np.testing.assert_array_equal(of_images.transform(rows), as_images.transform(rows.reshape(-1, 8, 8)))
    assert of_images.inverse_transform(of_images.transform(rows[:5])).shape == (5, 64)
    assert as_images.inverse_transform(as_images.transform(rows[:5].reshape(-1, 8, 8))).shape == (5, 8, 8)
    colour, _ = make_blobs(60, (3, 12, 10))
    found = latens.Autoencoder(4, epochs=1, recipe="notebook").fit(colour.transpose(0, 2, 3, 1))
    rebuilt = found.inverse_transform(found.transform(colour[:2].transpose(0, 2, 3, 1)))
    assert rebuilt.shape == (2, 12, 10, 3)
    assert found.model_.image_shape == (3, 12, 10)


def test_an_image_comes_back_in_its_own_unit():
    pixels, _ = make_blobs(300)
    in_bytes = pixels[:, 0]
    in_floats, in_steps = in_bytes / 255, in_bytes.astype(np.int64)
    found = [latens.Autoencoder(16).set_params(epochs=4).fit(one) for one in (in_bytes, in_floats, in_steps)]
    rebuilt = [one.inverse_transform(one.transform(x)) for one, x in zip(found, (in_bytes, in_floats, in_steps))]  # noqa: B905
    assert np.square(rebuilt[0] - in_bytes).mean() == pytest.approx(-found[0].score(in_bytes) * 255**2, rel=1e-3)
    np.testing.assert_allclose(rebuilt[1] * 255, rebuilt[0], atol=0.05)
    np.testing.assert_array_equal(rebuilt[2], rebuilt[0])


def test_odd_rows_are_told(digits):
    rows = digits[0][:400]
    found = latens.Autoencoder(8, image_shape=(8, 8), network="linear-path", epochs=1).fit(rows)
    noise = np.random.default_rng(0).integers(0, 17, (50, 64)).astype(float)
    assert (found.decision_function(rows) < 0).sum() == 4  # 1 % of them
    assert (found.decision_function(noise) < 0).all()
    np.testing.assert_allclose(found.score_samples(rows), found.decision_function(rows) + found.offset_, atol=1e-6)
    assert found.score(rows) == pytest.approx(found.score_samples(rows).mean())


def test_a_pipeline_and_a_grid_on_two_processes(digits):
    rows, labels = digits[0][:300], digits[1][:300]
    steps = make_pipeline(
        latens.Autoencoder(image_shape=(8, 8), epochs=3, recipe="notebook"), LogisticRegression(max_iter=300)
    )
    grid = {"autoencoder__latent_dim": [2, 16]}
    found = GridSearchCV(steps, grid, cv=2, n_jobs=2).fit(rows, labels)
    assert np.isfinite(found.cv_results_["mean_test_score"]).all()
    few, many = found.cv_results_["mean_test_score"]
    assert many > few
    assert found.predict(rows).shape == labels.shape


def test_pandas_and_polars_in_and_out():
    iris = load_iris(as_frame=True).data
    found = latens.Autoencoder(2, epochs=2).fit(iris)
    assert list(found.feature_names_in_) == list(iris.columns)
    assert list(found.get_feature_names_out()) == ["autoencoder0", "autoencoder1"]
    plain = found.transform(iris)
    as_pandas = clone(found).set_output(transform="pandas").fit_transform(iris)
    as_polars = clone(found).set_output(transform="polars").fit_transform(pl.from_pandas(iris))
    assert isinstance(as_pandas, pd.DataFrame)
    assert isinstance(as_polars, pl.DataFrame)
    np.testing.assert_array_equal(as_pandas.to_numpy(), plain)
    np.testing.assert_array_equal(as_polars.to_numpy(), plain)
    assert list(as_pandas.index) == list(iris.index)
    rebuilt = found.inverse_transform(as_pandas)
    np.testing.assert_array_equal(rebuilt, found.inverse_transform(plain))


def test_copies_of_all_kinds_give_the_same(tmp_path, digits, of_images):
    rows = digits[0][:50]
    expected = of_images.transform(rows)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(of_images)).transform(rows), expected)
    joblib.dump(of_images, tmp_path / "kept.joblib")
    np.testing.assert_array_equal(joblib.load(tmp_path / "kept.joblib").transform(rows), expected)
    again = clone(of_images)
    assert again.get_params() == of_images.get_params()
    assert not hasattr(again, "model_")
    np.testing.assert_array_equal(again.fit(digits[0][:400]).transform(rows), expected)


def test_models_by_name_with_options():
    found = latens.Autoencoder(2, model="variational:beta=0.1", epochs=2).fit(load_iris().data)
    assert type(found.model_).__name__ == "VariationalModel"
    assert found.model_.beta == 0.1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"image_shape": (3, 3)}, "9 numbers; X has 4 features"),
        ({"image_shape": 8}, r"\(H, W\) or \(H, W, C\)"),
        ({"network": "convolutional"}, "are for images: give image_shape"),
        ({"recipe": "best"}, "are for images: give image_shape"),
        ({"contamination": 0}, "contamination is 0"),
        ({"model": "clairvoyant"}, "unknown model"),
        ({"latent_dim": 0}, "latent dimension is 0"),
    ],
)
def test_what_is_not_allowed_is_said(options, says):
    with pytest.raises(UsageError, match=says):
        latens.Autoencoder(**options).fit(load_iris().data)


def test_images_of_another_size_are_refused(of_images):
    with pytest.raises(UsageError, match="81 numbers; 64 are expected"):
        of_images.transform(np.zeros((2, 9, 9)))


def test_tsne_keeps_what_it_has_seen_and_places_what_it_has_not(digits):
    rows, labels = digits[0][:600], digits[1][:600]
    found = latens.TSNE().fit(rows[:500])
    np.testing.assert_array_equal(found.transform(rows[:500]), found.embedding_)
    new = found.transform(rows[500:])
    distances = np.linalg.norm(new[:, None] - found.embedding_, axis=2)
    assert (labels[:500][distances.argmin(1)] == labels[500:]).mean() > 0.85
    wider = latens.TSNE(perplexity=5).fit_transform(rows[:500])
    assert np.abs(wider - found.embedding_).max() > 1
    with pytest.raises(UsageError, match="perplexity is 0"):
        latens.TSNE(perplexity=0).fit(rows)


def test_a_mixture_agrees_with_scikit_learns():
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [8, 100], [-8, 300]])
    owners = rng.integers(0, 3, 3000)
    rows = centres[owners] + rng.normal(size=(3000, 2)) * [1, 20]
    found, theirs = latens.Mixture().fit(rows), GaussianMixture(3, random_state=0).fit(rows)
    assert found.n_components_ >= 3
    assert found.score(rows) == pytest.approx(theirs.score(rows), abs=0.02)
    three = latens.Mixture(3).fit(rows)
    order = three.means_[:, 1].argsort()
    np.testing.assert_allclose(three.means_[order], centres[[0, 1, 2]], atol=3)
    np.testing.assert_allclose(three.covariances_[:, 1, 1], 400, rtol=0.15)
    assert (order.argsort()[three.predict(rows)] == owners).mean() > 0.99
    drawn, components = latens.Mixture(3).fit(rows).sample(3000)
    np.testing.assert_allclose(drawn.mean(0), rows.mean(0), atol=12)
    np.testing.assert_allclose(np.bincount(components) / 3000, three.weights_, atol=0.05)
    # The density, from its definition.
    from scipy.stats import multivariate_normal

    parts = [
        w * multivariate_normal(m, c).pdf(rows[:20])
        for w, m, c in zip(three.weights_, three.means_, three.covariances_, strict=True)
    ]
    np.testing.assert_allclose(three.score_samples(rows[:20]), np.log(np.sum(parts, 0)), atol=1e-6)
    with pytest.raises(UsageError, match="n_components is 4000"):
        latens.Mixture(4000).fit(rows)

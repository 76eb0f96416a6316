"""Contract of all maps, and tests of each map."""

import sys

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from conftest import found_by_test_all
from latens.errors import MissingExtra, UnknownName, UsageError
from latens.maps import MAPS, NEEDS, Map, usable_maps
from latens.maps.affinities import perplexity_weights
from latens.maps.given import GivenMap
from latens.neighbours import neighbours_kept

FITTED = [name for name in MAPS if name not in NEEDS]  # those of extras are tested by `make test-all`


def clusters(num, dim=12, seed=0):
    """Five clusters well apart, ReLU-like: some units dead."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(5, dim)) * 6
    labels = np.arange(num) % 5
    latents = np.maximum(centres[labels] + rng.normal(size=(num, dim)), 0)
    latents[:, 3] = 0
    return latents.astype(np.float32), labels


def swirl(latents):
    """User-supplied coordinates: any function of the latents."""
    return np.tanh(latents[:, :2] / 4) * 30 + latents[:, 4:6]


def fitted(name, latents, seed=0, **options):
    kind = GivenMap(swirl(latents)) if name == "given" else MAPS[name]()
    return kind.fit(latents, seed=seed, **options)


@pytest.fixture(scope="module")
def maps():
    latents, labels = clusters(300)
    return Fitted(latents), latents, labels


class Fitted(dict):
    """Maps of some latents by name, each made when it is first asked for."""

    def __init__(self, latents):
        self.latents = latents

    def __missing__(self, name):
        if name in NEEDS:
            found_by_test_all(NEEDS[name])
        return self.setdefault(name, fitted(name, self.latents))


EXTRA = [pytest.param(name, marks=pytest.mark.pretrained) for name in NEEDS]
ALL = [*FITTED, "given", *EXTRA]


@pytest.mark.parametrize("name", ALL)
def test_contract(name, maps):
    fitted_maps, latents, _ = maps
    a_map = fitted_maps[name]
    assert isinstance(a_map, Map)
    assert a_map.coordinates.shape == (300, 2)
    assert a_map.coordinates.dtype == a_map.trust.dtype == np.float32
    assert np.isfinite(a_map.coordinates).all()
    np.testing.assert_array_equal(a_map.trust, neighbours_kept(latents, a_map.coordinates, 10))
    new = clusters(40, seed=1)[0]
    placed, back = a_map.place(new), a_map.inverse(a_map.coordinates[:40] + 0.1)
    assert placed.shape == (40, 2)
    assert back.shape == (40, 12)
    assert placed.dtype == back.dtype == np.float32
    assert np.isfinite(placed).all()
    assert np.isfinite(back).all()
    assert a_map.place(new[:0]).shape == (0, 2)
    assert a_map.inverse(np.zeros((0, 2))).shape == (0, 12)
    np.testing.assert_allclose(a_map.place(new[7:8])[0], placed[7], rtol=1e-5, atol=1e-4)  # each by itself


@pytest.mark.parametrize("name", ALL)
def test_restored_map_does_the_same(name, maps):
    fitted_maps, latents, _ = maps
    a_map = fitted_maps[name]
    state = a_map.state()
    assert all(isinstance(array, np.ndarray) and array.dtype != object for array in state.values())
    again = type(a_map).restore(state, latents)
    new = clusters(40, seed=1)[0]
    np.testing.assert_array_equal(again.coordinates, a_map.coordinates)
    np.testing.assert_array_equal(again.trust, a_map.trust)
    np.testing.assert_array_equal(again.place(new), a_map.place(new))
    np.testing.assert_array_equal(again.inverse(a_map.coordinates), a_map.inverse(a_map.coordinates))
    assert again.note == a_map.note != ""


@pytest.mark.parametrize("name", ALL)
def test_new_latents_are_placed_among_their_like(name, maps):
    fitted_maps, latents, labels = maps
    a_map = fitted_maps[name]
    extent = np.linalg.norm(np.ptp(a_map.coordinates, axis=0))
    own = np.linalg.norm(a_map.place(latents) - a_map.coordinates, axis=1)
    assert np.median(own) < 0.03 * extent
    new, new_labels = clusters(100, seed=2)
    judge = KNeighborsClassifier(5).fit(a_map.coordinates, labels)
    in_place = judge.score(a_map.coordinates, labels)
    assert judge.score(a_map.place(new), new_labels) >= in_place - 0.1


@pytest.mark.parametrize("name", ALL)
def test_the_way_back_is_continuous(name, maps):
    a_map = maps[0][name]
    low, high = a_map.coordinates.min(0), a_map.coordinates.max(0)
    ends = np.random.default_rng(0).uniform(low, high, (5, 2, 2))
    for start, stop in ends:
        # The change of a continuous function goes to zero with the step: a jump would stay as it is.
        largest = []
        for steps in (2_000, 20_000):
            path = start + np.linspace(0, 1, steps)[:, None] * (stop - start)
            largest.append(np.linalg.norm(np.diff(a_map.inverse(path), axis=0), axis=1).max())
        assert largest[1] < 0.3 * largest[0] + 1e-4


@pytest.mark.parametrize("name", ["tsne", "given", *EXTRA])
def test_the_way_back_is_exact_at_the_points(name, maps):
    fitted_maps, latents, _ = maps
    np.testing.assert_allclose(fitted_maps[name].inverse(fitted_maps[name].coordinates), latents, atol=1e-5)


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize("num", [1, 2, 3, 4, 10])
@pytest.mark.parametrize("kind", ["plain", "constant", "zero", "duplicates"])
def test_small_and_degenerate_latents(name, num, kind):
    latents = clusters(num)[0]
    latents = {"plain": latents, "constant": latents * 0 + 3, "zero": latents * 0, "duplicates": latents[[0] * num]}[
        kind
    ]
    check_degenerate(name, latents)


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize("kind", ["duplicates", "zero", "one dimension", "huge", "tiny"])
def test_degenerate_latents(name, kind):
    plain = clusters(120)[0]
    latents = {
        "duplicates": plain[np.arange(120) % 3],
        "zero": plain * 0,
        "one dimension": plain[:, :1],
        "huge": plain * 1e15,
        "tiny": plain * 1e-15,
    }
    check_degenerate(name, latents[kind])


@pytest.mark.pretrained
@pytest.mark.parametrize("kind", ["three", "four", "zero"])  # a process each takes seconds
def test_small_and_degenerate_latents_of_umap(kind):
    plain = clusters(40)[0]
    check_degenerate("umap", {"three": plain[:3], "four": plain[:4], "zero": plain * 0}[kind])


@pytest.mark.pretrained
def test_umap_keeps_clusters_depends_on_the_seed_only_and_stays_in_its_process(maps):
    fitted_maps, latents, labels = maps
    a_map = fitted_maps["umap"]
    judge = KNeighborsClassifier(5).fit(a_map.coordinates, labels)
    assert judge.score(a_map.coordinates, labels) == 1
    np.testing.assert_array_equal(fitted("umap", latents).coordinates, a_map.coordinates)
    assert "numba" not in sys.modules


def test_a_map_whose_package_is_missing_says_so_and_is_not_offered(monkeypatch):
    for name, package in NEEDS.items():
        monkeypatch.setitem(sys.modules, package, None)
        assert name not in usable_maps()
        with pytest.raises(MissingExtra, match=rf'pip install "latens\[{name}\]"'):
            MAPS[name]().fit(clusters(20)[0])
    assert set(FITTED) <= set(usable_maps())


def check_degenerate(name, latents):
    if name in NEEDS:
        found_by_test_all(NEEDS[name])
    a_map = MAPS[name]().fit(latents)
    assert a_map.coordinates.shape == (len(latents), 2)
    for array in (a_map.coordinates, a_map.trust, a_map.place(latents), a_map.inverse(a_map.coordinates + 1)):
        assert np.isfinite(array).all()
    assert ((a_map.trust >= 0) & (a_map.trust <= 1)).all()


def test_tsne_does_not_depend_on_the_run_or_on_who_watches():
    latents = clusters(200)[0]
    seen = []
    first = fitted("tsne", latents, seed=5)
    second = fitted("tsne", latents, seed=5, progress=lambda done, total: seen.append((done, total)))
    np.testing.assert_array_equal(first.coordinates, second.coordinates)
    assert (fitted("tsne", latents, seed=6).coordinates != first.coordinates).any()
    dones = [done for done, _ in seen]
    assert dones == sorted(dones)
    assert seen[-1][0] == seen[-1][1]
    assert dones[0] > 0


def test_tsne_on_the_grid_is_deterministic_too(monkeypatch):
    for module in ("repulsion", "compiled"):
        monkeypatch.setattr(f"latens.maps.{module}.EXACT_UP_TO", 100)
    monkeypatch.setattr("latens.maps.descent.LAYING_OUT", ((12.0, 25, 0.8, 1 / 3),))
    monkeypatch.setattr("latens.maps.descent.SETTLING", (1.0, 25, 0.8, 1.0))
    latents = clusters(200)[0]
    np.testing.assert_array_equal(fitted("tsne", latents).coordinates, fitted("tsne", latents).coordinates)


def test_tsne_keeps_clusters_and_neighbours(maps):
    fitted_maps, _, labels = maps
    a_map = fitted_maps["tsne"]
    assert KNeighborsClassifier(5).fit(a_map.coordinates, labels).score(a_map.coordinates, labels) > 0.97
    assert a_map.trust.mean() > fitted_maps["pca"].trust.mean()
    assert "perplexity 30" in a_map.note
    assert "perplexity 3 " in fitted("tsne", clusters(10)[0]).note


def test_pca_equals_scikit_learn(maps):
    a_map, latents = maps[0]["pca"], maps[1]
    oracle = PCA(2, svd_solver="full").fit(latents.astype(np.float64))
    expected = oracle.transform(latents)
    signs = np.sign((expected * a_map.coordinates).sum(0))
    np.testing.assert_allclose(a_map.coordinates, expected * signs, atol=1e-4)
    np.testing.assert_allclose(
        a_map.inverse(a_map.coordinates), oracle.inverse_transform(expected).astype(np.float32), atol=1e-4
    )
    assert a_map.note == f"{oracle.explained_variance_ratio_.sum():.0%} of the variance"
    wide = np.random.default_rng(0).normal(size=(20, 50)).astype(np.float32)  # more dimensions than latents
    expected = PCA(2, svd_solver="full").fit_transform(wide.astype(np.float64))
    np.testing.assert_allclose(np.abs(MAPS["pca"]().fit(wide).coordinates), np.abs(expected), atol=1e-4)


def test_trust_is_the_share_of_neighbours_kept():
    rng = np.random.default_rng(0)
    latents, coordinates = rng.normal(size=(200, 8)), rng.normal(size=(200, 2))
    coordinates[:100] = latents[:100, :2]

    def of(points):
        return NearestNeighbors(n_neighbors=10).fit(points).kneighbors(return_distance=False)

    expected = [len(np.intersect1d(a, b)) / 10 for a, b in zip(of(latents), of(coordinates), strict=True)]
    np.testing.assert_allclose(neighbours_kept(latents, coordinates, 10), expected, rtol=1e-6)
    np.testing.assert_array_equal(neighbours_kept(latents, latents[:, :], 10), 1)
    # Thirty equal latents are all nearest neighbours of one another, whichever ten the map shows nearest.
    equal = np.repeat([[0.0], [9.0]], 30, axis=0)
    np.testing.assert_array_equal(neighbours_kept(equal, equal * [[1, 0]] + rng.normal(size=(60, 2)) * 0.1, 10), 1)
    with pytest.raises(UsageError, match="one for each"):
        neighbours_kept(latents, coordinates[:5])


def test_weights_have_their_perplexity():
    distances = np.sort(np.random.default_rng(0).uniform(1, 2, (50, 25)), axis=1)
    weights = perplexity_weights(distances, 5.0)
    np.testing.assert_allclose(weights.sum(1), 1)
    np.testing.assert_allclose(np.exp(-(weights * np.log(weights)).sum(1)), 5.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("coordinates", "message"),
    [
        (np.zeros((4, 2)), "one row for each latent"),
        (np.zeros((5, 3)), r"\(5, 2\) are needed"),
        (np.array([["a", "b"]] * 5), "numbers"),
        (None, "numbers"),
        (np.array([[0, 0]] * 3 + [[0, np.nan]] * 2), "2 rows, the first is row 3"),
    ],
)
def test_given_coordinates_are_checked(coordinates, message):
    with pytest.raises(UsageError, match=message):
        GivenMap(coordinates).fit(clusters(5)[0])


def test_given_whole_numbers_are_taken():
    a_map = GivenMap(np.arange(10).reshape(5, 2)).fit(clusters(5)[0])
    np.testing.assert_array_equal(a_map.coordinates, np.arange(10).reshape(5, 2))


@pytest.mark.parametrize("name", ALL)
def test_errors(name, maps):
    a_map, latents = maps[0][name], maps[1]
    bad = latents.copy()
    bad[3, 3] = np.nan
    with pytest.raises(UsageError, match="NaN or infinity"):
        fitted(name, bad)
    with pytest.raises(UsageError, match="NaN or infinity"):
        a_map.place(bad)
    with pytest.raises(UsageError, match=r"a map takes \(M, 12\)"):
        a_map.place(latents[:, :5])
    with pytest.raises(UsageError, match=r"\(M, 2\)"):
        a_map.inverse(np.zeros((3, 3)))
    with pytest.raises(UsageError, match="NaN"):
        a_map.inverse(np.full((3, 2), np.nan))
    with pytest.raises(UsageError, match="does not fit 299 latents"):
        type(a_map).restore(a_map.state(), latents[1:])
    with pytest.raises(UsageError, match="lacks coordinates"):
        type(a_map).restore({n: a for n, a in a_map.state().items() if n != "coordinates"}, latents)
    if name != "given":
        with pytest.raises(UsageError, match=r"a map takes \(N, D\)"):
            MAPS[name]().fit(latents[:0])


def test_unknown_map_lists_the_known_ones():
    with pytest.raises(UnknownName, match="known: pca, tsne, umap"):
        MAPS["isomap"]

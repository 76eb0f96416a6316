"""Continuity scores on spaces whose holes are known."""

import json

import numpy as np
import pytest

from latens.errors import UsageError
from latens.metrics.continuity import (
    hole_distance,
    latent_distances,
    round_trip,
    score_continuity,
    score_sampled_latents,
)
from latens.metrics.hidden import hidden_points, score_hidden
from latens.metrics.neighbourhoods import inside_balls, radii
from latens.metrics.pairs import draw_pairs, points_between, step_ratios
from latens.metrics.references import prepare_references

NUM = 200


def lumps_or_square(num, seed, lumps):
    """Points of a plane, within (0, 1): two lumps far apart, or a plain square."""
    rng = np.random.default_rng(seed)
    labels = np.arange(num) % 2
    points = rng.normal(0, 0.02, (num, 2)) + np.where(labels, 0.8, 0.2)[:, None] if lumps else rng.random((num, 2))
    return points.astype(np.float32), labels


def decode(z):
    """The latents are the pictures: 1 x 1 x 2 pixels."""
    return z.reshape(-1, 1, 1, 2)


def encode(x):
    return x.reshape(len(x), -1)


def score(lumps=True, labels=True, decode=decode, encode=encode, **options):
    latents, classes = lumps_or_square(NUM, 0, lumps)
    train, _ = lumps_or_square(NUM, 1, lumps)
    references = prepare_references(encode_flat(latents), encode_flat(train), features="plane")
    return score_continuity(
        latents,
        classes if labels else None,
        references,
        decode=decode,
        encode=encode,
        features=encode_flat,
        **options,
    )


def encode_flat(x):
    return np.asarray(x, np.float32).reshape(len(x), -1)


def of(scores, name):
    return scores[name].value


def test_between_lumps_nothing_is_real():
    scores = score(lumps=True)
    assert of(scores, "path_realism_within") > 0.9
    assert of(scores, "path_realism_between") == 0
    assert scores["path_realism_between"].high < 0.02  # of as many cases as there are images: 1,000 pairs share 200
    one_piece = score(lumps=False)
    assert of(one_piece, "path_realism_between") > 0.9
    assert scores.notes == ()


def test_straight_pictures_have_even_steps_and_come_back():
    scores = score()
    assert of(scores, "path_smoothness_within") == pytest.approx(1, abs=1e-4)
    assert of(scores, "path_smoothness_between") == pytest.approx(1, abs=1e-4)
    assert of(scores, "round_trip_data") == of(scores, "round_trip_midpoints") == 0


def test_a_decoder_that_jumps_is_noticed():
    def to_lumps(z):
        return decode(np.where(z[:, :1] > 0.5, 0.8, 0.2).repeat(2, 1).astype(np.float32))

    scores = score(decode=to_lumps)
    assert of(scores, "path_smoothness_between") == pytest.approx(10)  # all ten steps at once
    assert of(scores, "path_smoothness_within") == 1  # nothing moves
    assert of(scores, "round_trip_data") > 0


def test_cross_fades_stand_beside_it():
    latents, _ = lumps_or_square(NUM, 0, lumps=True)
    pixels = np.rint(decode(latents) * 255).astype(np.uint8)
    scores = score(pixels=pixels)
    for one in scores.scores[:4]:
        assert one.baseline_name == "cross-fades of the pixels"
        # Here a cross-fade is what is decoded, but for rounding.
        assert one.baseline == pytest.approx(one.value, abs=0.1)
    assert score()["path_realism_within"].baseline is None


def test_without_labels_pairs_are_any():
    scores = score(labels=False)
    assert [s.name for s in scores.scores] == [
        "path_realism",
        "path_smoothness",
        "round_trip_data",
        "round_trip_midpoints",
    ]
    assert 0.3 < of(scores, "path_realism") < 0.7  # half of them are between the lumps
    assert scores.notes == ("pairs are drawn at random: there are no labels",)
    assert "pairs drawn at random" in scores["path_realism"].protocol.what
    assert scores["path_realism"].protocol.seed == 0
    json.dumps(scores.as_json(), allow_nan=False)


@pytest.mark.parametrize("labels", [[0, 0, 1, 2, 2, 2, 2, 9], [1] * 6, list(range(5))])
def test_pairs_are_of_the_classes_that_they_should_be(labels):
    labels = np.random.default_rng(0).permutation(labels)
    pairs, notes = draw_pairs(labels, len(labels), 500, seed=3)
    for kind, rows in pairs.items():
        assert (rows[:, 0] != rows[:, 1]).all()
        assert ((labels[rows[:, 0]] == labels[rows[:, 1]]) == (kind == "within")).all()
        expected = {
            (i, j)
            for i in range(len(labels))
            for j in range(len(labels))
            if i != j and (labels[i] == labels[j]) == (kind == "within")
        }
        assert set(map(tuple, rows.tolist())) == expected  # each that there is
    assert len(notes) == 2 - len(pairs)
    again, _ = draw_pairs(labels, len(labels), 500, seed=3)
    assert all((again[kind] == rows).all() for kind, rows in pairs.items())


def test_pairs_without_labels_are_of_two_images():
    pairs, _ = draw_pairs(None, 3, 200)
    assert set(map(tuple, pairs[""].tolist())) == {(i, j) for i in range(3) for j in range(3) if i != j}


def test_points_between():
    ends = np.array([[0.0, 0], [1, 2], [5, 5]])
    found = points_between(ends, np.array([[0, 1]]), np.array([0, 0.25, 1]))
    np.testing.assert_allclose(found, [[[0, 0], [0.25, 0.5], [1, 2]]])


def test_step_ratios():
    paths = np.array([[0.0, 1, 2, 3], [0, 0, 3, 3], [4, 4, 4, 4]])[:, :, None]
    np.testing.assert_allclose(step_ratios(paths), [1, 3, 1])


def test_inside_balls_is_a_plain_comparison():
    rng = np.random.default_rng(0)
    real, points = rng.normal(size=(40, 3)), rng.normal(size=(30, 3)) * 2
    limits = radii(real, 3)
    distances = np.linalg.norm(points[:, None] - real, axis=2)
    np.testing.assert_array_equal(inside_balls(real, limits, points), (distances < limits).any(1))


def test_holes_are_where_one_in_a_hundred_data_are():
    train, test = lumps_or_square(5_000, 1, lumps=True)[0], lumps_or_square(2_000, 2, lumps=True)[0]
    limit = hole_distance(train, test)
    assert (latent_distances(train, test) > limit).mean() == pytest.approx(0.01, abs=0.001)
    like_data, between = lumps_or_square(1_000, 3, lumps=True)[0], np.full((50, 2), 0.5, np.float32)
    common = {"sampler": "planted", "decode": decode, "encode": encode}
    scores = score_sampled_latents(like_data, train, limit, **common)
    assert of(scores, "holes") == pytest.approx(0.01, abs=0.01)
    assert scores.details == {"sampler": "planted"}
    assert of(scores, "round_trip_samples") == 0
    mixed = np.concatenate([like_data[:50], between])
    assert of(score_sampled_latents(mixed, train, limit, **common), "holes") == pytest.approx(0.5, abs=0.03)
    json.dumps(scores.as_json(), allow_nan=False)


def test_round_trip_is_relative_and_sees_clamped_pictures():
    z = np.array([[0.3, 0.4], [0, 0], [3, 4]], np.float32)
    half = round_trip(z, decode, lambda x: encode(x) / 2)
    # The third is decoded to (1, 1), half of which is 4.30 from (3, 4).
    np.testing.assert_allclose(half, [0.5, np.hypot(2.5, 3.5) / 5], rtol=1e-6)
    nothing = score_sampled_latents(z[1:2] * 0, z, 1.0, sampler="zero", decode=decode, encode=encode)
    assert nothing.notes == ("round_trip_samples is left out: all latents are zero",)


def test_what_the_map_hides():
    """Four probe points: at home; far away in latent space but at home on the map; among the other class; both."""
    latents, labels = lumps_or_square(NUM, 0, lumps=True)
    own, other, nowhere = [0.2, 0.2], [0.8, 0.8], [0.5, 0.5]
    hidden = hidden_points(
        np.array([own, nowhere, own, nowhere], np.float32),
        np.zeros(4, int),
        np.array([own, own, other, other]),
        latents=latents,
        labels=labels,
        coordinates=latents,
        limit=0.1,
    )
    assert hidden.tolist() == [False, True, False, False]
    found = score_hidden(hidden, "t-SNE")["hidden_holes"]
    assert found.value == 0.25
    assert [score.name for score in score_hidden(hidden, "t-SNE").scores] == ["hidden_holes"]
    assert score_hidden(hidden, "t-SNE", np.array([True, True, False, True]))["hidden_unclear"].value == 0.75
    assert found.protocol.settings["points"] == 4
    assert "t-SNE map" in found.protocol.what


def test_what_does_not_fit_is_refused():
    latents, labels = lumps_or_square(20, 0, lumps=True)
    references = prepare_references(latents, latents, features="plane")
    common = {"decode": decode, "encode": encode, "features": encode_flat}
    continuity = score_continuity
    with pytest.raises(UsageError, match=r"shape \(1, 2\).*at least two"):
        continuity(latents[:1], None, references, **common)
    with pytest.raises(UsageError, match="20 latents have 3 labels"):
        continuity(latents, labels[:3], references, **common)
    with pytest.raises(UsageError, match="20 latents have 4 pixels"):
        continuity(latents, None, references, pixels=np.zeros((4, 1, 1, 2), np.uint8), **common)
    with pytest.raises(UsageError, match=r"shape \(0, 2\)"):
        score_sampled_latents(latents[:0], latents, 1.0, sampler="none", decode=decode, encode=encode)
    with pytest.raises(UsageError, match="2 probe latents, 1 labels and 2 places"):
        hidden_points(
            latents[:2], labels[:1], latents[:2], latents=latents, labels=labels, coordinates=latents, limit=1.0
        )

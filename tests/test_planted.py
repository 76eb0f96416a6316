"""Planted samplers on real images, from images to the verdict: what is real, bad or copied is called so, with few images too."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from latens.features import Features
from latens.features.fitting import random_network, train_network
from latens.metrics import METRICS, Protocol, Score
from latens.metrics.inputs import Drawn, Inputs, Part
from latens.metrics.planted import BLURRED, FADED, blurred, cross_fades, planted_features
from latens.metrics.references import prepare_references
from latens.metrics.score_table import ScoreTable
from latens.verdict import Known, judge

SIDE = 8
HELD = 600  # digits that neither part has


def digits(num_test):
    """8-bit digits: the train part, the test part and others, with their labels."""
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(pixels))
    pixels = np.rint(pixels[order] / 16 * 255).astype(np.uint8).reshape(-1, 1, SIDE, SIDE)
    labels = labels[order].astype(np.int64)
    held, test = slice(0, HELD), slice(HELD, HELD + num_test)
    rest = slice(HELD + num_test, None)
    return [(pixels[part], labels[part]) for part in (rest, test, held)]


def flat(images):
    return images.reshape(len(images), -1).astype(np.float32) / (255 if images.dtype == np.uint8 else 1)


def generation(num_test, samplers, classifier=True):
    """The scores of samplers that draw these images, by name; the model is the identity."""
    (train, labels), (test, test_labels), _ = digits(num_test)

    def features():
        network = train_network(train, labels, 10, num_seen=8_000) if classifier else random_network(train)
        return Features("planted", network, train.shape[1:])

    def sample(name, num):
        return Drawn(flat(samplers[name])[:num], samplers[name][:num])

    def pictures(latents):
        return latents.reshape(-1, 1, SIDE, SIDE)

    inputs = Inputs(
        Part(train, flat(train), labels),
        Part(test, flat(test), test_labels),
        encode=flat,
        decode=pictures,
        reconstruct=lambda images: pictures(flat(images)),
        make_features=features,
        samplers=tuple(samplers),
        sample=sample,
    )
    return ScoreTable.of_groups({"generation": METRICS["generation"].score(inputs)})


def bad_samplers():
    (train, labels), _, (held, held_labels) = digits(100)
    rng = np.random.default_rng(1)
    real = flat(held).reshape(held.shape)
    means = np.stack([flat(train)[labels == digit].mean(0) for digit in range(10)]).reshape(10, 1, SIDE, SIDE)
    return {
        "held-out": real,
        "noise": rng.random(held.shape).astype(np.float32),
        "class-means": np.clip(means[held_labels] + rng.normal(0, 0.02, held.shape), 0, 1).astype(np.float32),
        "cross-fades": cross_fades(real, real[::-1]),
        "blurred": blurred(real),
    }


@pytest.mark.parametrize("classifier", [True, False])
def test_real_images_are_good_and_bad_ones_poor_with_a_hundred_test_images(classifier):
    samplers = bad_samplers()
    scores = generation(100, samplers, classifier)
    answers = {}
    for name in samplers:
        of_one = [one for one in scores if one.subject in ("", name)]
        claim = next(one for one in judge(of_one).claims if one.name == "generation")
        answers[name] = claim.answer
        assert "of that of plainly bad images" in claim.sentence
    assert answers == dict.fromkeys(samplers, "holds") | {"held-out": "does not hold"}
    assert judge(scores).best_sampler == "held-out"
    assert judge(scores).headline.startswith("It can generate: sampled by held-out")


def test_more_samples_than_test_images_are_drawn_for_the_kernel_distance_alone():
    (held, _) = digits(60)[2]
    scores = generation(60, {"held-out": held}, classifier=False)
    assert {
        one.name: one.protocol.settings["samples"]
        for one in scores
        if one.subject and "samples" in one.protocol.settings
    } == {"kid": HELD, "kid_share": HELD} | dict.fromkeys(
        ("precision", "recall", "density", "coverage", "memorised", "holes"), 60
    )


def copier_and_honest(num_test):
    (train, _), _, (held, _) = digits(num_test)
    rng = np.random.default_rng(2)
    copies = train[rng.integers(0, len(train), HELD)].astype(np.float32) / 255
    copies = np.clip(copies + rng.normal(0, 0.004, copies.shape), 0, 1).astype(np.float32)
    return {"copier": copies, "honest": held.astype(np.float32) / 255}


@pytest.mark.parametrize("classifier", [True, False])
def test_a_copier_is_told_from_an_honest_sampler_from_a_hundred_test_images_on(classifier):
    known = Known(generation(120, copier_and_honest(120), classifier))
    assert [known.copies(name) for name in ("copier", "honest")] == [True, False]
    assert judge(known.scores.values()).best_sampler == "honest"
    assert any("copies train images" in one.text for one in judge(known.scores.values()).suggestions)


def test_under_a_hundred_test_images_nobody_is_called_a_copier_and_the_verdict_says_so():
    scores = generation(60, copier_and_honest(60), classifier=False)
    known, verdict = Known(scores), judge(scores)
    assert [known.copies(name) for name in ("copier", "honest")] == [False, False]
    assert not any("copies train images" in one.text for one in verdict.suggestions)
    assert "copy train images was not measured: 60 test images; about 100 would do" in verdict.claims[2].sentence
    honest = generation(60, {"honest": copier_and_honest(60)["honest"]}, classifier=False)
    assert "not measured: 60" not in judge(honest).claims[2].sentence  # nothing hints at copies


# the scale


def test_planted_images_are_what_they_are_said_to_be():
    pixels = digits(100)[0][0]
    seen = []

    def features(images):
        seen.append(images)
        return flat(images)

    found = planted_features(pixels, features)
    assert list(found) == [BLURRED, FADED]
    assert all(len(one) == min(1_000, len(pixels)) for one in found.values())
    real = flat(pixels)
    assert found[BLURRED].mean() == pytest.approx(real.mean(), abs=0.02)
    assert found[BLURRED].std() < real.std()
    assert found[FADED].mean() == pytest.approx(real.mean(), abs=0.01)
    image = np.zeros((1, 1, 32, 32), np.float32)
    image[0, 0, 16, 16] = 1
    spread = blurred(image)[0, 0]
    places = np.arange(32) - 16
    assert spread.sum() == pytest.approx(1, abs=1e-4)
    assert np.sqrt((spread.sum(0) * places**2).sum()) == pytest.approx(2, abs=0.05)  # 32 / 16


def test_where_bad_images_are_not_told_from_real_ones_nothing_is_measured():
    rng = np.random.default_rng(0)
    test, train, bad = (rng.normal(size=(num, 4)).astype(np.float32) for num in (80, 200, 200))
    references = prepare_references(test, train, features="blind", planted={BLURRED: bad, FADED: bad})
    assert not references.tells
    notes = " ".join(references.scores.notes)
    assert "kid_share is not measured: the kernel distance of bad images" in notes
    assert "precision, density and path_realism are not measured" in notes
    far = prepare_references(test, train, features="seeing", planted={BLURRED: bad + 9, FADED: bad - 9})
    assert far.tells
    assert not any("not measured" in note for note in far.scores.notes)
    assert far.scores["precision_blurred"].value == 0
    assert far.scores["precision_real"].value > 0.8
    assert far.scores["kid_scale"].low > 0


def row(group, name, value, low=None, high=None, subject="", images=100, baseline=None):
    return Score(name, value, "", "lower", Protocol("", images), baseline, "", "", low, high, group, subject)


@pytest.mark.parametrize(
    ("share", "low", "high", "answer"),
    [
        (0.2, 0.0, 0.4, "does not hold"),
        (0.45, 0.3, 0.6, "not measured"),
        (0.6, 0.55, 0.7, "partly"),
        (0.7, 0.6, 0.8, "not measured"),
        (1.2, 0.8, 1.6, "holds"),
    ],
)
def test_few_images_are_judged_by_the_share_of_the_kernel_distance(share, low, high, answer):
    rows = [
        row("generation", "kid", 0.02, subject="mixture"),
        row("generation", "kid_share", share, low, high, "mixture"),
    ]
    claim = judge(rows).claims[2]
    assert claim.answer == answer
    assert f"{share:.2f} ({low:.2f} to {high:.2f})" in claim.sentence
    assert ("too close to" in claim.sentence) == (answer == "not measured")


def realism(blurred_share, faded_share, between=0.9):
    return [
        row("generation", "precision_real", 0.95, 0.93, 0.97),
        row("generation", "precision_blurred", blurred_share, blurred_share - 0.03, blurred_share + 0.03),
        row("generation", "precision_faded", faded_share, faded_share - 0.03, faded_share + 0.03),
        row("continuity", "path_realism_between", between, between - 0.02, between + 0.02, baseline=0.1),
    ]


@pytest.mark.parametrize(
    ("blurred_share", "faded_share", "between", "answer"),
    [
        (0.1, 0.2, 0.9, "does not hold"),
        (0.1, 0.2, 0.78, "does not hold"),  # 0.8 of what real images get is enough
        (0.1, 0.2, 0.7, "holds"),
        (0.92, 0.2, 0.9, "not measured"),
        (0.1, 0.95, 0.9, "not measured"),
        (0.1, 0.95, 0.6, "holds"),  # what even such wide neighbourhoods do not hold is not real
    ],
)
def test_realism_is_measured_where_blurred_and_mixed_images_do_not_look_real(
    blurred_share, faded_share, between, answer
):
    claim = judge(realism(blurred_share, faded_share, between)).claims[1]
    assert claim.answer == answer
    if answer == "not measured":
        assert "count as real, and of real ones 95%, so the measure cannot tell" in claim.sentence

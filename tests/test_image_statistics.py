"""Image statistics: they tell planted images from real ones, of any shape, and a run takes them where its features don't."""

import numpy as np
import pytest

from latens.errors import UsageError
from latens.features.statistics import ImageStatistics
from latens.images import load_images
from latens.images.pixels import to_floats
from latens.metrics.neighbourhoods import inside_balls, radii
from latens.metrics.planted import BLURRED, FADED, planted_features
from latens.metrics.references import prepare_references
from latens.verdict import judge
from test_planted import row


@pytest.fixture(scope="module")
def digits():
    return load_images("mnist").train.pixels[:900]


def test_blurred_and_faded_digits_lie_in_no_ball_and_real_ones_do(digits):
    train, test = digits[:600], digits[600:]
    features = ImageStatistics(train)
    around, bad = features(test), planted_features(train, features)
    reach = radii(around, 5)
    assert inside_balls(around, reach, features(train)).mean() > 0.75
    assert inside_balls(around, reach, bad[BLURRED]).mean() < 0.02
    assert inside_balls(around, reach, bad[FADED]).mean() < 0.1


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 8, 8), (5, 9, 30), (1, 2, 7), (2, 150, 140)])
def test_any_shape_is_finite_and_of_the_image_alone(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (12, *shape), dtype=np.uint8)
    pixels[0] = 0
    features = ImageStatistics(pixels)
    found = features(pixels)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(features(pixels[3:5]), found[3:5], atol=1e-3)
    np.testing.assert_allclose(features(to_floats(pixels)), found, atol=1e-3)
    assert features.classify(pixels) is None
    with pytest.raises(UsageError, match="these statistics take"):
        features(pixels[:, :, :, :0])


def test_references_take_the_realism_of_features_that_see_more():
    rng = np.random.default_rng(0)
    real, test = rng.normal(size=(2, 300, 4)).astype(np.float32)
    bad = {BLURRED: real[:200], FADED: real[:200]}
    blind = prepare_references(test, real, features="blind", planted=bad)
    sees = prepare_references(
        test, real, features="sees", planted={kind: one + 20 for kind, one in bad.items()}, rebuilt_train=real + 20
    )
    assert (blind.seen, sees.seen) == (0, 2)
    both = {one.name: one for one in blind.with_realism_of(sees).scores.scores}
    assert both["precision_blurred"].value == both["precision_rebuilt"].value == 0
    assert both["precision_real"].protocol.features == "sees"
    assert both["kid_scale"].protocol.features == "blind"
    notes = " ".join(blind.with_realism_of(sees).scores.notes)
    assert "are measured by sees" in notes
    assert "are not measured" not in notes
    assert blind.with_realism_of(blind) is blind


@pytest.mark.parametrize(("rebuilt", "answer"), [(0.9, "holds"), (0.1, "not measured")])
def test_a_decoder_too_soft_for_the_measure_is_not_called_discontinuous(rebuilt, answer):
    scores = [
        row("generation", "precision_real", 0.95, 0.93, 0.97),
        row("generation", "precision_blurred", 0.0, 0.0, 0.02),
        row("generation", "precision_faded", 0.1, 0.07, 0.13),
        row("generation", "precision_rebuilt", rebuilt, rebuilt - 0.03, rebuilt + 0.03),
        row("continuity", "path_realism_between", 0.1, 0.05, 0.15),
    ]
    (claim,) = (one for one in judge(scores).claims if one.name == "continuity")
    assert claim.answer == answer
    assert ("how sharp the decoder is" in claim.sentence) == (answer == "not measured")

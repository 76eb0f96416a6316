"""The verdict: each claim on either side of its threshold, who is at fault, what would help."""

import json
import math

import pytest

from latens.cli.printing import verdict_text
from latens.metrics import Protocol, Score
from latens.verdict import Verdict, judge


def row(group, name, value, baseline=None, subject="", interval=(None, None)):
    return Score(name, value, "", "lower", Protocol(""), baseline, "", "", *interval, group, subject)


def scores(
    *,
    knn=0.97,
    pixels=0.969,
    active=64,
    rank=40.0,
    between=0.9,
    hidden=0.0,
    floor=1.0,
    rebuilt=2.0,
    copied=0.01,
    **samplers,
):
    """The rows of a run of 64 latent numbers; samplers with underscores and their frechet."""
    rows = [
        row("representation", "knn_accuracy", knn, pixels),
        row("representation", "active_units", float(active), 64),
        row("representation", "effective_rank", rank, 64),
        row("continuity", "path_realism_between", between),
        row("continuity", "path_realism_within", 0.95),
        row("continuity", "hidden_holes", 0.0),
        row("continuity", "hidden_unclear", hidden),
        row("generation", "floor", floor),
        row("generation", "reconstruction_fd", rebuilt),
    ]
    for name, distance in samplers.items():
        rows += [
            row("generation", "frechet", distance, subject=name.replace("_", "-")),
            row("generation", "memorised", copied if name == "jitter" else 0.01, subject=name.replace("_", "-")),
        ]
    return rows


def answers(**given):
    return {claim.name: claim.answer for claim in judge(scores(**given)).claims}


@pytest.mark.parametrize(
    ("given", "name", "answer"),
    [
        ({"knn": 0.96}, "analysis", "does not hold"),
        ({"knn": 0.958}, "analysis", "holds"),
        ({"active": 58}, "analysis", "does not hold"),
        ({"active": 57}, "analysis", "holds"),
        ({"between": 0.8}, "continuity", "does not hold"),
        ({"between": 0.79}, "continuity", "holds"),
        ({"gaussian": 5.0}, "generation", "does not hold"),
        ({"gaussian": 20.0}, "generation", "partly"),
        ({"gaussian": 20.1}, "generation", "holds"),
        ({}, "generation", "not measured"),
        ({"hidden": 0.09}, "map", "does not hold"),
        ({"hidden": 0.1}, "map", "holds"),
        ({}, "size", "not measured"),
    ],
)
def test_each_claim_on_either_side_of_its_threshold(given, name, answer):
    assert answers(**given)[name] == answer


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({"gaussian": 3.9, "class_means": 11.0}, ("decoder",)),
        ({"gaussian": 4.1, "class_means": 12.4}, ("sampler",)),
        ({"gaussian": 3.0, "class_means": 149.0}, ("decoder", "sampler")),
        ({"gaussian": 5.0, "class_means": 14.0}, ()),
        ({}, None),
    ],
)
def test_who_is_at_fault(given, parts):
    verdict = judge(scores(**given))
    assert verdict.at_fault == parts
    assert all(part in verdict.fault for part in parts or ())


def test_the_best_sampler_does_not_copy():
    verdict = judge(scores(jitter=2.0, mixture=3.0, class_means=50.0, copied=0.4))
    assert verdict.best_sampler == "mixture"
    assert any("Do not take jitter" in one.text and "40.0%" in one.because for one in verdict.suggestions)
    assert judge(scores(jitter=2.0, mixture=3.0, copied=0.02)).best_sampler == "jitter"
    assert judge(scores(jitter=2.0, copied=0.4)).best_sampler == "jitter"  # there is no other


def test_suggestions_follow_from_what_was_measured():
    def texts(**given):
        return " ".join(one.text for one in judge(scores(**given)).suggestions)

    assert "--sampler mixture" in texts(mixture=3.0, class_means=90.0)
    assert "--samplers all" in texts(mixture=3.0, class_means=90.0)
    assert "--samplers all" not in texts(mixture=3.0, flow=2.5)
    assert "--recipe best" in texts(mixture=3.0, rebuilt=2.9)
    assert "activation=none" in texts(active=50)
    assert "--latent-dims 16 32 64" in texts(rank=20.0)
    assert "figure path" in texts(between=0.5)
    assert all(one.because for one in judge(scores(mixture=3.0, class_means=90.0, active=50, rank=20.0)).suggestions)


def test_few_images_have_kid_and_no_threshold():
    rows = [row("generation", "kid", 0.01, subject="mixture"), row("generation", "kid", 0.2, subject="class-means")]
    verdict = judge(rows)
    assert verdict.best_sampler == "mixture"
    assert verdict.claims[2].answer == "not measured"
    assert "KID" in verdict.claims[2].sentence
    assert verdict.at_fault is None


def test_nothing_measured_is_said():
    verdict = judge([])
    assert {claim.answer for claim in verdict.claims} == {"not measured"}
    assert "not measured" in verdict.headline
    assert judge([row("generation", "frechet", math.nan, subject="mixture")]).best_sampler == ""


def test_without_labels_dead_units_can_speak():
    rows = [r for r in scores(active=64) if r.name != "knn_accuracy"]
    assert judge(rows).claims[0].answer == "not measured"
    rows = [r for r in scores(active=20) if r.name != "knn_accuracy"]
    assert judge(rows).claims[0].answer == "holds"


def test_json_and_text():
    verdict = judge(scores(mixture=3.0, class_means=149.0))
    assert Verdict.from_json(json.loads(json.dumps(verdict.as_json()))) == verdict
    text = verdict_text(verdict)
    assert verdict.headline in text
    assert "At fault" in text
    assert all(claim.claim in " ".join(text.split()) for claim in verdict.claims)

"""Scores of latents in parts, against the same scores of all rows at once."""

import json

import numpy as np
import pytest

from conftest import make_blobs
from latens.cli import main
from latens.computed.parts_scores import score_parts
from latens.computed.stored import StoredParts
from latens.errors import UsageError
from latens.exports.latents_parts import encode_in_parts
from latens.metrics.frechet import frechet_distance, moments
from latens.metrics.representation import active_units, effective_rank, zero_fraction
from latens.sheets import as_parquet


@pytest.fixture
def folders(finished_run, tmp_path):
    """Parts of 90 images, and parts of 50 others."""
    for name, count, seed in (("one", 90, 3), ("other", 50, 4)):
        pixels, labels = make_blobs(count, seed=seed)
        np.savez(tmp_path / f"{name}.npz", images=pixels[:, 0], labels=labels)
        encode_in_parts(finished_run, tmp_path / f"{name}.npz", tmp_path / name, rows=20)
    return tmp_path / "one", tmp_path / "other"


def all_of(folder):
    stored = StoredParts(folder)
    return stored.latents(np.arange(len(stored)))


def test_they_are_those_of_all_rows(finished_run, folders):
    one, other = folders
    found = score_parts(finished_run, one, against=other)
    value = {score.name: score.value for score in found}
    latents, others = all_of(one), all_of(other)
    assert value["active_units"] == active_units(latents)
    assert value["effective_rank"] == pytest.approx(effective_rank(latents), rel=1e-6)
    assert value["zero_fraction"] == zero_fraction(latents)
    assert value["frechet_latents"] == pytest.approx(frechet_distance(moments(latents), moments(others)), rel=1e-6)
    same = score_parts(finished_run, one, against=one).find("frechet_latents")
    assert same.value == pytest.approx(0, abs=1e-6)


def test_neighbours_vote_without_the_image_itself(finished_run, folders):
    one, _ = folders
    latents, labels = all_of(one).astype(np.float64), np.arange(90) % 3
    apart = np.linalg.norm(latents[:, None] - latents, axis=2)
    np.fill_diagonal(apart, np.inf)
    near = labels[np.argsort(apart, axis=1, kind="stable")[:, :5]]
    counts = np.stack([(near == k).sum(1) for k in range(3)], 1)
    clear = (counts == counts.max(1, keepdims=True)).sum(1) == 1
    voted = np.where(
        clear, counts.argmax(1), [next(v for v in row if c[v] == c.max()) for row, c in zip(near, counts, strict=True)]
    )
    score = score_parts(finished_run, one).find("knn_accuracy")
    assert score.value == pytest.approx((voted == labels).mean())
    assert score.low < score.value <= score.high
    some = score_parts(finished_run, one, asked=30, seed=1).find("knn_accuracy")
    assert (some.protocol.images, some.protocol.drawn_from, some.protocol.seed) == (30, 90, 1)


def test_without_classes_and_with_numbers_that_are_not_finite(finished_run, folders, tmp_path):
    one, _ = folders
    encode_in_parts(finished_run, make_blobs(30)[0], tmp_path / "plain", rows=20)
    found = score_parts(finished_run, tmp_path / "plain")
    assert found.find("knn_accuracy") is None
    assert [note.text for note in found.notes] == ["kNN accuracy is left out: there are no classes"]
    latents = all_of(one)[:20]
    latents[3, 0] = np.inf
    first = sorted(one.glob("*.parquet"))[0]
    first.write_bytes(as_parquet({"id": np.arange(20).astype(str), "latent": latents}))
    with pytest.raises(UsageError, match="NaN or infinity"):
        score_parts(finished_run, one)


def test_the_command(finished_run, folders, capsys):
    one, other = folders
    words = ["score", str(finished_run.path), "--in", str(one), "--against", str(other)]
    assert main([*words, "--json"]) == 0
    assert "frechet_latents" in {score["name"] for score in json.loads(capsys.readouterr().out)["scores"]}
    assert main(words) == 0
    assert "effective rank" in capsys.readouterr().out.replace("_", " ")
    assert main([*words, "--samplers", "all"]) == 2
    assert "--samplers: not with --in FOLDER/" in capsys.readouterr().err
    assert main(["score", str(finished_run.path), "--against", str(other)]) == 2
    assert "--against: only with a folder of parts" in capsys.readouterr().err

"""Scores as records: the table of a run, what it holds, and the metrics.json that earlier versions wrote."""

import builtins
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import latens
from latens.errors import MissingExtra, RunDamaged, RunError
from latens.metrics import METRICS, Protocol, Score, Scores, ScoreTable
from latens.metrics.score_table import Note

# What a version before scores were records wrote for a run of three classes, 240 images, without a Fréchet distance.
FORMAT_1 = json.loads((Path(__file__).parent / "golden" / "metrics-format-1.json").read_text())


def table():
    about = Protocol("share of samples", 10, seed=3, features="f 01", settings={"k": 5})
    mixture = Score("precision", 0.5, "", "higher", about, 0.9, "real images", "train images", 0.4, 0.6)
    found = Scores(
        (Score("floor", 2.0, "", "none", Protocol("distance", 10)),),
        ("too few images",),
        {"worst": [1]},
        {"mixture": Scores((mixture,), ("no classes",))},
    )
    return ScoreTable.of_groups({"generation": found})


def test_a_table_is_a_sequence_of_records():
    scores = table()
    assert len(scores) == 2
    assert [score.column for score in scores] == ["generation.floor", "generation.mixture.precision"]
    assert scores[1].subject == "mixture"
    assert scores[-1:] == (scores[1],)
    assert scores.find("precision") is scores.find("precision", "generation", "mixture") is scores[1]
    assert scores.find("precision", "map") is None
    assert scores.notes == (Note("generation", "", "too few images"), Note("generation", "mixture", "no classes"))
    assert ScoreTable.from_json(json.loads(json.dumps(scores.as_json()))) == scores
    assert scores.as_json()["format"] == 2


def test_rows_are_flat_for_pandas_and_polars():
    rows = table().to_dicts()
    assert rows[1] == {
        "group": "generation",
        "subject": "mixture",
        "name": "precision",
        "value": 0.5,
        "low": 0.4,
        "high": 0.6,
        "unit": "",
        "direction": "higher",
        "baseline": 0.9,
        "baseline_kind": "real images",
        "baseline_name": "train images",
        "split": "test",
        "images": 10,
        "seed": 3,
        "features": "f 01",
        "protocol": "share of samples; k = 5; 10 test images; features: f 01; seed 3",
    }
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    frame = table().to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.set_index(["group", "subject", "name"]).loc[("generation", "mixture", "precision"), "value"] == 0.5
    assert polars.DataFrame(rows).filter(polars.col("subject") == "mixture")["baseline"].to_list() == [0.9]


def test_without_pandas_it_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "pandas":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match="pip install pandas"):
        table().to_pandas()


def test_scripts_for_format_1_still_work():
    old = table()
    groups = {(row["group"], row["name"]): row for row in old["scores"]}
    assert groups["generation: mixture", "precision"]["value"] == 0.5
    assert groups["generation: mixture", "precision"]["better"] == "higher"
    assert groups["generation", "floor"]["baseline"] is None
    assert old["notes"] == {"generation": "too few images", "generation: mixture": "no classes"}
    assert dict(**old)["details"] == {"generation": {"worst": [1]}}
    with pytest.raises(KeyError):
        old["nothing"]


def test_metrics_json_of_format_1_is_read():
    scores = ScoreTable.from_json(FORMAT_1)
    assert len(scores) == len(FORMAT_1["scores"]) == 54
    for score, old in zip(scores, FORMAT_1["scores"], strict=True):
        assert (score.name, score.value, score.high) == (old["name"], old["value"], old["high"])
        assert score.low == (None if old["low"] is None else pytest.approx(old["low"], abs=1e-15))
        defined = METRICS[score.group][score.name]
        assert (score.direction, score.unit) == (defined.direction, defined.unit)
        assert score.baseline_kind in ("", defined.baseline_kind) or score.group in ("map", "representation")
    assert scores.find("kid", subject="mixture").value == next(
        row["value"] for row in FORMAT_1["scores"] if (row["group"], row["name"]) == ("generation: mixture", "kid")
    )
    units = scores.find("active_units")
    assert (units.baseline, units.baseline_kind, units.protocol.settings["latent_dim"]) == (4, "maximum", 4)
    pca = scores.find("pca_mse").protocol
    assert (pca.settings["components"], pca.seed) == (4, None)
    assert scores.find("nmi").protocol.seed == 0
    assert {note.subject for note in scores.notes} == {"", "class-means", "gaussian", "mixture"}
    rows = {(row["group"], row["name"]): row["value"] for row in scores["scores"]}
    assert rows == {(row["group"], row["name"]): row["value"] for row in FORMAT_1["scores"]}


def test_a_later_format_is_refused():
    with pytest.raises(RunError, match="format 3, this version of latens reads up to 2"):
        ScoreTable.from_json({"format": 3, "scores": []})


def test_a_run_with_scores_of_format_1_is_judged_and_reported(finished_run, tmp_path):
    run = latens.open_run(shutil.copytree(finished_run.path, tmp_path / "old"))
    run.save("metrics.json", FORMAT_1)
    run = latens.open_run(run.path)
    assert run.scores.find("kid", subject="mixture") is not None
    assert run.verdict.best_sampler == "class-means"  # its kid is the least
    from latens.report import story_of
    from latens.report.page import build_html

    page = build_html(story_of(run, run.images))
    assert "Kernel distance" in page
    run.save("metrics.json", {"format": 2, "scores": [{"name": "mse"}]})
    with pytest.raises(RunDamaged, match="not readable as scores"):
        _ = latens.open_run(run.path).scores


def test_a_score_says_whether_it_beats_its_baseline():
    plain = Score("x", 1.0, "", "lower", Protocol("p"), 2.0, "method", "another")
    assert plain.beats_baseline is True
    assert np.all([Score("x", 1.0, "", d, Protocol("p"), 2.0).beats_baseline for d in ("lower", "zero")])
    assert Score("x", 1.0, "", "higher", Protocol("p"), 2.0).beats_baseline is False
    assert Score("x", 1.0, "", "none", Protocol("p"), 2.0).beats_baseline is None
    assert Score("x", 1.0, "", "higher", Protocol("p"), 2.0, "maximum").beats_baseline is None
    assert Score("x", 1.0, "", "lower", Protocol("p")).beats_baseline is None


def test_protocols_are_compared_by_their_fields():
    one = Protocol("what", 10, seed=0, settings={"k": 5, "latent_dim": 2})
    assert one.comparable == Protocol("what", 10, seed=1, settings={"k": 5, "latent_dim": 4}).comparable
    assert one.comparable != Protocol("what", 11, settings={"k": 5}).comparable

"""Comparing: what is trained and what is reused, what is refused, what is advised, and what is written."""

import csv
import json
import re
import shutil
from dataclasses import replace

import html5lib
import numpy as np
import pytest
from PIL import Image

import latens
from conftest import make_blobs
from latens import cli, experiment
from latens.comparison.across import larger_is_worse, ratio_sheet
from latens.comparison.advice import advise, pays_until
from latens.comparison.cells import main_sheet, score_sheet, spread_text
from latens.comparison.protocols import check_protocols
from latens.comparison.rows import Row, Spread, best_sampler, settings_of
from latens.comparison.sheets import csv_text, markdown_table
from latens.errors import ProtocolsDiffer, RunError, TrainingDiverged, UnknownName, UsageError
from latens.figures import PALETTES
from latens.figures.comparisons import Point, generation_against_reconstruction, rate_distortion
from latens.figures.maps import small_map
from latens.files import locked
from latens.images import load_images
from latens.metrics import Protocol, Score
from latens.progress import Silent
from latens.runs import open_run, record, start_run
from latens.training.loop import train
from latens.training.recipes import RECIPES, Recipe, TrainConfig

XHTML = "{http://www.w3.org/1999/xhtml}"
TINY = {"epochs": 1, "device": "cpu", "progress": Silent()}
DIMS = [2, 4]


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    pixels, labels = make_blobs(60)
    np.savez(folder / "blobs.npz", images=pixels[:, 0], labels=labels)
    return folder / "blobs.npz"


@pytest.fixture(scope="session")
def made(data, tmp_path_factory):
    """Two runs, of two dimensions."""
    return latens.compare(data, latent_dims=DIMS, out=tmp_path_factory.mktemp("made") / "c", **TINY)


@pytest.fixture
def folder(made, tmp_path):
    """A copy of that comparison's folder."""
    shutil.copytree(made.path, tmp_path / "c")
    return tmp_path / "c"


@pytest.fixture
def no_training(monkeypatch):
    def forbidden(*_, **__):
        raise AssertionError("a run was trained that was there already")

    monkeypatch.setattr(experiment, "run", forbidden)
    monkeypatch.setattr(experiment, "resume", forbidden)


def folders(path):
    return sorted(path.glob("runs/*"))


def rewrite(run, change):
    """Change a run's scores in place, as another latens or another protocol would have written them."""
    scores = json.loads((run / "metrics.json").read_text())
    change(scores["scores"])
    (run / "metrics.json").write_text(json.dumps(scores))
    open_run(run).seal("metrics.json")


AS_USUAL = Protocol("as usual", 10)


def score(column, value, protocol=AS_USUAL, **more):
    group, *subject, name = column.split(".")
    lower = name in ("mse", "pca_ratio", "frechet", "kid", "floor", "reconstruction_fd", "pca_mse")
    direction = "lower" if lower else "higher"
    return Score(name, value, "", direction, protocol, group=group, subject="".join(subject), **more)


def planted(dim, seed=0, data="digits", shape=(1, 28, 28), model="autoencoder", error="", config=None, **values):
    """A row with the scores that are given: `reconstruction__mse=0.1`."""
    recipe = Recipe("fast", model, "convolutional", dim, replace(config or TrainConfig(3, 64), seed=seed))
    scores = tuple(score(name.replace("__", ".").replace("_means", "-means"), value) for name, value in values.items())
    return Row(data, f"print of {data}", shape, recipe.to_json(), f"{data}-{model}-{dim}-{seed}", error, scores)


def curve(errors, **more):
    return settings_of([planted(dim, reconstruction__mse=mse, **more) for dim, mse in errors.items()])


# What is trained, reused, gone on with, and what fails.


def test_every_run_is_there_with_all_its_scores(made):
    with open(made.path / "compare.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(made.rows) == len(made.runs) == 2
    for line, run, dim in zip(lines, made.runs, DIMS, strict=True):
        assert int(line["latent_dim"]) == run.recipe.latent_dim == dim
        assert run.recipe.config.epochs == 1
        for found in run.scores:
            assert float(line[found.column]) == found.value
        assert float(line["seconds"]) == run.record["result"]["seconds"]
        assert float(line["parameters"]) == sum(p.numel() for p in run.model.parameters())
    assert json.loads((made.path / "compare.json").read_text()) == json.loads(json.dumps(made.as_json()))


def test_complete_runs_are_taken_as_they_are(folder, data, no_training):
    before = [(run / "run.json").read_text() for run in folders(folder)]
    again = latens.compare(data, latent_dims=DIMS, out=folder, **TINY)
    assert [row.error for row in again.rows] == ["", ""]
    assert [(run / "run.json").read_text() for run in folders(folder)] == before


def test_a_stopped_run_is_gone_on_with(data, tmp_path):
    images = load_images(data)
    model = {"model": "autoencoder", "network": "convolutional"}
    recipe = RECIPES["fast"](images).with_options(epochs=2, latent_dim=2, **model)
    stopped = start_run(images, recipe, tmp_path / "c" / "runs" / "blobs-autoencoder-convolutional-2-seed-0")
    for _ in record(stopped, train(stopped.model, images, recipe.config)):
        break
    created = stopped.record["created"]
    chosen = {"models": ["autoencoder"], "networks": ["convolutional"], "latent_dims": [2]}
    compared = latens.compare(images, **chosen, out=tmp_path / "c", **{**TINY, "epochs": 2})
    (run,) = compared.runs
    assert (run.record["status"], run.record["created"], run.record["result"]["epochs"]) == ("done", created, 2)


def test_a_sampler_that_was_not_scored_is_scored(folder, data, monkeypatch):
    first, second = folders(folder)

    def only_mixture(scores):
        kept = [("generation", ""), ("reconstruction", ""), ("generation", "mixture")]
        scores[:] = [s for s in scores if (s["group"], s["subject"]) in kept]

    rewrite(first, only_mixture)
    untouched = (second / "metrics.json").read_text()
    compared = latens.compare(data, latent_dims=DIMS, samplers=["gaussian", "mixture", "prior"], out=folder, **TINY)
    samplers = [{score.subject for score in row.scores if score.group == "generation"} - {""} for row in compared.rows]
    assert samplers[0] == {"mixture", "gaussian"}  # an autoencoder has no prior
    assert samplers[1] == samplers[0] | {"class-means", "local-mixture"}
    assert (second / "metrics.json").read_text() == untouched
    assert "48 samples by mixture" in words(page_of(folder))
    assert "by prior" not in words(page_of(folder))


def test_runs_of_other_settings_or_images_are_not_reused(folder, data, tmp_path):
    with pytest.raises(RunError, match=r"was trained with epochs=1, now 2; choose another --out"):
        latens.compare(data, latent_dims=DIMS, out=folder, **{**TINY, "epochs": 2})
    (tmp_path / "other").mkdir()
    np.savez(tmp_path / "other" / "blobs.npz", images=make_blobs(60, seed=9)[0][:, 0])
    with pytest.raises(RunError, match=r"other images than the blobs that is given now"):
        latens.compare(tmp_path / "other" / "blobs.npz", latent_dims=DIMS, out=folder, **TINY)


def test_a_failing_run_is_named_and_loses_none_of_the_others(folder, data, monkeypatch):
    def diverges(*_, **__):
        raise TrainingDiverged("the loss was nan in epoch 1")

    monkeypatch.setattr(experiment, "run", diverges)
    compared = latens.compare(data, latent_dims=[*DIMS, 8], out=folder, **TINY)
    assert [row.error for row in compared.rows] == ["", "", "the loss was nan in epoch 1"]
    assert len(compared.runs) == 2
    for name in ("compare.md", "compare.csv", "compare.html", "compare.json"):
        assert "the loss was nan in epoch 1" in (folder / name).read_text()
    (line,) = [row for row in compared.sheets()[0].rows if row[2] == "8"]
    assert line[3] == "none"
    assert line[-1] == "seed 0: the loss was nan in epoch 1"


def test_where_no_run_comes_to_an_end_that_is_an_error(data, tmp_path):
    with pytest.raises(RunError, match=r"no run came to an end; the first: .*loss"):
        latens.compare(data, latent_dims=[2], out=tmp_path / "c", learning_rate=1e30, matrix_learning_rate=1e30, **TINY)
    assert "loss" in (tmp_path / "c" / "compare.csv").read_text()
    (run,) = folders(tmp_path / "c")
    assert open_run(run).record["status"] == "diverged"


def test_ctrl_c_leaves_what_is_done(folder, data, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "run", stop)
    for name in ("compare.csv", "compare.html"):
        (folder / name).unlink()
    with pytest.raises(KeyboardInterrupt):
        latens.compare(data, latent_dims=[2, 8, 4], out=folder, **TINY)
    assert len((folder / "compare.csv").read_text().splitlines()) == 2  # the head, and the run before it


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"latent_dims": []}, "latent_dims is"),
        ({"seeds": [1, 1]}, "a list of different ones"),
        ({"models": "autoencoder"}, "a list of different ones"),
        ({"models": ["autoencoder:beta=4"]}, "beta"),
        ({"models": ["autoencoder", "autoencoder:activation=none"], "latent_dims": [0]}, "latent dimension is 0"),
        ({"samplers": "mixture"}, "a list of names"),
        ({"samplers": ["prophecy"]}, "unknown sampler 'prophecy'"),
        ({"epoch": 3}, "unknown option 'epoch'"),
        ({"runs": ["a"]}, "leave out data"),
    ],
)
def test_what_is_not_allowed_is_said_before_anything_is_trained(given, told, data, tmp_path, no_training):
    with pytest.raises((UsageError, UnknownName), match=re.escape(told)):
        latens.compare(data, out=tmp_path / "c", **{**TINY, **given})
    assert not (tmp_path / "c").exists()


def test_data_and_folders_that_do_not_do(data, tmp_path, made):
    with pytest.raises(UsageError, match="compare needs data"):
        latens.compare(progress=Silent())
    with pytest.raises(UsageError, match="would be the folder of two runs"):
        latens.compare([data, data], out=tmp_path / "c", **TINY)
    with pytest.raises(RunError, match="is no comparison"):
        latens.compare(data, out=data.parent, **TINY)
    with pytest.raises(UsageError, match="stands twice"):
        latens.compare(runs=[made.runs[0], made.runs[0]], out=tmp_path / "c", progress=Silent())
    with pytest.raises(UsageError, match="at least one"):
        latens.compare(runs=[], progress=Silent())


# Protocols.


def test_scores_of_different_protocols_are_refused(folder):
    first, second = folders(folder)

    def other_images(scores):
        scores[0]["protocol"]["images"] = 5000

    rewrite(second, other_images)
    with pytest.raises(ProtocolsDiffer) as refused:
        latens.compare(runs=[first, second], out=folder.parent / "new", progress=Silent())
    for part in ("reconstruction.mse", str(first), str(second), "6 test images", "5,000 test images", "latens score"):
        assert part in str(refused.value)
    assert not (folder.parent / "new").exists()


def test_seeds_and_components_differ_on_purpose():
    def rows(*protocols):
        return [replace(planted(2, seed), scores=(score("g.s", 1.0, p),)) for seed, p in enumerate(protocols)]

    plain = Protocol("PCA", 9, seed=0, features="f", settings={"k": 5, "components": 2, "latent_dim": 2})
    on_purpose = replace(plain, seed=1, settings={"k": 5, "components": 4, "latent_dim": 4})
    check_protocols(rows(plain, on_purpose))
    for other in (
        replace(plain, settings={"k": 6}),
        replace(plain, images=11),
        replace(plain, features="g"),
        replace(plain, split="train"),
        replace(plain, what="PCA of 5 images"),
    ):
        with pytest.raises(ProtocolsDiffer, match=r"g\.s was measured in two ways"):
            check_protocols(rows(plain, other))
    other = replace(planted(2, data="b"), scores=(score("g.s", 1.0, Protocol("other")),))
    check_protocols([planted(2, data="a"), other])


def test_data_sets_of_one_name_must_be_one(folder):
    first, second = folders(folder)
    run = open_run(second)
    run.update(data={**run.record["data"], "fingerprint": "f" * 64})
    with pytest.raises(
        ProtocolsDiffer, match=r"different images, both named 'blobs' \(fingerprints .* and ffffffffffff"
    ):
        latens.compare(runs=[first, second], out=folder.parent / "new", progress=Silent())


# The adviser.


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ({8: 0.8, 16: 0.4, 32: 0.2, 64: 0.19, 128: 0.185}, 32),
        ({8: 0.8, 16: 0.79, 32: 0.78}, 8),
        ({8: 0.8, 16: 0.4, 32: 0.2}, None),
        ({8: 0.8, 16: 0.79, 32: 0.4, 64: 0.39}, 32),  # a flat step before a steep one is no end
        ({8: 0.4, 16: 0.41, 32: 0.42}, 8),  # it may rise
        # A power law falls by 1 - 2^-a in every doubling, however far apart the dimensions are.
        ({dim: dim**-0.16 for dim in (3, 10, 11, 100)}, None),  # 10.5 %
        ({dim: dim**-0.14 for dim in (3, 10, 11, 100)}, 3),  # 9.2 %
    ],
)
def test_reconstruction_stops_paying_where_the_rule_says(errors, expected):
    assert pays_until(list(errors), list(errors.values())) == expected
    (advice,) = advise(curve(errors))
    assert advice.latent_dim == expected
    assert ("stops paying at" in advice.sentence) == (expected is not None)
    assert ("still pays" in advice.sentence) == (expected is None)


def test_advice_names_rank_units_and_spread_and_takes_the_mean_over_seeds():
    use = {"representation__effective_rank": 11.4, "representation__active_units": 14.0}
    rows = [
        planted(dim, seed, reconstruction__mse=mse * (1 + seed), reconstruction__pca_ratio=0.5, **use)
        for dim, mse in {8: 0.2, 16: 0.1, 32: 0.099}.items()
        for seed in (0, 1)
    ]
    (advice,) = advise(settings_of(rows[::-1]))  # in any order
    assert advice.latent_dim == 16
    for part in ("test MSE 0.15", "effective rank is 11.4", "14 of 16 units", "Over 2 seeds", "47.1%"):  # sqrt(2) / 3
        assert part in advice.sentence
    assert "PCA with as many" not in advice.sentence
    (worse,) = advise(curve({8: 0.2, 16: 0.1, 32: 0.099}, reconstruction__pca_ratio=1.5))
    assert "--network linear-path" in worse.sentence


def test_two_dimensions_are_too_few_to_advise():
    (advice,) = advise(curve({8: 0.2, 16: 0.1}))
    assert advice.latent_dim is None
    assert "at least 3 latent dimensions are needed" in advice.sentence


# Settings and tables.


def test_settings_gather_seeds_and_nothing_else():
    longer = TrainConfig(300, 64)
    rows = [planted(8), planted(2), planted(4), planted(2, 5), planted(4, 1), planted(2, config=longer)]
    rows.append(planted(2, data="other"))
    settings = settings_of(rows)
    assert [(s.data, s.recipe.latent_dim, s.seeds, s.note) for s in settings] == [
        ("digits", 2, (0, 5), "epochs 3"),
        ("digits", 4, (0, 1), "epochs 3"),
        ("digits", 8, (0,), "epochs 3"),
        ("digits", 2, (0,), "epochs 300"),
        ("other", 2, (0,), ""),
    ]


def test_spread_is_the_standard_deviation_over_seeds():
    values = [0.01, 0.013, 0.02]
    rows = [planted(2, seed, reconstruction__mse=value) for seed, value in enumerate(values)]
    rows.append(planted(2, 3, error="diverged"))
    (setting,) = settings_of(rows)
    spread = setting.spread("reconstruction.mse")
    assert spread.mean == pytest.approx(np.mean(values))
    assert spread.std == pytest.approx(np.std(values, ddof=1))
    assert setting.seeds == (0, 1, 2)
    assert spread_text(spread) == "0.0143 ± 0.0051"
    assert spread_text(Spread((5.0, 5.0))) == "5"
    sheet = main_sheet("digits", [setting])
    assert sheet.rows[0][3] == "0 to 2"
    assert sheet.rows[0][-1] == "seed 3: diverged"


def test_intervals_of_single_runs_are_kept():
    row = replace(planted(2), scores=(score("generation.mixture.frechet", 9.0, low=8.5, high=9.5),))
    (line,) = csv.DictReader(csv_text([row]).splitlines())
    assert float(line["generation.mixture.frechet.low"]) == 8.5
    assert float(line["generation.mixture.frechet.high"]) == 9.5
    assert settings_of([row])[0].spread("generation.mixture.frechet") == Spread((9.0,), 8.5, 9.5)


def test_the_best_sampler_is_the_one_with_the_lowest_mean_distance():
    rows = [
        planted(2, seed, generation__mixture__frechet=f, generation__gaussian__frechet=9.0, generation__floor=1.0)
        for seed, f in enumerate((4.0, 8.0))
    ]
    (setting,) = settings_of(rows)
    assert best_sampler(setting) == ("mixture", "frechet")
    assert best_sampler(setting, ["gaussian", "prior"]) == ("gaussian", "frechet")
    assert best_sampler(setting, ["prior"]) is None
    copying = replace(rows[0], scores=(*rows[0].scores, score("generation.mixture.memorised", 0.3)))
    assert best_sampler(settings_of([copying])[0]) == ("gaussian", "frechet")  # the other is nearer because it copies
    assert best_sampler(settings_of([copying])[0], ["mixture"]) == ("mixture", "frechet")
    few = settings_of([planted(2, generation__mixture__kid=0.1, generation__flow__kid=0.05)])
    assert best_sampler(few[0]) == ("flow", "kid")
    keeping = settings_of([planted(2, generation__mixture__kid=0.1, generation__jitter__kid=0.05)])
    assert best_sampler(keeping[0]) == ("mixture", "kid")  # a generator needs no data
    assert best_sampler(keeping[0], ["jitter"]) == ("jitter", "kid")
    sheet = main_sheet("digits", [setting])
    shown = dict(zip(sheet.headings, sheet.rows[0], strict=True))
    assert (shown["FD of the best"], shown["best sampler"], shown["FD floor"]) == ("6.0 ± 2.8", "mixture", "1")


def test_the_best_of_each_column_is_marked():
    rows = [
        planted(d, reconstruction__mse=m, representation__knn_accuracy=k) for d, m, k in ((2, 0.2, 0.9), (4, 0.1, 0.8))
    ]
    sheet = main_sheet("digits", settings_of(rows))
    assert {(row, sheet.headings[column]) for row, column in sheet.best} == {(1, "test MSE"), (0, "kNN")}
    lines = markdown_table(sheet).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert tuple(cells[0]) == sheet.headings
    assert [tuple(cell.strip("*") for cell in row) for row in cells[2:]] == list(sheet.rows)
    assert cells[3][4] == "**0.1**"
    everything = score_sheet("digits", settings_of(rows))
    assert everything.rows[0] == ("mse", "0.2", "0.1")
    assert everything.best == {(0, 2), (1, 1)}


def test_markdown_shows_names_as_they_are():
    sheet = main_sheet("digits", settings_of([planted(2, error="a | b\n*c*")]))
    line = markdown_table(sheet).splitlines()[2]
    assert r"a \| b \*c\*" in line


def test_columns_that_no_run_has_are_left_out(made):
    headings = made.sheets()[0].headings
    assert "test MSE" in headings
    assert "KID of the best" in headings  # the blobs are too few for FD
    assert not {"FD of the best", "FD floor", "failed"} & set(headings)
    assert len(made.sheets(screen=True)[0].headings) < len(headings)


# Over data sets.


def test_ratios_stand_side_by_side_and_the_claim_is_answered():
    def rows(small, large):
        easy = {"reconstruction__pca_ratio": 0.2, "reconstruction__pca_mse": 0.01}
        return settings_of(
            [
                planted(8, data="photos", shape=(3, 32, 32), generation__mixture__frechet=large, generation__floor=2.0),
                planted(8, data="digits", generation__mixture__frechet=small, generation__floor=1.0, **easy),
            ]
        )

    sheet = ratio_sheet(rows(5.0, 30.0))
    assert sheet.headings == ("ratio", "setting", "photos", "digits")
    shown = {row[0]: row[2:] for row in sheet.rows}
    assert shown == {"MSE ÷ PCA's": ("–", "0.2"), "FD of the best ÷ floor": ("15", "5")}
    assert not sheet.best
    answer = larger_is_worse(rows(5.0, 30.0))
    assert "holds here." in answer
    for part in ("from 5 on digits (784 numbers", "to 15 on photos (3,072 numbers"):
        assert part in answer
    assert "does not hold here" in larger_is_worse(rows(20.0, 30.0))
    assert "takes one setting on two data sets" in larger_is_worse(rows(5.0, 30.0)[:1])


@pytest.mark.parametrize("labelled", [False, True])
def test_without_generation_the_claim_is_about_rebuilding(labelled):
    """Of one size those are harder whose raw pixels tell less of the class, or without labels of which PCA leaves more."""

    def row(data, ratio, hardness):
        pca = 0.01 if labelled else hardness
        plain = planted(8, data=data, reconstruction__pca_ratio=ratio, reconstruction__pca_mse=pca)
        beside = {"baseline": 1 - hardness, "baseline_kind": "method", "baseline_name": "the same on raw pixels"}
        raw = score("representation.knn_accuracy", 0.9, **beside)
        return replace(plain, scores=(*plain.scores, raw)) if labelled else plain

    answer = larger_is_worse(settings_of([row("hard", 0.5, 0.3), row("easy", 0.2, 0.1), row("middle", 0.6, 0.2)]))
    assert "holds here in part" in answer
    assert "from 0.2 on easy" in answer
    assert "to 0.6 on middle" in answer
    assert "in 1 of 2 steps" in answer
    assert "Generation was not scored" in answer


# The page and the figures.


def page_of(path):
    """The page as a tree; it must be valid, and need nothing from elsewhere."""
    text = (path / "compare.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|url\(|@import|<script|<link", text)
    return html5lib.HTMLParser(strict=True).parse(text)


def words(element):
    return " ".join("".join(element.itertext()).split())


def test_the_page_is_valid_and_shows_each_setting_beside_the_others(made):
    tree = page_of(made.path)
    sections = {node.get("id"): node for node in tree.iter(f"{XHTML}section")}
    assert list(sections) == ["scores", "dimensions", "samples", "reconstructions", "maps", "protocols"]
    count = {name: len(list(node.iter(f"{XHTML}img"))) for name, node in sections.items()}
    assert count == {"scores": 0, "dimensions": 1, "samples": 6, "reconstructions": 3, "maps": 2, "protocols": 0}
    ids = [node.get("id") for node in tree.iter() if node.get("id")]
    assert len(ids) == len(set(ids))
    assert all(image.get("alt") for image in tree.iter(f"{XHTML}img"))
    told = words(tree)
    assert "at least 3 latent dimensions are needed" in told
    assert "<" not in told  # no markup was escaped
    for row in made.rows:
        assert row.path in told
        for found in row.scores:
            assert found.name.replace("_", " ") in told


def test_existing_runs_with_generation_scores_of_two_data_sets(folder):
    """The scores that a run may have, planted; the second run made one of other data."""
    first, second = folders(folder)
    for run, value in ((first, 12.0), (second, 8.0)):
        rewrite(
            run,
            lambda scores, value=value: scores.extend(
                [one.as_json() for one in (score("generation.mixture.frechet", value), score("generation.floor", 1.0))]
            ),
        )
    both = latens.compare(runs=[first, open_run(second)], out=folder.parent / "both", progress=Silent())
    tree = page_of(both.path)
    assert "generation" in [node.get("id") for node in tree.iter(f"{XHTML}section")]
    assert "FD of the best" in words(tree)

    run = open_run(second)
    run.update(data={**run.record["data"], "name": "<other>", "fingerprint": "f" * 64})
    apart = latens.compare(runs=[first, second], out=folder.parent / "apart", samplers=["jitter"], progress=Silent())
    assert [sheet.title for sheet in apart.sheets()] == ["blobs", "<other>", "Ratios over data sets"]
    tree = page_of(apart.path)
    data = next(node for node in tree.iter(f"{XHTML}section") if node.get("id") == "data")
    assert "are not ranked against each other" in words(data)
    assert "takes one setting on two data sets" in words(data)  # their dimensions differ


def test_maps_have_the_palette_that_is_asked_for_or_else_the_run_s(folder):
    def drawn(out, **asked):
        made = latens.compare(runs=[run], out=folder.parent / out, progress=Silent(), **asked)
        with Image.open(made.path / "figures" / "1" / "01-map.png") as picture:
            return np.asarray(picture.convert("RGB"), int)

    def dots(pixels, palette):
        """Pixels of the first class: its colour, through which 15 % of the white paper shows."""
        colour = 0.85 * np.array(list(bytes.fromhex(PALETTES[palette][0][1:]))) + 0.15 * 255
        return (np.abs(pixels - colour).max(-1) <= 2).sum()

    run = folders(folder)[0]
    distinct, notebook = drawn("a"), drawn("b", palette="notebook")
    assert dots(distinct, "distinct") > 0 == dots(notebook, "distinct")
    assert dots(notebook, "notebook") > 0 == dots(distinct, "notebook")
    open_run(run).update(palette="notebook")
    np.testing.assert_array_equal(drawn("c"), notebook)
    np.testing.assert_array_equal(drawn("d", palette="distinct"), distinct)
    with pytest.raises(UnknownName, match="unknown palette 'pastel'"):
        latens.compare(runs=[run], palette="pastel")


def test_figures_refuse_what_a_logarithm_cannot_show():
    for draw in (rate_distortion, generation_against_reconstruction):
        for points in ([], [Point(8, 0.0)], [Point(8, float("nan"))]):
            with pytest.raises(UsageError, match="finite numbers above 0"):
                draw({"a": points})
    with pytest.raises(UsageError, match=r"labels: got shape \(3,\)"):
        small_map(np.zeros((5, 2)), np.zeros(3, int))


def test_curves_stand_where_the_numbers_are():
    curves = {
        f"model {i}": [Point(8, 0.1 + i, None, 0.01), Point(32, 0.05 + i)] for i in range(12)
    }  # more than ten colours
    figure = rate_distortion(curves, [Point(8, 0.3), Point(32, 0.2)])
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_legend().get_texts()] == ["PCA", *curves]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert list(axes.get_xticks()) == [8, 32]
    drawn = {tuple(line.get_ydata()) for line in axes.get_lines() if len(line.get_ydata()) == 2}
    assert {tuple(p.up for p in points) for points in curves.values()} <= drawn


# The command line.


def test_the_command_trains_and_tells(folder, data, no_training, capsys):
    arguments = [
        "compare",
        str(data),
        "--latent-dims",
        "2",
        "4",
        "--epochs",
        "1",
        "--out",
        str(folder),
        "--device",
        "cpu",
    ]
    assert cli.main(arguments) == 0
    printed = capsys.readouterr()
    assert "test MSE" in printed.out
    assert f"page: {folder / 'compare.html'}" in printed.out
    assert (
        "2 of 2: blobs, autoencoder:activation=none, linear-path, latent dimension 4, seed 0: test MSE" in printed.err
    )
    assert (
        cli.main(["compare", "--runs", *map(str, folders(folder)), "--out", str(folder.parent / "new"), "--json"]) == 0
    )
    answer = json.loads(capsys.readouterr().out)
    assert [row["latent_dim"] for row in answer["rows"]] == DIMS
    assert answer["path"] == str(folder.parent / "new")


def test_the_command_says_what_is_wrong(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["compare"]) == 2
    assert "compare needs data" in capsys.readouterr().err
    assert cli.main(["compare", "--runs", "nowhere"]) == 2
    assert "no run there" in capsys.readouterr().err
    assert cli.main(["compare", "mnist", "--models", "vea"]) == 2
    assert "unknown model 'vea'" in capsys.readouterr().err

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("latens.comparison.compare", stop)
    assert cli.main(["compare", "mnist"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "latens: stopped"
    assert cli.main(["compare", "mnist", "--out", "folder"]) == 130
    assert "the same command continues it" in capsys.readouterr().err


def test_two_processes_can_not_work_on_one_comparison(blobs, tmp_path):
    folder = tmp_path / "c"
    folder.mkdir()
    with locked(folder / ".working"), pytest.raises(RunError, match="another process is working on this comparison"):
        latens.compare(blobs, out=folder, epochs=1, device="cpu", progress=Silent())

"""The report: valid HTML, complete, no requests, and text from outside is escaped."""

import base64
import re
from dataclasses import replace
from pathlib import Path

import html5lib
import numpy as np
import pytest

from latens.errors import RunDamaged
from latens.figures import FIGURES, save_png
from latens.metrics import Protocol, Score
from latens.metrics.score_table import Note
from latens.pages import HERE, templates
from latens.report import (
    DataFacts,
    NetworkFacts,
    PriorFacts,
    ProbeFacts,
    Story,
    TrainingFacts,
    build_html,
    write_html,
)
from latens.report.sections import CHAPTERS
from latens.text import number, seconds_in_words
from latens.verdict import judge

NASTY = "<script>alert('x')</script> & \"quoted\" \x00\x0b\x85\udcff\ufffe\U0001ffff </style> $x$ 강아지"
PICTURES = ("contact-sheet", "network", "loss", "loss-all", "reconstructions", "worst", "class-errors", "map-tsne")
PICTURES += ("map-pca", "map", "probe", "probe-noise", "probe-map", "samples", "path", "traversals", "arithmetic")
XHTML = "{http://www.w3.org/1999/xhtml}"


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    save_png(FIGURES["samples"](np.zeros((6, 1, 8, 8), np.uint8), 3), folder / "one.png")
    save_png(FIGURES["samples"](np.zeros((40, 1, 8, 8), np.uint8), 20), folder / "wide.png")
    return {name: folder / ("wide.png" if name == "network" else "one.png") for name in PICTURES}


AS_USUAL = Protocol("as usual", 10_000)


def score(name, value, direction, *baseline, unit="", group="", subject="", protocol=AS_USUAL):
    return Score(name, value, unit, direction, protocol, *baseline, group=group, subject=subject)


@pytest.fixture
def story(figures):
    history = [
        {"epoch": e, "step": e, "train_loss": 0.1 / e, "test_mse": 0.12 / e, "learning_rate": 0.006, "elapsed": 5.0 * e}
        for e in (1, 2, 3, 4)
    ]
    return Story(
        title="mnist: what an autoencoder learned",
        command="latens run mnist --seed 0",
        data=DataFacts(
            name="mnist",
            source="mnist",
            shape=(1, 28, 28),
            train=60_000,
            test=10_000,
            class_names=("zero", "one"),
            class_counts={"zero": (5923, 980), "one": (6742, 1135)},
            notes=("resized to 28 x 28",),
            fingerprint="ab" * 32,
        ),
        network=NetworkFacts("autoencoder", "convolutional", 64, 210_369, (("input", (1, 28, 28)), ("latent", (64,)))),
        training=TrainingFacts("fast", 4, 128, 0, "cpu", 2, {"Optimiser": "muon"}, 20.31, 11_820.0, tuple(history)),
        scores=(
            score("mse", 0.002341, "lower", 0.009047, "method", "PCA with 64 numbers", group="reconstruction"),
            score("psnr", 27.3, "higher", unit="dB", group="reconstruction"),
            score("knn_accuracy", 0.95, "higher", 0.9688, "method", "raw pixels", group="representation"),
        ),
        score_notes=(Note("map", "", "Left out: no map."),),
        figures=figures,
        probe=ProbeFacts(("zero", "one"), 1.0, False, (0.5, 2.1)),
        worst=(("1234", 0.03),),
        versions={"torch": "2.13.0"},
        run_path="runs/mnist-1",
        created="2025-01-01",
        notes=("Training was stopped after epoch 4 of 5.",),
    )


def parse(text):
    """The page as a tree; the parser raises at every parse error of the HTML standard."""
    return html5lib.HTMLParser(strict=True).parse(text)


def words(element):
    return " ".join("".join(element.itertext()).split())


def section(tree, name):
    return next(words(node) for node in tree.iter(f"{XHTML}section") if node.get("id") == name)


def test_page_is_valid_and_tells_the_story_in_the_notebooks_order(story):
    tree = parse(build_html(story))
    sections = [node.get("id") for node in tree.iter(f"{XHTML}section")]
    assert sections == [
        "data",
        "network",
        "training",
        "reconstructions",
        "map",
        "probe",
        "verdict",
        "review",
        "scores",
        "repeat",
    ]
    told = words(tree)
    for fact in ("210,369", "60,000", "20.3 s", "11,820 images/s", "Sangyun Won", "latens run mnist --seed 0", "5,923"):
        assert fact in told
    assert "Can we use the autoencoder as a generative model?" in section(tree, "probe")


def test_page_has_landmarks_language_and_unique_ids_that_links_find(story):
    tree = parse(build_html(story))
    assert tree.get("lang") == "en"
    for name in ("header", "nav", "main", "footer", "h1"):
        assert len(list(tree.iter(XHTML + name))) == 1
    ids = [node.get("id") for node in tree.iter() if node.get("id")]
    assert len(ids) == len(set(ids))
    assert all(link.get("href")[1:] in ids for link in tree.iter(f"{XHTML}a"))
    assert {node.get("aria-labelledby") for node in tree.iter(f"{XHTML}section")} <= set(ids)


def test_page_needs_nothing_from_elsewhere(story):
    text = build_html(story)
    tree = parse(text)
    assert not list(tree.iter(f"{XHTML}script"))
    assert not list(tree.iter(f"{XHTML}link"))
    assert not re.search(r"https?://|url\(|@import|\son\w+=", text)


def test_every_figure_is_inside_with_size_caption_and_alternative_text(story, figures):
    tree = parse(build_html(story))
    images = list(tree.iter(f"{XHTML}img"))
    assert len(images) == len(PICTURES) == len(list(tree.iter(f"{XHTML}figcaption")))
    alternatives = [image.get("alt") for image in images]
    assert all(len(alt) > 20 for alt in alternatives)
    known = {base64.b64encode(path.read_bytes()).decode() for path in figures.values()}
    for image in images:
        assert image.get("src").removeprefix("data:image/png;base64,") in known
        assert int(image.get("width")) > 0 < int(image.get("height"))


def test_style_is_inlined_for_light_dark_narrow_and_print(story):
    (style,) = parse(build_html(story)).iter(f"{XHTML}style")
    for query in ("prefers-color-scheme: dark", "max-width: 34rem", "@media print"):
        assert query in style.text


def test_headline_compares_with_the_baseline(story):
    (header,) = parse(build_html(story)).iter(f"{XHTML}header")
    told = words(header)
    assert "0.002341 PCA with 64 numbers: 0.009047" in told
    assert "3.9 × lower than PCA with 64 numbers" in told  # 0.009047 / 0.002341 = 3.86
    assert "Training was stopped after epoch 4 of 5." in told
    worse = replace(story, scores=(replace(story.scores[0], value=0.018094),))
    assert "2.0 × higher than PCA" in words(parse(build_html(worse)))


def test_scores_say_better_or_worse_by_their_direction(story):
    told = section(parse(build_html(story)), "scores")
    assert "0.009047 betterPCA" in told
    assert "0.9688 worseraw pixels" in told
    assert "27.3 dB" in told
    assert "Left out: no map." in told
    row = story.scores[0]
    assert [replace(row, value=v).beats_baseline for v in (0.001, 0.02, 0.009047, float("nan"))] == [
        True,
        False,
        None,
        None,
    ]
    assert replace(row, direction="higher").beats_baseline is False
    assert replace(row, direction="none").beats_baseline is None
    assert replace(row, baseline_kind="maximum").beats_baseline is None
    near_zero = replace(row, direction="zero", baseline=2.0)
    assert [replace(near_zero, value=v).beats_baseline for v in (-1.0, 3.0, -2.0)] == [True, False, None]


def test_probe_tells_how_far_its_latents_lie(story):
    told = section(parse(build_html(story)), "probe")
    assert "Of these 2 latents 1 lies beyond that; the farthest is that of class one, at 2.10." in told
    clusters = replace(story, probe=ProbeFacts(("cluster 0", "cluster 1"), 0.5, True, (3.0, 2.0)))
    told = section(parse(build_html(clusters)), "probe")
    assert "clusters of the latents stand in for classes" in told
    assert "2 lie beyond that; the farthest is that of cluster 0, at 3.00." in told


def test_text_from_outside_is_never_markup(story, tmp_path):
    hostile = replace(
        story,
        title=NASTY,
        command=NASTY,
        data=replace(
            story.data, name=NASTY, source=NASTY, class_names=(NASTY,), class_counts={NASTY: (1, 1)}, notes=(NASTY,)
        ),
        network=replace(story.network, model=NASTY, shapes=((NASTY, (1, 2, 2)),)),
        training=replace(story.training, device=NASTY, settings={NASTY: NASTY}),
        scores=(
            score(NASTY, 1.0, "lower", 2.0, "method", NASTY, unit=NASTY, group=NASTY, protocol=Protocol(NASTY)),
            replace(story.scores[0], baseline_name=NASTY),
        ),
        score_notes=(Note(NASTY, NASTY, NASTY),),
        figures={**story.figures, "map-" + NASTY: story.figures["map"]},
        probe=ProbeFacts((NASTY,), 1.0, False, (2.0,), NASTY, (NASTY,)),
        worst=((NASTY, 1.0),),
        versions={NASTY: NASTY},
        run_path=NASTY,
        created=NASTY,
        notes=(NASTY,),
    )
    tree = parse(write_html(hostile, tmp_path / "report.html").read_text(encoding="utf-8"))
    assert not list(tree.iter(f"{XHTML}script"))
    assert words(tree).count("<script>alert('x')</script>") > 15
    assert len(list(tree.iter(f"{XHTML}section"))) == len(CHAPTERS) - 1  # there are no further figures


def test_a_bare_story_is_told_as_well():
    bare = Story(
        "empty",
        "latens run pictures",
        DataFacts("pictures", "pictures", (3, 64, 64), 180, 20),
        NetworkFacts("autoencoder", "convolutional", 128, 1),
        TrainingFacts("imported", 0, 1, 0, "cpu", 1),
    )
    tree = parse(build_html(bare))
    assert "They have no labels" in section(tree, "data")
    assert "This run has no probe." in section(tree, "probe")
    assert "This run was not scored." in section(tree, "scores")
    assert not list(tree.iter(f"{XHTML}img"))


def test_a_long_history_is_thinned_and_keeps_its_last_epoch(story):
    rows = tuple({"epoch": e, "train_loss": 1.0, "test_mse": None, "learning_rate": 0.1} for e in range(1, 1001))
    tree = parse(build_html(replace(story, training=replace(story.training, history=rows))))
    told = section(tree, "training")
    assert "Losses, every 4 epochs" in told
    assert told.endswith("9961–0.1 10001–0.1")  # epochs 996 and 1000, cells run together


def test_missing_or_broken_figures_are_named(story, tmp_path):
    with pytest.raises(RunDamaged, match=r"gone\.png: the figure is missing"):
        build_html(replace(story, figures={"loss": tmp_path / "gone.png"}))
    (tmp_path / "text.png").write_bytes(b"not an image, but long enough for a header")
    with pytest.raises(RunDamaged, match=r"text\.png: not a PNG"):
        build_html(replace(story, figures={"loss": tmp_path / "text.png"}))


def test_report_is_the_same_bytes_for_the_same_story(story, tmp_path):
    first, second = write_html(story, tmp_path / "a.html"), write_html(story, tmp_path / "deep" / "b.html")
    assert isinstance(first, Path)
    assert first.read_bytes() == second.read_bytes()


def test_numbers_are_written_for_reading():
    values = (210_369, 0.0023412, 0.97, 12_345.6, 0, -2.5, None, float("nan"), float("inf"))
    assert [number(value) for value in values] == ["210,369", "0.002341", "0.97", "12,346", "0", "-2.5", "–", "–", "–"]
    assert [seconds_in_words(s) for s in (20.31, 59.97, 192, 3599.7, 7300)] == [
        "20.3 s",
        "1 min 0 s",
        "3 min 12 s",
        "1 h 0 min",
        "2 h 1 min",
    ]
    page = templates(HERE).from_string("{{ text }}")
    assert page.render(text='<a href="x">&\x00\ud800') == "&lt;a href=&#34;x&#34;&gt;&amp;\ufffd\ufffd"


def test_the_training_chapter_says_which_loss_was_lowered(story):
    def told(**last):
        history = ({"epoch": 1, "train_loss": 0.5, "test_mse": 0.1, "learning_rate": 0.1, "elapsed": 1.0, **last},)
        model = replace(story.network, model="variational")
        return section(
            parse(build_html(replace(story, network=model, training=replace(story.training, history=history)))),
            "training",
        )

    assert "to lower the mean squared error between an image and its reconstruction" in told(train_mse=0.5)
    assert "to lower the loss of the model variational, of which" in told(train_mse=0.1)
    assert "mean squared error" in told()


def test_a_model_with_a_prior_ends_the_story_beside_the_plain_autoencoder(story):
    def rows(prior, mse):
        of = {"class-means": 50.0, "gaussian": 7.0} | prior
        distances = [score("frechet", fd, "lower", group="generation", subject=name) for name, fd in of.items()]
        floor = score("floor", 0.13, "none", group="generation")
        rebuilt = score("reconstruction_fd", 0.5, "lower", group="generation")
        return (*distances, floor, rebuilt, score("mse", mse, "lower", group="reconstruction"))

    ours = rows({"prior": 7.5, "flow": 0.75}, 0.0081)
    judged = replace(story, scores=ours, verdict=judge(ours))
    ending = "The end of the story"
    assert ending not in section(parse(build_html(judged)), "verdict")
    alone = replace(judged, prior=PriorFacts("flow", command="latens run mnist"))
    text = section(parse(build_html(alone)), "verdict")
    assert ending in text
    assert "latens run mnist trains the plain autoencoder" in text
    assert re.search(r"from its own prior\s*7\.5", text)
    assert re.search(r"from its learned prior\s*0\.75", text)
    plain = rows({}, 0.0021)
    both = PriorFacts("flow", "mnist-1", plain, "It can generate in part.", "latens run mnist")
    text = section(parse(build_html(replace(judged, prior=both))), "verdict")
    assert "the run mnist-1. Its verdict: it can generate in part." in text
    assert re.search(r"from its own prior\s*7\.5\s*–", text)
    assert re.search(r"Test error of the reconstruction\s*0\.0081\s*0\.0021", text)
    assert re.search(r"that keeps no train image\s*0\.75 \(flow\)\s*7 \(gaussian\)", text)
    assert "the FD of this run's probe is about the same (50 against 50)" in text
    assert "sampler that keeps no train image is 9.3 times smaller (0.75 against 7)" in text
    assert "the test error of its reconstructions is 3.9 times larger (0.0081 against 0.0021)." in text

"""Paths, traversals and latent arithmetic of a run: image ids, decoded images, figures by the command line."""

import shutil

import numpy as np
import pytest
from PIL import Image

from latens import cli
from latens.computed.interpolations import (
    arithmetic_of_run,
    default_pair,
    image_name,
    paths_of_run,
    pixels_of,
    traversals_of_run,
)
from latens.errors import UnknownName, UsageError
from latens.figures.of_run import draw
from latens.interpolation import PATHS
from latens.neighbours import distance_ratios
from latens.runs import open_run
from latens.runs.run import TEST


@pytest.fixture
def run(finished_run, tmp_path):
    """A copy of the finished run: 216 train and 24 test images of three classes, opened again."""
    shutil.copytree(finished_run.path, tmp_path / "copy")
    return open_run(tmp_path / "copy")


@pytest.fixture
def unlabelled(run):
    """The same run, as if it had no labels."""
    run.latents.pop("labels")
    run.record["data"]["class_names"] = []
    return run


def test_pair_is_of_two_classes_unless_told(run, unlabelled):
    assert default_pair(unlabelled) == (0, 1)
    assert default_pair(unlabelled, 23) == (23, 0)
    assert default_pair(unlabelled, None, 9) == (0, 9)
    labels = np.array([2, 2, 1, 2] * 6)
    run.latents["labels"] = np.concatenate([np.zeros(216, np.int64), labels])
    assert default_pair(run) == (0, 2)
    assert default_pair(run, 2) == (2, 3)
    assert default_pair(run, 23) == (23, 2)
    assert default_pair(run, 3, 1) == (3, 1)
    run.latents["labels"][:] = 0
    assert default_pair(run, 5) == (5, 6)


def test_paths_start_and_end_at_the_images_that_are_meant(run):
    latents, shown = run.of_part("latents", TEST), run.of_part("latents", run.mapped_part)
    found = paths_of_run(run, 3, 20, steps=5)
    assert [decoded.path.way for decoded in found] == list(PATHS)
    for decoded in found:
        assert (decoded.path.latents[[0, -1]] == latents[[3, 20]]).all()
        np.testing.assert_allclose(decoded.pictures, run.decode(decoded.path.latents), atol=1e-6)
        np.testing.assert_allclose(decoded.ratios, distance_ratios(shown, decoded.path.latents), rtol=1e-5)
        assert decoded.ratios[[0, -1]].tolist() == [0, 0]
    # The rows that are passed are those of train and test together, as the test part is too small for a map.
    rows = found[-1].path.rows
    assert (rows[0], rows[-1]) == (216 + 3, 216 + 20)
    pixels = pixels_of(run.images, rows, run.mapped_part)
    np.testing.assert_allclose(run.encode(pixels), shown[rows], atol=1e-5)


def test_names_count_each_part_by_itself(run, unlabelled):
    assert [image_name(unlabelled, 7), image_name(unlabelled, 223, None), image_name(unlabelled, 7, None)] == [
        "image 7",
        "image 7",
        "train image 7",
    ]
    assert pixels_of(run.images, np.array([7])).tolist() == pixels_of(run.images, np.array([223]), None).tolist()


def test_names_tell_the_class(finished_run):
    label = finished_run.labels_of(TEST)[7]
    assert image_name(finished_run, 7) == f"image 7 · {finished_run.class_names[label]}"


def test_traversals_are_decoded_from_the_mean_or_an_image(run):
    for middle, start in ((None, run.of_part("latents", None).mean(0)), (4, run.of_part("latents", TEST)[4])):
        found, pictures, ratios = traversals_of_run(run, 2, 3, middle)
        np.testing.assert_allclose(found.latents[:, 1], np.stack([start] * 2), atol=1e-5)
        assert pictures.shape == (2, 3, 1, 12, 12)
        np.testing.assert_allclose(pictures[1], run.decode(found.latents[1]), atol=1e-6)
        np.testing.assert_allclose(
            ratios[1], distance_ratios(run.of_part("latents", None), found.latents[1]), rtol=1e-5
        )
    assert ratios[:, 1].tolist() == [0, 0]


def test_sums_take_rows_and_means_of_classes(run):
    latents, everything, labels = run.of_part("latents", TEST), run.of_part("latents", None), run.labels_of(None)
    name = run.class_names[2]
    found = arithmetic_of_run(run, run.images, ["5", f"mean:{name}"], ["9"])
    expected = latents[5] + everything[labels == 2].mean(0) - latents[9]
    np.testing.assert_allclose(found.latent[found.latent > 0], expected[found.latent > 0], atol=1e-5)
    assert found.cut == np.mean(expected < 0)  # a ReLU's latents: what is below 0 was held there
    assert found.names == (image_name(run, 5), f"mean of {name}", image_name(run, 9))
    distances = np.linalg.norm(everything - found.latent, axis=1)
    assert found.nearest == distances.argmin()
    np.testing.assert_allclose(found.ratio, distances.min() / run.usual_distance, rtol=1e-4)
    np.testing.assert_allclose(found.operands[0], run.images.test.pixels[5] / 255, atol=1e-6)
    alone = arithmetic_of_run(run, run.images, ["5"])
    assert (alone.nearest, alone.ratio) == (216 + 5, 0)


def test_sum_without_being_told_swaps_the_class(finished_run):
    labels, names = finished_run.labels_of(TEST), finished_run.class_names
    found = arithmetic_of_run(finished_run, finished_run.images)
    other = labels[default_pair(finished_run)[1]]
    assert found.names == (image_name(finished_run, 0), f"mean of {names[other]}", f"mean of {names[labels[0]]}")
    assert found.num_plus == 2


def test_sum_without_labels_is_of_images(unlabelled):
    assert arithmetic_of_run(unlabelled, unlabelled.images).names == ("image 0", "image 2", "image 1")
    with pytest.raises(UsageError, match="have no labels"):
        arithmetic_of_run(unlabelled, unlabelled.images, ["mean:0"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: paths_of_run(run, 0, 24), "image 24 is not in the test part; rows from 0 to 23 are"),
        (lambda run: paths_of_run(run, -1, 3), "image -1 is not"),
        (lambda run: paths_of_run(run, 3, 3), "from image 3 to itself"),
        (lambda run: paths_of_run(run, 0, 1, steps=1), "steps is 1"),
        (lambda run: paths_of_run(run, 0, 1, ["zigzag"]), "unknown way 'zigzag'"),
        (lambda run: traversals_of_run(run, middle=24), "image 24 is not"),
        (lambda run: traversals_of_run(run, steps=4), "steps is 4"),
        (lambda run: arithmetic_of_run(run, run.images, [], ["1"]), "nothing to add"),
        (lambda run: arithmetic_of_run(run, run.images, ["1e3"]), "'1e3' is no operand"),
        (lambda run: arithmetic_of_run(run, run.images, ["24"]), "image 24 is not"),
        (lambda run: arithmetic_of_run(run, run.images, ["mean:cat"]), "no class 'cat'; known: "),
    ],
)
def test_named_errors(call, message, finished_run):
    with pytest.raises((UsageError, UnknownName), match=message):
        call(finished_run)


def test_a_class_without_images_and_a_test_part_of_one(run):
    name = run.class_names[1]
    run.latents["labels"][run.latents["labels"] == 1] = 0
    with pytest.raises(UsageError, match="no image of it"):
        arithmetic_of_run(run, run.images, [f"mean:{name}"])
    run.latents["part"][:-1] = 0
    with pytest.raises(UsageError, match="holds 1 image; a path needs two"):
        default_pair(run)


def test_options_of_the_command_line_change_the_figures(finished_run, tmp_path, capsys):
    def drawn(*arguments):
        out = tmp_path / "figure.png"
        assert cli.main(["figure", str(finished_run.path), *arguments, "-o", str(out), "--device", "cpu"]) == 0
        assert capsys.readouterr().out.strip() == str(out)
        return out.read_bytes()

    plain = drawn("path", "--from", "7", "--to", "21")
    assert drawn("path", "--from", "7", "--to", "21", "--steps", "11") == plain
    others = [
        drawn("path", "--from", "7", "--to", "20"),
        drawn("path", "--from", "7", "--to", "21", "--way", "graph"),
        drawn("path", "--from", "7", "--to", "21", "--steps", "5"),
        drawn("traversals"),
        drawn("traversals", "--from", "7"),
        drawn("traversals", "--directions", "2", "--steps", "5"),
        drawn("arithmetic", "--plus", "7", "9", "--minus", "mean:1"),
        drawn("arithmetic", "--plus", "7", "--minus", "mean:1"),
    ]
    assert len({plain, *others}) == 1 + len(others)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("path --from 24", "image 24 is not in the test part; rows from 0 to 23 are"),
        ("path --from 3 --to 3", "from image 3 to itself"),
        ("path --steps 1", "steps is 1; a path has its two ends at least"),
        ("path --steps 101", "101 steps are more than a figure shows"),
        ("path --way zigzag", "'zigzag'"),
        ("traversals --steps 6", "steps is 6; along a direction it must be odd"),
        ("traversals --directions 0", "0 directions were asked for"),
        ("arithmetic --minus 3", "nothing to add"),
        ("arithmetic --plus mean:cat", "no class 'cat'"),
    ],
)
def test_bad_input_gets_one_line(arguments, told, finished_run, tmp_path, capsys):
    try:
        code = cli.main(["figure", str(finished_run.path), *arguments.split(), "-o", str(tmp_path / "figure.png")])
    except SystemExit as error:
        code = error.code
    printed = capsys.readouterr()
    assert (code, printed.out) == (2, "")
    assert told in printed.err.splitlines()[-1]
    assert "Traceback" not in printed.err
    assert not (tmp_path / "figure.png").exists()


def test_all_figures_of_a_run_have_them(finished_run):
    for name in ("path", "traversals", "arithmetic"):
        with Image.open(finished_run.path / "figures" / f"{name}.png") as picture:
            assert min(picture.size) > 100
    report = (finished_run.path / "report.html").read_text()
    assert "Between the data, and beyond" in report


def test_path_is_drawn_without_labels(unlabelled, tmp_path):
    assert draw(unlabelled, "path", tmp_path / "a.png", way="linear", steps=3).exists()

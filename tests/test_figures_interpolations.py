"""Figures of paths, traversals and sums: what stands where, and the named errors."""

import warnings

import numpy as np
import pytest

from latens.errors import UsageError
from latens.figures import FIGURES
from latens.figures.interpolations import PathRow
from test_figures import ARGUMENTS, NAMES, ODD_NAMES, PATH_ROW, PIXELS, REBUILT, assert_inside, numbered, texts

rng = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 200, 200), (1, 8, 256), (3, 100, 60)])
@pytest.mark.parametrize("steps", [2, 11, 60])
def test_paths_of_any_length_fit_the_sheet(shape, steps):
    images = rng.integers(0, 256, (steps, *shape), dtype=np.uint8)
    crowd = PathRow("graph", images, np.full(steps, 12.3), "1.23 × as long", images, np.full(steps, 0.5))
    for figure in (
        FIGURES["path"](
            [crowd, PathRow("linear", images, np.zeros(steps))], images[:2], ["an image · of a long class"] * 2
        ),
        FIGURES["traversals"](images[None], np.ones((1, steps)), [1.0], np.arange(steps)),
        FIGURES["arithmetic"](images[:2], ["mean of a long class"] * 2, 1, images[0] / 255, 1.0, images[1], "x" * 80),
    ):
        assert_inside(figure)
        assert figure.get_size_inches()[0] * 120 < 1700 or steps > 11


def test_path_shows_originals_at_both_ends_and_the_pictures_between():
    originals, decoded = numbered(2) + np.uint8(200), numbered(5) * np.uint8(10)
    row = PathRow("linear", decoded / 255, np.array([0, 0.4, 1.26, np.inf, np.nan]))
    figure = FIGURES["path"]([row, row], originals, ["one", "two"], note="And more.")
    assert [text for text in texts(figure) if text[-1] in "×∞–"] == ["0.0 ×", "0.4 ×", "1.3 ×", "∞", "–"] * 2
    assert texts(figure)[-1].endswith("And more.")
    across = sorted(figure.axes[:3], key=lambda axes: axes.get_position().x0)
    sheets = [np.asarray(axes.images[0].get_array()) for axes in across]
    assert [sheet[sheet.shape[0] // 2, 10, 0] for sheet in sheets] == [200, 0, 201]
    middle = sheets[1][sheets[1].shape[0] // 2]
    assert [value for value in (0, 10, 20, 30, 40) if (middle[:, 0] == value).any()] == [0, 10, 20, 30, 40]


def test_images_on_the_way_stand_where_they_are_passed_unless_another_does():
    decoded = np.zeros((11, 1, 8, 8))
    row = PathRow(
        "graph", decoded, np.zeros(11), passed=numbered(4) * np.uint8(60), places=np.array([0.3, 0.5, 0.51, 0.99])
    )
    figure = FIGURES["path"]([row], decoded[:2], ["one", "two"])
    steps, small = (np.asarray(figure.axes[i].images[0].get_array()) for i in (0, 3))
    left = figure.axes[3].get_position().x0 - figure.axes[0].get_position().x0
    left *= figure.get_size_inches()[0] * 120
    tile = steps.shape[0] - 2
    found = [np.flatnonzero(small[10, :, 0] == value) for value in (60, 120, 180)]
    wanted = [tile / 2 + place * (steps.shape[1] - tile) for place in (0.5, 0.51, 0.99)]
    assert abs(left + found[0].mean() - wanted[0]) < 2
    assert found[1][0] - found[0][-1] == 5  # beside it, as there is no room on the place
    assert left + found[2][-1] <= steps.shape[1]


def test_traversals_name_shares_and_deviations():
    found = texts(FIGURES["traversals"](*ARGUMENTS["traversals"]))
    assert [text for text in found if text.endswith(" sd") or text == "middle"] == [
        *("−3 sd", "−2 sd", "−1 sd", "middle", "+1 sd", "+2 sd", "+3 sd")
    ]
    assert "40.0 % of the\nvariance" in found
    assert "direction 3" in found


@pytest.mark.parametrize(("plus", "minus", "signs"), [(2, 1, "−+="), (1, 2, "−−="), (3, 0, "++="), (1, 0, "=")])
def test_sum_is_written_with_its_signs(plus, minus, signs):
    count = plus + minus
    figure = FIGURES["arithmetic"](REBUILT[:count], NAMES[:count], plus, REBUILT[3], 1.26, REBUILT[4], "image 4")
    found = texts(figure)
    assert "".join(text for text in found if text in "+−=") == signs
    assert sorted(text for text in found if text.startswith("class")) == NAMES[:count]
    assert {"1.3 ×", "image 4", "nearest real image"} <= set(found)


def test_odd_names_draw_without_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_inside(FIGURES["path"]([PATH_ROW], PIXELS[:2], ODD_NAMES[-2:], " ".join(ODD_NAMES)))
        assert_inside(FIGURES["arithmetic"](REBUILT[:10], ODD_NAMES, 5, REBUILT[3], 1.0, REBUILT[4], ODD_NAMES[-1]))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("path", ([], PIXELS[:2], NAMES[:2]), "at least one way"),
        ("path", ([PATH_ROW], PIXELS[:3], NAMES[:2]), "two of each"),
        ("path", ([PATH_ROW, PathRow("linear", REBUILT[:9], np.ones(9))], PIXELS[:2], NAMES[:2]), "11 of each"),
        ("path", ([PathRow("linear", REBUILT[:9], np.ones(8))], PIXELS[:2], NAMES[:2]), "9 of each"),
        ("path", ([PathRow("graph", REBUILT[:9], np.ones(9), "", PIXELS[:2])], PIXELS[:2], NAMES[:2]), "one each"),
        ("path", ([PathRow("linear", REBUILT[:101], np.ones(101))], PIXELS[:2], NAMES[:2]), "100 at most"),
        ("traversals", (REBUILT[:7], np.ones(7), [0.5], np.arange(7)), "one a direction"),
        (
            "traversals",
            (REBUILT[:202].reshape(2, 101, 1, 12, 12), np.ones((2, 101)), [1, 1], range(101)),
            "100 at most",
        ),
        ("arithmetic", (REBUILT[:3], NAMES[:3], 0, REBUILT[3], 1.0, REBUILT[4], "x"), "at least 1 added"),
        ("arithmetic", (REBUILT[:3], NAMES[:2], 1, REBUILT[3], 1.0, REBUILT[4], "x"), "one name each"),
        ("arithmetic", (REBUILT[:101], ["x"] * 101, 1, REBUILT[3], 1.0, REBUILT[4], "x"), "100 at most"),
    ],
)
def test_named_errors(name, arguments, message):
    with pytest.raises(UsageError, match=message):
        FIGURES[name](*arguments)

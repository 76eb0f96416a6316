"""The figures: positions, named errors, and one contract for the whole table."""

import io
import subprocess
import sys
import warnings
from types import SimpleNamespace

import matplotlib.text
import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from latens.errors import UnknownName, UsageError
from latens.figures import DEFAULT_PALETTE, FIGURES, PALETTES, png_bytes, save_png
from latens.figures.canvas import fit, new_figure, printable, renderer_of, shorten, width_of, wrap
from latens.figures.findings import Section
from latens.figures.interpolations import PathRow
from latens.figures.network_stages import network_stages
from latens.figures.palette import (
    DARK_PAPER,
    NO_CLASS,
    SEEN_WITH,
    class_colours,
    contrast,
    least_distance,
    seen,
)
from latens.figures.placing import place_boxes
from latens.figures.tiles import to_rgb, zoom
from latens.images import load_images
from latens.images.describe import rows_of_classes
from latens.images.pixels import PixelFormat
from latens.models.autoencoder import AutoencoderModel
from latens.report.elements import least_width

rng = np.random.default_rng(0)
NAMES = [f"class {k}" for k in range(10)]
LABELS = np.arange(200) % 10
POINTS = rng.normal(size=(200, 2)) + 6 * np.stack([np.cos(LABELS), np.sin(LABELS)], axis=1)
PIXELS = rng.integers(0, 256, (320, 1, 12, 12), dtype=np.uint8)
REBUILT = (PIXELS / 255).astype(np.float32) * 0.9
FIVE = REBUILT.reshape(64, 5, 12, 12)
IDS = [f"folder/{i}.png" for i in range(320)]
STAGES = [
    ("input", (1, 28, 28)),
    ("conv 3x3 /2", (16, 14, 14)),
    ("latent", (64,)),
    ("conv", (16, 14, 14)),
    ("output", (1, 28, 28)),
]


def history(epochs, test=True):
    return [
        {"epoch": e, "step": e, "train_loss": 0.1 / e, "test_mse": 0.12 / e if test else None}
        for e in range(1, epochs + 1)
    ]


ODD_NAMES = ["$x", "$\\frac$", "강아지", "a\tb\nc", "\x00", "🦊", "מ", "", "_under", "x" * 300]
PATH_ROW = PathRow(
    "graph", REBUILT[:11], np.linspace(0, 2, 11), "1.3 × as long", REBUILT[:4], np.array([0.1, 0.2, 0.21, 0.8])
)
ARGUMENTS = {
    "loss": (history(40),),
    "loss-all": (history(40),),
    "reconstructions": (PIXELS, REBUILT),
    "channels": (
        FIVE[:4],
        FIVE[:4] * 0.8,
        ["dapi", "gfp", "a long name of a channel", "4", "5"],
        "red=1,green=2,blue=5",
    ),
    "worst": (PIXELS, REBUILT, np.arange(320.0), IDS, np.arange(320) % 10, NAMES),
    "review": (
        [
            Section("Far from all others", PIXELS[:8], [[f"train {name}"] for name in IDS[:8]], ["9.1"] * 8),
            Section("Near-duplicates", PIXELS[:3], [["a", "b"]] * 3, ["0.1"] * 3, PIXELS[:3]),
        ],
    ),
    "class-errors": (np.linspace(0.001, 0.01, 10), NAMES, 0.005),
    "map": (POINTS, LABELS, NAMES, "A map", {"trustworthiness": 0.9812, "neighbour_recall": 0.4567}),
    "probe": (REBUILT[:10], NAMES, 1.0),
    "probe-noise": ({0: REBUILT[:10], 0.5: REBUILT[:10], 1: REBUILT[:10]}, NAMES),
    "probe-map": (POINTS, LABELS, NAMES, POINTS[:10], NAMES, np.linspace(0.5, 2, 10)),
    "network": (STAGES,),
    "contact-sheet": (PIXELS[:100], 20, "100 of 320 train images"),
    "samples": (PIXELS[:25], 5, "Samples"),
    "path": ([PATH_ROW, PATH_ROW], PIXELS[:2], ["image 0 · class 0", "image 1 · class 1"], "From here to there"),
    "traversals": (
        REBUILT[:21].reshape(3, 7, 1, 12, 12),
        np.ones((3, 7)),
        [0.4, 0.2, 0.1],
        np.arange(-3, 4),
        "Through the mean",
    ),
    "arithmetic": (REBUILT[:3], NAMES[:3], 2, REBUILT[3], 1.3, REBUILT[4], "image 4"),
}


def texts(figure):
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def shown(figure):
    return np.asarray(Image.open(io.BytesIO(png_bytes(figure))).convert("RGB"))


def assert_inside(figure):
    """Nothing touches the edge of the sheet, so nothing is cut off there."""
    picture = shown(figure)
    assert (picture[:3] == 255).all()
    assert (picture[-3:] == 255).all()
    assert (picture[:, :3] == 255).all()
    assert (picture[:, -3:] == 255).all()


@pytest.mark.parametrize("name", list(FIGURES))
def test_contract(name):
    figure = FIGURES[name](*ARGUMENTS[name])
    picture = shown(figure)
    assert (picture.shape[1], picture.shape[0]) == tuple(np.rint(figure.get_size_inches() * 120).astype(int))
    assert (picture != 255).any()
    assert_inside(figure)
    assert png_bytes(figure) == png_bytes(FIGURES[name](*ARGUMENTS[name]))


def test_each_channel_has_a_row_of_its_own():
    """Channel c of the originals is of the one grey value 40 c, of the reconstructions 40 c + 20."""
    originals = np.broadcast_to(40 * np.arange(5, dtype=np.uint8)[:, None, None], (2, 5, 12, 12))
    figure = FIGURES["channels"](originals, (originals + 20) / np.float32(255), show="grey=3")
    sheet = sheet_of(figure)
    found = list(dict.fromkeys(sheet[sheet < 205].tolist()))
    assert found == [80, 100, 0, 20, 40, 60, 120, 140, 160, 180]
    told = texts(figure)
    assert told[:4] == ["as shown", "grey 3", "1", f"error {(20 / 255) ** 2:.2g}"]
    with pytest.raises(UsageError, match="2 names for 5 channels"):
        FIGURES["channels"](originals, originals, ["a", "b"])


def test_drawing_touches_no_pyplot_and_names_need_no_matplotlib():
    code = (
        "import sys; from latens.figures import FIGURES; list(FIGURES); assert 'matplotlib' not in sys.modules;"
        "from latens.figures import save_png; import numpy; FIGURES['samples'](numpy.zeros((3, 1, 8, 8)));"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_figure_lists_the_known():
    with pytest.raises(UnknownName, match=r"unknown figure 'pie'.*probe-map"):
        FIGURES["pie"]


def test_png_has_no_date_and_no_program(tmp_path):
    save_png(FIGURES["loss"](history(3)), tmp_path / "deep" / "loss.png")
    with Image.open(tmp_path / "deep" / "loss.png") as image:
        assert set(image.info) <= {"dpi"}


def test_loss_shows_the_last_thirty_epochs_in_the_notebooks_way():
    axes = FIGURES["loss"](history(40)).axes[0]
    (line,) = axes.lines
    assert list(line.get_xdata()) == list(range(11, 41))
    assert np.allclose(line.get_ydata(), 0.1 / np.arange(11, 41))
    assert (line.get_linestyle(), to_hex(line.get_color())) == ("--", "#ff0000")
    assert len(axes.collections[0].get_offsets()) == 30
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("Training Loss", "Epoch", "Loss")


def test_loss_all_is_logarithmic_only_over_a_decade_and_does_without_test_error():
    wide, narrow = FIGURES["loss-all"](history(40)).axes[0], FIGURES["loss-all"](history(5, test=False)).axes[0]
    assert (wide.get_yscale(), narrow.get_yscale()) == ("log", "linear")
    assert (len(wide.lines), len(narrow.lines)) == (2, 1)


def test_loss_all_draws_squared_errors_for_any_loss():
    rows = [{**row, "train_loss": -700 - row["epoch"], "train_mse": 0.2 / row["epoch"]} for row in history(20)]
    axes = FIGURES["loss-all"](rows).axes[0]
    assert np.allclose(axes.lines[0].get_ydata(), 0.2 / np.arange(1, 21))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["training MSE", "test MSE"]
    assert np.allclose(FIGURES["loss"](rows).axes[0].lines[0].get_ydata(), -700 - np.arange(1, 21))


@pytest.mark.parametrize("name", ["loss", "loss-all"])
def test_one_epoch_is_a_dot_in_the_middle(name):
    figure = FIGURES[name](history(1))
    assert_inside(figure)
    assert figure.axes[0].get_xlim() == (0.5, 1.5)


@pytest.mark.parametrize("rows", [[], [{"epoch": 1, "train_loss": float("nan"), "test_mse": None}]])
def test_loss_without_a_finite_epoch(rows):
    with pytest.raises(UsageError, match="finite train_loss"):
        FIGURES["loss"](rows)


def numbered(count):
    """Picture i is of the one grey value i."""
    return np.repeat(np.arange(count, dtype=np.uint8), 64).reshape(count, 1, 8, 8)


def sheet_of(figure):
    return np.asarray(figure.axes[0].images[0].get_array())


def test_reconstructions_stand_in_the_notebooks_order():
    originals = numbered(250)
    sheet = sheet_of(FIGURES["reconstructions"](originals, originals / 255 * 0.5, start=100, pairs=20, per_row=10))
    size = zoom(to_rgb(originals[:1]), 58).shape[1]
    for i in range(20):
        x, y = 1 + i % 10 * (2 * size + 15) + size // 2, 1 + i // 10 * (size + 8) + size // 2
        assert (sheet[y, x] == 100 + i).all()
        assert (np.abs(sheet[y, x + size + 3] - (100 + i) / 2) <= 0.5).all()


@pytest.mark.parametrize(
    ("count", "given", "told"),
    [
        (250, {}, "100 of 250 images: "),
        (7, {}, "All 7 images: "),
        (7, {"labels": np.array([0, 0, 1, 1, 2, 2, 2])}, "All 7 images, class by class"),
        (100, {"total": 3000}, "100 of 3,000 images: "),
        (250, {"start": 200}, "Images 200 to 249"),
        (9, {"start": 8}, "Images 8 to 8"),
        (100, {"start": 200, "first": 200}, "Images 200 to 299"),
    ],
)
def test_reconstructions_say_which_images_they_are_of(count, given, told):
    images = np.zeros((count, 1, 8, 8), np.uint8)
    figure = FIGURES["reconstructions"](images, images, **given)
    assert any(told in text for text in texts(figure)), texts(figure)
    assert_inside(figure)


def test_reconstructions_are_spread_over_the_classes_of_an_ordered_set():
    labels = np.repeat(np.arange(5), 50)
    originals = np.repeat(labels.astype(np.uint8) * 40 + 10, 64).reshape(250, 1, 8, 8)
    sheet = sheet_of(FIGURES["reconstructions"](originals, originals / 255, pairs=20, per_row=4, labels=labels))
    assert [(sheet == 40 * k + 10).any() for k in range(5)] == [True] * 5
    down = (sheet.shape[0] + 8) // 5  # one row a class
    assert all((sheet[row * down + 5, 5] == 40 * row + 10).all() for row in range(5))


@pytest.mark.parametrize(("recipe", "told"), [("notebook", "Images 200 to 299"), ("fast", "100 of 400 images, class")])
def test_only_the_reference_recipe_starts_at_image_200(recipe, told):
    images = load_images(rng.integers(0, 256, (4000, 1, 8, 8), dtype=np.uint8), labels=np.repeat(np.arange(4), 1000))
    test = images.test
    model = AutoencoderModel((1, 8, 8), 4, "dense")
    form = PixelFormat.usual(1)
    run = SimpleNamespace(recipe=SimpleNamespace(name=recipe), model=model, shown=lambda images: images, format=form)
    entry = FIGURES["reconstructions"]
    figure = entry.of_run(run, SimpleNamespace(test=test), **entry.settle("reconstructions", {}))
    assert any(told in text for text in texts(figure)), texts(figure)


@pytest.mark.parametrize(("classes", "count"), [(3, 12), (12, 12), (400, 12)])
def test_rows_of_classes_take_the_classes_in_turn(classes, count):
    labels = np.sort(np.concatenate([np.arange(classes), np.zeros(800, int)]))  # one class is most of the set
    rows = rows_of_classes(labels, len(labels), count)
    assert len(np.unique(rows)) == count
    assert (np.diff(labels[rows]) >= 0).all()
    shown = np.unique(labels[rows])
    assert len(shown) == min(classes, count)
    if classes > count:
        assert shown.max() > classes / 2  # not the first twelve


@pytest.mark.parametrize(
    ("shape", "given", "side", "per_row"),
    [
        ((28, 28), {}, 56, 10),
        ((32, 32), {}, 64, 10),
        ((64, 64), {}, 64, 10),
        ((128, 128), {}, 128, 5),
        ((256, 256), {}, 256, 2),
        ((512, 512), {}, 512, 1),
        ((600, 600), {}, 512, 1),
        ((128, 64), {}, 128, 10),
        ((128, 128), {"per_row": 10}, 64, 10),
    ],
)
def test_images_are_drawn_at_their_size(shape, given, side, per_row):
    images = rng.integers(0, 256, (10, 1, *shape), dtype=np.uint8)
    sheet = sheet_of(FIGURES["reconstructions"](images, images / 255, **given))
    tall, wide = (round(length * side / max(shape)) for length in shape)
    rows = -(-10 // per_row)
    assert sheet.shape[:2] == (rows * (tall + 8) - 8 + 2, per_row * (2 * wide + 15) - 12 + 2)


def test_samples_and_the_worst_are_drawn_at_their_size():
    images = rng.integers(0, 256, (10, 1, 128, 128), dtype=np.uint8)
    assert sheet_of(FIGURES["samples"](images))[1:129, 1:129, 0].tolist() == images[0, 0].tolist()
    large = rng.integers(0, 256, (2, 1, 256, 256), dtype=np.uint8)
    sheet = sheet_of(FIGURES["worst"](large, large / 255, np.array([2.0, 1.0]), ["a", "b"]))
    assert sheet[1:257, 1:257, 0].tolist() == large[0, 0].tolist()


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (3, 8, 8), (1, 28, 28), (3, 64, 64), (3, 256, 256), (1, 8, 256), (3, 100, 60)]
)
def test_pictures_of_any_size_fit_the_sheet(shape):
    images = rng.integers(0, 256, (14, *shape), dtype=np.uint8)
    for figure in (
        FIGURES["reconstructions"](images, images / 255, 0, 12, 4),
        FIGURES["samples"](images, 7, labels=["label"] * 14),
        FIGURES["worst"](images, images / 255, np.ones(14), ["x" * 80] * 14),
        FIGURES["probe"](images / 255, ["a long class name"] * 14, clusters=True),
    ):
        assert_inside(figure)
        assert figure.get_size_inches()[0] * 120 < 1700


def test_brightness_is_cut_to_the_unit_range_and_autoscale_stretches_each_picture():
    images = np.array([0.25, 0.5, -1.0, 2.0, np.nan], np.float32).reshape(5, 1, 1, 1) * np.ones(
        (1, 1, 8, 8), np.float32
    )
    assert to_rgb(images)[:, 0, 0, 0].tolist() == [64, 128, 0, 255, 0]
    ramp = np.linspace(0.4, 0.6, 64, dtype=np.float32).reshape(1, 1, 8, 8)
    stretched = to_rgb(ramp, autoscale=True)
    assert (stretched.min(), stretched.max()) == (0, 255)


def test_worst_shows_the_largest_errors_first_with_names():
    errors = np.linspace(0, 1, 320)
    errors[7] = np.nan
    figure = FIGURES["worst"](PIXELS, REBUILT, errors, IDS, np.arange(320) % 10, NAMES, count=3)
    found = [text.replace("\n", " ") for text in texts(figure) if text.startswith("folder/")]
    assert found == ["folder/7.png · class 7", "folder/319.png · class 9", "folder/318.png · class 8"]
    assert "The 3 worst of 320: original and reconstruction" in texts(figure)


def test_map_writes_each_class_on_its_cluster_and_prints_its_scores():
    figure = FIGURES["map"](*ARGUMENTS["map"])
    assert "trustworthiness 0.981 · neighbour recall 0.457 · 200 images" in texts(figure)
    axes = figure.axes[0]
    centres = {name: POINTS[np.equal(LABELS, k)].mean(axis=0) for k, name in enumerate(NAMES)}
    for text in axes.texts:
        distances = {name: np.linalg.norm(np.array(text.get_position()) - centre) for name, centre in centres.items()}
        assert distances[text.get_text()] < 2.5
    assert len(axes.texts) == 10
    legend = figure.axes[1]
    assert [text.get_text() for text in legend.texts] == NAMES
    assert legend.get_window_extent().y1 <= axes.get_window_extent().y0  # below the map


@pytest.mark.parametrize("palette", PALETTES)
def test_map_colours_points_by_class(palette):
    scatter = FIGURES["map"](POINTS, LABELS, NAMES, palette=palette).axes[0].collections[0]
    for place, colour in zip(scatter.get_offsets(), scatter.get_facecolors(), strict=True):
        nearest = np.abs(POINTS - place).sum(axis=1).argmin()
        assert to_hex(colour) == PALETTES[palette][LABELS[nearest]]


def test_map_without_labels_has_one_colour_and_no_legend():
    figure = FIGURES["map"](POINTS)
    assert len(figure.axes) == 1  # no legend
    assert not figure.axes[0].texts
    assert len(np.unique(figure.axes[0].collections[0].get_facecolors(), axis=0)) == 1


def boxes_of(figure):
    renderer = renderer_of(figure)
    return [text.get_window_extent(renderer) for text in figure.axes[0].texts]


def overlapping(boxes):
    return [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]


@pytest.mark.parametrize("classes", [10, 20, 45])
def test_names_on_the_map_do_not_overlap(classes):
    points, labels = rng.normal(size=(900, 2)), np.arange(900) % classes  # all clusters at one place
    figure = FIGURES["map"](points, labels, [f"name {k}" for k in range(classes)])
    assert not overlapping(boxes_of(figure))
    assert_inside(figure)


def test_probe_annotations_stay_apart_and_off_the_dots():
    probes = rng.normal(scale=0.02, size=(10, 2))
    figure = FIGURES["probe-map"](POINTS, None, (), probes, NAMES, np.linspace(0.5, 2.3, 10))
    assert "class 9: 2.3×" in texts(figure)
    boxes = boxes_of(figure)
    assert not overlapping(boxes)
    dots = figure.axes[0].transData.transform(probes)
    assert not [dot for dot in dots for box in boxes if box.contains(*dot)]
    figure = FIGURES["probe-map"](POINTS, None, (), probes, NAMES, annotations=[f"note {k}" for k in range(10)])
    assert "note 3" in texts(figure)


def test_clusters_in_place_of_classes_are_said():
    figure = FIGURES["probe"](REBUILT[:3], ["0", "1", "cluster 2"], 0.5, clusters=True)
    found = texts(figure)
    assert found[:3] == ["cluster 0", "cluster 1", "cluster 2"]
    assert "clusters stand in for classes" in found[-1].replace("\n", " ")
    assert "standard deviation 0.5" in found[-1].replace("\n", " ")


def test_many_classes_wrap_into_rows():
    images = np.zeros((50, 1, 28, 28), np.float32)
    few, many = FIGURES["probe"](images[:10], NAMES), FIGURES["probe"](images, [f"class {k}" for k in range(50)])
    assert many.get_size_inches()[1] > 3 * few.get_size_inches()[1]
    assert len(many.axes) == 5


@pytest.mark.parametrize("stages", range(2, 16))
def test_network_labels_do_not_overlap(stages):
    middle = [("conv transposed 3x3 /2, ReLU", (64, 16, 16))] * (stages - 2)
    middle[stages // 2 - 1 : stages // 2] = [("latent", (1024,))][: len(middle)]
    figure = FIGURES["network"]([("input", (3, 64, 64)), *middle, ("output", (3, 64, 64))])
    renderer = renderer_of(figure)
    assert not overlapping([text.get_window_extent(renderer) for text in figure.texts])
    assert_inside(figure)


@pytest.mark.parametrize(
    ("network", "names"),
    [
        ("convolutional", ["conv 3×3 /2, ReLU"] * 2 + ["latent", "dense, ReLU", "transposed conv 3×3 /2, ReLU"]),
        ("dense", ["dense, SiLU"] * 2 + ["latent"] + ["dense, SiLU"] * 2),
        (
            "residual",
            [
                *("conv 3×3 /2", "2 residual blocks", "conv 3×3 /2", "2 residual blocks, SiLU", "latent"),
                *("dense", "2 residual blocks", "sub-pixel conv 3×3", "2 residual blocks"),
            ],
        ),
    ],
)
def test_every_layer_of_a_network_is_named_in_its_drawing(network, names):
    stages = network_stages(AutoencoderModel((1, 17, 23), 6, network))
    assert [name for name, _ in stages[1:-1]] == names
    assert stages[0] == ("input", (1, 17, 23))
    assert stages[-1][1] == (1, 17, 23)
    assert_inside(FIGURES["network"](stages))


def test_class_errors_are_sorted_and_leave_empty_classes_out():
    axes = FIGURES["class-errors"]([0.2, np.nan, 0.3], ["a", "$empty$", "b"]).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "a"]
    assert [patch.get_width() for patch in axes.patches] == [0.3, 0.2]


@pytest.mark.parametrize("count", [1, 10, 11, 20, 100, 3000])
def test_as_many_colours_as_classes(count):
    for palette, first in PALETTES.items():
        colours = class_colours(count, palette)
        assert len(colours) == count
        assert colours[:10] == first[:count]
        if count <= 100:
            assert len(set(colours)) == count


def test_everyone_can_tell_the_ten_colours_apart_on_white_and_on_dark_paper():
    colours = class_colours(10)
    distances = {vision: least_distance(colours, vision) for vision in SEEN_WITH}
    assert min(distances.values()) > 0.11, distances
    # Three times as far as the closest of the reference experiment's ten.
    assert min(distances.values()) > 3 * min(least_distance(PALETTES["notebook"], vision) for vision in SEEN_WITH)
    for paper in ("#ffffff", DARK_PAPER):
        assert min(contrast(colour, paper) for colour in colours) > 2.49
    for vision in SEEN_WITH:
        assert np.linalg.norm(seen(colours, vision) - seen([NO_CLASS], vision), axis=1).min() > 0.1


def test_distances_are_those_of_published_values():
    # Ottosson's own table of OKLab: white is (1, 0, 0), and red, green and blue are as he gives them to three digits.
    truth = {"#ffffff": (1, 0, 0), "#ff0000": (0.628, 0.225, 0.126), "#0000ff": (0.452, -0.032, -0.312)}
    for colour, lab in truth.items():
        np.testing.assert_allclose(seen([colour])[0], lab, atol=6e-4)
    for vision in SEEN_WITH:  # who lacks a kind of cone sees greys as they are
        np.testing.assert_allclose(seen(["#808080"], vision), seen(["#808080"]), atol=1e-6)
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # the known grey just below 4.5
    red, green = "#c03018", "#5c7a1c"  # a red and a green that a person without green cones confuses
    assert least_distance([red, green], "deuteranopia") < 0.35 * least_distance([red, green])


def test_an_unknown_palette_is_refused():
    with pytest.raises(UnknownName, match="unknown palette 'pastel'; known: distinct, notebook"):
        FIGURES["map"](POINTS, LABELS, NAMES, palette="pastel")
    assert DEFAULT_PALETTE in PALETTES


def test_twenty_colours_are_farther_apart_than_any_cut_of_one_rainbow():
    """To the eye: distances in sRGB, which this test once compared, are not what is seen."""
    from colorsys import hsv_to_rgb

    rainbow = [to_hex(hsv_to_rgb(k / 20, 0.9, 0.9)) for k in range(20)]
    for vision in SEEN_WITH:
        assert least_distance(class_colours(20), vision) > least_distance(rainbow, vision)


FEW = {"arithmetic few": "arithmetic", "network few": "network", "traversals few": "traversals"}
NARROW = {
    "arithmetic few": (PIXELS[:1], ["7"], 1, PIXELS[0], 1.0, PIXELS[1], "7"),
    "network few": (
        [("input", (1, 8, 8)), ("dense", (64,)), ("latent", (2,)), ("dense", (64,)), ("output", (1, 8, 8))],
    ),
    "traversals few": (np.zeros((2, 5, 1, 8, 8)), np.ones((2, 5)), [0.5, 0.2], [-2, -1, 0, 1, 2]),
}


@pytest.mark.parametrize("name", [*FIGURES, *FEW])
def test_text_is_read_on_a_telephone(name):
    """On a page 360 pixels wide, where a figure may scroll sideways, its letters are at least 9 pixels high."""
    entry = FIGURES[FEW.get(name, name)]
    figure = entry(*(NARROW[name] if name in FEW else ARGUMENTS[name]))
    width = figure.get_size_inches()[0] * 120
    shown_at = (least_width(round(width), entry.small_letters) or min(360, width)) / width
    drawn = [text for text in figure.findobj(matplotlib.text.Text) if text.get_text() and text.get_visible()]
    assert min(text.get_fontsize() * 120 / 72 * shown_at for text in drawn) > 8.9
    assert entry.small_letters or min(text.get_fontsize() for text in drawn) >= 11


def test_captions_of_a_review_stay_apart_and_show_both_names_of_a_pair():
    long = [f"holiday/2019/IMG_{k:05d}_a_name_that_is_far_too_long_for_one_line.png" for k in range(9)]
    pairs = [[one, other] for one, other in zip(long, long[::-1], strict=True)]
    sections = [
        Section("Far from all others", PIXELS[:9], [[name] for name in long], ["9.1"] * 9),
        Section("Near-duplicates", PIXELS[:9], pairs, ["distance 0.1"] * 9, PIXELS[9:18]),
    ]
    figure = FIGURES["review"](sections)
    renderer = renderer_of(figure)
    assert not overlapping([text.get_window_extent(renderer) for text in figure.texts])
    found = [text.get_text().replace("\n", "") for text in figure.texts]
    for one, other in pairs:  # by the beginnings of both
        assert any(one[:15] in text and other[:15] in text for text in found)
    assert_inside(figure)


def test_text_is_broken_to_a_width():
    for text in ("one two three four five six", "a" * 80, "강아지" * 20, "folder/" * 9 + "name.png", "$x$ " * 9):
        lines = fit(text, 150, 11, 3).split("\n")
        assert len(lines) <= 3
        assert all(width_of(line, 11) <= 150 for line in lines)
    assert fit("short", 150, 11) == "short"


def test_odd_names_draw_without_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("map", "probe-map", "probe", "class-errors", "probe-noise"):
            arguments = [ODD_NAMES if argument is NAMES else argument for argument in ARGUMENTS[name]]
            assert_inside(FIGURES[name](*arguments))


def test_text_helpers():
    assert printable("a \t b\nc") == "a b\nc"
    assert printable("\U0010fffd") == "□"
    assert shorten("abcdefghij", 5) == "ab…ij"
    assert len(shorten("x" * 99, 22)) == 22
    assert wrap("one two three four", 8, 2) == "one two\nthree…"


def test_boxes_go_to_their_anchor_when_nothing_is_in_the_way():
    anchors = np.array([[50.0, 50.0], [150.0, 50.0]])
    room = np.array([0.0, 0.0, 200.0, 100.0])
    placed = place_boxes(anchors, np.full((2, 2), 20.0), room, np.empty((0, 2)), 0)
    assert np.array_equal(placed, anchors)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("reconstructions", (PIXELS, REBUILT[:5]), "both must have one shape"),
        ("reconstructions", (PIXELS[:, 0], REBUILT), r"\(N, C, H, W\)"),
        ("reconstructions", (PIXELS, REBUILT, -1), "start is -1; it must be the number of an image, from 0 to 319"),
        ("reconstructions", (PIXELS, REBUILT, 320), "start is 320"),
        ("reconstructions", (PIXELS, REBUILT, 0, 0), "pairs 0"),
        ("worst", (PIXELS, REBUILT, np.ones(3), IDS), "one of each an image"),
        ("samples", (PIXELS[:0],), "N at least 1"),
        ("samples", (PIXELS, 0), "one column or more"),
        ("samples", (PIXELS, 5, "", ["a"]), "one label an image"),
        ("map", (POINTS[:, :1],), r"\(N, 2\)"),
        ("map", (POINTS, LABELS[:5], NAMES), "one an image"),
        ("probe-map", (POINTS, None, (), POINTS[:3], NAMES), "one row a name"),
        ("probe-map", (POINTS, None, (), POINTS[:2], NAMES[:2], [1.0]), "one a name"),
        ("probe-map", (POINTS, None, (), POINTS[:2], NAMES[:2], None, ["a"]), "one a name"),
        ("probe", (REBUILT[:3], NAMES), "one name for each image"),
        ("probe-noise", ({}, NAMES), "at least one strength"),
        ("network", ([("input", (1, 8, 8))],), "at least an input and an output"),
        ("network", ([("input", (1, 8, 8)), ("odd", (1, 2, 3, 4))],), "is needed"),
        ("class-errors", ([1.0], NAMES), "one finite error for each class"),
    ],
)
def test_named_errors(name, arguments, message):
    with pytest.raises(UsageError, match=message):
        FIGURES[name](*arguments)


def test_a_notebook_shows_a_figure_without_pyplot():
    from IPython.core.formatters import DisplayFormatter

    figure = new_figure(40, 20)
    data, _ = DisplayFormatter().format(figure)
    assert data["image/png"] == png_bytes(figure)

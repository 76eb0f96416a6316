"""Pixels of 8 bits, 16 bits and floats, with 1 to 64 channels: kept as they are, read by one range, shown by one rule."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch

from latens.arrays import blocks, gather
from latens.errors import ImagesError, UsageError
from latens.images import contact_sheet, load_images, summary
from latens.images.contract import make_images
from latens.images.pictures import read_pictures
from latens.images.pixels import (
    DTYPES,
    PixelFormat,
    Scaled,
    checked_show,
    composite,
    from_floats,
    inputs_of,
    mix_of,
    named_channels,
    shown_channels,
    shown_in_rgb,
    to_floats,
    to_uint8,
    to_unit,
    whole_range,
)
from latens.latents import decode_latents, encode_images
from latens.models import MODELS
from latens.networks import NETWORKS
from latens.runs import Run, start_run
from latens.training.loop import build_model, train
from latens.training.recipes import Recipe, TrainConfig

COUNT = 24


def stored(dtype="uint16", channels=1, size=8, count=COUNT, low=0, high=900, seed=0):
    """Images whose numbers lie between two ends, both of which occur in the train part."""
    rng = np.random.default_rng(seed)
    values = rng.integers(low, high + 1, (count, channels, size, size)).astype(np.float64)
    values[:, :, 0, 0], values[:, :, 0, 1] = low, high
    if dtype == "float32":
        values = values / 7 - 20
    return values.astype(dtype)


# Numbers to floats and back


@pytest.mark.parametrize("ends", [(0, 65535), (0, 900), (100, 3962), (65000, 65535)])
def test_16_bits_come_back_exactly(ends):
    low, high = ends
    values = np.arange(low, high + 1, dtype=np.uint16).reshape(1, 1, 1, -1)
    floats = to_floats(values, (ends,))
    assert len(np.unique(floats)) == high - low + 1, "every grey level survives"
    truth = [
        float(Fraction(int(value) - low, high - low)) for value in values.reshape(-1)[:: max(1, (high - low) // 500)]
    ]
    assert np.abs(floats.reshape(-1)[:: max(1, (high - low) // 500)] - truth).max() < 1e-6
    assert (from_floats(floats, "uint16", (ends,)) == values).all()
    assert (to_unit(torch.from_numpy(values), value_range=(ends,)).numpy() == floats).all()


@pytest.mark.parametrize("dtype", [dtype.name for dtype in DTYPES])
def test_each_channel_has_its_own_range_and_what_lies_outside_is_clipped(dtype):
    values = stored(dtype, 3, high=200)
    ranges = ((0, 10), (50, 150), (-5, 300))
    floats = to_floats(values, ranges)
    for channel, (low, high) in enumerate(ranges):
        truth = np.clip((values[:, channel].astype(np.float64) - low) / (high - low), 0, 1)
        assert np.abs(floats[:, channel] - truth).max() < 1e-6
    assert np.allclose(to_unit(torch.from_numpy(values), value_range=ranges).numpy(), floats, atol=1e-7)
    inside = np.clip(values, [[[low]] for low, _ in ranges], [[[high]] for _, high in ranges])
    back = from_floats(floats, dtype, ranges)
    assert back.dtype == dtype
    assert np.abs(back.astype(np.float64) - inside).max() <= (1e-4 if dtype == "float32" else 0)


def test_bytes_with_their_usual_range_stay_bytes():
    values = stored("uint8", 2, high=255)
    assert inputs_of(values, whole_range("uint8", 2)) is values
    assert isinstance(inputs_of(values, ((0, 255), (0, 254))), Scaled)


def test_a_view_is_read_row_by_row(tmp_path):
    values = stored("uint16", 2)
    np.save(tmp_path / "a.npy", values)
    ranges = ((0, 900), (100, 500))
    truth = to_floats(values, ranges)
    for array in (values, np.load(tmp_path / "a.npy", mmap_mode="r")):
        view = Scaled(array, ranges)
        assert (view.shape, view.dtype, len(view), view.ndim, view.nbytes) == (
            truth.shape,
            np.float32,
            COUNT,
            4,
            truth.nbytes,
        )
        assert (np.asarray(view) == truth).all()
        for rows in (3, -1, slice(2, 9), slice(None, None, 5), [4, 4, 1], np.array([], int), np.arange(COUNT) % 3 == 0):
            assert (view[rows] == truth[rows]).all()
        assert (np.concatenate(list(blocks(view, 5))) == truth).all()
        assert (gather(view, np.array([9, 2])) == truth[[9, 2]]).all()


# Which range


def test_a_16_bit_set_whose_brightest_value_is_900_is_not_black():
    values = stored(high=900)
    values[3, 0, 2, 2] = 65535  # a hot pixel
    images = load_images(values)
    assert images.train.pixels.dtype == np.uint16
    assert images.value_range == ((0, 900),)
    assert images.train.inputs[:].max() == 1
    assert np.median(images.train.inputs[:]) > 0.3
    assert (images.train.pixels == values[[int(row) for row in images.train.ids]]).all(), "kept as it is"
    note = next(note for note in images.notes if "range" in note)
    assert "0 to 900" in note
    assert "%" in note
    assert "--range" in note


def test_3862_grey_levels_survive():
    values = np.arange(3862, dtype=np.uint16)[np.random.default_rng(0).integers(0, 3862, (COUNT, 1, 40, 40))]
    values.reshape(-1)[:3862] = np.arange(3862)
    images = load_images(values)
    seen = np.concatenate([images.train.inputs[:].reshape(-1), images.test.inputs[:].reshape(-1)])
    assert len(np.unique(seen)) == len(np.unique(values)) == 3862


def test_bright_ends_are_not_cut_off():
    """A few bright spots, as in fluorescence, are data and no outliers."""
    values = stored(high=100, size=16).astype(np.uint16)
    values[:, :, 5, 5:7] = 1200
    assert load_images(values).value_range == ((0, 1200),)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (stored("uint8", high=200), (0, 255)),
        (stored("uint8", high=200).astype(np.int64), (0, 255)),
        (stored("float32").clip(0, 1), (0, 1)),
        (np.random.default_rng(0).random((COUNT, 1, 8, 8)) * 0.02, (0, 1)),
        (stored("float32"), (-20, np.float32(900 / 7 - 20))),
        (stored("uint16", low=200, high=1000).astype(np.int32), (200, 1000)),
        (stored("uint16", low=0, high=1000).astype(np.int16) - 500, (-500, 500)),
        (stored("uint16", low=0, high=1000).astype(np.uint32) * 100, (0, 100_000)),
        (np.random.default_rng(0).random((COUNT, 1, 8, 8)) < 0.5, (0, 255)),
    ],
)
def test_the_default_range(values, expected):
    images = load_images(values)
    assert images.value_range == (pytest.approx(expected),)
    kept = images.train.pixels[0]
    assert (
        kept == np.asarray(values)[int(images.train.ids[0])].astype(kept.dtype) * (255 if values.dtype == bool else 1)
    ).all()


def test_the_range_that_was_asked_for():
    values = stored("uint16", 2, high=900)
    assert load_images(values, value_range="type").value_range == ((0, 65535),) * 2
    assert load_images(values, value_range=(100, 500)).value_range == ((100, 500),) * 2
    assert load_images(values, value_range=[(0, 9), (5, 8)]).value_range == ((0, 9), (5, 8))
    assert load_images(values.astype(np.int16), value_range="type").value_range == ((-32768, 32767),) * 2
    assert load_images(stored("uint8", high=99), value_range="data").value_range == ((0, 99),)
    dark = load_images(stored("uint8", high=99), value_range=(0, 99))
    assert dark.train.pixels.dtype == np.uint8
    assert dark.train.inputs[:].max() == 1


@pytest.mark.parametrize(
    "wrong", [(5, 5), (9, 1), (0, np.nan), (0, np.inf), 7, "all", (0, 1, 2), [(0, 1)] * 3, ("a", "b")]
)
def test_ranges_that_are_not_allowed(wrong):
    with pytest.raises(UsageError, match=r"range .*(allowed|pairs)") as caught:
        load_images(stored("uint16", 2), value_range=wrong)
    assert "\n" not in str(caught.value)


def test_one_value_alone_is_black():
    values = stored("uint16", 2)
    values[:, 1] = 700
    images = load_images(values)
    assert images.value_range[1] == (700, 701)
    assert images.train.inputs[:][:, 1].max() == 0


# Data sets


@pytest.mark.parametrize(("dtype", "channels"), list(product(["uint8", "uint16", "float32"], [1, 2, 3, 5])))
def test_every_type_and_number_of_channels_is_kept_and_found_again(tmp_path, dtype, channels):
    values = stored(dtype, channels, 12, high=250)
    np.save(tmp_path / "a.npy", values)
    images = load_images(tmp_path / "a.npy")
    again = load_images(tmp_path / "a.npy")
    array = load_images(values, **images.options)
    for other in (again, array, load_images(values.transpose(0, 2, 3, 1))):
        assert other.fingerprint == images.fingerprint
        assert other.format == images.format
        assert other.train.pixels.dtype == dtype
        assert other.shape == values.shape[1:]
    assert images.channel_names == named_channels(channels)
    rows = [int(row) for row in images.train.ids]
    assert (images.train.pixels == values[rows]).all()
    part = images.train.take([2, 5])
    assert part.format == images.format
    assert (part.inputs[:] == np.asarray(images.train.inputs)[[2, 5]]).all()
    assert len(summary(images)["channel_names"]) == channels
    assert contact_sheet(images.train).shape[2] == shown_channels(channels)


def test_64_channels_are_the_most():
    values = stored("uint16", 65)
    assert load_images(values[:, :64], layout="NCHW").shape == (64, 8, 8)
    with pytest.raises(ImagesError, match=r"65 channels by the layout NCHW; allowed.*1 to 64"):
        load_images(values, layout="NCHW")


def test_fingerprints_of_bytes_are_those_of_before():
    assert load_images("mnist").fingerprint == "256cee55d6cd1a125de32674612f6bc2e215cff511ac2540baff94d09c288911"
    values = stored("uint16", high=200)
    prints = {load_images(values, value_range=wish).fingerprint for wish in (None, "type", (0, 201))}
    prints |= {load_images(values.astype(dtype), value_range=(0, 200)).fingerprint for dtype in ("uint8", "float32")}
    assert len(prints) == 5, "type and range are part of them"


def test_images_are_resized_in_their_own_type():
    ramp = (
        np.broadcast_to(np.linspace(1000, 60000, 32)[:, None], (COUNT, 2, 32, 32))
        + np.arange(COUNT)[:, None, None, None]
    )
    for dtype in ("uint16", "float32"):
        images = load_images(ramp.astype(dtype), size=16)
        assert images.train.pixels.dtype == dtype
        row = int(images.train.ids[0])
        means = ramp[row].reshape(2, 16, 2, 16, 2).mean((2, 4))
        assert np.abs(images.train.pixels[0, :, 2:-2] - means[:, 2:-2]).max() < 3
    tall = load_images(ramp[:, :, :, :16].astype(np.uint16), size=16)  # padded
    assert tall.shape == (2, 16, 16)


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ((20, 5, 32, 32), (5, 32, 32)),
        ((20, 32, 32, 5), (5, 32, 32)),
        ((20, 16, 32, 48), (16, 32, 48)),
        ((20, 3, 8, 64), (3, 8, 64)),
        ((20, 9, 64, 64), (9, 64, 64)),
        ((20, 12, 1, 1), None),
        ((20, 16, 16, 16), None),
        ((20, 65, 66, 66), None),
        ((20, 10, 64, 10), None),
    ],
)
def test_the_channels_are_found_or_asked_for(shape, found):
    values = np.random.default_rng(0).integers(0, 99, shape).astype(np.uint8)
    if found:
        assert load_images(values).shape == found
        return
    with pytest.raises(ImagesError, match=r"--layout|too small|at most 64|two axes"):
        load_images(values)
    if shape[1:] == (16, 16, 16):
        first, last = load_images(values, layout="NCHW"), load_images(values, layout="nhwc")
        assert first.shape == last.shape == (16, 16, 16)
        row = int(first.train.ids[0])
        assert (first.train.pixels[0] == values[row]).all()
        assert (last.train.pixels[0 if last.train.ids[0] == str(row) else -1].shape) == (16, 16, 16)
        assert load_images(values, **last.options).fingerprint == last.fingerprint
    with pytest.raises(UsageError, match="NCHW and NHWC"):
        load_images(values, layout="CHWN")


# Showing


def test_how_channels_are_shown_by_default():
    for channels in (1, 3):
        images = stored("uint8", channels, high=255)
        assert composite(images) is images
        assert (shown_in_rgb(images) == np.broadcast_to(images.transpose(0, 2, 3, 1), (COUNT, 8, 8, 3))).all()
    two, five = (stored("uint8", channels, high=255) for channels in (2, 5))
    assert (composite(two) == two[:, [0, 1, 0]]).all(), "magenta and green"
    assert (composite(five) == five[:, :3]).all()


@pytest.mark.parametrize(
    ("show", "mix"),
    [
        ("red=3,green=2,blue=1", [[2], [1], [0]]),
        ("grey=2", [[1]]),
        ("gray=gfp", [[1]]),
        ("red=dapi, green=gfp", [[0], [1], []]),
        ("magenta=1,green=2,yellow=4", [[0, 3], [1, 3], [0]]),
        ("blue=5,grey=1", [[0], [0], [4, 0]]),
    ],
)
def test_a_rule_for_showing(show, mix):
    names = ("dapi", "gfp", "3", "4", "5")
    rule = checked_show(show, names)
    assert mix_of(5, rule) == mix
    images = stored("uint8", 5, high=255)
    shown = composite(images, rule)
    for place, channels in enumerate(mix):
        truth = np.minimum(images[:, channels].sum(1, dtype=int), 255)
        assert (shown[:, place] == truth).all()
        floats = composite(images / np.float32(255), rule)
        assert np.abs(to_uint8(floats)[:, place].astype(int) - truth).max() <= 1
    images = load_images(stored("uint16", 5), show=show.replace("dapi", "1").replace("gfp", "2"))
    assert images.show == rule
    assert load_images(stored("uint16", 5), **images.options).show == rule


@pytest.mark.parametrize("wrong", ["red", "pink=1", "red=0", "red=6", "red=dapi", "red=1,", "=2", "red==1", "3"])
def test_rules_for_showing_that_are_not_allowed(wrong):
    with pytest.raises(UsageError, match=r"show is .*(allowed|there are)"):
        load_images(stored("uint16", 5), show=wrong)


# Models


def one_epoch(images, model="autoencoder", network="convolutional", **options):
    config = TrainConfig(epochs=1, batch_size=8, learning_rate=1e-3, **options)
    made = build_model(Recipe("test", model, network, 4, config), images.shape)
    return made, list(train(made, images, config))[-1]


@pytest.mark.parametrize(("model", "network"), list(product(MODELS, NETWORKS)))
@pytest.mark.parametrize(
    ("dtype", "channels"), [("uint8", 2), ("uint16", 1), ("uint16", 5), ("float32", 3), ("float32", 2)]
)
def test_every_model_and_network_trains_on_every_type(dtype, channels, model, network):
    images = load_images(stored(dtype, channels, high=250))
    made, step = one_epoch(images, model, network)
    assert 0 < step.test_mse < 1
    z = encode_images(made, images.test)
    rebuilt = decode_latents(made, z)
    assert rebuilt.shape == images.test.pixels.shape
    truth = np.square(rebuilt - np.asarray(to_floats(images.test.pixels, images.value_range))).mean()
    assert step.test_mse == pytest.approx(truth, rel=1e-4)


def test_bytes_train_bit_for_bit_as_the_same_floats():
    values = stored("uint8", high=255)
    floats = load_images(to_floats(values))
    bytes_ = load_images(values)
    rows = [list(bytes_.train.ids).index(row) for row in floats.train.ids if row in set(bytes_.train.ids)]
    assert rows, "content decides the split, so that the parts may differ"
    ids = np.arange(COUNT).astype(str)
    parts = [
        (make_images(v[:16], ids[:16], None), make_images(v[16:], ids[16:], None)) for v in (values, to_floats(values))
    ]
    weights = []
    for images, (first, second) in zip((bytes_, floats), parts, strict=True):
        given = type(images)("x", "array", first, second, (), {}, "")
        made, _ = one_epoch(given, augmentation="shift")
        weights.append(torch.cat([one.flatten() for one in made.state_dict().values()]))
    assert torch.equal(*weights)


# Runs


@pytest.fixture
def run(tmp_path):
    images = load_images(stored("uint16", 5, low=100, high=900), show="red=5,green=2,blue=1")
    config = TrainConfig(epochs=1, batch_size=8, learning_rate=1e-3)
    return start_run(images, Recipe("test", "autoencoder", "convolutional", 4, config), tmp_path / "run")


def test_a_run_keeps_how_its_images_are_read(run):
    form = Run(run.path).format
    assert form == run.images.format
    assert form.value_range == ((100, 900),) * 5
    assert form.show == "red=5,green=2,blue=1"
    assert Run(run.path).images.format == form, "also where they are kept in the run"
    assert run.shown_shape == (3, 8, 8)
    run.update(data={**run.record["data"], "value_range": [[5, 5]] * 5})
    with pytest.raises(Exception, match=r"run\.json has no valid range"):
        Run(run.path).format  # noqa: B018


def test_a_run_without_a_format_is_one_of_bytes():
    assert PixelFormat.from_json({}, 3) == PixelFormat.usual(3)


def test_later_images_are_read_by_the_range_of_the_run(run):
    bright = stored("uint16", 5, low=100, high=4000, seed=1)
    truth = run.encode(to_floats(bright, run.format.value_range))
    later = load_images(bright)
    assert later.value_range != run.format.value_range
    ids = [int(row) for row in later.test.ids]
    assert np.allclose(run.encode(later.test), truth[ids], atol=1e-6)
    assert np.allclose(run.encode(bright), truth, atol=1e-6)
    assert np.allclose(run.encode(torch.from_numpy(bright)), truth, atol=1e-6)
    pictures = read_pictures(bright, run.image_shape, read_by=run.format)
    found = np.concatenate([block.pixels for block in pictures.blocks(pictures.parts[0])])
    assert np.allclose(found, to_floats(bright, run.format.value_range))
    back = from_floats(run.reconstruct(bright), run.format.dtype, run.format.value_range)
    assert back.dtype == np.uint16
    with pytest.raises(ImagesError, match="2 channels; the model takes 5 channels"):
        read_pictures(stored("uint16", 2), run.image_shape, read_by=run.format)


def test_floats_of_a_run_of_floats_are_its_own_numbers(tmp_path):
    values = stored("float32", 2)
    config = TrainConfig(epochs=1, batch_size=8, learning_rate=1e-3)
    run = start_run(load_images(values), Recipe("test", "autoencoder", "dense", 4, config), tmp_path / "run")
    assert np.allclose(run.encode(values), encode_images(run.model, to_floats(values, run.format.value_range)))

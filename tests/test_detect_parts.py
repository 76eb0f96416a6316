"""Detection in parts: the values of `run.detect` row by row, by one detector; other runs, images and options are refused."""

import json

import numpy as np
import polars
import pytest
from PIL import Image

from conftest import make_blobs
from latens.cli import main
from latens.detection import conformal, in_parts
from latens.detection.fitted import fit_detector
from latens.detection.in_parts import detect_in_parts
from latens.errors import RunError, UsageError
from latens.exports.latents_parts import encode_in_parts
from latens.images import load_images
from latens.parts import Share

ROWS = 7
ALPHA = 0.1  # the run has 24 normal images that training did not see


@pytest.fixture
def folder(tmp_path):
    """Forty-one pictures of three classes with a table; one of them is broken, some are noise."""
    pixels, labels = make_blobs(41)
    pixels[5:12] = np.random.default_rng(0).integers(0, 255, pixels[5:12].shape)
    lines = ["file,side"]
    for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        place = tmp_path / "pictures" / f"class {label}" / f"{number:03}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(place)
        lines.append(f"class {label}/{number:03}.png,{number % 2}")
    broken = next((tmp_path / "pictures" / "class 1").iterdir())
    broken.write_bytes(broken.read_bytes()[:60])
    (tmp_path / "sides.csv").write_text("\n".join(lines))
    return tmp_path / "pictures"


def table_of(place):
    return polars.concat([polars.read_parquet(file) for file in sorted(place.glob("detections-*.parquet"))])


def check_same(table, whole):
    """The same rows; scores to rounding, since other blocks are summed in another order."""
    assert table["id"].to_list() == whole.ids.tolist()
    np.testing.assert_allclose(table["score"].to_numpy(), whole.scores, rtol=1e-4, atol=1e-6)
    rank = 1 / len(whole.calibration)  # a score may fall on the other side of a normal one that is as large
    np.testing.assert_allclose(table["p_value"].to_numpy(), whole.p_values, atol=rank * 1.0001)
    differ = table["odd"].to_numpy() != whole.odd
    assert (np.abs(whole.scores[differ] - whole.threshold) < 1e-4 * whole.threshold).all()
    assert whole.odd.any()
    assert not whole.odd.all()


@pytest.mark.parametrize("method", ["combined", "neighbours", "reconstruction"])
def test_parts_together_are_what_detect_gives(finished_run, folder, tmp_path, method):
    options = {"method": method, "false_alarms": ALPHA, "table": folder.parent / "sides.csv"}
    whole = finished_run.detect(folder, **options)
    made = detect_in_parts(finished_run, folder, tmp_path / "found", rows=ROWS, **options)
    table = table_of(tmp_path / "found")
    check_same(table, whole)
    assert table.columns == list(whole.columns())
    assert table["class"].to_list() == whole.columns()["class"].tolist()
    assert table["side"].to_list() == whole.table["side"].tolist()
    assert (made.parts, made.written, made.images, made.missing) == (6, 6, 40, 0)
    assert [note for note in made.notes if "1 of 41 files" in note]
    again = conformal.p_values(whole.calibration.scores, table["score"].to_numpy())
    np.testing.assert_array_equal(table["p_value"].to_numpy(), again)
    np.testing.assert_array_equal(table["odd"].to_numpy(), again <= ALPHA)
    said = polars.read_parquet_metadata(next((tmp_path / "found").glob("*.parquet")))
    assert float(said["latens.threshold"]) == whole.threshold
    assert said["latens.method"] == method
    assert said["latens.normal_images"] == "24"


def test_images_that_the_detector_is_calibrated_on_are_compared_with_the_others(finished_run, tmp_path):
    own = finished_run.images.test
    whole = finished_run.detect(own, false_alarms=ALPHA)
    detect_in_parts(finished_run, own, tmp_path / "found", rows=5, false_alarms=ALPHA)
    p = table_of(tmp_path / "found")["p_value"].to_numpy()
    np.testing.assert_allclose(p, whole.p_values, atol=1.0001 / 24)
    assert set(np.rint(p * 24)) <= set(range(25))  # multiples of 1 / 24, not of 1 / 25
    np.testing.assert_allclose(p * 24, np.rint(p * 24), atol=1e-9)


def test_each_process_fits_one_detector_and_writes_its_share_once(finished_run, folder, tmp_path, monkeypatch):
    fits = []

    def fit(*given, **options):
        fits.append(1)
        return fit_detector(*given, **options)

    monkeypatch.setattr(in_parts, "fit_detector", fit)
    options = {"rows": ROWS, "false_alarms": ALPHA}
    detect_in_parts(finished_run, folder, tmp_path / "one", **options)
    assert len(fits) == 1
    for index in (1, 0):
        made = detect_in_parts(finished_run, folder, tmp_path / "two", share=Share(index, 2), **options)
        assert (made.written, made.there, made.missing) == (3, 0, 3 * index)
    assert len(fits) == 3
    one, two = (sorted((tmp_path / name).glob("*.parquet")) for name in ("one", "two"))
    assert [file.read_bytes() for file in one] == [file.read_bytes() for file in two]
    (lost := two[3]).unlink()
    made = detect_in_parts(finished_run, folder, tmp_path / "two", **options)
    assert (made.written, made.there) == (1, 5)
    assert lost.read_bytes() == one[3].read_bytes()


def test_parts_of_something_else_are_refused(finished_run, folder, tmp_path, monkeypatch):
    place = tmp_path / "found"
    detect_in_parts(finished_run, folder, place, rows=ROWS, false_alarms=ALPHA)
    before = {file.name: file.read_bytes() for file in place.iterdir()}
    for other in ({"method": "reconstruction"}, {"false_alarms": 0.2}, {"seed": 1}):
        with pytest.raises(RunError, match="other detectors than asked for now"):
            detect_in_parts(finished_run, folder, place, **{"rows": ROWS, "false_alarms": ALPHA} | other)
    images = load_images(make_blobs(41, seed=3)[0][:, 0]).train
    with pytest.raises(RunError, match="other images"):
        detect_in_parts(finished_run, images, place, rows=ROWS, false_alarms=ALPHA)
    with pytest.raises(RunError, match="other contents"):
        encode_in_parts(finished_run, folder, place, rows=ROWS)
    with pytest.raises(UsageError, match="24 normal images"):
        detect_in_parts(finished_run, folder, tmp_path / "new", false_alarms=0.001)
    plan = json.loads((place / "parts.json").read_text())
    # Another processor rounds otherwise; another network for the features gives another threshold.
    (place / "parts.json").write_text(json.dumps(plan | {"threshold": plan["threshold"] * 1.0001}))
    assert detect_in_parts(finished_run, folder, place, rows=ROWS, false_alarms=ALPHA).written == 0
    (place / "parts.json").write_text(json.dumps(plan | {"threshold": plan["threshold"] * 1.1}))
    with pytest.raises(RunError, match="other detectors"):
        detect_in_parts(finished_run, folder, place, rows=ROWS, false_alarms=ALPHA)
    (place / "parts.json").write_bytes(before["parts.json"])
    assert {file.name: file.read_bytes() for file in place.iterdir()} == before
    assert not (tmp_path / "new").exists()


def test_the_command_writes_parts(finished_run, folder, tmp_path, capsys):
    words = ["detect", str(finished_run.path), str(folder), "-o", f"{tmp_path}/found", "--false-alarms", str(ALPHA)]
    parts = ["--parts", "--rows", str(ROWS)]
    assert main([*words, *parts, "--share", "0/2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["parts"], told["written"], told["missing"]) == (6, 3, 3)
    assert main([*words, *parts]) == 0
    assert "3 parts of 6 written" in (said := capsys.readouterr().out)
    assert "3 parts of this share had been written before" in said
    check_same(table_of(tmp_path / "found"), finished_run.detect(folder, false_alarms=ALPHA))
    for more, line in (
        (["--share", "0/2"], "--share: only with --parts"),
        (["--rows", "9"], "--rows: only with --parts"),
        (["--parts", "--maps", "all"], "--maps: only without --parts"),
        (["--parts", "--overwrite"], "--overwrite: only without --parts"),
    ):
        assert main([*words, *more]) == 2
        assert line in capsys.readouterr().err

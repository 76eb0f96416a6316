"""Detection: what p-values promise, planted defects, the MVTec layout, what is written, every error."""

import csv
import io

import numpy as np
import polars
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

import latens
from latens.cli import main
from latens.detection import DETECTORS, detect_images
from latens.detection.conformal import decide, p_values
from latens.detection.evaluation import aupro, evaluate
from latens.detection.patches import coreset
from latens.detection.places import PlaceScale
from latens.encoders import encoder_of
from latens.errors import MissingExtra, RunError, UnknownName, UsageError
from latens.progress import Silent
from latens.report.detections import heat_colours, overlay, write_detections

SIDE = 16


def texture(count, seed=0):
    """Normal images: waves of any phase with noise, uint8 (N, H, W)."""
    rng = np.random.default_rng(seed)
    x = np.arange(SIDE)
    waves = 0.5 + 0.2 * np.sin(x / 3 + rng.uniform(0, 6.28, (count, 1)))[:, None, :]
    return np.clip((waves + rng.normal(0, 0.02, (count, SIDE, SIDE))) * 255, 0, 255).astype(np.uint8)


def with_spots(images, seed=0):
    """The same with a bright square in each; and where it is."""
    rng = np.random.default_rng(seed)
    masks = np.zeros(images.shape, bool)
    for mask in masks:
        y, x = rng.integers(2, SIDE - 5, 2)
        mask[y : y + 3, x : x + 3] = True
    return np.where(masks, np.minimum(images.astype(int) + 90, 255), images).astype(np.uint8), masks


def write(folder, images):
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:03}.png")


@pytest.fixture(scope="module")
def mvtec(tmp_path_factory):
    """A folder in the layout of MVTec with known truth."""
    root = tmp_path_factory.mktemp("sets") / "bolt"
    write(root / "train" / "good", texture(120, 1))
    write(root / "test" / "good", texture(20, 2))
    spots, masks = with_spots(texture(16, 3))
    write(root / "test" / "spot", spots)
    (root / "ground_truth" / "spot").mkdir(parents=True)
    for number, mask in enumerate(masks):
        Image.fromarray(mask.astype(np.uint8) * 255).save(root / "ground_truth" / "spot" / f"{number:03}_mask.png")
    return root


@pytest.fixture(scope="module")
def run(mvtec, tmp_path_factory):
    """A run that was trained on the good images of that folder."""
    out = tmp_path_factory.mktemp("runs") / "bolt"
    return latens.run(mvtec, out=out, epochs=25, latent_dim=8, device="cpu", progress=Silent())


def test_of_normal_images_no_more_are_odd_than_promised():
    rng = np.random.default_rng(0)
    for num, alpha in ((99, 0.01), (50, 0.05), (200, 0.1), (19, 0.05)):
        shares = []
        for _ in range(800):
            scores = rng.standard_cauchy(num + 20)  # any distribution
            p = p_values(scores[:num], scores[num:])
            shares.append(decide(p, alpha, num).mean())
        error = np.std(shares) / len(shares) ** 0.5
        assert alpha - 1 / (num + 1) - 4 * error <= np.mean(shares) <= alpha + 4 * error


def test_calibration_images_themselves_are_compared_with_the_others():
    rng = np.random.default_rng(1)
    scores = rng.normal(size=100)
    own = p_values(scores, scores, np.ones(100, bool))
    others = [p_values(np.delete(scores, k), scores[k : k + 1])[0] for k in range(100)]
    assert own.tolist() == others
    assert (own <= 0.05).sum() == 5


def test_equal_scores_are_no_false_alarm():
    p = p_values(np.zeros(99), np.zeros(5))
    assert (p == 1).all()


@pytest.mark.parametrize("alpha", [0, 1, -0.1, float("nan")])
def test_a_rate_of_false_alarms_is_a_share(alpha):
    with pytest.raises(UsageError, match="a share above 0 and below 1"):
        decide(np.ones(3), alpha, 100)


def test_too_few_normal_images_are_said_with_the_number_that_is_needed():
    with pytest.raises(UsageError, match=r"0\.01 with 50 normal images.* 99 are needed.*ask for 0\.02 or more"):
        decide(np.ones(3), 0.01, 50)


def test_a_place_that_is_always_bad_does_not_glow():
    rng = np.random.default_rng(0)
    maps = np.abs(rng.normal(size=(100, 4, 4))) * np.where(np.arange(4) == 2, 50.0, 1.0)
    scale = PlaceScale().fit(maps)
    assert abs(scale(maps).mean()) < 0.05
    odd = maps[:1].copy()
    odd[0, 1, 1] = 12
    assert np.unravel_index(scale(odd)[0].argmax(), (4, 4)) == (1, 1)


def brute_aupro(maps, masks, most):
    """By every threshold, region by region."""
    from scipy.ndimage import label

    points = [(0.0, 0.0)]
    for threshold in np.unique(maps)[::-1]:
        above = maps >= threshold
        shares = []
        for one, mask in zip(above, masks, strict=True):
            regions, count = label(mask, np.ones((3, 3)))
            shares += [one[regions == k].mean() for k in range(1, count + 1)]
        points.append((above[~masks].mean(), np.mean(shares)))
    grid = np.linspace(0, most, 200_001)
    return np.trapezoid(np.interp(grid, *np.array(points).T), grid) / most


def test_aupro_is_that_of_every_threshold():
    rng = np.random.default_rng(1)
    masks = rng.random((4, 9, 9)) > 0.85
    masks[0] = False
    maps = rng.random((4, 9, 9)) + 0.4 * masks
    assert aupro(maps, masks) == pytest.approx(brute_aupro(maps, masks, 0.3), abs=1e-4)
    assert aupro(masks.astype(float), masks) == pytest.approx(1)
    rounded = np.round(maps, 1)  # with ties
    assert aupro(rounded, masks) == pytest.approx(brute_aupro(rounded, masks, 0.3), abs=1e-4)


def test_the_evaluation_is_that_of_scikit_learn():
    rng = np.random.default_rng(2)
    odd = rng.random(80) > 0.6
    scores = rng.normal(size=80) + odd
    kinds = np.where(np.arange(80) % 2 == 0, "crack", "spot")
    found = {(one.subject, one.name): one for one in evaluate(scores, odd, kinds).measures}
    assert found["all", "AUROC"].value == pytest.approx(roc_auc_score(odd, scores))
    cracks = ~odd | (kinds == "crack")
    assert found["crack", "AUROC"].value == pytest.approx(roc_auc_score(odd[cracks], scores[cracks]))
    low, high = found["all", "AUROC"].interval
    assert low < found["all", "AUROC"].value < high
    assert found["all", "F1"].value >= max(
        2 * (odd & (scores >= t)).sum() / (odd.sum() + (scores >= t).sum()) for t in scores
    ) - 1e-12  # fmt: skip


def test_a_coreset_covers_all_points():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(10, 4)).astype(np.float32) * 50
    points = centres[rng.integers(0, 10, 400)] + rng.normal(size=(400, 4)).astype(np.float32)
    chosen = points[coreset(points, 10)]
    assert (np.linalg.norm(points[:, None] - chosen, axis=-1).min(1) < 10).all()
    assert coreset(points[:5], 10).tolist() == [0, 1, 2, 3, 4]


def small_network():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 7, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3, 2, 1), torch.nn.ReLU()
    )


@pytest.mark.parametrize("method", list(DETECTORS))
def test_each_detector_sees_planted_defects_and_where(method, run):
    normal, (odd, masks) = texture(40, 11), with_spots(texture(40, 12))
    features = small_network() if method == "features" else None
    found = run.detect(np.concatenate([normal, odd])[:, None], method=method, features=features, false_alarms=0.1)
    truth = np.arange(80) >= 40
    assert len(found) == 80
    assert np.isfinite(found.scores).all()
    assert ((found.p_values > 0) & (found.p_values <= 1)).all()
    assert roc_auc_score(truth, found.scores) > (0.6 if method == "neighbours" else 0.9)
    assert found.odd[:40].mean() <= 0.35
    if DETECTORS[method].has_maps:
        peaks = found.maps[40:].reshape(40, -1).argmax(1)
        near = np.stack([np.pad(mask, 2)[2:-2, 2:-2] for mask in masks]).reshape(40, -1)
        assert near[np.arange(40), peaks].mean() > 0.6
    else:
        assert found.maps is None


def test_an_mvtec_folder_is_trained_detected_and_evaluated(run, mvtec, tmp_path, capsys):
    assert run.class_names == ("good", "spot")
    kept = [one for one in run.images.test.ids if str(one).startswith("train/")]
    assert len(kept) == 12  # a tenth of the normal train images
    assert not set(kept) & set(run.images.train.ids)
    out = tmp_path / "out"
    main(["detect", str(run.path), str(mvtec), "-o", str(out), "--maps", "all"])
    text = capsys.readouterr().out
    assert "AUPRO" in text
    assert "pixel AUROC" in text
    rows = list(csv.DictReader((out / "detections.csv").read_text().splitlines()))
    assert len(rows) == 36
    assert {row["class"] for row in rows} == {"good", "spot"}
    assert {row["odd"] for row in rows} <= {"yes", "no"}
    truth = [row["class"] == "spot" for row in rows]
    assert roc_auc_score(truth, [float(row["score"]) for row in rows]) > 0.95
    for kind in ("maps", "overlays"):
        with Image.open(out / kind / "test" / "spot" / "000.png") as picture:
            assert picture.size == (SIDE, SIDE)
    page = (out / "detections.html").read_text()
    assert "test/spot/" in page
    assert "How well it works here" in page


def test_the_oddest_places_are_those_of_the_masks(run, mvtec):
    found = detect_images(run, mvtec)
    values = {(one.subject, one.name): one.value for one in found.evaluation.measures}
    assert values["all", "AUROC"] > 0.95
    assert values["all", "pixel AUROC"] > 0.9
    assert len(found.calibration) == 32  # those of test/good, and a tenth of train/good
    assert any("20 new images are normal test images of the run" in note for note in found.notes)


def test_the_test_folder_alone_is_evaluated_too(run, mvtec):
    found = detect_images(run, mvtec / "test")
    assert {one.name for one in found.evaluation.measures} == {"AUROC", "F1", "pixel AUROC", "AUPRO"}


def test_one_file_and_its_p_value(run, mvtec):
    found = run.detect(mvtec / "test" / "spot" / "003.png")
    assert found.odd.tolist() == [True]
    assert found.p_values[0] == pytest.approx(1 / (len(found.calibration) + 1))
    assert found.to_dicts()[0]["odd"] is True


def test_the_decision_is_that_of_the_threshold(run):
    found = run.detect(texture(60, 21)[:, None], false_alarms=0.2)
    assert (found.odd == (found.scores > found.threshold)).all()


def test_all_images_get_maps_or_only_the_flagged_ones(run, tmp_path, monkeypatch):
    images = np.concatenate([texture(10, 31), with_spots(texture(5, 32))[0]])[:, None]
    found = run.detect(images)
    write_detections(found, images, tmp_path / "all")
    assert len(list((tmp_path / "all" / "maps").glob("*.png"))) == 15
    monkeypatch.setattr("latens.report.detections.MOST_DRAWN", 14)
    write_detections(found, images, tmp_path / "many")
    assert len(list((tmp_path / "many" / "maps").glob("*.png"))) == found.odd.sum()
    write_detections(found, images, tmp_path / "a", maps="flagged")
    assert len(list((tmp_path / "a" / "maps").glob("*.png"))) == found.odd.sum()
    write_detections(found, images, tmp_path / "b", maps="none")
    assert not (tmp_path / "b" / "maps").exists()
    with pytest.raises(UsageError, match="allowed are flagged, all, none"):
        write_detections(found, images, tmp_path / "c", maps="some")


def test_parquet_holds_the_same_table(run, tmp_path):
    images = texture(6, 41)[:, None]
    found = run.detect(images)
    write_detections(found, images, tmp_path)
    table = polars.read_parquet(tmp_path / "detections.parquet").to_dict(as_series=False)
    assert table["score"] == found.scores.tolist()
    assert list(table) == next(csv.reader(io.StringIO(found.as_csv())))


def test_heat_is_dark_where_all_is_usual_and_covers_where_it_is_not():
    heat = np.array([[0.0, 1.0, 5.0]])
    colours = heat_colours(heat, 1.0).sum(-1)[0]
    assert colours[0] < 30 < colours[1] < colours[2]
    grey = np.full((1, 3, 3), 100, np.uint8)
    covered = overlay(grey, heat, 1.0)
    assert (covered[0, 0] == 100).all()
    assert (covered[0, 2] != 100).any()


def test_an_encoder_may_be_a_module_a_function_or_a_name():
    x = np.random.default_rng(0).random((2, 1, 16, 16), np.float32)
    maps = encoder_of(small_network()).maps(x)
    assert [tuple(one.shape) for one in maps] == [(2, 8, 28, 28), (2, 8, 14, 14)]
    assert encoder_of(lambda x: x.mean((2, 3))).vectors(x).shape == (2, 3)
    assert encoder_of("test_detect:small_network").vectors(x).shape == (2, 8)  # of the deepest map


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ("resnet", "allowed is timm:NAME"),
        (7, "of type int"),
        ("no_such_module:f", "can't be loaded"),
        (lambda x: x[:1], r"gives \(1, 3, "),
        (lambda x: 1 / 0, "the encoder fails"),
        (lambda x: x * torch.nan, "finite feature maps"),
    ],
)
def test_features_that_fail_are_one_line(features, message, run):
    with pytest.raises(UsageError, match=message):
        run.detect(texture(3)[:, None], method="features", features=features)


def test_onnx_files_that_are_not_there_or_not_networks(tmp_path):
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtra, match="pip install onnx"):
            encoder_of("onnx:x.onnx")
        return
    with pytest.raises(UsageError, match="no such file"):
        encoder_of("onnx:x.onnx")
    (tmp_path / "x.onnx").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="not usable"):
        encoder_of(str(tmp_path / "x.onnx"))


def test_a_test_part_without_normal_images_is_said(run, tmp_path):
    pixels, labels = np.concatenate([texture(30), texture(8, 5)])[:, None], ["good"] * 30 + ["bad"] * 8
    parts = {"x_train": pixels[:19], "y_train": labels[:19], "x_test": pixels[30:], "y_test": labels[30:]}
    np.savez(tmp_path / "parts.npz", **parts)
    odd = latens.run(
        tmp_path / "parts.npz", out=tmp_path / "odd", epochs=1, latent_dim=2, device="cpu", progress=Silent()
    )
    with pytest.raises(RunError, match="has no normal images that training did not see"):
        odd.detect(texture(2)[:, None])


def test_errors_name_what_to_do(run, mvtec, tmp_path, capsys):
    with pytest.raises(UnknownName, match="unknown method 'x'; known: combined"):
        run.detect(texture(3)[:, None], method="x")
    with pytest.raises(UsageError, match="features go with the method features only"):
        run.detect(texture(3)[:, None], features="timm:x")
    with pytest.raises(UsageError, match="needs an encoder"):
        run.detect(texture(3)[:, None], method="features")
    with pytest.raises(UsageError, match=r"false alarms 0\.001 with 32 normal images"):
        run.detect(texture(3)[:, None], false_alarms=0.001)
    assert main(["detect", str(run.path), str(mvtec), "-o", str(tmp_path.parent)]) == 2
    assert "the folder is not empty" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["detect", str(run.path), str(mvtec), "-o", str(tmp_path / "file")]) == 2
    assert "is a file; the name of a folder is needed" in capsys.readouterr().err

"""A set in the layout of MVTec with known defects goes all the way: command line, report, explorer, exported file, detection."""

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score
from starlette.testclient import TestClient

from latens.cli import main
from latens.explorer import View, create_app
from latens.explorer.columns import read_columns
from latens.runs import open_run

SIDE, KINDS = 16, ("hole", "scratch")


def plates(count, seed):
    """Normal images: a plate with waves of any phase and grain, uint8 (count, SIDE, SIDE)."""
    rng = np.random.default_rng(seed)
    waves = 0.5 + 0.2 * np.sin(np.arange(SIDE) / 3 + rng.uniform(0, 6.28, (count, 1)))[:, None, :]
    return np.clip((waves + rng.normal(0, 0.02, (count, SIDE, SIDE))) * 255, 0, 255).astype(np.uint8)


def with_defect(images, kind, seed):
    """The same with a dark hole or a bright scratch in each; and where it is, bool."""
    rng = np.random.default_rng(seed)
    masks = np.zeros(images.shape, bool)
    for mask in masks:
        y, x = rng.integers(2, SIDE - 6, 2)
        mask[(slice(y, y + 3), slice(x, x + 3)) if kind == "hole" else (slice(y, y + 2), slice(x, x + 5))] = True
    changed = images.astype(int) + (-90 if kind == "hole" else 90)
    return np.where(masks, changed.clip(0, 255), images).astype(np.uint8), masks


def write(folder, images, name="{:03}.png"):
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / name.format(number))


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    root = tmp_path_factory.mktemp("factory") / "plates"
    write(root / "train" / "good", plates(120, 1))
    write(root / "test" / "good", plates(15, 2))
    for seed, kind in enumerate(KINDS):
        images, masks = with_defect(plates(8, 3 + seed), kind, seed)
        write(root / "test" / kind, images)
        write(root / "ground_truth" / kind, masks.astype(np.uint8) * 255, "{:03}_mask.png")
    return root


@pytest.fixture(scope="module")
def run(parts):
    out = parts.parent / "run"
    words = ["run", parts, "--out", out, "--epochs", 20, "--latent-dim", 8, "--network", "dense", "--device", "cpu"]
    assert main([str(one) for one in words]) == 0
    return open_run(out)


@pytest.fixture(scope="module")
def found(run, parts):
    out = parts.parent / "found"
    assert main([str(one) for one in ("detect", run.path, parts, "-o", out, "--maps", "all", "--device", "cpu")]) == 0
    return out


def test_masks_are_truth_and_no_images(run):
    assert run.record["status"] == "done"
    assert run.class_names == ("good", *KINDS)
    every = [*run.images.train.ids, *run.images.test.ids]
    assert len(every) == 120 + 15 + 16
    assert not any("mask" in one or "ground_truth" in one for one in every)
    assert any("ground_truth" in note for note in run.images.notes)
    assert not np.isin(run.images.train.labels, [1, 2]).any()


def test_the_report_tells_the_set(run):
    report = (run.path / "report.html").read_text()
    for word in ("plates", "ground_truth", "moved to the test part", *KINDS):
        assert word in report
    assert {"reconstructions", "worst", "map", "review"} <= {
        path.stem.split("-")[0] for path in (run.path / "figures").glob("*.png")
    }


def test_detection_finds_the_defects_and_where_they_are(run, parts, found):
    rows = list(csv.DictReader((found / "detections.csv").read_text().splitlines()))
    assert len(rows) == 31
    truth = [row["class"] != "good" for row in rows]
    assert roc_auc_score(truth, [float(row["score"]) for row in rows]) > 0.95
    hits = 0
    for kind in KINDS:
        for number in range(8):
            with Image.open(found / "maps" / "test" / kind / f"{number:03}.png") as heat:
                place = np.unravel_index(np.asarray(heat.convert("RGB")).sum(axis=2, dtype=int).argmax(), (SIDE, SIDE))
            with Image.open(parts / "ground_truth" / kind / f"{number:03}_mask.png") as mask:
                hits += bool(
                    np.asarray(mask)[max(0, place[0] - 1) : place[0] + 2, max(0, place[1] - 1) : place[1] + 2].any()
                )
    assert hits >= 14, f"the brightest place of {hits} of 16 maps is at the defect"
    page = (found / "detections.html").read_text()
    for word in ("AUROC", "AUPRO", *KINDS):
        assert word in page


def test_the_explorer_answers_with_images_classes_and_detections(run, found):
    told = {row["id"]: row for row in csv.DictReader((found / "detections.csv").read_text().splitlines())}
    plain = View(run)
    view = View(run, read_columns(found / "detections.csv", plain.ids))
    headers = {"x-latens-token": "t"}
    with TestClient(create_app(view, token="t"), base_url="http://127.0.0.1:8123", headers=headers) as client:
        assert client.get("/api/run").json()["class_names"] == ["good", *KINDS]
        for address in (
            "/api/map?name=tsne",
            "/api/image?row=0",
            "/api/thumbnails?page=0",
            "/api/list?kind=worst-rebuilt",
        ):
            assert client.get(address).status_code == 200, address
        told_of = client.get("/api/column?name=own:score")
        assert told_of.status_code == 200, told_of.text
        scores = told_of.json()["values"]
    assert len(scores) == len(view.ids)
    for one, score in zip(view.ids, scores, strict=True):
        known = told.get(str(one))
        assert score is None if known is None else score == pytest.approx(float(known["score"]), rel=1e-5)


def test_the_exported_file_holds_images_and_networks(run, tmp_path, capsys):
    assert main(["export", str(run.path), "--html", str(tmp_path / "plates.html")]) == 0
    page = (tmp_path / "plates.html").read_text()
    facts = json.loads(re.search(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    assert facts["cell"] == [1, SIDE, SIDE]
    assert facts["decoder"]
    assert not re.search(r"(?:src|href)=[\"']https?:", page), "the file asks no other machine"

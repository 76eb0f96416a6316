"""Parts of latents and their maps as a run, which the explorer opens."""

import json

import numpy as np
import pytest

from browser import expect, open_tab, opened, settled, status, until
from conftest import make_blobs
from latens.cli import main
from latens.computed.parts_map import map_in_parts
from latens.computed.parts_run import run_of_parts
from latens.computed.stored import StoredParts
from latens.errors import RunError, UsageError
from latens.explorer import View, answer
from latens.explorer.serving import Serving
from latens.exports.latents_parts import encode_in_parts

COUNT, ROWS = 60, 25


@pytest.fixture
def parts(finished_run, tmp_path):
    """A folder of the latents of 60 images of a file, with two maps; and the file."""
    pixels, labels = make_blobs(COUNT, seed=5)
    np.savez(tmp_path / "new.npz", images=pixels[:, 0], labels=labels)
    encode_in_parts(finished_run, tmp_path / "new.npz", tmp_path / "parts", rows=ROWS)
    for name in ("tsne", "pca"):
        map_in_parts(finished_run, tmp_path / "parts", name, sample=40)
    return tmp_path / "parts", tmp_path / "new.npz", pixels, labels


def test_it_has_the_latents_and_maps_of_the_parts(finished_run, parts):
    folder, _, _, labels = parts
    made, stored = run_of_parts(finished_run, folder), StoredParts(folder)
    every = np.arange(COUNT)
    np.testing.assert_array_equal(made.latents["latents"], stored.latents(every))
    np.testing.assert_array_equal(made.latents["ids"], stored.ids(every))
    assert [made.class_names[k] for k in made.labels_of(None)] == [str(k) for k in labels]
    for name in ("tsne", "pca"):
        shown = made.map(name)
        assert shown.coordinates.shape == (COUNT, 2)
        # A point of the map leads back to its latent, one that was placed too.
        assert np.abs(shown.inverse(shown.coordinates) - stored.latents(every)).max() < (
            1e-4 if name == "tsne" else np.inf
        )
    assert "of 40 latents; the others were placed" in made.map("tsne").note
    z = made.latents["latents"][:3]
    np.testing.assert_array_equal(made.decode(z), finished_run.decode(z))


def test_some_latents_may_have_no_class(finished_run, parts, monkeypatch):
    folder, _, _, labels = parts
    told = StoredParts.labels
    monkeypatch.setattr(StoredParts, "labels", lambda self, rows: np.where(rows < 10, "", told(self, rows)))
    made = run_of_parts(finished_run, folder)
    found = made.labels_of(None)
    assert (found[:10] == -1).all()
    assert [made.class_names[k] for k in found[10:]] == [str(k) for k in labels[10:]]
    np.testing.assert_array_equal(made.latents["labels"], found)


def test_it_is_made_again_only_where_something_is_new(finished_run, parts):
    folder, _, _, _ = parts
    first = run_of_parts(finished_run, folder).folder.record
    assert run_of_parts(finished_run, folder).folder.record == first
    few = run_of_parts(finished_run, folder, most=20)
    assert few.folder.record["of_parts"] != first["of_parts"]
    assert len(few.latents["ids"]) == len(few.map("tsne").coordinates) == 20
    wanted = [StoredParts(folder).row_of(one) for one in few.latents["ids"].tolist()]
    assert wanted == sorted(wanted)


def test_images_are_read_where_they_are(finished_run, parts, tmp_path):
    folder, file, pixels, _ = parts
    made = run_of_parts(finished_run, folder, images=file)
    rows = np.array([40, 3, 4, 59, 3])
    np.testing.assert_array_equal(made.images.train.inputs[rows], pixels[rows])
    with pytest.raises(RunError, match="--images DATA"):
        run_of_parts(finished_run, folder).images  # noqa: B018
    np.savez(tmp_path / "fewer.npz", images=pixels[:50, 0])
    with pytest.raises(RunError, match="has no image 50"):
        run_of_parts(finished_run, folder, images=tmp_path / "fewer.npz").images  # noqa: B018


def test_the_explorer_shows_it(finished_run, parts):
    folder, file, _, labels = parts
    options = {"within": folder, "images": file}
    facts = answer(finished_run, "/api/run", **options)
    assert (facts["count"], facts["part"], facts["missing"]) == (COUNT, "all", "")
    assert set(facts["kept"]) == {"tsne", "pca"}
    assert "error" not in {column["name"] for column in facts["columns"]}
    shown = answer(finished_run, "/api/opening", **options)
    assert (shown["map"], len(shown["x"]), shown["labels"]) == ("tsne", COUNT, labels.tolist())
    image = answer(finished_run, "/api/image?row=7", **options)
    assert image["id"] == "7"
    truth = StoredParts(folder)
    near = truth.nearest(truth.latent(7), 3, np.array([7]), lambda done, total: None)[1][0]
    assert image["neighbours"][:3] == near.tolist()
    assert image["error"] is None
    decoded = answer(finished_run, "/api/decode?map=tsne&x=0&y=0", **options)
    assert decoded["pixels"]
    assert answer(finished_run, "/api/thumbnails?page=0", **options)["media_type"] == "image/png"
    without = answer(finished_run, "/api/run", within=folder)
    assert "--images DATA" in without["missing"]
    assert without["thumbnails"] is None


def test_what_is_missing_is_said(finished_run, parts, capsys):
    folder, file, _, _ = parts
    lost = sorted((folder / "map-pca").glob("*.parquet"))[1]
    lost.unlink()
    with pytest.raises(UsageError, match=r"1 part of 3 missing or cut.*latens map"):
        run_of_parts(finished_run, folder)
    for name in ("tsne", "pca"):
        (folder / f"map-{name}" / "sample.npz").unlink()
    with pytest.raises(UsageError, match="has no map; `latens map"):
        run_of_parts(finished_run, folder)
    words = ["explore", str(finished_run.path), "--images", str(file), "--get", "/api/run"]
    assert main(words) == 2
    assert "--images: only with a folder of parts" in capsys.readouterr().err
    with pytest.raises(UsageError, match="give within too"):
        answer(finished_run, "/api/run", images=file)


def test_the_command(finished_run, parts, capsys):
    folder, file, _, _ = parts
    words = ["explore", str(finished_run.path), "--in", str(folder), "--images", str(file), "--get", "/api/run"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["count"] == COUNT


@pytest.mark.parametrize("with_images", [True, False])
def test_the_page_opens(finished_run, parts, browser, with_images):
    folder, file, _, _ = parts
    serving = Serving(View(run_of_parts(finished_run, folder, images=file if with_images else None))).start()
    with opened(browser, serving.address) as page:
        if not with_images:
            until(page, lambda: "--images DATA" in status(page))
        settled(page)
        open_tab(page, "Image")
        page.get_by_label("Find", exact=True).fill("7")
        page.get_by_label("Find", exact=True).press("Enter")
        expect(page.get_by_text("mean squared error –").first).to_be_visible()
    serving.stop()
    serving.wait()

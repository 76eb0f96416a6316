"""What scores need of the images alone is kept in the cache: the second run of the same images does not compute it."""

import shutil

import numpy as np
import pytest

import latens
from latens.computed import with_images
from latens.computed.scoring import score_run
from latens.computed.with_images import kept_with
from latens.metrics import reconstruction, representation
from latens.progress import Silent


class Heard(Silent):
    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


@pytest.fixture
def images():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), np.uint8)
    return latens.load_images(pixels, labels=np.arange(40) % 2)


def never():
    raise AssertionError("it was computed again")


def found():
    return {"value": np.array(3.5), "rows": np.arange(4)}


def test_what_was_computed_is_kept(own_cache, images):
    kept = kept_with(images, Silent())
    kept("error", found)
    again = kept_with(images, Silent())("error", never)
    assert again["value"].item() == 3.5
    assert again["rows"].tolist() == [0, 1, 2, 3]


def test_other_images_labels_and_names_have_their_own(own_cache, images):
    kept_with(images, Silent())("error", found)
    other = latens.load_images(images.train.pixels[:30], labels=np.zeros(30, int))
    for kept, name in ((kept_with(other, Silent()), "error"), (kept_with(images, Silent()), "another")):
        with pytest.raises(AssertionError, match="again"):
            kept(name, never)


def test_a_damaged_file_is_made_again(own_cache, images):
    kept = kept_with(images, Silent())
    kept("error", found)
    (file,) = (own_cache / "scored").iterdir()
    file.write_bytes(file.read_bytes()[:-30])
    assert kept("error", lambda: {"value": np.array(4.0)})["value"].item() == 4.0
    assert kept("error", never)["value"].item() == 4.0


def test_what_cannot_be_written_is_said(own_cache, images):
    own_cache.write_text("a file where the folder should be")
    heard = Heard()
    assert kept_with(images, heard)("error", found)["value"].item() == 3.5
    (line,) = heard.lines
    assert "not kept for later runs: error" in line


def test_large_results_are_not_kept(own_cache, images, monkeypatch):
    monkeypatch.setattr(with_images, "MOST", 8)
    kept_with(images, Silent())("error", found)
    assert not (own_cache / "scored").exists()


def test_the_second_scoring_gives_the_same_scores_without_computing_them(
    own_cache, finished_run, tmp_path, monkeypatch
):
    run = latens.open_run(shutil.copytree(finished_run.path, tmp_path / "run"))
    first = score_run(run, run.images, samplers=["gaussian"]).to_dicts()
    assert len(list((own_cache / "scored").iterdir())) == 3, "features, accuracy on raw pixels, error of PCA"
    monkeypatch.setattr(reconstruction, "linear_baseline", never)
    monkeypatch.setattr(representation, "pixel_accuracy", never)
    assert score_run(run, run.images, samplers=["gaussian"]).to_dicts() == first


def test_features_of_a_given_encoder_are_not_kept_by_its_name(own_cache, finished_run, tmp_path):
    run = latens.open_run(shutil.copytree(finished_run.path, tmp_path / "run"))
    score_run(run, run.images, samplers=["gaussian"], features=lambda x: x.reshape(len(x), -1)[:, :12])
    assert len(list((own_cache / "scored").iterdir())) == 2

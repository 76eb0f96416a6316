"""Maps of latents in parts: of a sample, with all others placed on it, and whole after any process was killed."""

import json

import numpy as np
import polars
import pytest

from conftest import make_blobs
from latens.cli import main
from latens.computed import parts_map
from latens.computed.parts_map import map_in_parts, moments_of_parts
from latens.computed.stored import StoredParts
from latens.errors import RunError, UnknownName, UsageError
from latens.exports.latents_parts import encode_in_parts
from latens.images import load_images
from latens.maps import MAPS
from latens.neighbours import Neighbours, placed_neighbours_kept
from latens.parts import Share
from latens.runs import Run
from latens.sheets import as_parquet

COUNT, ROWS = 117, 30


@pytest.fixture
def parts(finished_run, tmp_path):
    """A folder of the latents of 117 images in four parts, and these latents."""
    pixels, labels = make_blobs(130, seed=5)
    images = load_images(pixels[:, 0], labels=labels).train
    encode_in_parts(finished_run, images, tmp_path / "parts", rows=ROWS)
    table = read(tmp_path / "parts")
    return tmp_path / "parts", np.array(table["latent"].to_list(), np.float32), table["id"].to_list()


def read(folder):
    return polars.concat([polars.read_parquet(file) for file in sorted(folder.glob("*.parquet"))])


def places(table):
    return table.select("x", "y").to_numpy()


def test_moments_are_those_of_all_latents(parts):
    folder, latents, _ = parts
    moments = moments_of_parts(StoredParts(folder))
    assert moments.count == len(latents)
    np.testing.assert_allclose(moments.mean, latents.mean(0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(latents.T.astype(np.float64), ddof=0), rtol=1e-9, atol=1e-12)


def test_pca_is_that_of_all_latents(finished_run, parts):
    folder, latents, ids = parts
    map_in_parts(finished_run, folder, "pca", sample=50)
    table = read(folder / "map-pca")
    truth = MAPS["pca"]().fit(latents)
    np.testing.assert_allclose(places(table), truth.coordinates, rtol=1e-4, atol=1e-4)
    assert table["id"].to_list() == ids
    assert table["row"].to_list() == list(range(COUNT))
    assert table["sampled"].sum() == 50


def test_a_sample_of_all_is_the_map_itself(finished_run, parts):
    folder, latents, _ = parts
    made = map_in_parts(finished_run, folder, "tsne", seed=3)
    table = read(folder / "map-tsne")
    truth = MAPS["tsne"]().fit(latents, seed=3)
    np.testing.assert_array_equal(places(table), truth.coordinates)
    np.testing.assert_array_equal(table["trust"].to_numpy(), truth.trust)
    assert table["sampled"].all()
    assert not made.notes


def test_others_are_placed_on_the_map_of_the_sample(finished_run, parts):
    folder, latents, _ = parts
    made = map_in_parts(finished_run, folder, "tsne", sample=60)
    assert made.notes == ("the map is that of 60 latents; the others were placed on it",)
    table = read(folder / "map-tsne")
    sampled = table["sampled"].to_numpy()
    assert sampled.sum() == 60
    truth = MAPS["tsne"]().fit(latents[sampled], seed=finished_run.recipe.config.seed)
    np.testing.assert_array_equal(places(table)[sampled], truth.coordinates)
    rest = latents[~sampled]
    np.testing.assert_allclose(places(table)[~sampled], truth.place(rest), rtol=1e-5, atol=1e-5)
    known = Neighbours(latents[sampled]), Neighbours(truth.coordinates)
    np.testing.assert_array_equal(
        table["trust"].to_numpy()[~sampled], placed_neighbours_kept(*known, rest, places(table)[~sampled])
    )


def test_processes_share_the_work_and_nothing_is_made_twice(finished_run, parts, monkeypatch):
    folder, _, _ = parts
    made = map_in_parts(finished_run, folder, "tsne", sample=60, share=Share(1, 2))
    assert (made.written, made.missing) == (2, 2)
    files = sorted((folder / "map-tsne").glob("*.parquet"))
    first = [file.read_bytes() for file in files]
    # The sample has its map: another fit would be another map.
    monkeypatch.setitem(MAPS.added, "tsne", None)
    monkeypatch.setattr(parts_map, "drawn_rows", None)
    made = map_in_parts(finished_run, folder, "tsne", sample=60)
    assert (made.written, made.there, made.missing) == (2, 2, 0)
    assert [file.read_bytes() for file in files] == first


def test_other_maps_and_broken_parts_are_refused(finished_run, parts):
    folder, latents, _ = parts
    map_in_parts(finished_run, folder, "pca", sample=60)
    with pytest.raises(RunError, match="other samples"):
        map_in_parts(finished_run, folder, "pca", sample=61)
    with pytest.raises(RunError, match="other seeds"):
        map_in_parts(finished_run, folder, "pca", sample=60, seed=9)
    with pytest.raises(UnknownName):
        map_in_parts(finished_run, folder, "plain")
    with pytest.raises(UsageError, match="sample"):
        map_in_parts(finished_run, folder, "pca", sample=0)
    with pytest.raises(UsageError, match="no such folder"):
        map_in_parts(finished_run, folder / "nowhere")
    file = sorted(folder.glob("latents-*.parquet"))[2]
    content = file.read_bytes()
    file.write_bytes(content[:-20])
    with pytest.raises(UsageError, match="missing or cut"):
        map_in_parts(finished_run, folder, "pca", sample=60)
    file.write_bytes(content)
    latents[70, 1] = np.nan
    file.write_bytes(as_parquet({"id": np.arange(60, 90).astype(str), "latent": latents[60:90]}))
    with pytest.raises(UsageError, match="NaN or infinity"):
        moments_of_parts(StoredParts(folder))
    plan = json.loads((folder / "parts.json").read_text())
    (folder / "parts.json").write_text(json.dumps(plan | {"weights": "0" * 64}))
    with pytest.raises(UsageError, match="other weights"):
        map_in_parts(finished_run, folder, "pca", sample=60)


def test_the_command(finished_run, parts, capsys):
    folder, _, _ = parts
    words = ["map", str(Run(finished_run.path).path), "--in", str(folder)]
    assert main([*words, "--sample", "60", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["parts"], answer["written"], answer["images"]) == (4, 4, COUNT)
    assert main([*words, "--sample", "60"]) == 0
    assert "0 parts of 4 written" in capsys.readouterr().out
    assert main([*words, "--refit"]) == 2
    assert "--refit: not with --in FOLDER/" in capsys.readouterr().err
    assert main(["map", str(finished_run.path), "--sample", "60"]) == 2
    assert "--sample: only with a folder of parts" in capsys.readouterr().err

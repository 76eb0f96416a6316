"""Latents, history and scores as tables, read by the libraries that people have."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

import latens
from conftest import from_test_all, make_blobs
from latens import sheets
from latens.cli import main


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """Images with classes by name and a table of two further columns, one of which is called like a column of ours."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("named")
    pixels, labels = make_blobs(12)
    rows = ["file,class,age,latent"]
    for number, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
        Image.fromarray(picture[0]).save(folder / f"{number:02}.png")
        rows.append(f"{number:02}.png,{'abc'[label]},{number / 2},x{number}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture(params=["polars", "pyarrow"])
def library(request, monkeypatch):
    monkeypatch.setattr(sheets, "LIBRARIES", (request.param,))
    return request.param


@pytest.fixture
def written(finished_run, named, library, tmp_path):
    path = tmp_path / f"{library}.parquet"
    assert main(["encode", str(finished_run.path), str(named), "-o", str(path)]) == 0
    return path


def test_parquet_holds_what_npz_holds(finished_run, named, written, tmp_path):
    assert main(["encode", str(finished_run.path), str(named), "-o", str(tmp_path / "z.npz")]) == 0
    arrays = np.load(tmp_path / "z.npz")
    read = pq.read_table(written)
    assert read.column_names == ["id", "label", "age", "column:latent", "latent"]
    latent = read.schema.field("latent").type
    assert (latent.list_size, str(latent.value_type)) == (8, "float")
    np.testing.assert_array_equal(np.stack(read["latent"].to_numpy(zero_copy_only=False)), arrays["latents"])
    assert read["id"].to_pylist() == arrays["ids"].tolist()
    assert read["label"].to_pylist() == arrays["class_names"][arrays["labels"]].tolist()
    assert read["age"].to_pylist() == arrays["column:age"].tolist()
    facts = {key.decode(): value.decode() for key, value in pq.read_metadata(written).metadata.items()}
    assert facts["latens.fingerprint"] == finished_run.record["data"]["fingerprint"]
    assert facts["latens.weights"] == finished_run.record["files"]["model.safetensors"]
    assert json.loads(facts["latens.latent_shape"]) == [8]
    assert facts["latens.version"] == latens.__version__


def test_polars_and_pandas_read_it(written):
    by_polars, by_pandas = pl.read_parquet(written), pd.read_parquet(written)
    assert by_polars.schema["latent"] == pl.Array(pl.Float32, 8)
    np.testing.assert_array_equal(by_polars["latent"].to_numpy(), np.stack(by_pandas["latent"]))
    assert by_polars["label"].to_list() == by_pandas["label"].tolist()


@pytest.mark.pretrained
def test_duckdb_reads_it(written):
    duckdb = from_test_all("duckdb")
    kind = duckdb.sql(f"select typeof(latent) from '{written}' limit 1").fetchall()
    assert kind in ([("FLOAT[8]",)], [("FLOAT[]",)])
    found = duckdb.sql(f"select label, count(*) from '{written}' group by label order by label").fetchall()
    assert found == [("a", 4), ("b", 4), ("c", 4)]


@pytest.mark.pretrained
def test_anndata_reads_it(finished_run, named, tmp_path):
    anndata = from_test_all("anndata")
    (named / "labels.csv").write_text((named / "labels.csv").read_text().replace("age,latent", "a/b,_index"))
    path = tmp_path / "z.h5ad"
    assert main(["encode", str(finished_run.path), str(named), "-o", str(path)]) == 0
    assert main(["encode", str(finished_run.path), str(named), "-o", str(tmp_path / "z.npz")]) == 0
    arrays, read = np.load(tmp_path / "z.npz"), anndata.read_h5ad(path)
    np.testing.assert_array_equal(read.X, arrays["latents"])
    assert read.X.dtype == np.float32
    assert read.obs_names.tolist() == arrays["ids"].tolist()
    assert read.obs["label"].tolist() == arrays["class_names"][arrays["labels"]].tolist()
    assert read.obs["label"].dtype == "category"
    np.testing.assert_array_equal(read.obs["a_b"], arrays["column:a/b"])
    assert read.obs["column:_index"].tolist() == arrays["column:_index"].tolist()
    assert read.var_names.tolist() == [f"latent{n}" for n in range(8)]
    assert read.uns["latens"]["fingerprint"] == finished_run.record["data"]["fingerprint"]
    assert read.uns["latens"]["weights"] == finished_run.record["files"]["model.safetensors"]


@pytest.mark.pretrained
def test_latents_of_a_run_as_anndata(finished_run, tmp_path):
    anndata = from_test_all("anndata")
    arrays = dict(finished_run.latents)
    ids = arrays["ids"].astype("U30")
    ids[0] = "a\ud800 猫"
    arrays |= {"ids": ids, "column:note": np.array(["x\0y", *[""] * (len(ids) - 1)])}
    latens.exports.write_anndata(finished_run, arrays, tmp_path / "z.h5ad")
    read = anndata.read_h5ad(tmp_path / "z.h5ad")
    np.testing.assert_array_equal(read.X, arrays["latents"])
    np.testing.assert_array_equal(read.obs["squared_error"], arrays["squared_error"])
    assert (read.obs["part"] == "test").sum() == (arrays["part"] == 1).sum()
    assert (read.obs_names[0], read.obs["note"].iloc[0]) == ("a? 猫", "xy")


def test_without_anndata_it_is_said_before_the_work(finished_run, named, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "anndata", None)
    assert main(["encode", str(finished_run.path), str(named), "-o", str(tmp_path / "z.h5ad")]) == 2
    assert 'pip install "latens[anndata]"' in capsys.readouterr().err


def test_without_a_library_it_is_said_before_the_work(finished_run, named, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sheets, "LIBRARIES", ())
    assert main(["encode", str(finished_run.path), str(named), "-o", str(tmp_path / "z.parquet")]) == 2
    assert 'pip install "latens[parquet]"' in capsys.readouterr().err
    assert main(["encode", str(finished_run.path), str(named), "-o", str(tmp_path / "z.csv")]) == 2
    assert "allowed: .npz, .parquet, .h5ad" in capsys.readouterr().err


def test_latents_history_and_scores_are_tables(finished_run):
    frame = finished_run.latents.to_pandas()
    arrays = dict(finished_run.latents)
    assert list(frame.columns) == ["id", "part", "label", "squared_error", *(f"latent{n}" for n in range(8))]
    np.testing.assert_array_equal(frame.filter(regex="^latent").to_numpy(), arrays["latents"])
    assert (frame["part"] == "test").sum() == (arrays["part"] == 1).sum() > 0
    assert frame["label"].tolist() == [finished_run.class_names[label] for label in arrays["labels"]]
    by_polars = pl.DataFrame(finished_run.latents.columns())
    np.testing.assert_array_equal(by_polars["latent"].to_numpy(), arrays["latents"])
    history = finished_run.history
    assert history.to_pandas()["epoch"].tolist() == pl.DataFrame(history)["epoch"].to_list() == [1, 2]
    assert len(finished_run.scores.to_pandas()) == len(finished_run.scores)


def test_a_pickled_run_is_its_path(finished_run, monkeypatch, tmp_path):
    monkeypatch.chdir(finished_run.path.parent)
    run = latens.open_run(finished_run.path.name)
    packed, expected = pickle.dumps(run), np.array(run.latents["latents"])
    assert len(packed) < 500
    monkeypatch.chdir(tmp_path)
    again = pickle.loads(packed)
    np.testing.assert_array_equal(again.latents["latents"], expected)
    done = subprocess.run(
        [sys.executable, "-c", "import pickle, sys; print(pickle.load(sys.stdin.buffer).path)"],
        input=packed,
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().strip() == str(finished_run.path)

"""Comparing: what is trained and what is reused, what is refused, what is advised, and what is written."""

import csv
import json

import numpy as np
import pytest

import latens
from conftest import make_blobs
from latens.progress import Silent


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    pixels, labels = make_blobs(80)
    np.savez(folder / "blobs.npz", images=pixels[:, 0], labels=labels)
    return folder / "blobs.npz"


TINY = {"epochs": 1, "device": "cpu", "progress": Silent()}


@pytest.fixture(scope="module")
def compared(data, tmp_path_factory):
    """Two dimensions; a seed each."""
    return latens.compare(data, latent_dims=[2, 4], out=tmp_path_factory.mktemp("compared") / "c", **TINY)


def test_every_run_is_there_with_all_its_scores(compared):
    with open(compared.path / "compare.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(compared.rows) == len(compared.runs) == 2
    for line, run in zip(lines, compared.runs, strict=True):
        assert int(line["latent_dim"]) == run.recipe.latent_dim
        for score in run.scores["scores"]:
            assert float(line[f"{score['group']}.{score['name']}"]) == score["value"]
    assert json.loads((compared.path / "compare.json").read_text()) == json.loads(json.dumps(compared.as_json()))

"""The documents are correct: the guide runs, docs/cli.md is the parser's, the files named in README exist."""

import doctest
import importlib
import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import make_blobs
from latens.images import Dataset, load_images
from test_layers import MODULES

ROOT = Path(__file__).parent.parent


def code_of(text):
    return "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


@pytest.mark.heavy
def test_the_guide_runs(tmp_path, monkeypatch, capsys):
    text = (ROOT / "docs" / "guide.md").read_text()
    code, experiment = code_of(text), code_of(text.partition("\n## ")[0])
    assert 15 <= len([line for line in experiment.splitlines() if line.strip()]) <= 30
    pixels, labels = make_blobs(150)
    np.savez(tmp_path / "blobs.npz", images=pixels[:, 0], labels=labels)
    monkeypatch.chdir(tmp_path)
    short = code.replace('"mnist"', '"blobs.npz"').replace("latens.run(", "latens.run(epochs=2, source=")
    exec(compile(short, "guide.md", "exec"), {})
    assert "Images(" in capsys.readouterr().out
    assert (tmp_path / "runs" / "blobs-1" / "report.html").exists()


@pytest.mark.heavy
@pytest.mark.parametrize("page", ["detect"])
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code_of((ROOT / "docs" / f"{page}.md").read_text()), f"{page}.md", "exec"), {})


@pytest.mark.heavy
@pytest.mark.parametrize("page", ["jobs", "features"])
def test_the_pages_about_a_run_run(page, tmp_path, monkeypatch):
    code = code_of((ROOT / "docs" / f"{page}.md").read_text())
    pixels, labels = make_blobs(150)
    np.savez(tmp_path / "blobs.npz", images=pixels[:, 0], labels=labels)
    monkeypatch.chdir(tmp_path)
    ids = load_images("blobs.npz").test.ids
    short = code.replace('"mnist"', '"blobs.npz"').replace('"test/7"', repr(str(ids[7])))
    exec(compile(short.replace("latens.run(", "latens.run(epochs=1, latent_dim=3, source="), f"{page}.md", "exec"), {})


def test_the_written_pages_are_up_to_date():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert (ROOT / "docs" / "cli.md").read_text() == generate.reference()
    assert (ROOT / "docs" / "scores.md").read_text() == generate.scores()


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name):
    flags = doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=flags, extraglobs={"torch": torch})
    assert failed == 0


@pytest.mark.parametrize(
    "document",
    ["README.md", "CONTRIBUTING.md"]
    + [f"docs/{page}.md" for page in ("guide", "detect", "jobs", "features", "images", "ranges", "folders")],
)
def test_files_that_documents_name_exist(document):
    text = (ROOT / document).read_text()
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    named = re.findall(r"\]\(([^)#:]+)\)|`((?:docs|tests|benchmarks|src)/[\w/.-]+)`", prose)
    for path in {first or second for first, second in named}:
        assert (ROOT / path).exists() or ((ROOT / document).parent / path).exists(), f"{document} names {path}"


def test_readme_is_short():
    assert (ROOT / "README.md").read_text().count("\n") < 150


def test_an_array_is_a_source_too():
    assert isinstance(load_images(make_blobs(40)[0]), Dataset)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_keep_their_outputs(path):
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert sum(bool(cell["outputs"]) for cell in cells) > len(cells) / 2
    assert {output["output_type"] for output in outputs} <= {"stream", "execute_result", "display_data"}
    assert any("image/png" in output.get("data", {}) for output in outputs)
    shown = [output["data"] for output in outputs if "<Figure" in "".join(output.get("data", {}).get("text/plain", ""))]
    assert all("image/png" in data for data in shown)

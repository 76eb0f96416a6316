"""The site is built without a warning, and the notebooks run. Both need an environment of their own: `make test-all`."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from browser import missing

pytestmark = pytest.mark.site
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def python():
    """The interpreter that has Sphinx, nbclient and a kernel, and finds this latens."""
    path = Path(os.environ.get("LATENS_SITE", "")) / "python"
    if not path.exists():
        missing("LATENS_SITE names no folder with python in it")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}

    def run(*arguments, seconds=900, **more):
        command = [str(path.absolute()), *map(str, arguments)]
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, env={**environment, **more}, check=False
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr

    return run


@pytest.mark.parametrize("name", ["digits", "labels", "defects"])
def test_a_notebook_runs(name, python, tmp_path):
    before = (ROOT / "examples" / f"{name}.ipynb").read_bytes()
    python(ROOT / "examples" / "execute.py", "--check", name, LATENS_SHORT="1", LATENS_CACHE=str(tmp_path))
    assert (ROOT / "examples" / f"{name}.ipynb").read_bytes() == before


def test_the_site_is_built_without_a_warning(python, tmp_path):
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(ROOT / "docs", source)
    shutil.copytree(ROOT / "examples", source / "examples")
    python("-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "-b", "html", source, site)
    assert "load_images" in (site / "reference" / "api.html").read_text()
    assert list(site.glob("decisions/00*.html"))

"""The page's modules are plain JavaScript; what their JSDoc says of types holds."""

import shutil
import subprocess

import pytest

from browser import PAGE, missing

OFFLINE = {"fit.js", "offline-worker.js", "offline.js", "near.js", "ways.js", "principal.js", "layers.js", "looks.js"}
WORKERS = {"map-worker.js", "splat.js", *OFFLINE}
STRICT = ["--noEmit", "--allowJs", "--checkJs", "--strict", "--target", "es2022"]
MODULES = ["--module", "es2022", "--moduleResolution", "bundler"]


def check(paths, libraries, folder):
    """What the TypeScript compiler finds fault with."""
    npx = shutil.which("npx")
    if npx is None:
        missing("there is no npx")
    command = [npx, "--yes", "-p", "typescript@5", "tsc", *STRICT, *MODULES, "--lib", libraries, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    if "npm error" in done.stderr:
        missing(f"typescript can't be fetched: {done.stderr[:200]}")
    return done.stdout


@pytest.mark.parametrize(
    ("workers", "libraries"), [(False, "es2023,dom,dom.iterable"), (True, "es2023,webworker")], ids=["page", "workers"]
)
def test_types_hold(workers, libraries, tmp_path):
    paths = [path for path in sorted(PAGE.glob("*.js")) if (path.name in WORKERS) == workers]
    assert len(paths) >= 2
    assert check(paths, libraries, tmp_path) == ""


def test_a_wrong_type_would_be_found(tmp_path):
    wrong = tmp_path / "wrong.js"
    wrong.write_text('/** @param {number} x */\nconst half = (x) => x / 2;\nhalf("one");\n')
    assert "TS2345" in check([wrong], "es2023", tmp_path)

"""The wheel as installed by users: built from the sources alone, it contains what the package needs."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MNIST = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
WEIGHTS = ("features/mnist.safetensors", "features/fashion-mnist.safetensors")


def pip(*arguments):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *map(str, arguments)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert answer.returncode == 0, answer.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy: building leaves folders behind."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", folder / "tree" / "src", ignore=ignored)
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "tree")
    pip("wheel", folder / "tree", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder)
    (path,) = folder.glob("*.whl")
    return path


def test_one_wheel_serves_every_python(wheel):
    assert "-py3-none-" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        built = [
            name for name in archive.namelist() if "_kernels" in Path(name).name and name.endswith((".so", ".pyd"))
        ]
    assert {Path(name).stem for name in built} <= {"_kernels"}, "the name of the library has no version of Python"


def test_wheel_holds_every_module_and_the_data(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("/METADATA"))).decode()
    kernels = [name for name in names if name.startswith("latens/native/") and not name.endswith(".py")]
    assert len(kernels) == (shutil.which("cc") is not None), (
        "a C compiler builds the kernels; without one they are left out"
    )
    modules = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules
    data = [f"images/mnist/{name}" for name in (*MNIST, "LICENSE.md", "SHA256SUMS")]
    pages = {
        path.relative_to(ROOT / "src").as_posix()
        for folder in ("pages", "report/templates", "comparison/templates")
        for path in (ROOT / "src/latens" / folder).iterdir()
        if path.suffix in (".html", ".css")
    }
    assert pages <= set(names)
    page = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src/latens/explorer/page").iterdir()}
    assert page <= set(names)
    assert {f"latens/{name}" for name in (*data, *WEIGHTS, "py.typed")} <= set(names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"latens"}  # neither tests nor docs
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert "License-Expression: MIT" in metadata
    assert "Requires-Dist: torch" in metadata
    assert "Requires-Dist: jinja2" in metadata


SCRIPT = """
import pathlib, sys
import latens
assert pathlib.Path(latens.__file__).is_relative_to(sys.argv[1]), latens.__file__
images = latens.load_images("mnist")
print(len(images.train), len(images.test), images.shape)
"""


def test_installed_from_the_wheel_it_works_without_the_checkout(wheel, tmp_path):
    target = tmp_path / "target"
    pip("install", "--no-deps", "--no-index", "--target", target, wheel)
    environment = {**os.environ, "PYTHONPATH": str(target), "LATENS_CACHE": str(tmp_path / "cache")}

    def python(*arguments):
        command = [sys.executable, *arguments]
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=100, env=environment, cwd=tmp_path, check=False
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    assert python("-c", SCRIPT, str(target)) == "60000 10000 (1, 28, 28)\n"
    assert "COMMAND" in python("-m", "latens", "--help")

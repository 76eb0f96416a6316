"""Structure of the package: imports go one way, public names are declared, heavy modules load only when needed."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import latens

ROOT = Path(latens.__file__).parent
LEVELS = {
    -1: ["errors", "memory", "text"],  # below all, so that level 0 can use them
    0: ["algebra", "arrays", "files", "frames", "isolated", "device", "sheets", "tables", "together", "native"],
    1: ["doctor", "encoders", "pages", "images", "networks", "losses", "neighbours", "progress", "left_out"],
    2: ["models", "maps", "metrics", "interpolation", "parts"],
    3: ["training"],
    4: ["adapters", "latents", "features", "samplers", "verdict"],
    5: ["runs", "story", "estimators"],
    6: ["computed", "trackers"],
    7: ["detection", "figures"],
    8: ["report", "explorer", "exports"],
    9: ["experiment"],
    10: ["comparison"],
    11: ["cli"],
}
LEVEL = {room: level for level, rooms in LEVELS.items() for room in rooms}
FILES = sorted(ROOT.rglob("*.py"))
MODULES = [
    ".".join(("latens", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for path in FILES
    if path.name != "__main__.py"
]


def room_of(path):
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported_rooms(path):
    """The rooms that a file imports, also inside functions; strings of Tables count too."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names = [node.module] if node.module != "latens" else [f"latens.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("latens."):
            names = [node.value.partition(":")[0]] if ":" in node.value and " " not in node.value else []
        rooms |= {name.split(".")[1] for name in names if name.startswith("latens.")}
    return rooms & set(LEVEL)


@pytest.mark.parametrize(
    "path", [f for f in FILES if f.parent != ROOT or f.stem not in ("__init__", "__main__")], ids=str
)
def test_imports_go_down(path):
    room = room_of(path)
    assert room in LEVEL, f"{room} has no level: put it into the table of this test and of the architecture"
    upward = {other for other in imported_rooms(path) - {room} if LEVEL[other] >= LEVEL[room]}
    assert not upward, f"{path} (level {LEVEL[room]}) imports {upward}"


def test_the_walls_would_be_noticed(tmp_path):
    path = tmp_path / "x.py"
    path.write_text(
        'def f():\n    from latens.cli import main\nT = {"a": "latens.runs.run:Run"}\nimport latens.maps.pca\n'
    )
    assert imported_rooms(path) == {"cli", "runs", "maps"}


@pytest.mark.parametrize("name", MODULES)
def test_public_names_are_declared_and_exist(name):
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    for public in module.__all__:
        assert hasattr(module, public), f"{name}.__all__ names {public}"


@pytest.mark.parametrize(
    "command", ["import latens; latens.__version__", "import latens.cli; latens.cli.parser().format_help()"]
)
def test_no_torch_before_it_is_needed(command):
    code = f"import sys; {command}; print([m for m in ('torch', 'matplotlib', 'sklearn', 'rich') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_public_names_of_the_package():
    assert sorted(latens.__all__) == dir(latens)
    for name in latens.__all__:
        assert getattr(latens, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        latens.nothing  # noqa: B018

"""Execute the notebooks anew and keep their outputs: `make examples`. They work in a folder that is removed.

With names only those: `python examples/execute.py labels`; with --check nothing is kept.
"""

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent


def execute(path: Path, folder: str, seconds: int = 3_600) -> nbformat.NotebookNode:
    """The notebook with the outputs of its cells, which work in `folder`.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    book = nbformat.read(path, as_version=4)
    NotebookClient(book, timeout=seconds, resources={"metadata": {"path": folder}}, record_timing=False).execute()
    return book


def main() -> None:
    names = [name for name in sys.argv[1:] if name != "--check"] or [path.stem for path in HERE.glob("*.ipynb")]
    for path in sorted(HERE / f"{name}.ipynb" for name in names):
        with tempfile.TemporaryDirectory() as folder:
            book = execute(path, folder)
        if "--check" in sys.argv:
            continue
        for cell in book.cells:
            cell.get("outputs", [])[:] = [one for one in cell.get("outputs", []) if one.get("name") != "stderr"]
        nbformat.write(book, path)
        print(path.name)


if __name__ == "__main__":
    main()

"""The explorer inside a notebook: a frame of the local server, or where the kernel is elsewhere the whole page as one file."""

import html
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from latens.explorer.serving import Serving
from latens.explorer.view import View

__all__ = ["is_remote", "origins", "show"]

# Set where the browser is not on the kernel's machine; a frame of 127.0.0.1 would show the user's own machine there.
REMOTE = (
    "COLAB_RELEASE_TAG",
    "KAGGLE_KERNEL_RUN_TYPE",
    "JUPYTERHUB_USER",
    "BINDER_SERVICE_HOST",
    "CODESPACES",
    "SSH_CONNECTION",
)

_running: dict[tuple[str, str], Serving] = {}


def show(view: View, beside: View | None = None, *, port: int = 0, height: int = 720) -> Any:
    """What shows the explorer below a notebook's cell.

    The token stands in the frame's address, and the page sends it in a header: no cookies, which browsers keep from frames. Only
    the notebook's own origin may frame it.
    """
    from IPython.display import HTML, IFrame

    if is_remote():
        return HTML(_whole_page(view, height))  # type: ignore[no-untyped-call]
    key = (str(view.run.path.resolve()), str(beside.run.path.resolve()) if beside else "")
    if key not in _running:
        _running[key] = Serving(view, beside, port=port, ancestors=origins()).start()
    return IFrame(_running[key].address, width="100%", height=height)


def is_remote() -> bool:
    """Whether the kernel runs on another machine than the browser, as far as its surroundings tell.

    `LATENS_NOTEBOOK=frame` or `LATENS_NOTEBOOK=file` says which of the two to show, whatever they tell.
    """
    told = os.environ.get("LATENS_NOTEBOOK", "")
    return told == "file" if told in ("frame", "file") else any(name in os.environ for name in REMOTE)


def origins() -> list[str]:
    """The origins of the notebook servers that run here, which leave a file about themselves, and of editors with notebooks."""
    found = ["vscode-webview:"]
    for file in _server_files():
        try:
            port = int(json.loads(file.read_text())["port"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        found += [f"http://{name}:{port}" for name in ("localhost", "127.0.0.1")]
    # None is known: any port of this machine, which a page from elsewhere cannot be at.
    return found if len(found) > 1 else [*found, "http://localhost:*", "http://127.0.0.1:*"]


def _server_files() -> list[Path]:
    try:
        from jupyter_core.paths import jupyter_runtime_dir
    except ImportError:
        return []
    return sorted(Path(jupyter_runtime_dir()).glob("jpserver-*.json"))


def _whole_page(view: View, height: int) -> str:
    from latens.explorer.one_file import write_html

    with tempfile.TemporaryDirectory() as folder:
        page = write_html(view.run, Path(folder) / "explorer.html").read_text(encoding="utf-8")
    # Sandboxed without same-origin: the page can't touch the notebook.
    return (
        f'<iframe sandbox="allow-scripts allow-downloads" srcdoc="{html.escape(page)}" width="100%" height="{height}"'
        ' style="border:0"></iframe>'
    )

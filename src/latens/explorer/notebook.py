"""The explorer in a notebook: a widget where anywidget is installed (`latens.explorer.widget`).

Else a frame of the local server or, where the kernel is on another machine, the page as one file; neither knows what is selected.
"""

import html
import json
import os
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from latens.errors import UsageError
from latens.explorer.serving import Serving
from latens.explorer.view import View

__all__ = ["Frame", "is_remote", "origins", "show"]

# Set where the browser is not on the kernel's machine; a frame of 127.0.0.1 would show the user's own machine there.
REMOTE = (
    "BINDER_SERVICE_HOST",
    "CODESPACES",
    "COLAB_RELEASE_TAG",
    "DATABRICKS_RUNTIME_VERSION",
    "JUPYTERHUB_USER",
    "KAGGLE_KERNEL_RUN_TYPE",
    "REMOTE_CONTAINERS",
    "SSH_CONNECTION",
)
LOOPBACK = ("localhost", "127.0.0.1")
# Visual Studio Code's notebooks, and the window that they are in. No page of the web can have such an origin.
EDITORS = ("vscode-webview:", "vscode-file:")

_running: dict[tuple[Any, ...], Serving] = {}


@dataclass(frozen=True)
class Frame:
    """A frame below a notebook's cell.

    Args:
        address: of what it shows.
        page: the HTML of what it shows, where there is no address.
        height: pixels.
    """

    address: str = ""
    page: str = ""
    height: int = 720

    def _repr_html_(self) -> str:
        # Sandboxed without same-origin: a page that no server sent could otherwise read the notebook around it.
        shows = (
            f'src="{html.escape(self.address)}"'
            if self.address
            else f'sandbox="allow-scripts allow-forms allow-downloads" srcdoc="{html.escape(self.page)}"'
        )
        return f'<iframe {shows} title="latens explorer" width="100%" height="{self.height}" style="border:0"></iframe>'

    def __getattr__(self, name: str) -> Any:
        if name in ("selection", "selected_ids", "current", "tags", "on_change", "widget"):
            raise AttributeError(
                f"{name} needs the explorer as a widget: pip install 'latens[notebook]', and start the kernel again"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        """For consoles, which are kernels too and show no frames."""
        return f"latens explorer: {self.address or 'a page that is not shown here; LATENS_NOTEBOOK=frame serves it'}"


def show(view: View, beside: View | None = None, *, port: int = 0, height: int = 720) -> Any:
    """What shows the explorer below a notebook's cell: an `Explorer` where anywidget is installed, else a `Frame`.

    `LATENS_NOTEBOOK=widget`, `frame` or `file` chooses. The token of a server stands in the frame's address, and the page sends
    it in a header: no cookies, which browsers keep from frames. Only the notebook's own origin may frame it. Equal views share
    one server, even if the cell is run several times.
    """
    if _told() == "widget" or (not _told() and find_spec("anywidget") is not None):
        if find_spec("anywidget") is None:
            raise UsageError("LATENS_NOTEBOOK=widget needs anywidget: pip install 'latens[notebook]'")
        from latens.explorer.widget import Explorer

        return Explorer(view, beside, height=height)
    if is_remote():
        return Frame(page=_whole_page(view, beside), height=height)
    key = (*_identity(view), *(_identity(beside) if beside else ()))
    if key not in _running:
        serving = Serving(view, beside, port=port, ancestors=origins())
        _running[key] = serving.start()
    return Frame(address=_running[key].address, height=height)


def is_remote() -> bool:
    """Whether the whole page is shown instead of a frame of this machine's server.

    True if the environment shows that the kernel runs on another machine than the browser, or if the origin of the notebook is
    not known. `LATENS_NOTEBOOK=frame` or `LATENS_NOTEBOOK=file` overrides this guess.
    """
    if _told() in ("frame", "file"):
        return _told() == "file"
    if any(name in os.environ for name in REMOTE):
        return True
    if "VSCODE_PID" in os.environ:  # starts kernels without a server
        return False
    servers = _servers()
    # A server that listens on other addresses than loopback serves other machines, such as browsers outside its container.
    return not servers or any(server.get("sock") or _hostname(server) not in (*LOOPBACK, "::1") for server in servers)


def _told() -> str:
    return os.environ.get("LATENS_NOTEBOOK", "")


def origins() -> list[str]:
    """The origins that may frame the server: the notebook server of this kernel, as browsers see it, and editors."""
    found: dict[str, None] = {}
    for server in _servers():
        scheme = "https" if server.get("secure") else "http"
        listens = _hostname(server)
        own = () if listens in ("", "*", "0.0.0.0") or ":" in listens else (listens,)  # noqa: S104 - read, not bound
        found |= dict.fromkeys(f"{scheme}://{name}:{server['port']}" for name in (*LOOPBACK, *own))
    if not found and "VSCODE_PID" not in os.environ:
        # None is known, and yet `LATENS_NOTEBOOK=frame` asked for a frame: of any port of this machine, where it takes the token.
        found = dict.fromkeys(f"http://{name}:*" for name in LOOPBACK)
    return [*found, *EDITORS]


def _servers() -> list[Mapping[str, Any]]:
    """The details of the notebook server that started this kernel; if that is not known, those of all servers found here."""
    found = []
    for file in sorted(_runtime_folder().glob("*server-*.json")):  # jpserver, and nbserver of the classic notebook
        try:
            server = json.loads(file.read_text(encoding="utf-8"))
            if type(server["port"]) is int:
                found.append(server)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    # A handle on Windows, so the parent is looked at too; it is another one where something between started the kernel.
    parents = {os.environ.get("JPY_PARENT_PID", ""), str(os.getppid())}
    return [server for server in found if str(server.get("pid")) in parents] or found


def _hostname(server: Mapping[str, Any]) -> str:
    return str(server.get("hostname", ""))


def _runtime_folder() -> Path:
    told = os.environ.get("JUPYTER_RUNTIME_DIR", "")
    if told:
        return Path(told)
    try:
        from jupyter_core.paths import jupyter_runtime_dir  # ipykernel needs it, so every kernel has it
    except ImportError:
        return Path(os.devnull)
    return Path(jupyter_runtime_dir())


def _identity(view: View) -> tuple[Any, ...]:
    """A key that is equal for views that show the same. A run that was trained again or got a map has another key."""
    columns = tuple((column.name, column.values.tobytes()) for column in view.columns)
    return str(view.run.path.resolve()), view.run.device, json.dumps(view.run.record, sort_keys=True), columns


def _whole_page(view: View, beside: View | None) -> str:
    from latens.explorer.one_file import write_html

    if view.columns:
        warnings.warn(
            "this notebook gets the explorer as one file, which has no columns of yours; if the browser is on the kernel's"
            " machine, LATENS_NOTEBOOK=frame shows them",
            stacklevel=4,
        )
    with tempfile.TemporaryDirectory() as folder:
        other = None if beside is None else beside.run
        return write_html(view.run, Path(folder) / "explorer.html", beside=other).read_text(encoding="utf-8")

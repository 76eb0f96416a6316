"""The explorer's page as one file: its style, its modules as one script, and the data inside."""

import base64
import hashlib
import json
import re
import zlib
from importlib.resources import files
from typing import Any

from latens.explorer.wire import plain
from latens.pages import tokens

__all__ = ["bundle", "page_in_notebook", "page_of"]


def page_of(facts: dict[str, Any], body: bytes) -> str:
    """The whole file: the page of the explorer with its style, one script and the data inside."""
    arrays = base64.b64encode(zlib.compress(body, 9)).decode()
    return _page(
        f'<script type="application/json" id="latens-data">{as_json(facts)}</script>\n'
        f'<script type="application/octet-stream" id="latens-arrays">{arrays}</script>\n',
        "blob",
    )


def page_in_notebook() -> str:
    """The page for a frame in a notebook, without data: it asks the kernel through the notebook, see `page/notebook.js`."""
    # Notebooks in Visual Studio Code allow workers from data: and not from Blobs.
    return _page('<script type="application/json" id="latens-notebook"></script>\n', "data")


def _page(data: str, workers: str) -> str:
    folder = files("latens.explorer").joinpath("page")
    style, script = tokens() + folder.joinpath("page.css").read_text("utf-8"), bundle("start.js", workers)
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data: blob:;"
        f" worker-src {workers}:; connect-src 'none'; base-uri 'none'; form-action 'none'"
    )
    page = re.sub(r'<link rel="modulepreload".*\n', "", folder.joinpath("index.html").read_text("utf-8"))
    for old, new in (
        (
            '<meta charset="utf-8">',
            f'<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{policy}">',
        ),
        ('<link rel="stylesheet" href="page.css">', f"<style>{style}</style>"),
        ('<script type="module" src="start.js"></script>\n', ""),
        ("</body>", f'{data}<script type="module">{script}</script>\n</body>'),
    ):
        assert page.count(old) == 1, f"index.html has {old} {page.count(old)} times"
        page = page.replace(old, new)
    return page


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def as_json(value: Any) -> str:
    """JSON that no browser takes for HTML; numbers that are not finite become null, as in the server's answers."""
    return json.dumps(plain(value), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def bundle(entry: str, workers: str = "blob") -> str:
    """A module of the page and all that it imports as one script; workers become Blobs of their own, or addresses of `data:`.

    A script of one piece is all that a policy has to allow by its hash, and what browsers run from a disk. Modules have static
    imports of one line each, and export functions, classes and constants where they are defined.
    """
    parts: dict[str, str] = {}
    _gather(entry, parts, workers)
    return "const modules = {};\n" + "".join(parts.values())


def _gather(name: str, parts: dict[str, str], workers: str) -> None:
    """Put a module behind those that it imports."""
    source = files("latens.explorer").joinpath("page", name).read_text("utf-8")
    for pattern in (r'^import \{[^}]*\} from "\./([\w-]+\.js)";$', r'await import\("\./([\w-]+\.js)"\)'):
        for needed in re.findall(pattern, source, re.M):
            if needed not in parts:
                _gather(needed, parts, workers)
    exported = re.findall(r"^export (?:async )?(?:function|class|const) (\w+)", source, re.M)
    code = re.sub(r"^export (?=(?:async )?(?:function|class|const) )", "", source, flags=re.M)
    code = re.sub(r'^import (\{[^}]*\}) from "\./([\w-]+\.js)";$', r'const \1 = modules["\2"];', code, flags=re.M)
    code = re.sub(r'await import\("\./([\w-]+\.js)"\)', r'modules["\1"]', code)
    worker = r'new Worker\(new URL\("\./([\w-]+\.js)", import\.meta\.url\), \{ ?type: "module" ?\}\)'
    code = re.sub(worker, lambda found: _worker(found[1], workers), code)
    assert not re.search(r"^(import|export) |import\.meta|</script|<!--", code, re.M), f"{name} can't be bundled"
    parts[name] = f'modules["{name}"] = (() => {{\n{code}\nreturn {{{", ".join(exported)}}};\n}})();\n'


def _worker(name: str, workers: str) -> str:
    # Not as a module: Chromium refuses those to a page from a disk.
    if workers == "data":
        return f'new Worker("data:text/javascript;base64,{base64.b64encode(bundle(name).encode()).decode()}")'
    return f'new Worker(URL.createObjectURL(new Blob([{as_json(bundle(name))}], {{type: "text/javascript"}})))'

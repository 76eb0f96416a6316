"""The public functions: open the page on a run, show it in a notebook, watch a run while it trains, or ask one route."""

import base64
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from latens.errors import UsageError
from latens.explorer.columns import read_columns
from latens.explorer.kept import kept_in, kept_of
from latens.explorer.pair import pair
from latens.explorer.routes import ROUTES, Route, ask
from latens.explorer.serving import Serving, serve
from latens.explorer.view import View
from latens.explorer.wire import as_json
from latens.explorer.work import Work
from latens.figures.live import in_notebook
from latens.figures.palette import class_colours
from latens.progress import progress_for
from latens.runs import Run, open_run

__all__ = ["answer", "explore", "watch"]


def explore(
    run: Run | str | os.PathLike[str],
    beside: Run | str | os.PathLike[str] | None = None,
    *,
    within: str | os.PathLike[str] | None = None,
    images: Any = None,
    columns: str | os.PathLike[str] | None = None,
    port: int = 0,
    open_page: bool = True,
    height: int = 720,
    palette: str | None = None,
    token_file: str | os.PathLike[str] | None = None,
) -> Any:
    """Open the explorer on a run: in a notebook as a frame below the cell, elsewhere in the browser, until Ctrl-C stops it.

    Args:
        run: a `Run`, or where its folder is.
        beside: a second run, whose map is shown beside it, linked by the ids of the images that both have.
        within: a folder of parts of latents that the run made, with a map: these are shown in place of the run's own, see
            `latens.computed.parts_run.run_of_parts`.
        images: where the images of these parts are.
        columns: a CSV of the user's own columns by id, to colour the points by.
        port: the first to try; 0 takes any that is free.
        open_page: open the browser; the address is printed in any case.
        height: of the frame in a notebook, pixels.
        palette: colours of the classes, a name of `latens.figures.PALETTES`; None takes the run's.
        token_file: where the token of the address and its port are kept, in a file that only the user may read; by default one in
            the user's cache folder for each run. So a bookmark of the page still works after a restart.

    Returns:
        In a notebook what shows the frame, see `latens.explorer.notebook`; None elsewhere, once it was stopped.

    Raises:
        RunNotFound, RunDamaged: there is no run there, or it can't be read.
        UsageError: columns that can't be read, no port is free, a token file that others may read, or a second run that has none
            of the images.
    """
    first, second = _views(_opened(run, within, images), beside, columns)
    kept = kept_of(first.run) if token_file is None else kept_in(token_file)
    for view in (first, second):
        if view is not None and palette is not None:
            class_colours(1, palette)  # an unknown name is refused
            view.palette = palette
    if in_notebook():
        from latens.explorer.notebook import show

        return show(first, second, port=port, height=height)
    with suppress(KeyboardInterrupt):  # that ended it; uvicorn raises it again once it has stopped
        serve(first, second, port=port, open_page=open_page, kept=kept)
    return None


def watch(run: Run, *, port: int = 0, open_page: bool = True, work: Work | None = None) -> Serving:
    """Show a run while it trains: serve its page in a thread that ends with the process; its address is printed.

    Args:
        run: just started.
        port: the first to try; 0 takes any that is free.
        open_page: open the browser.
        work: the progress of the training and of what follows, for the page to tell.
    """
    serving = Serving(View(run, watched=True, work=work), port=port).start()
    print(f"{run.name}: {serving.address}", flush=True)
    if open_page:
        import webbrowser

        webbrowser.open(serving.address)
    return serving


def answer(
    run: Run | str | os.PathLike[str],
    address: str,
    beside: Run | str | os.PathLike[str] | None = None,
    *,
    within: str | os.PathLike[str] | None = None,
    images: Any = None,
    columns: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """The answer of a route, without a server.

    Args:
        run: see `explore`.
        address: path and query, such as `/api/decode?map=tsne&x=0&y=0`; what a POST route would be sent as JSON stands in the
            query as JSON, `/api/path?stops=[[7],[21]]&map=tsne`, and a file as its path. Routes that change something are not
            asked this way.
        beside: see `explore`; its own routes are below `/beside`.
        within: see `explore`.
        images: see `explore`.
        columns: see `explore`.

    Returns:
        Plain dicts and lists; a file as its `media_type` and `base64`.

    Raises:
        UsageError: unknown route, or a wrong parameter.
    """
    first, second = _views(_opened(run, within, images), beside, columns)
    parts = urlsplit(address)
    path, view = parts.path, first
    if second is not None and path.startswith("/beside/"):
        path, view = path.removeprefix("/beside"), second
    given: dict[str, Any] = dict(parse_qsl(parts.query, keep_blank_values=True))
    route = _route_of(path, given)
    if route is None:
        known = ", ".join(dict.fromkeys(route.path for route in ROUTES if not route.changes))
        raise UsageError(f"{address}: no such route; known: {known}")
    if route.file and route.file in given:
        given = {"name": Path(given[route.file]).name, **given, route.file: _content(given[route.file])}
    elif route.method == "POST":
        given = {name: _from_json(text) for name, text in given.items()}
    found = ask(route, view, given)
    if route.media_types:
        return {"media_type": found.media_type, "base64": base64.b64encode(found.content).decode()}
    return as_json(found)


def _content(path: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def _route_of(path: str, given: Mapping[str, Any]) -> Route | None:
    """The route of a path that knows what is given; else the first of that path, which will say what it does not know."""
    routes = [route for route in ROUTES if route.path == path and not route.changes]
    return next((route for route in routes if set(given) <= set(route.params)), routes[0] if routes else None)


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _opened(run: Any, within: Any, images: Any) -> Run:
    opened = run if isinstance(run, Run) else open_run(run)
    if within is None:
        if images is not None:
            raise UsageError("images says where the images of parts of latents are; give within too")
        return opened
    from latens.computed.parts_run import run_of_parts

    return run_of_parts(opened, within, images=images, progress=progress_for())


def _views(run: Run, beside: Any, columns: Any) -> tuple[View, View | None]:
    first = View(run)
    second = None if beside is None else View(beside if isinstance(beside, Run) else open_run(beside))
    if columns is not None:
        if not first.ready:
            raise UsageError(f"{first.run.path}: has no latents yet, so there are no points to give columns to")
        train = first.run.latents["ids"][: first.first]
        first.columns = read_columns(columns, [str(one) for one in first.ids], [str(one) for one in train])
    if second is not None:
        pair(first, second)
    return first, second

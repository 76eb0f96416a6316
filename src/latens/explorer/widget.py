"""The explorer as a widget of a notebook: Python and the page share the selection, the current image and the tags.

All goes through the notebook's own connection to its kernel, which works wherever widgets do: no server listens, and no port is
open. The page's requests are answered by the same application that a server runs (`latens.explorer.app`), in a thread, so that
neither waits for the other. Needs anywidget (`pip install "latens[notebook]"`).
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextvars import copy_context
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, Literal
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.explorer.app import create_app
from latens.explorer.bundling import page_in_notebook
from latens.explorer.guard import TOKEN_HEADER
from latens.explorer.tags import Tags
from latens.explorer.view import View

__all__ = ["Explorer", "TagsOfRun"]

Fact = Literal["selection", "current", "tags"]
FACTS: tuple[Fact, ...] = ("selection", "current", "tags")
TRAITS = {"selection": "selection", "current": "current", "tags": "tagged"}
ROWS = np.dtype("<i4")  # as they go to the page
PAGE = "page"  # what is asked for to have the page itself


class Explorer:
    """The explorer on a run in a notebook. What the user does on the page can be read here, and what is set here shows there.

    Images are named by their ids (str), or by their rows in the arrays of `run.latents` (int), where the train part comes before
    the test part. It is shown where a cell ends with it, in as many cells as one likes; all show the same.

    Args:
        view: of the run.
        beside: of a second run, shown beside it.
        height: of the page, pixels.

    >>> shown = latens.explore(run)  # doctest: +SKIP
    >>> run.latents["latents"][shown.selection].mean(0)  # doctest: +SKIP
    >>> shown.selection = run.latents["labels"] == 4  # doctest: +SKIP
    >>> shown.tags["odd fours"] = shown.selection  # doctest: +SKIP
    """

    def __init__(self, view: View, beside: View | None = None, *, height: int = 720) -> None:
        self._view = view
        self._answers = _Answers(view, beside)
        self.widget: Any = _widget_class()(height=height)
        self.widget.on_msg(self._asked)

    @property
    def selection(self) -> NDArray[np.int64]:
        """Rows of the selected images, (M,). Set it to rows, ids, or booleans of all images or of the map's.

        Raises:
            UsageError: there is no such image.
        """
        return np.frombuffer(self.widget.selection, ROWS).astype(np.int64) + self._view.first

    @selection.setter
    def selection(self, images: Any) -> None:
        self.widget.selection = (self._rows(images) - self._view.first).astype(ROWS).tobytes()

    @property
    def selected_ids(self) -> NDArray[Any]:
        """Ids of the selected images, str (M,). Can be set as `selection` can."""
        return self._ids(self.selection)

    @selected_ids.setter
    def selected_ids(self, images: Any) -> None:
        self.selection = images

    @property
    def current(self) -> str | None:
        """The id of the current image; None where there is none. Set it to an id, a row or None.

        Raises:
            UsageError: there is no such image.
        """
        point = self.widget.current
        return None if point is None else str(self._ids(np.array([point + self._view.first]))[0])

    @current.setter
    def current(self, image: str | int | None) -> None:
        self.widget.current = None if image is None else int(self._rows([image])[0]) - self._view.first

    @cached_property
    def tags(self) -> "TagsOfRun":
        """The run's tags: the ids of the images that have each."""
        return TagsOfRun(Tags(self._view.run.path), lambda images: self._ids(self._rows(images)), self._tagged)

    def on_change(self, fact: Fact, call: Callable[[Any], object]) -> None:
        """Have a function called with the new value whenever a fact changes, on the page or here.

        Args:
            fact: "selection", "current" or "tags".
            call: takes what the property of that name gives.

        Raises:
            UsageError: there is no such fact.
        """
        if fact not in FACTS:
            raise UsageError(f"{fact!r} is nothing that changes; known: {', '.join(FACTS)}")
        self.widget.observe(lambda change: call(getattr(self, fact)), TRAITS[fact])

    def _tagged(self) -> None:
        self.widget.tagged += 1

    def _ids(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        ids: NDArray[Any] = self._view.run.latents["ids"][rows].astype(str)
        return ids

    def _rows(self, images: Any) -> NDArray[np.int64]:
        """Rows of images that are given as rows, ids or booleans; each once, in the order given."""
        given = np.asarray([images] if isinstance(images, str) else images)
        every = len(self._view.run.latents["ids"])
        if given.ndim != 1:
            raise UsageError(f"images of shape {given.shape}; a list of rows, ids or booleans is needed")
        if given.dtype.kind == "b":
            starts = {every: 0, len(self._view.latents): self._view.first}
            if len(given) not in starts:
                raise UsageError(
                    f"{len(given)} booleans; one for each of all {every} images is needed, or of the"
                    f" {len(self._view.latents)} on the map"
                )
            given = np.flatnonzero(given) + starts[len(given)]
        elif given.dtype.kind in "UTSO" and len(given):
            given = np.array([self._view.row_of(None, str(one) or "''") for one in given.tolist()])
        elif len(given) and given.dtype.kind not in "iu":
            raise UsageError(f"images given as {given.dtype}; rows (int), ids (str) or booleans are needed")
        rows = np.fromiter(dict.fromkeys(given.tolist()), np.int64)
        if len(rows) and (rows.min() < 0 or rows.max() >= every):
            raise UsageError(f"row {rows[(rows < 0) | (rows >= every)][0]} is no image; rows run from 0 to {every - 1}")
        return rows

    def _asked(self, widget: Any, asked: dict[str, Any], buffers: list[Any]) -> None:
        """Answer a request of the page, in the thread; answers go to the cell that asked."""
        body = bytes(buffers[0]) if buffers else b""
        context = copy_context()  # by which the kernel knows what an answer belongs to

        def answered(status: int, headers: dict[str, str], content: bytes) -> None:
            told = {"view": asked["view"], "id": asked["id"], "status": status, "headers": headers}
            context.copy().run(widget.send, told, [content])
            if asked["method"] == "POST" and asked["path"].endswith("/api/tags"):
                context.copy().run(self._tagged)

        self._answers.answer(asked["path"], asked["method"], asked["headers"], body, answered)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options)

    def __repr__(self) -> str:
        return (
            f"latens explorer on {self._view.run.path}: {len(self.selection)} images selected, current {self.current}"
        )


class TagsOfRun(MutableMapping[str, NDArray[Any]]):
    """Tags of a run by name, and the ids (str) of their images. They are read from the run's folder, where the page keeps them.

    `tags["blurred"] = images` makes these its images, and no others; `add` and `remove` change some. `del tags["blurred"]`
    takes it from all.
    """

    def __init__(self, kept: Tags, ids_of: Callable[[Any], NDArray[Any]], changed: Callable[[], object]) -> None:
        self._kept, self._ids_of, self._changed = kept, ids_of, changed

    def __getitem__(self, tag: str) -> NDArray[Any]:
        return np.array(self._kept.read()[tag], dtype=str)

    def __setitem__(self, tag: str, images: Any) -> None:
        wanted = self._ids_of(images).tolist()
        had = self._kept.read().get(tag, [])
        self._change(tag, sorted(set(had) - set(wanted), key=had.index), on=False)
        self._change(tag, [one for one in wanted if one not in set(had)], on=True)

    def __delitem__(self, tag: str) -> None:
        self._change(tag, self._kept.read()[tag], on=False)

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept.read())

    def __len__(self) -> int:
        return len(self._kept.read())

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{tag!r}: {len(ids)} images" for tag, ids in self._kept.read().items()) + "}"

    def add(self, tag: str, images: Any) -> None:
        """Give a tag to images."""
        self._change(tag, self._ids_of(images).tolist(), on=True)

    def remove(self, tag: str, images: Any) -> None:
        """Take a tag from images."""
        self._change(tag, self._ids_of(images).tolist(), on=False)

    def _change(self, tag: str, ids: list[str], on: bool) -> None:
        if ids:
            self._kept.change(tag, ids, on)
            self._changed()


class _Answers:
    """Answers requests as the server of the explorer does, without one: the application is called in a thread."""

    def __init__(self, view: View, beside: View | None) -> None:
        self._app = create_app(view, beside)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True, name="latens-explorer").start()

    def answer(
        self, path: str, method: str, headers: dict[str, str], body: bytes, answered: Callable[..., object]
    ) -> None:
        """Call `answered` in the thread with status, headers and content."""
        asyncio.run_coroutine_threadsafe(self._answer(path, method, headers, body, answered), self._loop)

    async def _answer(
        self, path: str, method: str, headers: dict[str, str], body: bytes, answered: Callable[..., object]
    ) -> None:
        if path == PAGE:
            answered(200, {"content-type": "text/html"}, page_in_notebook().encode())
            return
        place, _, query = path.partition("?")
        # Who can send messages to the kernel can run any code in it: nothing has to be shown beyond that.
        own = {**headers, "host": "localhost:0", TOKEN_HEADER: self._app.state.token}
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(place),
            "raw_path": place.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in own.items()],
        }
        status, given, content = 500, {}, bytearray()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status, given
            if message["type"] == "http.response.start":
                status = message["status"]
                given = {name.decode(): value.decode() for name, value in message["headers"]}
            elif message["type"] == "http.response.body":
                content.extend(message.get("body", b""))

        try:
            await self._app(scope, receive, send)
        finally:  # where a route failed, the application has sent that
            answered(status, given, bytes(content))


@cache
def _widget_class() -> Any:
    import anywidget
    import traitlets

    class Widget(anywidget.AnyWidget):  # type: ignore[misc]
        """What the notebook shows, and the facts that its two ends share."""

        _esm = files("latens.explorer").joinpath("widget.js").read_text("utf-8")
        height = traitlets.Int(720).tag(sync=True)
        selection = traitlets.Bytes(b"").tag(sync=True, from_json=lambda value, widget: bytes(value))
        current = traitlets.Int(None, allow_none=True).tag(sync=True)
        tagged = traitlets.Int(0).tag(sync=True)

    return Widget

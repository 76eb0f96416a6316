"""The explorer as a Starlette application: the page, and the routes of `routes.py` for one run or two."""

import asyncio
import json
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route as At
from starlette.types import ASGIApp, Receive, Scope, Send

from latens.errors import LatensError, RunError, UsageError, lacks_memory
from latens.explorer.guard import Guard, policy
from latens.explorer.routes import ROUTES, Route, ask
from latens.explorer.view import View
from latens.explorer.wire import MOST_FILE_BYTES, Answer, as_bytes, as_json
from latens.pages import tokens

__all__ = ["PAGE", "create_app"]

PAGE = Path(__file__).parent / "page"
MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
MOST_BYTES = 8 << 20  # of a request's body
NO_MEMORY = "there is not enough memory for this; end other programs, or give the explorer more"


def create_app(
    view: View,
    beside: View | None = None,
    *,
    token: str = "",
    port: int | None = None,
    ancestors: Sequence[str] = (),
) -> Starlette:
    """The application.

    Args:
        view: of the run.
        beside: of a second run, whose routes are below `/beside`.
        token: that a request must show, see `Guard`; a random one by default (`app.state.token`).
        port: that it will listen on; None takes any.
        ancestors: origins whose pages may frame it.
    """
    desks = {"first": Desk(), "quick": Desk(single=True), "slow": Desk(), "lengthy": Desk()}
    token = token or token_urlsafe(18)
    routes = [At(f"/{token}/", _page), At(f"/{token}/{{name}}", _page)]
    for prefix, one in (("", view), *([("/beside", beside)] if beside else [])):
        routes += [
            At(prefix + route.path, _endpoint(route, one, desks, prefix), methods=[route.method]) for route in ROUTES
        ]
    app = Starlette(routes=routes, exception_handlers={404: _not_found, 405: _not_found, 500: _failed})
    # Each start is another server: a page of an earlier one that finds this one at its address must not take it for its own.
    headers = {**policy(ancestors), "x-latens-server": token_urlsafe(9)}
    app.add_middleware(_Guarded, guard=Guard(token, port), headers=headers)
    app.state.token, app.state.desks = token, desks
    return app


class Desk:
    """One thread that answers one request after the other, so that the model is never used twice at a time.

    It ends with the process.

    Args:
        single: whether torch may use one thread only there; small answers are quicker so, and leave the rest to slow ones.
    """

    def __init__(self, single: bool = False) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any], asyncio.AbstractEventLoop]] = (
            queue.SimpleQueue()
        )
        self._newest: dict[str, int] = {}
        self._single = single
        threading.Thread(target=self._serve, daemon=True, name="latens-desk").start()

    async def ask(self, work: Callable[[], Any], kind: str = "") -> Any:
        """The result of `work`, once it is its turn.

        Raises:
            Overtaken: a newer request of the same kind came before its turn did.
        """
        number = self._newest[kind] = self._newest.get(kind, 0) + 1 if kind else 0

        def unless_overtaken() -> Any:
            if kind and self._newest[kind] != number:
                raise Overtaken
            return work()

        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._work.put((unless_overtaken, future, loop))
        return await future

    def _serve(self) -> None:
        alone = not self._single
        while True:
            work, future, loop = self._work.get()
            if not alone:
                import torch  # with the first question: the page has its first picture by then

                torch.set_num_threads(1)  # of this thread alone
                alone = True
            result, error = None, None
            try:
                result = work()
            except Exception as caught:  # it is raised where the answer is awaited
                error = caught
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle, future, result, error)


class Overtaken(Exception):
    """A newer request has replaced this one."""


def _settle(future: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _endpoint(route: Route, view: View, desks: Mapping[str, Desk], prefix: str) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        tab = request.headers.get("x-latens-tab", "")
        kind = f"{tab} {route.method} {prefix}{route.path}" if route.newest else ""
        try:
            given = await _given(request, route)
            desk = desks[route.desk(given)]
            return _response(request, route, await desk.ask(lambda: ask(route, view, given), kind))
        except asyncio.CancelledError:  # the server ends, and work that takes long is left undone
            return JSONResponse({"error": "the explorer has been stopped", "kind": "Stopped"}, 503)
        except ClientDisconnect:  # before all of its request was there
            # Nobody reads the answer, and it is no error of ours.
            return JSONResponse({"error": "the request did not come to its end", "kind": "Disconnected"}, 400)
        except Overtaken:
            return JSONResponse({"error": "overtaken by a newer request", "kind": "Overtaken"}, 409)
        except (LatensError, OSError) as error:
            status = 404 if isinstance(error, RunError | OSError) else 400
            return JSONResponse({"error": str(error), "kind": type(error).__name__}, status)
        except Exception as error:
            if not lacks_memory(error):
                raise
            return JSONResponse({"error": NO_MEMORY, "kind": "MemoryError"}, 503)

    return endpoint


async def _given(request: Request, route: Route) -> dict[str, Any]:
    if route.method == "GET":
        return _query(request)
    if route.file:
        too_much = f"the file has more than {MOST_FILE_BYTES >> 20} MB; that is too large"
        return {**_query(request), route.file: await _body(request, MOST_FILE_BYTES, too_much)}
    if request.url.query:
        raise UsageError(f"{request.url.path}: what is asked for stands in the JSON object, and not in the address")
    return await _json_body(request)


def _query(request: Request) -> dict[str, str]:
    given = request.query_params
    if twice := [name for name in given if len(given.getlist(name)) > 1]:
        raise UsageError(f"{request.url.path}: {', '.join(map(repr, twice))} given more than once")
    return dict(given)


async def _body(request: Request, most: int, too_much: str) -> bytes:
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > most:
            raise UsageError(too_much)
    return bytes(content)


async def _json_body(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise UsageError(f"{request.url.path}: a JSON object is needed, with content-type application/json")
    content = await _body(
        request, MOST_BYTES, f"{request.url.path}: more than {MOST_BYTES >> 20} MB; ask for less at once"
    )
    try:
        given = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{request.url.path}: not readable as JSON ({type(error).__name__})") from None
    if not isinstance(given, dict):
        raise UsageError(f"{request.url.path}: a JSON object is needed, not {type(given).__name__}")
    return given


def _response(request: Request, route: Route, answer: Answer) -> Response:
    if route.media_types:
        name = route.path.rpartition("/")[2]
        headers = {"content-disposition": f'attachment; filename="{name}"'} if name.endswith(".csv") else {}
        return Response(answer.content, media_type=answer.media_type, headers=headers)
    if "application/octet-stream" in request.headers.get("accept", ""):
        return Response(as_bytes(answer), media_type="application/octet-stream")
    return JSONResponse(as_json(answer))


async def _page(request: Request) -> Response:
    name = request.path_params.get("name", "index.html")
    file = PAGE / name
    if file.parent != PAGE or file.suffix not in MEDIA_TYPES or not file.is_file():
        return await _not_found(request, Exception())
    shared = tokens().encode() if file.name == "page.css" else b""  # the colours that the report has too
    return Response(shared + file.read_bytes(), media_type=MEDIA_TYPES[file.suffix])


async def _not_found(request: Request, error: Exception) -> Response:
    known = ", ".join(dict.fromkeys(route.path for route in ROUTES))
    return JSONResponse(
        {"error": f"{request.method} {request.url.path}: no such route; known: {known}", "kind": "NotFound"}, 404
    )


async def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse(
        {
            "error": f"the explorer failed ({type(error).__name__}); see its terminal for the traceback",
            "kind": "Failed",
        },
        500,
    )


class _Guarded:
    """Refuses what the guard refuses, and adds the headers to every answer."""

    def __init__(self, app: ASGIApp, guard: Guard, headers: dict[str, str]) -> None:
        self.app, self.guard = app, guard
        self.headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        async def with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *self.headers]}
            await send(message)

        given = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self.guard.refuse(scope["method"], scope["path"], given)
        if refused and given.get("sec-fetch-mode") == "navigate":
            await PlainTextResponse(f"latens: {refused}", 403)(scope, receive, with_policy)
        elif refused:
            await JSONResponse({"error": refused, "kind": "Refused"}, 403)(scope, receive, with_policy)
        else:
            await self.app(scope, receive, with_policy)

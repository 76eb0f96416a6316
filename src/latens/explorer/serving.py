"""Serving the explorer: on the loopback address, in this thread until Ctrl-C, or in one of its own."""

import asyncio
import logging
import signal
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import h11
import uvicorn
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from latens.errors import UsageError
from latens.explorer.app import create_app
from latens.explorer.kept import Kept
from latens.explorer.view import View

__all__ = ["HOST", "Serving", "serve"]

HOST = "127.0.0.1"
SECONDS_FOR_A_REQUEST = 20.0  # from its connection, or from the last answer on it, until all of it must be there
TRIES = 50  # ports after the one that was asked for


class Impatient(H11Protocol):
    """A connection that is closed if its request does not come to its end: half-open ones would stay for ever."""

    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait for the rest, if there is one."""
        super().data_received(data)
        self._wait()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        """Wait for the end of a request, for the whole time only once; not while one is answered."""
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._stop_waiting()
        elif self._limit is None:
            self._limit = asyncio.get_running_loop().call_later(SECONDS_FOR_A_REQUEST, self._give_up)

    def _stop_waiting(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _give_up(self) -> None:
        self._limit = None
        if not self.transport.is_closing():
            self.transport.close()


class Serving:
    """A server of one view or two, not yet started; its address is known.

    Args:
        view: of the run.
        beside: of a second run.
        port: the first to try; 0 takes any that is free.
        ancestors: origins whose pages may frame it.
        kept: the token, and the port to try first where any will do; by default the token is a new one.

    Raises:
        UsageError: none of the ports is free.
    """

    def __init__(
        self,
        view: View,
        beside: View | None = None,
        *,
        port: int = 0,
        ancestors: Sequence[str] = (),
        kept: Kept | None = None,
    ) -> None:
        self.socket = (_listening(kept.port) if kept and kept.port > 0 and not port else None) or _listen(port)
        self.port: int = self.socket.getsockname()[1]
        self.app: Starlette = create_app(
            view, beside, port=self.port, ancestors=ancestors, token=kept.token if kept else ""
        )
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",  # a method is taken for an older kind
            http=Impatient,
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            lifespan="off",  # the app has none; one that is stopped as it begins printed a traceback in older versions
        )
        logging.getLogger("uvicorn.error").addFilter(_is_to_be_said)
        self._server = uvicorn.Server(config)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The app's answer. One that the end of the server breaks off is no error, and uvicorn would print a traceback."""
        try:
            await self.app(scope, receive, send)
        except asyncio.CancelledError:
            if not self._server.should_exit:
                raise

    @property
    def address(self) -> str:
        """With the token in it, which lets a browser in."""
        return f"http://{HOST}:{self.port}/{self.app.state.token}/"

    def run(self) -> None:
        """Serve until Ctrl-C."""
        self._server.run(sockets=[self.socket])

    def start(self) -> "Serving":
        """Serve in a thread that ends with the process."""
        self._thread = threading.Thread(target=self.run, daemon=True, name="latens-explorer")
        self._thread.start()
        return self

    def wait(self) -> None:
        """Wait until the started server ends, or Ctrl-C stops it."""
        with suppress(KeyboardInterrupt):
            self._thread.join()
        self.stop()

    def stop(self) -> None:
        """Stop the started server."""
        self._server.should_exit = True


def _is_to_be_said(record: logging.LogRecord) -> bool:
    """Not that requests were still open when the server was ended: that is as it should be."""
    return "timeout graceful shutdown exceeded" not in record.getMessage()


def serve(
    view: View,
    beside: View | None = None,
    *,
    port: int = 0,
    open_page: bool = True,
    say: Callable[[str], None] = print,
    kept: Kept | None = None,
) -> None:
    """Serve until Ctrl-C; the address is printed, and opened in the browser. See `Serving`."""
    serving = Serving(view, beside, port=port, kept=kept)
    with _stopped_by_ctrl_c(serving):
        _announce(view, serving, port, open_page, say, kept)
        serving.run()


@contextmanager
def _stopped_by_ctrl_c(serving: Serving) -> Iterator[None]:
    """Let Ctrl-C stop a server also before it has begun to listen to signals itself.

    Python's own KeyboardInterrupt is lost where it happens to be raised in a callback of the garbage collection.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: serving.stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _announce(
    view: View, serving: Serving, port: int, open_page: bool, say: Callable[[str], None], kept: Kept | None
) -> None:
    say(f"{view.run.name}: {serving.address}\nCtrl-C stops it")
    if kept is not None and kept.port > 0 and not port and serving.port != kept.port:
        say(
            f"port {kept.port}, of the address that was used last, is taken: bookmarks of it don't work until it is free"
        )
    elif kept is not None:
        with suppress(OSError):  # a folder that can't be written costs the bookmark, not the page
            kept.store(serving.port)
    if open_page:
        threading.Thread(target=webbrowser.open, args=(serving.address,), daemon=True).start()


def _listen(port: int) -> socket.socket:
    """A socket on the first free port from the one given on."""
    if not 0 <= port <= 65_535:
        raise UsageError(f"port is {port}; from 0 to 65535 are allowed")
    last = port if port == 0 else min(65_535, port + TRIES)
    for candidate in range(port, last + 1):
        if listener := _listening(candidate):
            return listener
    raise UsageError(f"ports {port} to {last} are all taken; give another --port")


def _listening(port: int) -> socket.socket | None:
    """A socket that listens on this port; None where it is taken."""
    # The protocol is said, because asyncio turns Nagle's waiting off (40 ms an answer) only for sockets that say it.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()  # so that a page that is opened at once waits, and is not refused
    except OSError:
        listener.close()
        return None
    return listener

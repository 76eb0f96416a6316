"""Requests that a server must refuse, and requests that nobody meant: every route, enumerated from the application.

    python benchmarks/faults/server.py [--long] [--json FILE]

- Host and Origin: each route with each method, as from other names, other origins, other sites and without the token. Lost:
  an answer other than 403, or one without the headers of security.
- Bodies that are no right JSON, each to every route that takes one. Lost: an answer other than 400 or 404, or an error in more
  than one line. Values, right and wrong, are made of the OpenAPI description by described.py.
- Paths that leave the page's folder: no byte of a file outside: of the system, of this process, of latens beside the page.
- A server in a process of its own: connections that send half a request, or nothing, are closed; meanwhile others are answered;
  SIGTERM with an open request ends it within 5 s, without a traceback.

The short form sends each third of these requests.
"""

import http.client
import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from damage import blobs
from starlette.testclient import TestClient
from tally import Tally, fault_parser, finish

import latens
from latens.explorer.app import create_app
from latens.explorer.routes import ROUTES
from latens.explorer.serving import SECONDS_FOR_A_REQUEST
from latens.explorer.view import View
from latens.progress import Silent

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
NEEDED = ("content-security-policy", "x-content-type-options", "referrer-policy", "cross-origin-resource-policy")
HOST, PORT, TOKEN = "127.0.0.1", 8000, "token-of-the-faults"
OWN = f"http://{HOST}:{PORT}"
SHORT = 3  # each so manieth request is sent
HALF_OPEN = 200  # connections
OUTSIDE = {"etc/passwd": "root:", "proc/self/environ": "PATH=", "app.py": "def create_app"}  # a file and a part of it


def main() -> None:
    args = fault_parser(__doc__).parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        run = latens.run(
            blobs(np.random.default_rng(0)),
            out=Path(temporary) / "run",
            latent_dim=4,
            epochs=1,
            device="cpu",
            progress=Silent(),
        )
        app = create_app(View(run), token=TOKEN, port=PORT)
        client = TestClient(app, base_url=OWN, raise_server_exceptions=False)
        step = 1 if args.long else SHORT
        tallies = [of_origins(client, app, step), of_bodies(client, step), of_paths(client, step)]
        tallies += of_a_server(run.path)
    sys.exit(finish(tallies, args.json))


def of_origins(client: TestClient, app: Any, step: int) -> Tally:
    """Every route and method, from where no request may come."""
    found = Tally("routes × methods × Host, Origin, site, token that are not the server's own")
    paths = [route.path.replace("{name}", "page.js") for route in app.routes]
    for path, method, headers in itertools.islice(itertools.product(paths, METHODS, foreign()), 0, None, step):
        answer = client.request(method, path, headers=headers)
        problem = "" if answer.status_code == 403 else f"{method} {path} {headers}: {answer.status_code}"
        missing = [name for name in NEEDED if name not in answer.headers]
        found.add(True, problem or (f"{method} {path}: without {missing}" if missing else ""))
    return found


def foreign() -> list[dict[str, str]]:
    """Headers of requests that must be refused."""
    own = {"host": f"{HOST}:{PORT}", "x-latens-token": TOKEN}
    names = [
        *("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:8000", "0.0.0.0:8000"),
        *("127.0.0.1", "127.0.0.1:80", "127.0.0.1:8001", "127.1:8000", "2130706433:8000", "0x7f000001:8000"),
        *("0177.0.0.1:8000", "127.0.0.1.:8000", "localhost.:8000", "[::]:8000", "[::ffff:127.0.0.1]:8000", "::1:8000"),
        *("", ":8000", "127.0.0.1:8000@evil.example", "evil.example@127.0.0.1:8000", "127.0.0.1:8000, evil.example"),
        *("127.0.0.1:08000", "LOCALHOST.EVIL:8000", "xn--localhost:8000", "127.0.0.2:8000", "10.0.0.1:8000"),
        *(
            "127.0.0.1:8000.evil.example",
            "127.0.0.1:8000:8000",
            "127.0.0.1:8000/",
            "127.0.0.1 :8000",
            "127.0.0.1:80:00",
        ),
        *(
            "http://127.0.0.1:8000",
            "127.0.0.1:+8000",
            "127.0.0.1:8000#",
            "127.0.0.1:8000?",
            "localhost:8000:",
            "[::1",
            "::1",
        ),
        *("127.0.0.1:8e3", "127.0.0.1:0x1f40", "127.0.0.1\\@evil.example:8000", "localhost%00.evil.example:8000"),
    ]
    origins = [
        *("null", "", "http://evil.example", "https://127.0.0.1:8000", "http://127.0.0.1", "http://127.0.0.1:8001"),
        *("http://localhost:8000", "http://127.0.0.1:8000.evil.example", "http://127.0.0.1:8000/", "file://"),
        *(
            "http://evil.example/http://127.0.0.1:8000",
            "chrome-extension://x",
            "HTTP://127.0.0.1:8000",
            "ws://127.0.0.1:8000",
        ),
    ]
    found = [{**own, "host": name} for name in names]
    found += [{**own, "origin": origin} for origin in origins]
    found += [{**own, "host": host, "origin": f"http://{host}"} for host in ("evil.example:8000", "127.0.0.2:8000")]
    found += [{**own, "sec-fetch-site": site} for site in ("cross-site", "same-site", "x")]
    # A page's own file is let in by the token in its address, so a request without one is one of the routes.
    return found


def of_bodies(client: TestClient, step: int) -> Tally:
    """Bodies that no description can be made of; what one can be made of is sent by described.py."""
    found = Tally("bodies that are cut, nested, of another type or encoding, or hold what JSON can't")
    posted = itertools.product([one for one in ROUTES if one.method == "POST"], bodies())
    for route, (kind, content) in itertools.islice(posted, 0, None, step):
        headers = {"x-latens-token": TOKEN, "content-type": kind}
        answer = client.post(route.path, headers=headers, content=content)
        told = f"{route.path} {kind} {content[:60]!r}: {answer.status_code} {answer.text[:200]!r}"
        refused = answer.status_code in (400, 404) and "\n" not in answer.json()["error"]
        found.add(True, "" if refused else told)
    return found


def bodies() -> Iterator[tuple[str, bytes]]:
    """Types and contents, each of which every route must refuse."""
    whole = b'{"points": [0, 1], "latents": [[0, 0, 0, 0]], "stops": [[0], [1]], "map": "pca", "tag": "a", "ids": ["0"], "x": 1}'
    for length in range(len(whole)):
        yield "application/json", whole[:length]
    for kind in (
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=a",
        "application/xml",
    ):
        yield kind, whole
    for value in (
        "[" * 100_000,
        "NaN",
        "-Infinity",
        "1e400",
        "1" * 5_000,
        "1" * 400,
        '"\\ud800"',
        '"\\u0000"',
        "0x1",
        "01",
        "'a'",
    ):
        for name in ("points", "latents", "stops", "name", "ids", "change", "another"):
            yield "application/json", f'{{"{name}": {value}}}'.encode()
            yield "application/json", f'{{"{name}": [[{value}]]}}'.encode()
    for text in (
        "null",
        "true",
        "1",
        '"points"',
        "[]",
        '[{"points": [0]}]',
        '{"points": [0],}',
        '{"points": [0]} {}',
        "\ufeff{}",
    ):
        for encoding in ("utf-8", "utf-16", "utf-32", "utf-7"):
            yield "application/json", text.encode(encoding)
    yield "application/json", b"\xff\xfe\x00"
    yield "application/json", b"{" + b'"a": 1, ' * 1_000_000 + b'"a": 1}'


def of_paths(client: TestClient, step: int) -> Tally:
    """Paths that lead out of the page's folder."""
    found = Tally("paths that lead out of the page's folder")
    ups = (
        "../",
        "..%2f",
        "%2e%2e/",
        "%2e%2e%2f",
        "..\\",
        "..%5c",
        "....//",
        "..%252f",
        "..%c0%af",
        "%2e%2e%5c",
        ".%2e/",
        "..;/",
        "..%00/",
        "%u002e%u002e/",
        "..//",
        "./../",
    )
    befores, afters = ("", "/", "page/", "%00", "index.html/"), ("", "%00", "?", "#")
    every = itertools.product(OUTSIDE.items(), ups, range(1, 12), befores, afters)
    for (file, part), up, count, before, after in itertools.islice(every, 0, None, step):
        path = f"/{TOKEN}/{before}{up * count}{file}{after}"
        answer = client.get(path)
        found.add(True, f"{path}: {answer.status_code}" if part in answer.text or answer.status_code >= 500 else "")
    return found


def started_server(folder: Path) -> "tuple[subprocess.Popen[str], int, str]":
    """The explorer of a run in a process of its own, its port and its token; it has answered once.

    What it says on standard error goes to the file `said` beside the run.
    """
    said = open(folder.with_name("said"), "w")  # noqa: SIM115 - of the server
    server = subprocess.Popen(
        [sys.executable, "-m", "latens", "explore", str(folder), "--no-open"],
        stdout=subprocess.PIPE,
        stderr=said,
        text=True,
        env={**os.environ, "LATENS_CACHE": str(folder.parent / "cache"), "PYTHONUNBUFFERED": "1"},
    )
    assert server.stdout is not None
    address = server.stdout.readline().split()[-1]
    port, token = int(address.split(":")[2].split("/")[0]), address.rstrip("/").rpartition("/")[2]
    answered(port, token, 120)  # the first answer imports much
    return server, port, token


def of_a_server(folder: Path) -> Iterator[Tally]:
    """What only a server in a process of its own shows."""
    server, port, token = started_server(folder)
    said = folder.with_name("said")
    half_open = of_half_open(port, token)
    half_open.add(True, f"the server says: {said.read_text()[-300:]}" if said.read_text() else "")
    yield half_open
    yield of_a_signal(server, port, token, said)


def of_half_open(port: int, token: str) -> Tally:
    """Connections that never end their request."""
    found = Tally("connections that send half a request or nothing: closed, and others answered meanwhile")
    halves = (
        b"",
        b"GET /api/run HT",
        b"GET /api/run HTTP/1.1\r\nHost: a\r\n",
        b"POST /api/tags HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{",
    )
    sockets = []
    for number in range(HALF_OPEN):
        one = socket.create_connection((HOST, port))
        one.sendall(halves[number % len(halves)])
        sockets.append(one)
    until = time.monotonic() + SECONDS_FOR_A_REQUEST + 5
    problem = answered(port, token)
    for one in sockets:
        one.settimeout(max(0.1, until - time.monotonic()))
        try:
            while one.recv(4_096):
                pass
            found.add(True, problem)
        except ConnectionError:
            found.add(True, problem)
        except TimeoutError:
            found.add(True, problem or "still open")
        one.close()
    return found


def answered(port: int, token: str, seconds: float = 10) -> str:
    """Why a whole request is not answered; empty where it is."""
    connection = http.client.HTTPConnection(HOST, port, timeout=seconds)
    try:
        connection.request("GET", "/api/run", headers={"x-latens-token": token})
        status = connection.getresponse().status
    except OSError as error:
        return f"another request: {error}"
    finally:
        connection.close()
    return "" if status == 200 else f"another request: {status}"


def of_a_signal(server: "subprocess.Popen[str]", port: int, token: str, said: Path) -> Tally:
    """SIGTERM while a request is open."""
    found = Tally("SIGTERM with an open request")
    with socket.create_connection((HOST, port)) as one:
        head = f"Host: {HOST}:{port}\r\nx-latens-token: {token}\r\ncontent-type: application/json\r\n"
        one.sendall(f"POST /api/tags HTTP/1.1\r\n{head}Content-Length: 99\r\n\r\n{{".encode())
        time.sleep(0.5)
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(timeout=5)
            found.add(True, f"it says: {said.read_text()[-300:]}" if said.read_text() else "")
        except subprocess.TimeoutExpired:
            server.kill()
            found.add(True, "it goes on")
    return found


if __name__ == "__main__":
    main()

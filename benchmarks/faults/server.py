"""Requests that a server must refuse, and requests that nobody meant: every route, enumerated from the application.

    python benchmarks/faults/server.py [--long] [--json FILE]

- Host and Origin: each route with each method, as from other names, other origins, other sites and without the token. Lost:
  an answer other than 403, or one without the headers of security.
- Values: requests made of the OpenAPI description, with right, nearly right, extreme, nested and wrong values. Lost: an answer of
  5xx, one of a status that the description does not name, or an error in more than one line.
- Paths that leave the page's folder: no byte of a file outside.
- A server in a process of its own: connections that send half a request, or nothing, are closed; meanwhile others are answered;
  SIGTERM with an open request ends it within 5 s, without a traceback.
"""

import http.client
import itertools
import json
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
from urllib.parse import urlencode

import numpy as np
import torch
from damage import blobs
from starlette.testclient import TestClient
from tally import Tally, fault_parser, finish

import latens
from latens.explorer.app import create_app
from latens.explorer.routes import openapi
from latens.explorer.serving import SECONDS_FOR_A_REQUEST
from latens.explorer.view import View
from latens.progress import Silent

SHORT, LONG = 3_000, 100_000  # requests of values
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
NEEDED = ("content-security-policy", "x-content-type-options", "referrer-policy", "cross-origin-resource-policy")
HOST, PORT, TOKEN = "127.0.0.1", 8000, "token-of-the-faults"
OWN = f"http://{HOST}:{PORT}"
HALF_OPEN = 200  # connections
CANARY = "root:"  # in /etc/passwd


def main() -> None:
    args = fault_parser(__doc__).parse_args()
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as temporary:
        run = latens.run(
            blobs(random), out=Path(temporary) / "run", latent_dim=4, epochs=1, device="cpu", progress=Silent()
        )
        app = create_app(View(run), token=TOKEN, port=PORT)
        client = TestClient(app, base_url=OWN, raise_server_exceptions=False)
        tallies = [of_origins(client, app), of_values(client, random, LONG if args.long else SHORT), of_paths(client)]
        tallies += of_a_server(run.path)
    sys.exit(finish(tallies, args.json))


def of_origins(client: TestClient, app: Any) -> Tally:
    """Every route and method, from where no request may come."""
    found = Tally("routes × methods × Host, Origin, site, token that are not the server's own")
    paths = [route.path.replace("{name}", "page.js") for route in app.routes]
    for path, method, headers in itertools.product(paths, METHODS, foreign()):
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
    found += [{**own, "sec-fetch-site": site} for site in ("cross-site", "same-site", "x")]
    # A page's own file is let in by the token in its address, so a request without one is one of the routes.
    return found


def of_values(client: TestClient, random: np.random.Generator, count: int) -> Tally:
    """Requests made of the OpenAPI description."""
    found = Tally("requests with right, wrong and extreme values, made of the OpenAPI description")
    operations = [
        (path, method.upper(), operation)
        for path, methods in openapi()["paths"].items()
        for method, operation in methods.items()
    ]
    headers = {"x-latens-token": TOKEN}
    for number in range(count):
        path, method, operation = operations[number % len(operations)]
        query = {
            one["name"]: value_of(one["schema"], random)
            for one in operation.get("parameters", ())
            if one["required"] or random.random() < 0.6
        }
        address = path + (
            "?" + urlencode({name: as_text(value) for name, value in query.items()}, errors="surrogatepass")
            if query
            else ""
        )
        content, kind = body_of(operation, random)
        if method == "POST":
            headers = {**headers, "content-type": kind}
        answer = client.request(method, address, headers=headers, content=content)
        told = f"{method} {address[:200]} {content[:300]!r}: {answer.status_code} {answer.text[:200]!r}"
        known = {*operation["responses"], "404"}  # of what the run does not have
        problem = "" if str(answer.status_code) in known else told
        if answer.status_code >= 400 and "\n" in answer.json()["error"]:
            problem = f"more than one line: {told}"
        found.add(True, problem)
    return found


def body_of(operation: dict[str, Any], random: np.random.Generator) -> tuple[bytes, str]:
    """The body of a request, and its type."""
    content = operation.get("requestBody", {}).get("content", {})
    if "application/octet-stream" in content:
        return random.bytes(int(random.integers(200))), "application/octet-stream"
    if not content:
        return b"", "application/json"
    schema = content["application/json"]["schema"]
    given: Any = {
        name: value_of(one, random)
        for name, one in schema["properties"].items()
        if name in schema["required"] or random.random() < 0.6
    }
    kind = (
        "application/json"
        if random.random() < 0.95
        else str(random.choice(["text/plain", "", "application/x-www-form-urlencoded"]))
    )
    if random.random() < 0.1:
        given = value_of({"type": "string"}, random)
    text = json.dumps(given)
    if random.random() < 0.05:
        text = text[: int(random.integers(len(text) + 1))] or "[" * 100_000
    return text.encode("utf-8", "replace"), kind


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def value_of(schema: dict[str, Any], random: np.random.Generator, depth: int = 0) -> Any:
    """A value that fits a schema, or one that does so nearly, or not at all."""
    luck = random.random()
    if luck < 0.15:
        return ODD[int(random.integers(len(ODD)))]
    if "enum" in schema and luck < 0.8:
        return schema["enum"][int(random.integers(len(schema["enum"])))]
    if "oneOf" in schema:
        return value_of(schema["oneOf"][int(random.integers(len(schema["oneOf"])))], random, depth + 1)
    match schema.get("type"):
        case "integer":
            return int(random.integers(-3, 70)) if luck < 0.7 else WHOLE[int(random.integers(len(WHOLE)))]
        case "number":
            return float(random.normal()) if luck < 0.7 else REAL[int(random.integers(len(REAL)))]
        case "boolean":
            return bool(random.integers(2))
        case "array":
            length = int(random.integers(0, 6))
            return [value_of(schema.get("items", {"type": "integer"}), random, depth + 1) for _ in range(length)]
        case "object":
            return {name: value_of(one, random, depth + 1) for name, one in schema["properties"].items()}
    return TEXT[int(random.integers(len(TEXT)))]


WHOLE = (0, -1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, -(2**63), 2**64, 10**30)
REAL = (0.0, -0.0, 1e308, -1e308, 1e-308, 1e39, 3.4e38, 2**63, -1)
TEXT = (
    "",
    "pca",
    "tsne",
    "class",
    "0",
    "1",
    "latent",
    "a" * 1_000,
    "\0",
    "\n",
    "é",
    "\ud800",
    "../../etc/passwd",
    "=1+1",
    "red=1@0:1",
    "grey=9",
)
ODD = (
    None,
    True,
    [],
    {},
    [[]],
    [[[]]],
    [[[[1]]]],
    {"map": {}},
    {"map": "pca", "x": [], "y": None},
    "",
    "NaN",
    1e400,
    -1,
    [None],
    [["a"]],
    [{}],
)


def of_paths(client: TestClient) -> Tally:
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
    )
    for up, count, before, after in itertools.product(
        ups, range(1, 12), ("", "/", "page/", "%00", "index.html/"), ("", "%00", "?", "#")
    ):
        path = f"/{TOKEN}/{before}{up * count}etc/passwd{after}"
        answer = client.get(path)
        found.add(True, f"{path}: {answer.status_code}" if CANARY in answer.text or answer.status_code >= 500 else "")
    return found


def of_a_server(folder: Path) -> Iterator[Tally]:
    """What only a server in a process of its own shows."""
    server = subprocess.Popen(
        [sys.executable, "-m", "latens", "explore", str(folder), "--no-open"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "LATENS_CACHE": str(folder.parent / "cache"), "PYTHONUNBUFFERED": "1"},
    )
    assert server.stdout is not None
    address = server.stdout.readline().split()[-1]
    port, token = int(address.split(":")[2].split("/")[0]), address.rstrip("/").rpartition("/")[2]
    answered(port, token, 120)  # the first answer imports much
    yield of_half_open(port, token)
    yield of_a_signal(server, port, token)


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


def of_a_signal(server: "subprocess.Popen[str]", port: int, token: str) -> Tally:
    """SIGTERM while a request is open."""
    found = Tally("SIGTERM with an open request")
    with socket.create_connection((HOST, port)) as one:
        head = f"Host: {HOST}:{port}\r\nx-latens-token: {token}\r\ncontent-type: application/json\r\n"
        one.sendall(f"POST /api/tags HTTP/1.1\r\n{head}Content-Length: 99\r\n\r\n{{".encode())
        time.sleep(0.5)
        server.send_signal(signal.SIGTERM)
        try:
            _, said = server.communicate(timeout=5)
            found.add(True, f"it says: {said[-300:]}" if "Traceback" in said else "")
        except subprocess.TimeoutExpired:
            server.kill()
            found.add(True, "it goes on")
    return found


if __name__ == "__main__":
    main()

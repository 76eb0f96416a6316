"""64 pages at once on one explorer: decoding, thumbnails, points and tags; then with slow and half-open ones beside them.

    python benchmarks/faults/clients.py [--long] [--json FILE]

The server runs in a process of its own, on a run of 4,000 images of MNIST. Each client keeps a connection, and asks for something
a second after the last answer, on average: 40 % decoded places, 30 % thumbnails, 20 % maps, 10 % changes of tags. Lost: an
answer other than 200, one that does not come in 10 s, a tag that is not there afterwards, more than 20 MB that the server has
grown by since its first minute (first third of the short form), a file descriptor that is left. Then the same beside clients
that read none of their answers, and connections that send half a request. The short form takes one minute, the long form ten.
p99 of decoding (250 ms allowed) and of thumbnails (50 ms) decide in the long form: beside other work they say nothing.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import torch
from server import HOST, started_server
from tally import Tally, fault_parser, finish

import latens
from latens.computed import encode_run, map_run
from latens.explorer.tags import Tags
from latens.runs import record, start_run

CLIENTS, SLOW, HALF_OPEN = 64, 16, 64
SHORT, LONG = 60.0, 600.0  # seconds
BESIDE_SLOW = 15.0  # seconds
PAUSE = 1.0  # seconds between two requests of a client, on average
PATIENCE = 10.0  # seconds for an answer
MORE_MB = 20
ALLOWED = {"decode": 0.250, "thumbnails": 0.050}  # seconds, p99
IMAGES = 4_000
KINDS = {"decode": 0.4, "thumbnails": 0.3, "map": 0.2, "tags": 0.1}


def main() -> None:
    args = fault_parser(__doc__).parse_args()
    torch.set_num_threads(1)
    seconds = LONG if args.long else SHORT
    with tempfile.TemporaryDirectory() as temporary:
        train = latens.load_images("mnist").train.take(slice(0, IMAGES))
        images = latens.load_images(np.asarray(train.pixels), labels=train.labels)
        run = small_run(images, Path(temporary) / "run")
        server, port, token = started_server(run)
        try:
            page = Page(port, token, run)
            tallies = asyncio.run(page.tried(server.pid, seconds))
        finally:
            server.terminate()
            server.wait(timeout=10)
    print("| request | answers | median, ms | p99, ms |")
    print("|---|---|---|---|")
    too_slow = False
    for kind, times in page.times.items():
        middle, most = np.quantile(times, [0.5, 0.99])
        print(f"| {kind} | {len(times):,} | {1e3 * middle:.1f} | {1e3 * most:.1f} |")
        too_slow |= bool(args.long and most > ALLOWED.get(kind, np.inf))
    print()
    sys.exit(finish(tallies, args.json) or int(too_slow))


def small_run(images: latens.Dataset, folder: Path) -> Path:
    """A run with latents and a map, which is all that is asked for."""
    recipe = latens.RECIPES["fast"](images).with_options(epochs=1)
    run = start_run(images, recipe, folder)
    for _ in record(run, latens.train(run.model, images, recipe.config)):
        pass
    encode_run(run, images)
    map_run(latens.open_run(folder), "pca")
    latens.open_run(folder).update(status="done")
    return folder


class Page:
    """What pages ask for, and what came of it.

    Args:
        port: of the server.
        token: that it asks for.
        run: the run's folder.
    """

    def __init__(self, port: int, token: str, run: Path) -> None:
        self.port, self.token, self.run = port, token, run
        self.random = np.random.default_rng(0)
        self.times: dict[str, list[float]] = defaultdict(list)
        self.tagged: set[tuple[str, str]] = set()
        self.going = True

    async def tried(self, pid: int, seconds: float) -> list[Tally]:
        """All of it."""
        alone = Tally(f"{CLIENTS} clients at once, {seconds:.0f} s: requests")
        info = await self._once("GET", "/api/run")
        self.pages = info["thumbnails"]["pages"] if isinstance(info["thumbnails"], dict) else int(info["thumbnails"])
        self.ids = [found["id"] for found in (await self._once("GET", "/api/find?words="))["found"]]
        place = await self._once("GET", "/api/map?name=pca")
        self.left, self.bottom, self.size = (place[name] for name in ("left", "bottom", "size"))
        for kind in KINDS:  # what is made once is made before
            await self._once(*self._wanted(kind, 0))
        self.times.clear()
        before = state_of(pid)[1]
        clients = [asyncio.create_task(self._client(number, alone)) for number in range(CLIENTS)]
        await asyncio.sleep(seconds / 10 if seconds == LONG else seconds / 3)
        early, _ = state_of(pid)
        await asyncio.sleep(seconds * (0.9 if seconds == LONG else 2 / 3))
        late, _ = state_of(pid)
        kept = Tally(f"the server after it: within {MORE_MB} MB, as many open files, nothing said")
        grown = late - early
        kept.add(True, f"{grown:.1f} MB more" if grown > MORE_MB else "")
        measured, self.times = self.times, defaultdict(list)
        beside = Tally(f"requests beside {SLOW} slow readers and {HALF_OPEN} connections with half a request")
        told, alone.tries, alone.hit, alone.survived = (alone.tries, alone.hit, alone.survived), 0, 0, 0
        others = [await self._slow() for _ in range(SLOW)] + [await self._half() for _ in range(HALF_OPEN)]
        await asyncio.sleep(BESIDE_SLOW)
        self.going = False
        await asyncio.gather(*clients)
        beside.tries, beside.hit, beside.survived = alone.tries, alone.hit, alone.survived
        alone.tries, alone.hit, alone.survived = told
        for writer in others:
            writer.close()
        await asyncio.sleep(2)
        after = state_of(pid)
        said = self.run.with_name("said").read_text()
        kept.add(True, f"the server says: {said[-300:]}" if said else "")
        kept.add(True, f"{before} open files before, {after[1]} after all" if after[1] > before else "")
        tags, there = Tally("tags that the server said were kept"), Tags(self.run).read()
        for tag, one in sorted(self.tagged):
            tags.add(True, "" if one in there.get(tag, ()) else f"{tag} of {one} is lost")
        self.times = measured
        return [alone, beside, tags, kept]

    async def _client(self, number: int, found: Tally) -> None:
        random = np.random.default_rng([1, number])
        reader, writer = await asyncio.open_connection(HOST, self.port)
        while self.going:
            await asyncio.sleep(random.exponential(PAUSE))
            kind = str(random.choice(list(KINDS), p=list(KINDS.values())))
            began = time.perf_counter()
            wanted = self._wanted(kind, number)
            try:
                try:
                    asked = self._ask(reader, writer, *wanted, tab=str(number))
                    status, content = await asyncio.wait_for(asked, PATIENCE)
                except (ConnectionError, asyncio.IncompleteReadError) as error:
                    if getattr(error, "partial", b""):
                        raise
                    # As browsers do: a connection that has long been idle may be closed just before it is used again.
                    reader, writer = await asyncio.open_connection(HOST, self.port)
                    asked = self._ask(reader, writer, *wanted, tab=str(number))
                    status, content = await asyncio.wait_for(asked, PATIENCE)
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                found.add(True, f"{kind}: {type(error).__name__}: {error}")
                reader, writer = await asyncio.open_connection(HOST, self.port)
                continue
            self.times[kind].append(time.perf_counter() - began)
            found.add(True, "" if status == 200 else f"{kind}: {status} {content[:200]!r}")
        writer.close()

    def _wanted(self, kind: str, number: int) -> tuple[str, str, bytes]:
        if kind == "decode":
            x, y = self.random.uniform(0, 1, 2) * self.size + (self.left, self.bottom)
            return "GET", "/api/decode?" + urlencode({"map": "pca", "x": x, "y": y}), b""
        if kind == "thumbnails":
            return "GET", f"/api/thumbnails?page={self.random.integers(self.pages)}", b""
        if kind == "map":
            return "GET", "/api/map?name=pca", b""
        one = str(self.random.choice(self.ids))
        self.tagged.add((f"client {number}", one))
        return "POST", "/api/tags", json.dumps({"tag": f"client {number}", "ids": [one]}).encode()

    async def _once(self, method: str, path: str, content: bytes = b"") -> Any:
        reader, writer = await asyncio.open_connection(HOST, self.port)
        status, answer = await self._ask(reader, writer, method, path, content, accept="application/json")
        writer.close()
        assert status == 200, f"{path}: {status} {answer[:300]!r}"
        return json.loads(answer) if answer[:1] in (b"{", b"[") else answer

    async def _ask(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        method: str,
        path: str,
        content: bytes,
        tab: str = "",
        accept: str = "application/octet-stream",
    ) -> tuple[int, bytes]:
        writer.write(self._head(method, path, len(content), tab, accept) + content)
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return int(head.split()[1]), await reader.readexactly(length)

    def _head(self, method: str, path: str, length: int, tab: str, accept: str) -> bytes:
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: {HOST}:{self.port}",
            f"x-latens-token: {self.token}",
            f"x-latens-tab: {tab}",
            f"Accept: {accept}",
            f"Content-Length: {length}",
            "Content-Type: application/json",
        ]
        return "\r\n".join([*lines, "", ""]).encode()

    async def _slow(self) -> asyncio.StreamWriter:
        """A connection that asks for maps, again and again, and reads none of the answers."""
        _, writer = await asyncio.open_connection(HOST, self.port, limit=1)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(self._head("GET", "/api/map?name=pca", 0, "", "application/octet-stream") * 20)
        return writer

    async def _half(self) -> asyncio.StreamWriter:
        _, writer = await asyncio.open_connection(HOST, self.port)
        writer.write(self._head("POST", "/api/tags", 99, "", "*/*") + b"{")
        return writer


def state_of(pid: int) -> tuple[float, int]:
    """The memory of a process in MB, and how many files it has open, connections among them."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    memory = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))
    return memory, len(list(Path(f"/proc/{pid}/fd").iterdir()))


if __name__ == "__main__":
    main()

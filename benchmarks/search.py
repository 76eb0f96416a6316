"""Exact search among stored latents: the time of one query, after start, over a memory-mapped file.

    python benchmarks/search.py [--latents 10000000] [--dim 64] [-k 10] [--parts ROWS] [--folder DIR] [--json FILE]

Makes a file of random latents (2.6 GB by default, removed at the end), maps it, and searches: once, when the file has just been
written, and then several times with other queries. Each result is compared with that of NumPy in float64 on a part of the file
that holds the neighbours. Wall-clock time and time of the processor are both printed: on a machine that does other work as well
the former is longer. With --parts the same latents are also searched in Parquet files of so many rows, as `latens encode -o DIR/`
writes them; the memory is what the process has more than before.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from common import machine, machine_line, set_up_threads, write_json

ROWS = 500_000


def make_file(path: Path, count: int, dim: int) -> None:
    latents = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(count, dim))
    rng = np.random.default_rng(0)
    for start in range(0, count, ROWS):
        block = latents[start : start + ROWS]
        block[:] = rng.standard_normal(block.shape, dtype=np.float32)
    latents.flush()


def by_numpy(latents: np.ndarray, query: np.ndarray, k: int) -> np.ndarray:
    """Rows of the k nearest, by distances in float64, a block at a time."""
    squares = [
        np.square(latents[start : start + ROWS].astype(np.float64) - query).sum(1)
        for start in range(0, len(latents), ROWS)
    ]
    return np.argsort(np.concatenate(squares), kind="stable")[:k]


def search_parts(latents: np.ndarray, rows: int, folder: Path, queries: np.ndarray, k: int) -> None:
    """Print how long a search in parts takes, and how much memory."""
    from latens.computed.stored import StoredParts
    from latens.sheets import as_parquet

    count = -(-len(latents) // rows)
    for number in range(count):
        block = np.array(latents[number * rows : (number + 1) * rows])
        ids = np.arange(number * rows, number * rows + len(block)).astype(str)
        (folder / f"latents-{number:05}-of-{count:05}.parquet").write_bytes(as_parquet({"id": ids, "latent": block}))
    del block
    none, walls, before = np.array([-1]), [], _anonymous()
    for query in queries:
        began = time.perf_counter()
        stored = StoredParts(folder)
        found = stored.nearest(query, k, none, lambda done, total: None)[1]
        walls.append(time.perf_counter() - began)
    assert found[0].tolist() == by_numpy(latents, queries[-1][0], k).tolist(), "the search is exact"
    print(f"  in {count:,} parts of {rows:,}: median {statistics.median(walls):.2f} s, opening included;", end=" ")
    print(f"{(_anonymous() - before) / 2**20:,.0f} MiB more memory at the end")


def _anonymous() -> int:
    """Bytes of memory of its own, without mapped files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latents", type=int, default=10_000_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--parts", type=int, metavar="ROWS", help="also search parts of so many rows")
    parser.add_argument("--folder", help="where the file is made (default: the folder for temporary files)")
    parser.add_argument("--json")
    args = parser.parse_args()
    set_up_threads()
    from latens.files import map_npy
    from latens.neighbours import nearest_stored

    print(machine_line(machine()))
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder) / "latents.npy"
        make_file(path, args.latents, args.dim)
        latents = map_npy(path)
        nearest_stored(latents[:1000], np.asarray(latents[:1]), args.k)  # loads what is loaded at the first call
        walls, processor = [], []
        queries = np.random.default_rng(1).standard_normal((args.repeats, 1, args.dim))
        for query in queries:
            wall, cpu = time.perf_counter(), time.process_time()
            rows = nearest_stored(latents, query, args.k)[1]
            walls.append(time.perf_counter() - wall)
            processor.append(time.process_time() - cpu)
        assert rows[0].tolist() == by_numpy(latents, queries[-1][0], args.k).tolist(), "the search is exact"
        print(f"{args.latents:,} latents of {args.dim} numbers, {args.k} nearest of one query")
        print(f"  first search   {walls[0]:.2f} s (processor {processor[0]:.2f} s)")
        print(f"  median         {statistics.median(walls):.2f} s (processor {statistics.median(processor):.2f} s)")
        print(f"  fastest        {min(walls):.2f} s")
        if args.parts:
            search_parts(latents, args.parts, Path(folder), queries, args.k)
    if args.json:
        result = {"latents": args.latents, "dim": args.dim, "k": args.k, "seconds": walls, "processor": processor}
        write_json(args.json, result)


if __name__ == "__main__":
    main()

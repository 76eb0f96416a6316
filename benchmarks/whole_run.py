"""Where the time of a whole run goes: seconds of the clock and of the processor for each stage of `latens run`.

    python benchmarks/whole_run.py [DATA] [--recipe NAME] [--threads N] [--json FILE]

A stage within another one is counted in both. Where other programs share the machine, the seconds of the processor say more.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from common import machine, machine_line, set_up_threads, write_json

PARTED = ("scores", "review", "figures")  # stages whose parts are told by the text of their progress


class Timer:
    """A progress that notes how long each stage takes, and each part of some."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []
        self.depth = 0

    def say(self, text: str) -> None:
        """Print nothing."""

    @contextmanager
    def stage(self, title: str, unit: str = "") -> Iterator[Callable[..., None]]:
        """Note the stage; and its parts, each until the next one begins."""
        with self._noted(title):
            part = self._noted("")
            last = ""

            def tick(done: int, total: int, text: str = "") -> None:
                nonlocal part, last
                if title not in PARTED or not text or text == last:
                    return
                if last:
                    part.__exit__(None, None, None)
                part, last = self._noted(f"{title}: {text}"), text
                part.__enter__()

            yield tick
            if last:
                part.__exit__(None, None, None)

    @contextmanager
    def _noted(self, name: str) -> Iterator[None]:
        row: dict[str, object] = {"stage": name, "depth": self.depth}
        self.rows.append(row)
        self.depth += 1
        began, used = time.perf_counter(), time.process_time()
        yield
        self.depth -= 1
        row |= {"seconds": time.perf_counter() - began, "processor": time.process_time() - used}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="mnist", metavar="DATA", help="as for `latens run`")
    parser.add_argument("--recipe", default="fast", help="as for `latens run`")
    parser.add_argument("--short", action="store_true", help="one epoch")
    parser.add_argument("--threads", type=int, help="of torch; all cores by default")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    args = parser.parse_args()
    set_up_threads(args.threads)
    import latens

    timer = Timer()
    options = {"epochs": 1} if args.short else {}
    with tempfile.TemporaryDirectory() as folder, timer.stage("the whole run"):
        latens.run(args.data, recipe=args.recipe, out=Path(folder) / "run", progress=timer, **options)
    print(f"{'':<40} {'seconds':>8} {'processor':>10}")
    for row in timer.rows:
        name = "  " * int(str(row["depth"])) + str(row["stage"])
        print(f"{name:<40} {row['seconds']:>8.1f} {row['processor']:>10.1f}")
    print(machine_line(machine()))
    write_json(args.json, {"stages": timer.rows})


if __name__ == "__main__":
    main()

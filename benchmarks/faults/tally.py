"""The one table of all faults: what was tried, how often it hit its target, and what came of it."""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["Tally", "fault_parser", "finish", "table"]


@dataclass
class Tally:
    """What came of one fault.

    Args:
        fault: what was done, to what.
        tries: how often.
        hit: how often it reached its target; a fault that never does proves nothing.
        survived: of those, how often nothing was lost: the old or the new state is there, or the damage was said.
        lost: the rest, in words.
        not_tried: why it can't be tried here; empty where it is.
    """

    fault: str
    tries: int = 0
    hit: int = 0
    survived: int = 0
    lost: list[str] = field(default_factory=list)
    not_tried: str = ""

    def add(self, hit: bool, problem: str = "") -> None:
        """One try: whether it hit its target, and what was lost, empty where nothing was."""
        self.tries += 1
        self.hit += hit
        if problem:
            self.lost.append(problem)
        else:
            self.survived += hit


def table(tallies: Sequence[Tally]) -> str:
    """Markdown, one row a fault."""
    lines = ["| fault | tries | hit | survived | lost or faulty |", "|---|---|---|---|---|"]
    for one in tallies:
        if one.not_tried:
            lines.append(f"| {one.fault} | not tried | | | |")
            continue
        lines.append(f"| {one.fault} | {one.tries:,} | {one.hit:,} | {one.survived:,} | {len(one.lost):,} |")
    return "\n".join(lines)


def fault_parser(description: str | None) -> argparse.ArgumentParser:
    """The options of a script of faults: --long for the full counts, --json."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true", help="the full counts, not the short form")
    parser.add_argument("--json", type=os.path.abspath, metavar="FILE", help="write the counts there too")
    return parser


def finish(tallies: Sequence[Tally], to: str | None, ours: Callable[[Tally], bool] = lambda one: True) -> int:
    """Print the table and what was lost. The exit status: 1 where one of `ours` lost something or was never hit.

    What can't be tried on this machine is said, and is no failure.
    """
    print(table(tallies))
    for one in tallies:
        if one.not_tried:
            print(f"  {one.fault}: not tried: {one.not_tried}")
        for problem in one.lost[:40] if ours(one) else ():
            print(f"  {one.fault}: {problem}")
    if to:
        Path(to).parent.mkdir(parents=True, exist_ok=True)
        Path(to).write_text(json.dumps([asdict(one) for one in tallies]) + os.linesep)
    return int(any(one.lost or not (one.hit or one.not_tried) for one in tallies if ours(one)))

"""Shared code of the benchmarks: measuring candidates in turn, describing the machine, tables, JSON, environments for peers."""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from latens import files

__all__ = [
    "GEMM_SIZES",
    "Measured",
    "Unavailable",
    "alternate",
    "benchmark_parser",
    "ceiling_of",
    "gemm_candidates",
    "gemm_rate",
    "kept_sections",
    "machine",
    "machine_line",
    "peer_environment",
    "run_json",
    "say",
    "set_up_threads",
    "spread",
    "table",
    "write_json",
    "write_section",
]

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".peers"
GEMM_SIZES = (1024, 2048)
LONGEST_RUN = 1800  # seconds of one measurement in a process of its own

Measured = dict[str, list[float] | str]  # figures, or why there are none


class Unavailable(Exception):
    """A candidate that can't be measured here; the text is the reason."""


# ---- the machine


def set_up_threads(threads: int | None = None) -> None:
    """Set torch's threads up as latens's command line does, for all candidates alike: processes inherit it.

    To be called before torch is loaded.
    """
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > 0.75 * (os.cpu_count() or 1):
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)


def machine() -> dict[str, Any]:
    """What figures depend on beside the code: processor, threads, torch, how its threads wait, the load of the last minute."""
    import torch

    from latens.device import describe_device

    return {
        "device": describe_device(torch.device("cpu")),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "waiting": os.environ.get("OMP_WAIT_POLICY", "default").lower(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def machine_line(what: Mapping[str, Any]) -> str:
    """`machine()` in one line."""
    load = "" if what["load"] is None else f", load {what['load']:.2f}"
    return f"{what['device']}, torch {what['torch']}, waiting: {what['waiting']}{load}"


def gemm_rate(size: int = 2048, repeats: int = 5) -> float:
    """GFLOP/s of a float32 matrix product, the median of some."""
    import torch

    a = torch.rand(size, size)
    rates = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        a @ a
        rates.append(2 * size**3 / (time.perf_counter() - began) / 1e9)
    return statistics.median(rates[1:])


def gemm_candidates() -> dict[str, Callable[[], float]]:
    """The matrix product as candidates for `alternate`, so that its rate is that of the same minutes."""
    return {f"matrix product of {size}": lambda size=size: gemm_rate(size, 15) for size in GEMM_SIZES}


def ceiling_of(measured: Measured, flop: float) -> float:
    """Images per second at the rate of the faster matrix product; takes the products out of what was measured.

    Args:
        measured: what `alternate` gave, with the products in it.
        flop: floating-point operations that an image needs.
    """
    rates = [measured.pop(name) for name in gemm_candidates()]
    return max(statistics.median(rate) for rate in rates if not isinstance(rate, str)) * 1e9 / flop


# ---- measuring


def benchmark_parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has: --short, --rounds, --threads, --json."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="less work a measurement, and fewer of them")
    parser.add_argument("--rounds", type=int, help="how often each candidate is measured")
    parser.add_argument("--threads", type=int, help="of torch; all cores by default")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    return parser


def alternate(candidates: Mapping[str, Callable[[], float]], rounds: int) -> Measured:
    """Measure all candidates in turn, round after round, so that a slow minute of the machine hits all of them.

    Args:
        candidates: each returns seconds or a rate, and leaves its warm-up out of it.
        rounds: how often.

    Returns:
        A list of `rounds` figures for each candidate; the reason for one that turned out not to be available.
    """
    measured: Measured = {name: [] for name in candidates}
    for index in range(rounds):
        for name, candidate in candidates.items():
            figures = measured[name]
            if isinstance(figures, str):
                continue
            try:
                figures.append(candidate())
                say(f"round {index + 1} of {rounds}: {name}: {figures[-1]:,.6g}")
            except Unavailable as reason:
                measured[name] = str(reason)
                say(f"{name}: not available: {reason}")
    return measured


def say(text: str) -> None:
    """How far it is, beside the table: on the other stream, so that a table can be kept."""
    print(f"  {text}", file=sys.stderr, flush=True)


def run_json(command: Sequence[str | os.PathLike[str]]) -> dict[str, Any]:
    """Run a program, and read the last line it printed as JSON.

    Raises:
        Unavailable: it failed, or took too long.
    """
    out = _run(command, LONGEST_RUN)
    result: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    return result


def _run(command: Sequence[str | os.PathLike[str]], timeout: float) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=timeout)
    except subprocess.CalledProcessError as error:
        lines = [line.strip() for line in (error.stderr or error.stdout or "").splitlines() if line.strip()]
        wrong = [line for line in lines if line.startswith("ERROR")] or lines or [f"it ended with {error.returncode}"]
        raise Unavailable(wrong[-1][:160]) from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"not done after {timeout:.0f} s") from None
    except OSError as error:
        raise Unavailable(str(error)) from None
    return done.stdout


def peer_environment(name: str, requirements: Sequence[str]) -> str:
    """The Python of an environment with a peer in it, under `.peers` in the checkout; made once.

    Args:
        name: of its folder.
        requirements: as pip takes them. torch, where one of them needs it and none names a release, is that of
            constraints.txt.

    Raises:
        Unavailable: it can't be made: no network, no such release, no space.
    """
    folder = PEERS / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    named = any(one.startswith("torch==") for one in requirements)
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [] if named else [line for line in lines if line.startswith("torch==")]
    contents = "\n".join([*pins, *requirements, sys.version, ""])
    made = folder / "made.txt"  # written last: half an environment has none
    if not (made.is_file() and made.read_text() == contents):
        say(f"making {folder} with {' '.join(requirements)}")
        _run([sys.executable, "-m", "venv", "--clear", folder], 300)
        constraint = folder / "constraints.txt"
        constraint.write_text("\n".join([*pins, ""]))
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint", constraint]
        _run([*pip, *requirements], LONGEST_RUN)
        made.write_text(contents)
    return str(python)


# ---- telling


def spread(figures: Sequence[float], digits: int = 0) -> str:
    """Least to most."""
    return f"{min(figures):,.{digits}f} to {max(figures):,.{digits}f}"


def table(
    measured: Measured,
    unit: str,
    *,
    reference: str | None = None,
    ceiling: float | None = None,
    lower_is_better: bool = False,
    digits: int = 0,
) -> str:
    """What was measured as text: median, spread, how many times as fast as the reference, share of the ceiling.

    Args:
        measured: see `alternate`.
        unit: of the figures.
        reference: the candidate that the others are compared with; no such column without.
        ceiling: in the same unit; no such column without.
        lower_is_better: for times, where it is the other way round for rates.
        digits: after the point.
    """
    medians = {name: statistics.median(figures) for name, figures in measured.items() if not isinstance(figures, str)}
    base = medians.get(reference) if reference is not None else None
    width = max(len(name) for name in measured)
    head = f"{'':<{width}}  {unit:>10}  {'least to most':>20}"
    head += f"  {'ratio':>7}" if base is not None else ""
    head += f"  {'of ceiling':>10}" if ceiling is not None else ""
    lines = [head]
    for name, figures in measured.items():
        if isinstance(figures, str):
            lines.append(f"{name:<{width}}  not available: {figures}")
            continue
        median = medians[name]
        line = f"{name:<{width}}  {median:>10,.{digits}f}  {spread(figures, digits):>20}"
        if base is not None:
            line += f"  {base / median if lower_is_better else median / base:>7.2f}"
        if ceiling is not None:
            line += f"  {ceiling / median if lower_is_better else median / ceiling:>10.1%}"
        lines.append(line)
    if base is not None:
        lines.append(f"ratio: how many times as fast as {reference}, by the medians")
    elif reference is not None:
        lines.append(f"no ratios: {reference} is not available")
    if ceiling is not None:
        lines.append(f"ceiling: {ceiling:,.{digits}f} {unit}")
    return "\n".join(lines)


def write_json(path: str | os.PathLike[str] | None, value: dict[str, Any]) -> None:
    """Write figures with the machine they were measured on; nowhere without a path."""
    if path is not None:
        files.write_json(path, {"machine": machine()} | value)


def write_section(path: Path, name: str, text: str) -> None:
    """Write a part of a page of its own, between two comments; what else is on the page stays."""
    first, last = f"<!-- {name} -->", f"<!-- end of {name} -->"
    page = path.read_text() if path.is_file() else ""
    section = f"{first}\n{text.strip()}\n{last}"
    if first in page and last in page:
        before, _, rest = page.partition(first)
        page = before + section + rest.partition(last)[2]
    else:
        page = "\n\n".join(part for part in (page.rstrip(), section) if part) + "\n"
    files.atomic_write(path, page.encode())


def kept_sections(page: str) -> str:
    """The parts of a page that `write_section` wrote, for a script that writes the rest anew."""
    found = re.findall(r"<!-- ([\w-]+) -->\n.*?\n<!-- end of \1 -->", page, re.DOTALL)
    texts = [re.search(rf"<!-- {name} -->\n.*?\n<!-- end of {name} -->", page, re.DOTALL) for name in found]
    return "".join(f"\n{text[0]}\n" for text in texts if text)

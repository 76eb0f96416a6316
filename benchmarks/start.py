"""Start-up time of latens, and time of the whole experiment, as whole processes, compared with the bare interpreter.

    python benchmarks/start.py [--short] [--rounds N] [--json FILE]

The time of `import latens` is without the bare interpreter's; the times of commands are whole. `latens runs` reads a folder
without runs. The last line is `latens run mnist`, from the images to the report.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import Measured, alternate, machine, machine_line, table, write_json

BARE, IMPORT, HELP, RUNS = "python -c pass", "python -c 'import latens'", "latens --help", "latens runs"
WRONG = "latens nothing"
WHOLE = "latens run mnist"
GOALS = {IMPORT: 0.05, HELP: 0.15, RUNS: 0.3, WRONG: 0.3, WHOLE: 75.0}  # seconds; the whole with its verdict


def commands() -> dict[str, list[str]]:
    """What is started; the script `latens` where it is installed beside this interpreter."""
    script = next(
        (path for name in ("latens", "latens.exe") if (path := Path(sys.executable).with_name(name)).is_file()), None
    )
    latens = [str(script)] if script else [sys.executable, "-m", "latens"]
    return {
        BARE: [sys.executable, "-c", "pass"],
        IMPORT: [sys.executable, "-c", "import latens"],
        HELP: [*latens, "--help"],
        RUNS: [*latens, "runs"],
        WRONG: [*latens, "nothing"],
        WHOLE: [*latens, "run", "mnist"],
    }


def seconds_of(command: list[str], folder: str) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != (2 if command[-1] == "nothing" else 0):
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    return time.perf_counter() - began


def beyond(measured: Measured, name: str) -> float:
    """The median of a command; of the import, of what it takes beyond the bare interpreter of the same round."""
    figures, bare = measured[name], measured[BARE] if name == IMPORT else [0.0] * len(measured[name])
    return statistics.median(figure - own for figure, own in zip(figures, bare, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="fewer rounds")
    parser.add_argument("--rounds", type=int, help="how often each command is started")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        candidates = {name: lambda command=command: seconds_of(command, folder) for name, command in commands().items()}
        whole = {WHOLE: candidates.pop(WHOLE)}
        for candidate in candidates.values():
            candidate()  # compiles what is not compiled yet, and brings the files into memory
        measured = alternate(candidates, args.rounds or (5 if args.short else 15))
        measured |= alternate(whole, 1 if args.short else 3)
    print(table(measured, "seconds", lower_is_better=True, digits=3))
    goals = {}
    for name, goal in GOALS.items():
        found = beyond(measured, name)
        goals[name] = {"seconds": found, "goal": goal}
        what = f"{name} beyond the bare interpreter" if name == IMPORT else name
        print(f"{what}: {found:.3f} s (goal {goal:.2f}: {'met' if found <= goal else 'missed'})")
    print(machine_line(machine()))
    write_json(args.json, {"seconds": measured, "goals": goals})


if __name__ == "__main__":
    main()

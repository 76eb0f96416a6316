"""Write the .txt files beside this one: every package of the set-up commands with the hashes of its files.

The versions are those of `constraints.txt`. torch stands apart: where pip finds its build for CPUs (`torch-cpu.txt`), `make`
takes that; otherwise PyPI's (`torch.txt`), with the gigabytes that it needs for CUDA on Linux.

    make lock
"""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
OF_TORCH = re.compile(r"(torch==|nvidia-|cuda-|triton==)")
# PyTorch offers it beside PyPI: torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl
FOR_CPU = "torch==2.13.0+cpu --hash=sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"
HEAD = "# Written by `make lock`. Installed with --require-hashes: a file that was changed on its way is refused.\n"


def locked(uv: str, *options: str) -> list[str]:
    """The entries of all packages, each with its hashes, for every Python and system."""
    command = [uv, "pip", "compile", str(ROOT / "pyproject.toml"), "--constraint", str(ROOT / "constraints.txt")]
    command += ["--universal", "--python-version", "3.11", "--generate-hashes"]
    command += ["--no-annotate", "--no-header", "--quiet", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return re.findall(r"(?m)^\S.*(?:\n    .*)*", done.stdout)


def write(name: str, entries: list[str]) -> None:
    """One of the files."""
    (HERE / name).write_text(HEAD + "\n".join(entries) + "\n")


def main() -> None:
    """Write all of them."""
    uv = sys.argv[1]
    run, dev = locked(uv), locked(uv, "--extra", "dev")
    write("run.txt", [entry for entry in run if not OF_TORCH.match(entry)])
    write("dev.txt", [entry for entry in dev if not OF_TORCH.match(entry)])
    write("torch.txt", [entry for entry in run if OF_TORCH.match(entry)])
    write("torch-cpu.txt", [FOR_CPU])


if __name__ == "__main__":
    main()

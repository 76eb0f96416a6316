"""Run by `make dist` in an environment that has only the wheel: the main job works there, by the kernels, without a compiler."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import latens
from latens.native import library

COMPILERS = ("cc", "gcc", "g++", "c++", "clang", "clang++", "icx", "tcc", "zig")


def main() -> None:
    """Train on 1,000 digits by the command that users type, and look at what the run says of itself."""
    found = [name for name in COMPILERS if shutil.which(name)]
    assert not found, f"this environment has a compiler: {', '.join(found)}"
    assert Path(latens.__file__).is_relative_to(sys.prefix), f"this is not the installed latens: {latens.__file__}"
    assert library() is not None, "the wheel has no kernels that this machine can load"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LATENS_CACHE"] = f"{folder}/cache"
        digits = latens.load_images("mnist").train.take(slice(0, 1_000))
        np.savez(f"{folder}/digits.npz", images=digits.pixels[:, 0], labels=digits.labels)
        command = [f"{sys.prefix}/bin/latens", "run", "digits.npz", "--network", "convolutional", "--epochs", "3"]
        subprocess.run([*command, "--out", "digits"], cwd=folder, check=True)
        run = latens.open_run(f"{folder}/digits")
        forms = {form for both in run.record["forms"].values() for form in both}
        assert "native" in forms, f"the run did not use the kernels: {run.record['forms']}"
        assert (run.path / "report.html").stat().st_size > 10_000
        assert run.record["result"]["test_mse"] < digits.pixels.astype("float32").var(0).mean() / 255**2
        python, torch = platform.python_version(), importlib.metadata.version("torch")
        print(
            f"latens {latens.__version__}, Python {python}, torch {torch}: test MSE {run.record['result']['test_mse']:.5f}"
        )


if __name__ == "__main__":
    main()

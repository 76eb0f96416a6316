"""The cost of OpenMP threads that spin while they wait: seconds of a short training while other programs are busy.

    python benchmarks/waiting.py

Each cell trains on 8,000 digits for two epochs in batches of 128, in its own process, while no, one or two other processes run
an endless loop. Only GNU's OpenMP reads GOMP_SPINCOUNT. If neither it nor OMP_WAIT_POLICY is set, latens lets threads sleep
sooner when the machine is busy (latens.device.yielding_threads).
"""

import argparse
import os
import subprocess
import sys

POLICIES = {
    "spinning": {"GOMP_SPINCOUNT": "300000"},  # OpenMP's own default; set here so that latens does not change it
    "as latens does": {},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
}

TRAIN = """
from dataclasses import replace
import latens
from latens.training.recipes import TrainConfig, fast
from latens.training.loop import build_model
images = latens.load_images("mnist")
images = replace(images, train=images.train.take(slice(0, 8000)), test=images.test.take(slice(0, 1000)))
config = TrainConfig(epochs=2, batch_size=128, optimiser="muon", learning_rate=0.006)
recipe = replace(fast(images), config=config)
*_, last = latens.train(build_model(recipe, images.shape), images, config)
print(last.elapsed)
"""


def seconds(variables: dict[str, str], num_busy: int) -> float:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(num_busy)]
    try:
        command = [sys.executable, "-c", TRAIN]
        done = subprocess.run(command, env=plain | variables, capture_output=True, text=True, check=True)
        return float(done.stdout)
    finally:
        for process in busy:
            process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=list(POLICIES), default=list(POLICIES))
    args = parser.parse_args()
    print(f"{'beside busy programs':<22}" + "".join(f"{count:>8}" for count in range(3)))
    for name in args.rows:
        print(f"{name:<22}" + "".join(f"{seconds(POLICIES[name], count):7.1f}s" for count in range(3)), flush=True)


if __name__ == "__main__":
    main()

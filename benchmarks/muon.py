"""Time of Muon's five Newton-Schulz iterations on the network's largest weight: torch in bfloat16, latens in float32.

python benchmarks/muon.py
"""

import argparse
import statistics
import time

import torch
from torch import nn

from latens.training.optimisers import Muon


def milliseconds_a_step(optimiser: torch.optim.Optimizer, repeats: int = 20) -> float:
    times = []
    for _ in range(repeats + 3):
        began = time.perf_counter()
        optimiser.step()
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times[3:])


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    weights = [nn.Parameter(torch.randn(64, 1568)) for _ in range(2)]
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    theirs = milliseconds_a_step(torch.optim.Muon(weights, lr=0.0, weight_decay=0.0))
    ours = milliseconds_a_step(Muon(weights, lr=0.0))
    print(f"two 64 x 1568 weights, one step, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(
        f"torch.optim.Muon (bfloat16) {theirs:7.2f} ms\nlatens Muon (float32)       {ours:7.2f} ms   ratio {theirs / ours:.1f}"
    )


if __name__ == "__main__":
    main()

"""PyOD's AutoEncoder with its default settings: scores of new images.

    python pyod_autoencoder.py IN.npz OUT.npz

Needs pyod and torch. IN has `normal` (N, F) and `tested` (M, F), floats in [0, 1]; OUT gets `scores` (M,). Prints its version as
JSON.
"""

import argparse
import importlib.metadata
import json

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", metavar="IN.npz")
    parser.add_argument("output", metavar="OUT.npz")
    args = parser.parse_args()
    from pyod.models.auto_encoder import AutoEncoder

    with np.load(args.input) as arrays:
        normal, tested = arrays["normal"], arrays["tested"]
    detector = AutoEncoder(random_state=0, verbose=0)
    detector.fit(normal)
    np.savez(args.output, scores=detector.decision_function(tested))
    print(json.dumps({"pyod": importlib.metadata.version("pyod")}))


if __name__ == "__main__":
    main()

"""PyOD's AutoEncoder with its default settings: scores of new images.

    python pyod_autoencoder.py IN.npz OUT.npz

Needs pyod and torch. IN has `normal` (N, F) and `tested` (M, F), floats in [0, 1]; OUT gets `scores` (M,). Prints its version as
JSON.
"""

import importlib.metadata
import json
import sys

import numpy as np
from pyod.models.auto_encoder import AutoEncoder


def main() -> None:
    with np.load(sys.argv[1]) as arrays:
        normal, tested = arrays["normal"], arrays["tested"]
    detector = AutoEncoder(random_state=0, verbose=0)
    detector.fit(normal)
    np.savez(sys.argv[2], scores=detector.decision_function(tested))
    print(json.dumps({"pyod": importlib.metadata.version("pyod")}))


if __name__ == "__main__":
    main()

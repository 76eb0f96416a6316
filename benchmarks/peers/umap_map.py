"""umap-learn on saved latents: prints the seconds of a second run, after its functions are compiled, as JSON.

python umap_map.py LATENTS.npy
"""

import argparse
import json
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("latents")
    args = parser.parse_args()
    import numpy as np
    from umap import UMAP

    latents = np.load(args.latents)
    UMAP().fit(latents[:1000])
    began = time.perf_counter()
    UMAP().fit(latents)
    print(json.dumps({"seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main()

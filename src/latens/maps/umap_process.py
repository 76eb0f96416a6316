"""UMAP in a process of its own: `umap_process.py FOLDER NEIGHBOURS SEED` reads latents.npy and start.npy there, writes map.npy.

numba and its threads stay out of the process of latens (docs/decisions/0052-umap.md). This file imports nothing of latens.
"""

import sys
from pathlib import Path

__all__ = ["main"]


def main(folder: Path, neighbours: int, seed: int) -> None:
    """Lay out latents (N, D) from a start (N, 2)."""
    import numpy as np
    from umap import UMAP

    latents, start = np.load(folder / "latents.npy"), np.load(folder / "start.npy")
    made = UMAP(n_neighbors=neighbours, init=start, random_state=seed, n_jobs=1).fit_transform(latents)
    np.save(folder / "map.npy", np.asarray(made, np.float32))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

"""One t-SNE in a process of its own.

    python tsne_map.py NAME FOLDER

Reads latents.npy and start.npy in FOLDER, and writes NAME.npy there. It prints seconds and the peak of its memory as JSON.
NAME is latens, scikit-learn or openTSNE. That of latens is the whole fit of the map, which makes its own start and also says
how far each place can be trusted.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

PERPLEXITY = 30


def latens(latents: np.ndarray, start: np.ndarray) -> np.ndarray:
    from latens.maps.tsne import TSNEMap

    return TSNEMap(perplexity=PERPLEXITY).fit(latents).coordinates


def scikit_learn(latents: np.ndarray, start: np.ndarray) -> np.ndarray:
    from sklearn.manifold import TSNE

    made: np.ndarray = TSNE(perplexity=PERPLEXITY, init=start, n_jobs=-1).fit_transform(latents)
    return made


def opentsne(latents: np.ndarray, start: np.ndarray) -> np.ndarray:
    import torch
    from openTSNE import TSNE

    made = TSNE(perplexity=PERPLEXITY, initialization=start, random_state=0, n_jobs=torch.get_num_threads())
    return np.array(made.fit(latents))


MAKERS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "latens": latens,
    "scikit-learn": scikit_learn,
    "openTSNE": opentsne,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", metavar="NAME", choices=MAKERS, help="of the program that makes the map")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="of the arrays")
    args = parser.parse_args()
    latents, start = np.load(args.folder / "latents.npy"), np.load(args.folder / "start.npy")
    began, processor = time.perf_counter(), time.process_time()
    made = MAKERS[args.name](latents, start)
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    np.save(args.folder / f"{args.name}.npy", np.asarray(made, np.float32))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(json.dumps({"seconds": seconds, "processor": processor, "peak_mib": peak}))


if __name__ == "__main__":
    main()

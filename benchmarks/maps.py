"""t-SNE of latens, scikit-learn and openTSNE, and UMAP, on the same latents: seconds and quality of the maps.

    python benchmarks/maps.py [--short] [--points 10000] [--rounds 3] [--peers scikit-learn,openTSNE] [--json FILE]

The latents are those of MNIST by a model that the `fast` recipe trained for one epoch. Each t-SNE starts from the same
principal components with perplexity 30 and its own defaults otherwise; each uses all threads of the machine. The
divergence of every map is computed here, from the same affinities over the 90 nearest neighbours, with all pairs in the
normalisation. Trustworthiness and recall follow the protocols of latens, over up to 2,000 points. Only the time of umap-learn
counts, since it minimises another function.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from common import (
    alternate,
    benchmark_parser,
    machine,
    machine_line,
    peer_environment,
    run_json,
    say,
    set_up_threads,
    write_json,
)

PERPLEXITY = 30
PEERS = ("scikit-learn", "openTSNE", "umap-learn")
SAMPLE = 2000


def make_latents(count: int) -> np.ndarray:
    """As many latents of MNIST, test images first."""
    import latens
    from latens.latents import encode_images
    from latens.training.loop import build_model, fastest_forms, use_forms

    images = latens.load_images("mnist")
    recipe = latens.RECIPES["fast"](images).with_options(epochs=1)
    model = build_model(recipe, images.shape)
    use_forms(model, fastest_forms(recipe, images.shape))
    list(latens.train(model, images, recipe.config))
    parts = [encode_images(model, part) for part in (images.test, images.train)]
    return np.concatenate(parts)[:count]


class Maps:
    """Each candidate: it makes a map, keeps it for scoring, and returns its seconds."""

    def __init__(self, latents: np.ndarray) -> None:
        from latens.maps.tsne import _start

        self.latents = latents
        self.start = _start(latents, 0)
        self.made: dict[str, np.ndarray] = {}

    def timed(self, name: str, make: Callable[[], np.ndarray]) -> Callable[[], float]:
        def candidate() -> float:
            began = time.perf_counter()
            self.made[name] = make()
            return time.perf_counter() - began

        return candidate

    def latens(self) -> np.ndarray:
        from latens.maps.affinities import joint_affinities
        from latens.maps.descent import descend
        from latens.neighbours import nearest_neighbours

        distances, indices = nearest_neighbours(self.latents, k=3 * PERPLEXITY, exact=False)
        return descend(joint_affinities(distances, indices, PERPLEXITY), self.start)[0]

    def scikit_learn(self) -> np.ndarray:
        from sklearn.manifold import TSNE

        made: np.ndarray = TSNE(perplexity=PERPLEXITY, init=self.start, n_jobs=-1).fit_transform(self.latents)
        return made

    def opentsne(self) -> np.ndarray:
        import torch
        from openTSNE import TSNE

        settings: dict[str, Any] = {"perplexity": PERPLEXITY, "initialization": self.start, "random_state": 0}
        return np.array(TSNE(n_jobs=torch.get_num_threads(), **settings).fit(self.latents))


def umap_seconds(latents: np.ndarray) -> Callable[[], float]:
    """umap-learn in an environment of its own; its compilation is not counted."""

    def candidate() -> float:
        import tempfile
        from pathlib import Path

        python = peer_environment("umap", ["umap-learn"])
        with tempfile.TemporaryDirectory() as folder:
            np.save(Path(folder) / "latents.npy", latents)
            script = Path(__file__).parent / "peers" / "umap_map.py"
            return float(run_json([python, script, Path(folder) / "latents.npy"])["seconds"])

    return candidate


def score(latents: np.ndarray, maps: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Divergence, trustworthiness and recall of each map."""
    from sklearn.manifold import trustworthiness

    from latens.maps.affinities import joint_affinities
    from latens.neighbours import nearest_neighbours, neighbours_kept

    distances, indices = nearest_neighbours(latents, k=3 * PERPLEXITY)
    affinities = joint_affinities(distances, indices, PERPLEXITY)
    some = np.random.default_rng(0).permutation(len(latents))[:SAMPLE]
    return {
        name: {
            "divergence": divergence(affinities, y),
            "trustworthiness": float(trustworthiness(latents[some], y[some], n_neighbors=10)),
            "recall": float(neighbours_kept(latents, y).mean()),
        }
        for name, y in maps.items()
    }


def divergence(affinities: Any, y: np.ndarray) -> float:
    """The Kullback-Leibler divergence of a map, all pairs summed in the normalisation."""
    import torch

    points = torch.from_numpy(np.asarray(y, dtype=np.float32))
    total = -float(len(points))
    for start in range(0, len(points), 512):
        rows = points[start : start + 512]
        squares = (rows[:, :1] - points[:, 0]).square_().add_((rows[:, 1:] - points[:, 1]).square_())
        total += squares.add_(1).reciprocal_().sum(dtype=torch.float64).item()
    joint = affinities.tocoo()
    apart = ((y[joint.row].astype(np.float64) - y[joint.col]) ** 2).sum(1)
    return float((joint.data * (np.log(joint.data) + np.log1p(apart))).sum() + np.log(total))


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--peers", default=",".join(PEERS), help=f"of {', '.join(PEERS)}")
    args = parser.parse_args()
    wanted = ["latens", *args.peers.split(",")]
    if unknown := set(wanted[1:]) - set(PEERS):
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}; known: {', '.join(PEERS)}")
    set_up_threads(args.threads)

    points = min(args.points, 3000) if args.short else args.points
    latents = make_latents(points)
    maps = Maps(latents)
    makers = {"latens": maps.latens, "scikit-learn": maps.scikit_learn, "openTSNE": maps.opentsne}
    candidates = {name: maps.timed(name, make) for name, make in makers.items() if name in wanted}
    if "umap-learn" in wanted:
        candidates["umap-learn"] = umap_seconds(latents)
    before = machine()
    measured = alternate(candidates, args.rounds or (1 if args.short else 3))
    say("scoring")
    scores = score(latents, maps.made)
    print(f"t-SNE of {len(latents):,} latents of {latents.shape[1]} numbers; {machine_line(before)}")
    print(f"{'':14} {'seconds':>8} {'least':>8} {'most':>8} {'times ours':>11} {'KL':>8} {'trustw.':>8} {'recall':>8}")
    ours = measured["latens"]
    for name, seconds in measured.items():
        if isinstance(seconds, str):
            print(f"{name:14} not available: {seconds}")
            continue
        row = f"{name:14} {median(seconds):8.1f} {min(seconds):8.1f} {max(seconds):8.1f} {median(seconds) / median(ours):11.2f}"
        if name in scores:
            row += "".join(f" {scores[name][key]:8.4f}" for key in ("divergence", "trustworthiness", "recall"))
        print(row)
    if args.json:
        figures = {"points": len(latents), "seconds": measured, "scores": scores}
        write_json(args.json, {"machine": before, **figures})


if __name__ == "__main__":
    main()

"""t-SNE of latens, scikit-learn and openTSNE, and UMAP, on the same latents: seconds and quality of the maps.

    python benchmarks/maps.py [--short] [--points 10000] [--rounds 3] [--peers scikit-learn,openTSNE] [--json FILE]

The latents are those of MNIST by a model that the `fast` recipe trained for one epoch; with more than 70,000 points also of
copies of its images that are turned and shifted. Each t-SNE starts from the same principal components with perplexity 30 and its
own defaults otherwise; it uses all threads of the machine, in a process of its own, whose memory at its peak is told. That of
latens includes the trust of each place. The divergence of every map is computed here, from the same affinities over the 90
nearest neighbours, with all pairs in the normalisation, for up to 70,000 points. Trustworthiness follows the protocol of latens,
over 2,000 points among themselves; recall is that of the 10 nearest of 2,000 points among all. Only the time of umap-learn
counts, since it minimises another function. `--peers ""` measures latens alone.
"""

import math
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
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
MOST_SUMMED = 70_000  # points, up to which the sum over all pairs of a map is made


def make_latents(count: int) -> np.ndarray:
    """As many latents of MNIST, test images first; above 70,000 also of copies that are turned and shifted at random."""
    import latens
    from latens.latents import encode_images
    from latens.training.loop import build_model, fastest_forms, use_forms

    images = latens.load_images("mnist")
    recipe = latens.RECIPES["fast"](images).with_options(epochs=1)
    model = build_model(recipe, images.shape)
    use_forms(model, fastest_forms(recipe, images.shape))
    list(latens.train(model, images, recipe.config))
    pixels = np.concatenate([images.test.pixels, images.train.pixels])
    parts = [encode_images(model, pixels)]
    for copy in range(1, -(-count // len(pixels))):
        parts += [encode_images(model, moved(block, copy)) for block in np.array_split(pixels, 7)]
    return np.concatenate(parts)[:count]


def moved(pixels: np.ndarray, seed: int) -> np.ndarray:
    """Images turned by up to 15 degrees and shifted by up to two pixels: uint8 (N, 1, H, W) -> float32 in [0, 1]."""
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    random = torch.Generator().manual_seed(seed)
    angle = (torch.rand(len(pixels), generator=random) * 2 - 1) * math.radians(15)
    shift = (torch.rand(len(pixels), 2, generator=random) * 2 - 1) * (4 / pixels.shape[-1])
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(-1, 2, 2)
    grid = affine_grid(torch.cat([turn, shift[:, :, None]], 2), list(pixels.shape), align_corners=False)
    images = grid_sample(torch.from_numpy(pixels).float() / 255, grid, align_corners=False)
    return images.clamp_(0, 1).numpy()


class Maps:
    """Each candidate: a process of its own makes a map; its seconds are returned, and its memory and its map are kept."""

    def __init__(self, latents: np.ndarray, folder: Path) -> None:
        from latens.maps.tsne import _start

        self.folder, self.peaks, self.processor = folder, dict[str, float](), dict[str, float]()
        np.save(folder / "latents.npy", latents)
        np.save(folder / "start.npy", _start(latents, 0))

    def candidate(self, name: str) -> Callable[[], float]:
        def timed() -> float:
            script = Path(__file__).parent / "peers" / "tsne_map.py"
            found = run_json([sys.executable, script, name, self.folder])
            self.peaks[name] = max(found["peak_mib"], self.peaks.get(name, 0))
            self.processor[name] = found["processor"]
            return float(found["seconds"])

        return timed

    @property
    def made(self) -> dict[str, np.ndarray]:
        return {name: np.load(self.folder / f"{name}.npy") for name in self.peaks}


def umap_seconds(latents: np.ndarray) -> Callable[[], float]:
    """umap-learn in an environment of its own; its compilation is not counted."""

    def candidate() -> float:
        python = peer_environment("umap", ["umap-learn"])
        with tempfile.TemporaryDirectory() as folder:
            np.save(Path(folder) / "latents.npy", latents)
            script = Path(__file__).parent / "peers" / "umap_map.py"
            return float(run_json([python, script, Path(folder) / "latents.npy"])["seconds"])

    return candidate


def score(latents: np.ndarray, maps: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Trustworthiness and recall of each map over some points, and the divergence of maps of up to 70,000."""
    from sklearn.manifold import trustworthiness

    from latens.maps.affinities import joint_affinities
    from latens.neighbours import nearest_neighbours

    some = np.random.default_rng(0).permutation(len(latents))[:SAMPLE]
    found = {
        name: {
            "trustworthiness": float(trustworthiness(latents[some], y[some], n_neighbors=10)),
            "recall": recall(latents, y, some),
        }
        for name, y in maps.items()
    }
    if len(latents) <= MOST_SUMMED:
        distances, indices = nearest_neighbours(latents, k=3 * PERPLEXITY)
        affinities = joint_affinities(distances, indices, PERPLEXITY)
        for name, y in maps.items():
            found[name]["divergence"] = divergence(affinities, y)
    return found


def found_in_cells(latents: np.ndarray) -> str:
    """How many of the nearest neighbours a map of so many latents is made of, where these are approximate."""
    from latens.neighbours import MANY, Cells, can_search_cells, nearest_neighbours

    if len(latents) < MANY or not can_search_cells():
        return ""
    rows = np.random.default_rng(0).permutation(len(latents))[:SAMPLE]
    near = Cells(latents).nearest(k=3 * PERPLEXITY)[1][rows]
    exact = nearest_neighbours(latents, latents[rows], 3 * PERPLEXITY + 1)[1]
    shares = {
        k: np.mean([len({*a[:k]} & {*b[b != row][:k]}) / k for row, a, b in zip(rows, near, exact, strict=True)])
        for k in (10, 3 * PERPLEXITY)
    }
    return "found in cells: " + ", ".join(f"{share:.4f} of the {k} nearest" for k, share in shares.items())


def recall(latents: np.ndarray, y: np.ndarray, rows: np.ndarray, k: int = 10) -> float:
    """The share of the k nearest of some points among all latents that are among their k nearest on the map; both are exact."""
    from latens.neighbours import nearest_neighbours

    near = [nearest_neighbours(points, points[rows], k + 1)[1] for points in (latents, y)]
    others = [[set(found[found != row][:k]) for row, found in zip(rows, each, strict=True)] for each in near]
    return float(np.mean([len(a & b) / k for a, b in zip(*others, strict=True)]))


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
    wanted = ["latens", *filter(None, args.peers.split(","))]
    if unknown := set(wanted[1:]) - set(PEERS):
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}; known: {', '.join(PEERS)}")
    set_up_threads(args.threads)

    points = min(args.points, 3000) if args.short else args.points
    latents = make_latents(points)
    before = machine()
    with tempfile.TemporaryDirectory() as folder:
        maps = Maps(latents, Path(folder))
        candidates = {name: maps.candidate(name) for name in wanted if name != "umap-learn"}
        if "umap-learn" in wanted:
            candidates["umap-learn"] = umap_seconds(latents)
        measured = alternate(candidates, args.rounds or (1 if args.short else 3))
        say("scoring")
        scores = score(latents, maps.made)
    print(f"t-SNE of {len(latents):,} latents of {latents.shape[1]} numbers; {machine_line(before)}")
    heads = ("seconds", "least", "most", "processor", "times ours", "MiB", "KL", "trustw.", "recall")
    print(f"{'':14} " + " ".join(f"{head:>10}" for head in heads))
    ours = measured["latens"]
    for name, seconds in measured.items():
        if isinstance(seconds, str):
            print(f"{name:14} not available: {seconds}")
            continue
        figures = [median(seconds), min(seconds), max(seconds), maps.processor.get(name, math.nan)]
        row = f"{name:14} " + " ".join(f"{figure:10.1f}" for figure in figures)
        row += f" {median(seconds) / median(ours):10.2f} {maps.peaks.get(name, math.nan):10,.0f}"
        of = scores.get(name, {})
        print(row + "".join(f" {of.get(key, math.nan):10.4f}" for key in ("divergence", "trustworthiness", "recall")))
    print(found_in_cells(latents))
    if args.json:
        figures = {"points": len(latents), "seconds": measured, "peak_mib": maps.peaks, "scores": scores}
        write_json(args.json, {"machine": before, **figures})


if __name__ == "__main__":
    main()

"""UMAP, by the package umap-learn in a process of its own."""

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from latens.errors import MissingExtra, UsageError
from latens.maps.pca import principal_plane
from latens.maps.surface import Surface, checked_latents
from latens.neighbours import neighbours_kept

__all__ = ["NEIGHBOURS", "UMAPMap"]

NEIGHBOURS = 15  # umap-learn's own default
FEWEST = 4  # latents; of fewer, umap-learn has no graph


class UMAPMap(Surface):
    """Uniform manifold approximation and projection (McInnes, Healy and Melville 2018), started from the principal components.

    Args:
        neighbours: of each point in the graph; all others where there are fewer.

    New latents and the inverse are those of `Surface`, as for t-SNE.
    """

    title: ClassVar[str] = "UMAP"
    meaning: ClassVar[str] = "UMAP, which keeps neighbours together"
    cost: ClassVar[Literal["quick", "long"]] = "long"

    def __init__(self, neighbours: int = NEIGHBOURS) -> None:
        super().__init__()
        self.neighbours = neighbours

    def fit(self, latents: NDArray[Any], seed: int = 0, progress: Callable[[int, int], object] | None = None) -> Self:
        """Lay the latents out so that neighbours stay neighbours. See `Map.fit`.

        Raises:
            MissingExtra: umap-learn is not installed.
        """
        latents = checked_latents(latents)
        if find_spec("umap") is None:
            raise MissingExtra('the map umap needs umap-learn: pip install "latens[umap]"')
        neighbours = min(self.neighbours, len(latents) - 1)
        self.note = f"{neighbours} neighbours"
        start = _start(latents, seed)
        coordinates = _made_apart(latents, start, neighbours, seed) if len(latents) >= FEWEST else start
        self._set(latents, coordinates, neighbours_kept(latents, coordinates))
        if progress is not None:
            progress(1, 1)
        return self


def _start(latents: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """The principal components, 10 wide as umap-learn's own starts are, with noise that separates equal latents."""
    mean, components, _ = principal_plane(latents)
    start = (latents - mean).astype(np.float64) @ components
    largest = np.abs(start).max() or 1.0
    noise = np.random.default_rng(seed).normal(size=start.shape)
    return (10 * start / largest + 1e-4 * noise).astype(np.float32)


def _made_apart(
    latents: NDArray[np.float32], start: NDArray[np.float32], neighbours: int, seed: int
) -> NDArray[np.float32]:
    """The coordinates that umap-learn makes in a process of its own.

    Raises:
        UsageError: it fails.
    """
    centred = latents - latents.mean(0, dtype=np.float64)
    with TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "latents.npy", (centred / (np.abs(centred).max() or 1.0)).astype(np.float32))
        np.save(folder / "start.npy", start)
        # -P: the folder of that file holds modules of latens, this one among them, which are none of the process.
        words = [
            sys.executable,
            "-P",
            str(Path(__file__).with_name("umap_process.py")),
            name,
            str(neighbours),
            str(seed),
        ]
        done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603  # our own file
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise UsageError(f"umap-learn could not make a map: {reason}")
        made: NDArray[np.float32] = np.load(folder / "map.npy", allow_pickle=False)
    if made.shape != start.shape or not np.isfinite(made).all():
        raise UsageError(
            f"umap-learn made a map of shape {made.shape} with numbers that are not finite; take another map"
        )
    return made

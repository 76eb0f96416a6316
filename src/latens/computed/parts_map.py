"""A map of the latents of a folder of parts: of a sample, with all others placed on it, written as parts beside them."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latens.algebra import RunningMoments
from latens.arrays import drawn_rows
from latens.computed.in_parts import run_facts
from latens.computed.stored import StoredParts, stored_parts
from latens.errors import UsageError
from latens.files import locked, read_npz, write_npz
from latens.images.plan import Refused
from latens.maps import MAPS, Map, map_kind
from latens.maps.pca import PCAMap
from latens.maps.surface import NUM_PLACING, Surface, checked_latents
from latens.neighbours import Cells, Neighbours, can_search_cells, placed_neighbours_kept
from latens.parts import Share, Work, WrittenParts, write_parts
from latens.parts.folder import PartsFolder
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.runs.run import WEIGHTS
from latens.text import shown
from latens.training.recipes import MAX_SEED, whole_number

__all__ = ["MOST_SAMPLED", "SAMPLE", "map_in_parts", "moments_of_parts"]

SAMPLE = 100_000  # latents that a map is fitted to
MOST_SAMPLED = 1_000_000
FEW = 10_000  # of the sample, up to which its nearest are searched exactly
FITTED = "sample.npz"  # in the folder of a map's parts: the rows of the sample, its latents and its map
STATE = "map:"  # what the names of the map's own arrays begin with there


def moments_of_parts(
    stored: StoredParts, progress: Progress | None = None, also: Callable[[NDArray[np.float32]], object] | None = None
) -> RunningMoments:
    """Count, mean and scatter of all latents of a folder of parts, in one pass, one part in memory at a time.

    Args:
        stored: the parts.
        progress: shows the progress.
        also: called with the latents of each part.

    Raises:
        UsageError: latents that are not finite.
    """
    moments = RunningMoments(stored.dim)
    with (progress or Silent()).stage("moments", "latents") as tick:
        for file, (start, latents) in zip(stored.files, stored.blocks(), strict=True):
            if not np.isfinite(latents).all():
                raise UsageError(f"{shown(file)}: latents hold NaN or infinity; look at the model that made them")
            moments.add(latents)
            if also is not None:
                also(latents)
            tick(start + len(latents), len(stored))
    return moments


class MapOfParts(Work):
    """The shard function of a map: where latents lie on the map of the sample."""

    holds: ClassVar[str] = "map"

    def __init__(self, run: Run, stored: StoredParts, folder: Path, name: str, sample: int, seed: int) -> None:
        self.run, self.stored, self.folder, self.name, self.seed = run, stored, folder, name, seed
        self.sample = min(sample, len(stored))

    @property
    def total(self) -> int:
        """All latents."""
        return len(self.stored)

    @property
    def agreed(self) -> Mapping[str, Any]:
        """The weights, the parts of latents, and how the map is made."""
        plan = self.stored.folder / "parts.json"
        parts = hashlib.sha256(plan.read_bytes() if plan.is_file() else b"")
        parts.update(np.array(self.stored.counts, np.int64).tobytes())
        weights = self.run.folder.files.get(WEIGHTS, "")
        return {
            "weights": weights,
            "images": self.total,
            "ids": parts.hexdigest(),
            "map": self.name,
            "sample": self.sample,
            "seed": self.seed,
        }

    @property
    def metadata(self) -> Mapping[str, str]:
        """See `run_facts`."""
        return run_facts(self.run) | {"map": self.name, "sample": str(self.sample), "seed": str(self.seed)}

    @property
    def notes(self) -> Sequence[str]:
        """How many latents the map was made of, where these are not all."""
        if self.sample == self.total or self.name == "pca":
            return ()
        return (f"the map is that of {self.sample:,} latents; the others were placed on it",)

    @property
    def left_out(self) -> Sequence[Refused]:
        """None."""
        return ()

    @property
    def takes_gpu(self) -> bool:
        """It does not."""
        return False

    @cached_property
    def fitted(self) -> tuple[NDArray[np.int64], NDArray[np.float32], Map]:
        """Rows and latents of the sample, and its map; `fit` wrote them."""
        arrays = read_npz(self.folder / FITTED, ("rows", "latents"))
        state = {name.removeprefix(STATE): array for name, array in arrays.items() if name.startswith(STATE)}
        return arrays["rows"], arrays["latents"], map_kind(self.name).restore(state, arrays["latents"])

    @cached_property
    def _known(self) -> list[Neighbours | Cells]:
        """The sample's latents and their places, to be searched."""
        _, latents, made = self.fitted
        search = Neighbours if len(latents) < FEW or not can_search_cells() else Cells
        return [search(latents), search(made.coordinates)]

    def fit(self, progress: Progress) -> None:
        """Make the map of the sample; of processes that come at once one does, and the others wait."""
        with locked(self.folder / ".sample.lock"):
            if (self.folder / FITTED).is_file():
                return
            rows = drawn_rows(self.total, self.sample, self.seed)
            latents = self.stored.latents(rows)
            if self.name == "pca":
                made: Map = PCAMap.of_moments(moments_of_parts(self.stored, progress), latents)
            else:
                with progress.stage(f"map {self.name}") as tick:
                    made = MAPS[self.name]().fit(latents, seed=self.seed, progress=tick)
            state = {STATE + name: array for name, array in made.state().items()}
            write_npz(self.folder / FITTED, {"rows": rows, "latents": latents, **state})

    def table(self, rows: range) -> Mapping[str, NDArray[Any]]:
        """`id`, `row` among all latents, `x` and `y` on the map, `trust`, and `sampled`: whether the map was made of it."""
        sample, _, made = self.fitted
        wanted = np.arange(rows.start, rows.stop)
        latents = checked_latents(self.stored.latents(wanted))
        known, shown = self._known
        distances, near = known.nearest(latents, min(NUM_PLACING, len(sample)))
        places = made.place_among(distances, near) if isinstance(made, Surface) else made.place(latents)
        trust = placed_neighbours_kept(known, shown, latents, places, near=near)
        own = slice(*np.searchsorted(sample, [rows.start, rows.stop]).tolist())
        places[sample[own] - rows.start], trust[sample[own] - rows.start] = made.coordinates[own], made.trust[own]
        return {
            "id": self.stored.ids(wanted),
            "row": wanted,
            "x": places[:, 0],
            "y": places[:, 1],
            "trust": trust,
            "sampled": np.isin(wanted, sample[own]),
        }


def map_in_parts(
    run: Run,
    within: str | os.PathLike[str],
    name: str = "tsne",
    *,
    sample: int = SAMPLE,
    seed: int | None = None,
    share: Share | None = None,
    progress: Progress | None = None,
) -> WrittenParts:
    """Make a map of the latents of a folder of parts, and write it as parts into `map-NAME/` there.

    A map is fitted to a sample, and the others are placed on it, as `Map.place` does; PCA is that of all. In memory are the
    sample and one part. Each part has the columns `id`, `row`, `x`, `y`, `trust` (the share of its 10 nearest of the sample on
    the map that are so in latent space) and `sampled`. Parts that are there are not made again, see `latens.parts.write_parts`.

    Args:
        run: whose model made the latents.
        within: the folder that `latens encode -o FOLDER/` wrote.
        name: one of `MAPS`.
        sample: latents that the map is fitted to, up to 1,000,000; all where there are fewer.
        seed: of the sample and the map; None takes the run's.
        share: which of the parts this process writes.
        progress: shows the progress.

    Raises:
        UnknownName: no such map.
        UsageError: no latents of this run there, a part is missing or cut, or a number is not allowed.
        RunError: the folder of the map holds parts of other latents, or of a map with another sample or seed.
        MissingExtra: neither polars nor pyarrow is installed.
    """
    MAPS[name]  # an unknown name is refused before the work
    sample = whole_number("the size of the sample", sample, 1, MOST_SAMPLED)
    chosen = run.recipe.config.seed if seed is None else whole_number("seed", seed, 0, MAX_SEED)
    stored = stored_parts(run, within)
    if not len(stored):
        raise UsageError(f"{stored.folder}: holds no latents to map")
    folder = stored.folder / f"map-{name}"
    work = MapOfParts(run, stored, folder, name, sample, chosen)
    rows = max(stored.counts)
    PartsFolder(lambda: work, folder, rows)  # a folder of another map is refused before the fit
    work.fit(progress or Silent())
    return write_parts(lambda: work, folder, share=share, rows=rows, progress=progress)

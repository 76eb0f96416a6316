"""The data of a run for the explorer: the points of its maps, the columns to colour them by, their pictures."""

import io
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latens.arrays import gather
from latens.errors import LatensError, UsageError
from latens.explorer.columns import CONTRADICTED, EVERY, NO_VALUE, PREDICTED, Column, Rows, columns_of, values_of
from latens.explorer.looks import SAMPLED, channels_of, looked_at, show_of
from latens.explorer.odd import Odd, odd_columns
from latens.explorer.pair import Pair, pair_columns
from latens.explorer.placing import places_on, trust_on
from latens.explorer.wire import Answer
from latens.explorer.work import Work
from latens.figures import DEFAULT_PALETTE
from latens.figures.palette import NO_LABELS, class_colours
from latens.files import sha256_bytes
from latens.images.pixels import is_grey, mix_of, picture_mode, to_picture
from latens.interpolation import PATHS
from latens.maps import MAPS, Map, is_decodable, usable_maps
from latens.progress import Tick
from latens.runs import Run
from latens.runs.run import MADE_ELSEWHERE, TEST, TRAIN
from latens.samplers import samplers_for

if TYPE_CHECKING:
    from latens.interpolation.graph import Graph
    from latens.neighbours import Neighbours

__all__ = ["PARTS", "View", "frame_of", "name_of_rows"]

STEPS = 65_535  # of a coordinate
MARGIN = 0.04  # of the map's extent, left free about the points
NEIGHBOURS = 12
VOTERS = 5  # nearest images that vote for a class, as in the score `knn_accuracy`
ROWS = 4096  # images whose neighbours are looked for at a time, after which the progress is told
CELL = 48  # pixels, the most that a thumbnail has
KEPT_SHEETS = 32 << 20  # bytes of sprite pages
PAGE = 1536  # pixels, the most that a sprite page is wide and high
PARTS = (
    "test",
    "train",
    "both",
)  # whose images are on a map: its own points, the images that are placed on it, or both
FIRST_MAPS = ("tsne", "pca")  # in the order in which they are offered


class View:
    """The data of one run for the page; results are computed when they are first needed, and kept.

    Points are the images of the run's `mapped_part`, in order. A run that still trains has none yet.

    Args:
        run: opened.
        columns: the user's own, see `latens.explorer.columns.read_columns`.
        watched: it is being trained by this process: its own maps are waited for, not fitted a second time.
        work: what is under way for this run; a new one by default.
    """

    def __init__(
        self, run: Run, columns: tuple[Column, ...] = (), *, watched: bool = False, work: Work | None = None
    ) -> None:
        self.run = run
        self.columns = columns
        # Those of a run that trains on are still there until it does.
        self._old: str = run.record["files"].get("latents.npz", "") if watched else ""
        self.palette: str = run.record.get("palette", DEFAULT_PALETTE)
        self._ready = self._has_map(run)
        self.pair: Pair | None = None  # of it and the run that it is shown beside, see `latens.explorer.pair.pair`
        self.work = work or Work()
        self._maps: dict[str, Map] = {}
        self._sheets: dict[tuple[int, str, str], bytes] = {}
        self._of_train: dict[str, tuple[bytes | None, NDArray[Any]]] = {}
        self._near_parts: dict[str, Neighbours] = {}

    @property
    def ready(self) -> bool:
        """Whether there are latents to show; where there were none, the folder is looked at again."""
        if not self._ready:
            now = Run(self.run.path, self.run.device)
            self._ready = self._has_map(now)
            self.run = now if self._ready else self.run
        return self._ready

    def _has_map(self, run: Run) -> bool:
        """Whether there are latents to show, and no other process is about to make their map."""
        files, done = run.record["files"], run.record["status"] == "done"
        latents = files.get("latents.npz", "")
        if not latents or (latents == self._old and not done):
            return False
        return done or f"maps/{FIRST_MAPS[0]}.npz" in files or not run.folder.worked_on

    @cached_property
    def part(self) -> int | None:
        """The part that the points show, see `Run.mapped_part`."""
        return self.run.mapped_part

    @cached_property
    def latents(self) -> NDArray[np.float32]:
        """Latents of the points, (N, D)."""
        latents: NDArray[np.float32] = np.ascontiguousarray(self.run.of_part("latents", self.part), np.float32)
        return latents

    @cached_property
    def near(self) -> "Neighbours":
        """The latents of the points, to look for neighbours in."""
        from latens.neighbours import Neighbours

        return Neighbours(self.latents)

    def nearest(
        self, latents: NDArray[np.float32], count: int, part: str = "test"
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The images of a part that are nearest to latents (M, D), nearest first.

        Args:
            latents: finite.
            count: how many; fewer where the part has fewer.
            part: of `PARTS`.

        Returns:
            Distances, float32 (M, K), and points, int64 (M, K): below 0 those of the train part, as `row_of` has them.

        Raises:
            UsageError: the part is not on the map, see `placed`.
        """
        from latens.neighbours import Neighbours

        self._checked_part(part)
        if part == "test":
            return self.near.nearest(latents, min(count, self.count))
        if part not in self._near_parts:
            known = self.run.of_part("latents", TRAIN if part == "train" else None)
            self._near_parts[part] = Neighbours(np.ascontiguousarray(known, np.float32))
        found = self._near_parts[part]
        distances, rows = found.nearest(latents, min(count, len(found.points)))
        return distances, rows - self.first

    @cached_property
    def graph(self) -> "Graph":
        """The latents of the points as a graph of neighbours."""
        from latens.interpolation.graph import Graph

        return Graph(self.latents)

    @cached_property
    def labels(self) -> NDArray[np.int64] | None:
        """Of the points, (N,)."""
        return self.run.labels_of(self.part)

    @cached_property
    def ids(self) -> NDArray[Any]:
        """Of the points, (N,)."""
        return self.run.of_part("ids", self.part)

    @cached_property
    def row_of_id(self) -> dict[str, int]:
        """Row of an id in latents.npz, where the train part comes before the test part."""
        return {str(one): row for row, one in enumerate(self.run.latents["ids"])}

    @cached_property
    def first(self) -> int:
        """The row of latents.npz that point 0 is."""
        return len(self.run.part) - self.count

    @property
    def num_train(self) -> int:
        """How many images of the train part can be placed on the maps; 0 where these show all images already.

        Beside another run none are placed where the maps of the other show all its images: both maps show the same parts.
        """
        apart = self.part == TEST and (self.pair is None or self.pair.other(self).part == TEST)
        return self.first if apart else 0

    @cached_property
    def count(self) -> int:
        """How many points there are."""
        return len(self.run.part) if self.part is None else int((self.run.part == self.part).sum())

    @cached_property
    def missing(self) -> str:
        """Why the run's own images can't be shown; empty where they are there."""
        try:
            return "" if self.run.images else "there are none"
        except (LatensError, OSError) as error:
            return str(error)

    @property
    def decodes(self) -> bool:
        """Whether the model is available."""
        try:
            return self.run.model is not None
        except LatensError:
            return False

    def info(self) -> dict[str, Any]:
        """The facts of a run, as `RunInfo` of the page's types.js."""
        run = self.run
        return {
            "name": run.name,
            "model": run.recipe.model_choice,
            "network": run.recipe.network,
            "status": run.record["status"],
            "data": run.record["data"]["name"],
            "missing": self.missing,
            "shape": list(self.shape),
            "network_shape": list(run.image_shape),
            "mix": self._mix(),
            "show": show_of(run.format),
            "plain": is_grey(run.image_shape[0]) and run.format.is_plain,
            "latent_dim": run.recipe.latent_dim,
            "count": self.count if self.ready else 0,
            "part": "test" if self.ready and self.part == TEST else "all",
            "train": self.num_train if self.ready else 0,
            "train_of": self.num_train if self.ready else 0,
            "rows": name_of_rows(self.run.latents["ids"]) if self.ready else "",
            "class_names": list(run.class_names),
            "colours": list(class_colours(len(run.class_names), self.palette)) if run.class_names else [NO_LABELS],
            "maps": self.map_names if self.ready else [],
            "kept": [name for name in self.map_names if self.keeps_map(name)] if self.ready else [],
            "samplers": self.sampler_names if self.ready else [],
            "ways": list(PATHS),
            "columns": [column.info(self.palette) for column in self.all_columns] if self.ready else [],
            "thumbnails": self.sprites if self.ready and not self.missing else None,
            "decodes": self.decodes,
            "encodes": self.decodes,
            "note": "",
            "beside": "" if self.pair is None else self.pair.other(self).run.name,
        }

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image as the page shows it: C is 1 for images of one channel, and 3 for all others."""
        channels, height, width = self.run.image_shape
        return 1 if is_grey(channels) else 3, height, width

    def _mix(self) -> list[list[int]] | None:
        mix = mix_of(self.run.image_shape[0], self.run.format.show)
        return mix * self.shape[0] if mix is not None and len(mix) == 1 else mix

    @cached_property
    def channels(self) -> list[dict[str, Any]]:
        """The channels of the images, see `latens.explorer.looks.channels_of`; ranges are taken from some of the points."""
        some = np.linspace(0, self.count - 1, min(SAMPLED, self.count)).astype(np.int64)
        images = np.empty((0, *self.run.image_shape), np.uint8) if self.missing else self.inputs(some + self.first)
        return channels_of(self.run.format, images)

    @cached_property
    def map_names(self) -> list[str]:
        """Those in the folder first, then those that can be fitted."""
        kept = [
            name.removeprefix("maps/").removesuffix(".npz")
            for name in self.run.record["files"]
            if name.startswith("maps/")
        ]
        known = dict.fromkeys(
            [
                *(name for name in FIRST_MAPS if name in kept),
                *sorted(set(kept) & {*MAPS, *MADE_ELSEWHERE}),
                *usable_maps(),
            ]
        )
        return list(known)

    @cached_property
    def sampler_names(self) -> list[str]:
        """Those that this model can have; class means first."""
        return list(samplers_for(self.run.model)) if self.decodes else []

    def map(self, name: str) -> Map:
        """A map of the points, fitted where the folder has none.

        Raises:
            UnknownName: there is no such map.
        """
        if name not in self._maps:
            self._maps[name] = self.run.map(name, progress=self.work)
        return self._maps[name]

    def placed(self, name: str, rows: Rows = EVERY) -> NDArray[np.float32]:
        """Where images of the train part lie on a map, float32 (M, 2); they are placed when this is first asked for.

        Args:
            name: of the map.
            rows: which of them; all by default.

        Raises:
            UnknownName: there is no such map.
            UsageError: it shows them already.
        """
        self._checked_part("train")
        made = self.map(name)
        stage = f"places {name}"
        return self.once(stage, rows, lambda tick: places_on(made, self._latents_of_train(rows), tick))

    def _latents_of_train(self, rows: Rows) -> NDArray[Any]:
        latents: NDArray[Any] = self.run.of_part("latents", TRAIN)[rows]
        return latents

    def once(self, stage: str, rows: Rows, make: Callable[[Tick], NDArray[Any]]) -> NDArray[Any]:
        """What takes a while to be made of images of the train part; it is kept for those that were asked for last.

        Args:
            stage: what the progress of it is called.
            rows: of which of them.
            make: makes it, and tells how far it is.
        """
        which = None if isinstance(rows, slice) else rows.tobytes()
        if stage not in self._of_train or self._of_train[stage][0] != which:
            with self.work.stage(stage) as tick:
                self._of_train[stage] = (which, make(tick))
        return self._of_train[stage][1]

    def _checked_part(self, part: str) -> None:
        if part != "test" and not self.num_train:
            why = (
                "it shows all images already" if self.part != TEST else "that of the run beside it shows all its images"
            )
            raise UsageError(f"no images of the train part can be placed on this map: {why}; leave part={part} out")

    def map_points(self, name: str, part: str = "test") -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """A map's facts and its places quantised to 16 bit: `MapPoints` of the page's types.js.

        Beside another run, both maps have one frame, in the units of the first's map, onto which the second's is laid.

        Args:
            name: of the map.
            part: of `PARTS`; of both, the points of the map come first. With the train part the frame holds both.

        Raises:
            UnknownName: there is no such map.
            UsageError: see `placed`.
        """
        self._checked_part(part)
        if self.pair is None:
            held, note = self._coordinates(name)
            shown, laid = held, None
            if part != "test":
                placed = self.placed(name)
                held = np.concatenate([held, placed])
                shown = placed if part == "train" else held
        else:
            name, shown, held, laid = self.pair.placed(self, name, part)
            note = self.map(name).note
        frame = frame_of(held)
        places = (shown - np.array([frame["left"], frame["bottom"]])) / frame["size"]
        codes = np.rint(places * STEPS).clip(0, STEPS).astype(np.uint16)
        facts = {"name": name, "note": note, **frame}
        facts |= {"decodable": is_decodable(name), "laid": None if laid is None else laid.as_json()}
        return facts, {"x": codes[:, 0], "y": codes[:, 1]}

    def _coordinates(self, name: str) -> tuple[NDArray[np.float32], str]:
        """The coordinates of a map and its note; of one that is kept, without the latents."""
        if name not in self._maps and self.keeps_map(name):
            state = self.run.folder.load(f"maps/{name}.npz")
            coordinates = np.asarray(state.get("coordinates"))
            if coordinates.shape == (self.count, 2):  # else restoring says what is wrong
                return coordinates.astype(np.float32), str(state["note"]) if "note" in state else ""
        made = self.map(name)
        return made.coordinates, made.note

    def keeps_map(self, name: str) -> bool:
        """Whether the run's folder has a map."""
        return f"maps/{name}.npz" in self.run.record["files"]

    def opening(self, map: str = "") -> Answer:
        """What the first picture needs, read without model, images and latents: `Opening` of the page's types.js.

        Args:
            map: that is wanted; the first that the folder has where it has not this one.
        """
        run, names = self.run, self.run.class_names
        facts: dict[str, Any] = {"name": run.name, "class_names": list(names), "count": 0, "beside": ""}
        facts["colours"] = list(class_colours(len(names), self.palette)) if names else [NO_LABELS]
        facts["beside"] = "" if self.pair is None else self.pair.other(self).run.name
        if not self.ready:
            return Answer(facts)
        known = [name for name in self.map_names if self.keeps_map(name)]
        facts["count"] = self.count
        if not known or self.pair is not None:  # beside another run, laying one map onto the other takes the latents
            return Answer(facts)
        made, arrays = self.map_points(map if map in known else known[0])
        if self.labels is not None:
            arrays["labels"] = self.labels.astype(np.uint16)
        return Answer({**facts, **made, "name": run.name, "map": made["name"]}, arrays)

    @cached_property
    def all_columns(self) -> tuple[Column, ...]:
        """Columns to colour the points by, in the order in which they are offered."""
        names = self.run.class_names
        own = [
            *(
                [
                    Column(
                        "label",
                        "class",
                        "class",
                        names,
                        load=lambda: self.labels,
                        load_train=self._labels_of_train,
                    )
                ]
                if self.labels is not None
                else []
            ),
            *(
                [
                    Column(
                        PREDICTED,
                        "class of its neighbours",
                        "class",
                        names,
                        load=lambda: _voted(self._voters),
                        load_train=lambda rows: _voted(self._others_near(rows)),
                    ),
                    Column(
                        CONTRADICTED,
                        "neighbours of another class",
                        "number",
                        unit=f"of {VOTERS}",
                        load=lambda: _against(self._voters, self.labels),
                        load_train=lambda rows: _against(self._others_near(rows), self._labels_of_train(rows)),
                    ),
                ]
                if self.labels is not None and len(names) > 1
                else []
            ),
            Column(
                "cluster",
                "cluster",
                "class",
                tuple(f"cluster {k + 1}" for k in range(self._num_clusters)),
                load=lambda: self._clusters.labels_,
                load_train=lambda rows: self._clusters.predict(self._latents_of_train(rows).astype(np.float32)),
            ),
            *(
                [
                    Column(
                        "error",
                        "reconstruction error",
                        "number",
                        unit="mse",
                        better="lower",
                        load=lambda: self.run.of_part("squared_error", self.part),
                        load_train=lambda rows: self.run.of_part("squared_error", TRAIN)[rows],
                    ),
                ]
                if self._knows_errors
                else []
            ),
            *(
                Column(
                    f"trust:{name}",
                    "trust of the place",
                    "number",
                    unit="of 10 neighbours kept",
                    better="higher",
                    load=partial(self._trust, name),
                    load_train=partial(self._trust_of_train, name),
                )
                for name in self.map_names
            ),
        ]
        return (*own, *pair_columns(self), *odd_columns(self), *columns_of(self.run, self.part), *self.columns)

    def column(self, name: str, part: str = "test") -> NDArray[Any]:
        """One column's values, uint16 (N,) for classes and float32 (N,) for numbers, of the images that `map_points` has.

        Raises:
            UsageError: there is no such column, or see `placed`.
        """
        self._checked_part(part)
        known = {column.name: column for column in self.all_columns}
        if name not in known:
            raise UsageError(f"unknown column {name!r}; known: {', '.join(known)}")
        return known[name].of(part, self.num_train)

    @property
    def _knows_errors(self) -> bool:
        """Whether errors of reconstruction are known; of parts of latents they are not."""
        return not np.isnan(self.run.latents["squared_error"][:1]).any()

    def _trust(self, name: str) -> NDArray[np.float32]:
        return self.map(name).trust

    def _trust_of_train(self, name: str, rows: Rows) -> NDArray[np.float32]:
        places, latents = self.placed(name, rows), self._latents_of_train(rows)
        stage = f"column trust:{name}"
        return self.once(stage, rows, lambda tick: trust_on(self.map(name), self.near, latents, places, tick))

    def _labels_of_train(self, rows: Rows) -> NDArray[np.int64]:
        labels = self.run.labels_of(TRAIN)
        assert labels is not None
        return labels[rows]

    @cached_property
    def _known(self) -> tuple["Neighbours", NDArray[np.int64]]:
        """The latents of the train part, to look for neighbours in, and their classes; of all images where the map shows all."""
        from latens.neighbours import Neighbours

        part = TRAIN if self.part == TEST else None
        labels = self.run.labels_of(part)
        assert labels is not None
        return Neighbours(np.ascontiguousarray(self.run.of_part("latents", part), np.float32)), labels

    @cached_property
    def _voters(self) -> NDArray[np.int64]:
        """The classes of the images nearest to each point, nearest first, (N, K): of the train part, as the score `knn_accuracy`
        has it; on a map of all images, of all others.
        """
        if self.part != TEST:
            return self._others_near(EVERY)
        rows = np.arange(self.first, self.first + self.count)
        return self._classes_near(rows, min(VOTERS, len(self._known[1])), lambda *told: None)

    def _others_near(self, rows: Rows) -> NDArray[np.int64]:
        """The classes of the nearest other images of some of `_known`, (M, K)."""
        num = len(self._known[1])
        wanted, k = np.arange(num)[rows], min(VOTERS, num - 1)
        return self.once(f"column {PREDICTED}", rows, lambda tick: self._classes_near(wanted, k, tick))

    def _classes_near(self, rows: NDArray[np.int64], k: int, tick: Tick) -> NDArray[np.int64]:
        """The classes of the k images of `_known` that are nearest to others, by rows of latents.npz, (M, k).

        Most are known by what the review of the run has found; for the others, and in a run without one, they are looked for.
        """
        from latens.computed.review import kept_neighbours
        from latens.neighbours import nearest_of_known

        known, labels = self._known
        latents, kept = self.run.latents["latents"], kept_neighbours(self.run)
        among = np.arange(len(latents)) < len(labels)
        near = np.empty((len(rows), k), np.int64)
        for start in range(0, len(rows) if k else 0, ROWS):
            some = rows[start : start + ROWS]
            sure = np.zeros(len(some), np.bool_)
            if kept is not None:
                near[start : start + ROWS], sure = nearest_of_known(latents, *kept, some, k, among)
            left = np.flatnonzero(~sure)
            if len(left):
                near[start + left] = _others(
                    known, np.ascontiguousarray(latents[some[left]], np.float32), some[left], k
                )
            tick(start + len(some), len(rows))
        return labels[near]

    @cached_property
    def _num_clusters(self) -> int:
        return min(len(self.run.class_names) or 10, self.count)

    @cached_property
    def _clusters(self) -> Any:
        """K-means of the points."""
        from sklearn.cluster import KMeans

        return KMeans(self._num_clusters, n_init=4, random_state=self.run.recipe.config.seed).fit(self.latents)

    @cached_property
    def sprites(self) -> dict[str, int]:
        """The layout of thumbnails on their pages: `ThumbnailInfo` of the page's types.js."""
        size = min(CELL, max(self.run.image_shape[1:]))
        across = PAGE // size
        return {"size": size, "across": across, "per_page": across**2, "pages": -(-self.count // across**2)}

    @cached_property
    def odd(self) -> Odd:
        """How odd the points are by the run's calibrated detector; it is fitted when this is first asked for.

        Raises:
            RunError: the run has no model or images, or no normal images that training did not see.
        """
        return Odd(self)

    @property
    def odd_known(self) -> bool:
        """Whether `odd` has been computed already."""
        return "odd" in self.__dict__

    def _rows_of(self, part: str) -> NDArray[np.int64]:
        """The rows of latents.npz of the images of a part, in the order in which `map_points` has them."""
        points, train = np.arange(self.first, self.first + self.count), np.arange(self.num_train)
        return {"test": points, "train": train, "both": np.concatenate([points, train])}[part]

    def thumbnails(self, page: int, look: str = "", part: str = "test") -> bytes:
        """One sprite page as a PNG, in a look; of the images of a part as `map_points` has them.

        Raises:
            UsageError: there is no such page, or see `placed`.
        """
        self._checked_part(part)
        layout, every = self.sprites, self._rows_of(part)
        pages = -(-len(every) // layout["per_page"])
        if not 0 <= page < pages:
            raise UsageError(f"page {page} of thumbnails; there are {pages}, from 0")
        sheet = self._sheets.get((page, look, part))
        if sheet is None:
            rows = every[page * layout["per_page"] : (page + 1) * layout["per_page"]]
            sheet = self._sheet(rows, look)
            self._keep_sheet((page, look, part), sheet)
        return sheet

    def _keep_sheet(self, name: tuple[int, str, str], sheet: bytes) -> None:
        """Keep a sprite page: making one takes 0.1 s. The oldest go first."""
        kept = {**self._sheets, name: sheet}
        while len(kept) > 1 and sum(map(len, kept.values())) > KEPT_SHEETS:
            kept.pop(next(iter(kept)))
        self._sheets = kept  # replaced as a whole: another thread may be reading

    def _sheet(self, rows: NDArray[np.int64], look: str) -> bytes:
        from PIL import Image

        layout = self.sprites
        size, across = layout["size"], layout["across"]
        sheet = Image.new(picture_mode(self.shape[0]), (across * size, -(-len(rows) // across) * size))
        for place, pixels in enumerate(self.pixels(rows, look)):
            picture = to_picture(pixels)
            picture.thumbnail((size, size))
            left, top = place % across * size, place // across * size
            sheet.paste(picture, (left + (size - picture.width) // 2, top + (size - picture.height) // 2))
        file = io.BytesIO()
        sheet.save(file, "png", compress_level=6)
        return file.getvalue()

    def inputs(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Images by their rows of latents.npz, which need not be points, as the networks take them: (M, C, H, W).

        Raises:
            ImagesError, RunError: the images are not available.
        """
        images, train = self.run.images, int((self.run.latents["part"] == TRAIN).sum())
        in_train = rows < train
        parts = [(in_train, images.train, rows[in_train]), (~in_train, images.test, rows[~in_train] - train)]
        found = [(where, gather(part.inputs, chosen)) for where, part, chosen in parts if len(chosen)]
        joined = np.empty((len(rows), *self.run.image_shape), found[0][1].dtype if found else np.uint8)
        for where, some in found:
            joined[where] = some
        return joined

    def pixels(self, rows: NDArray[np.int64], look: str = "") -> NDArray[np.uint8]:
        """Images by their rows of latents.npz in a look: uint8 (M, 1 or 3, H, W).

        Raises:
            ImagesError, RunError: the images are not available.
        """
        return self.shown(self.inputs(rows), look)

    def shown(self, images: NDArray[Any], look: str = "") -> NDArray[np.uint8]:
        """Images as bytes that the page paints, (M, C, H, W) -> (M, 1 or 3, H, W); see `latens.explorer.looks.looked_at`."""
        return looked_at(images, look, self.run)

    def image(self, point: int | None = None, id: str = "", look: str = "", part: str = "test") -> Answer:
        """One image, by its point or by its id, in a look: `ImageInfo` of the page's types.js. Its neighbours are of a part.

        Raises:
            UsageError: there is no such image.
        """
        from latens.neighbours import in_usual_distances

        row = self.row_of(point, id)
        latents = self.run.latents
        z = np.ascontiguousarray(latents["latents"][row], np.float32)
        distances, near = self.nearest(z[None], NEIGHBOURS + 1, part)
        other = near[0] != row - self.first
        facts = {
            "row": row - self.first,
            "id": str(latents["ids"][row]),
            "part": "test" if latents["part"][row] == TEST else "train",
            "label": int(latents["labels"][row]) if "labels" in latents else -1,
            "error": float(latents["squared_error"][row]),
            "columns": [
                *values_of(self.run, row),
                *(
                    one.value(row - self.first)
                    for one in self.columns
                    if row >= self.first or one.load_train is not None
                ),
            ],
        }
        empty = np.empty(0, np.uint8)
        return Answer(
            facts,
            {
                "pixels": empty if self.missing else self.pixels(np.array([row]), look)[0],
                "reconstruction": self.shown(self.run.decode(z[None]), look)[0] if self.decodes else empty,
                "latents": z,
                "neighbours": near[0][other][:NEIGHBOURS].astype(np.int32),
                "distances": in_usual_distances(distances[0][other][:NEIGHBOURS], self.run.usual_distance).astype(
                    np.float32
                ),
            },
        )

    def row_of(self, point: int | None, id: str = "") -> int:
        """The row of latents.npz of an image, by its point or by its id.

        Images that are not on the map, such as those of the train part, have points below 0, counted back from point 0: one
        number stands for any image of the run.

        Raises:
            UsageError: there is no such image.
        """
        if id:
            if id not in self.row_of_id:
                raise UsageError(f"no image {id!r} in this run; ids look like {str(self.ids[0])!r}")
            return self.row_of_id[id]
        if type(point) is not int or not -self.first <= point < self.count:
            also = f", and images that are not on it from -{self.first} to -1" if self.first else ""
            raise UsageError(f"image {point} is no point of the map; points run from 0 to {self.count - 1}{also}")
        return point + self.first


def name_of_rows(ids: ArrayLike) -> str:
    """A short name for what rows stand for: the same for the same ids in the same order."""
    return sha256_bytes(np.ascontiguousarray(ids, str).tobytes())[:8]


def frame_of(places: NDArray[Any]) -> dict[str, float]:
    """The square about places (N, 2), with a margin: `left`, `bottom` and `size` of `MapPoints` of the page's types.js."""
    low, high = places.min(0), places.max(0)
    size = max(float((high - low).max()) * (1 + 2 * MARGIN), float(np.finfo(np.float32).tiny))
    left, bottom = ((low.astype(np.float64) + high) / 2 - size / 2).tolist()
    return {"left": left, "bottom": bottom, "size": size}


def _others(known: "Neighbours", latents: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The k points nearest to latents (M, D), without those of the same row, (M, k)."""
    found = known.nearest(latents, min(k + 1, len(known.points)))[1]
    if found.shape[1] == k:
        return found
    itself = found == rows[:, None]
    # It may be missing, among more equal latents than are found or as one of another part: then the last goes.
    itself[:, -1] |= ~itself.any(1)
    others: NDArray[np.int64] = found[~itself].reshape(len(rows), k)
    return others


def _voted(voters: NDArray[np.int64]) -> NDArray[Any]:
    """The class of each image by the vote of those that are nearest, (N, K) -> (N,)."""
    from latens.metrics.votes import vote

    return vote(voters) if voters.size else np.full(len(voters), NO_VALUE)


def _against(voters: NDArray[np.int64], labels: NDArray[np.int64] | None) -> NDArray[np.float32]:
    """How many of the nearest images of each have another class, (N, K) -> (N,); NaN for those without a class."""
    assert labels is not None
    against = (voters != labels[:, None]).sum(1).astype(np.float32)
    return np.where(labels < 0, np.float32("nan"), against)

"""`Run`: what a run's folder means: its model, latents, maps, samplers and scores, read when they are asked for.

run.json                what was asked and what came of it; the hashes of the files below
history.jsonl           one line an epoch
model.safetensors       the weights
checkpoint.safetensors  while it trains: all that is needed to continue
latents.npz             latents, labels, ids, part (0 train, 1 test) and squared error of every image
images.npz              the images themselves, where they can't be loaded again (arrays in memory)
maps/NAME.npz           samplers/NAME.safetensors    snapshots/EPOCH.npz
probe.npz               metrics.json                 figures/NAME.png        report.html

How these files are written and checked is told in `latens.runs.record`.
"""

import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latens.device import choose_device
from latens.errors import ImagesNotFound, RunDamaged, RunError, UsageError
from latens.files import read_safetensors
from latens.images import Dataset, load_images
from latens.images.pixels import to_uint8
from latens.latents import decode_latents, encode_images, reconstruct_images
from latens.maps import MAPS, Map, map_kind
from latens.metrics import Scores, ScoreTable
from latens.metrics.map import score_map
from latens.models.contract import Model
from latens.neighbours import usual_distance
from latens.progress import Progress, Silent
from latens.runs.kept_images import IMAGES, load_kept_images
from latens.runs.record import RunFolder
from latens.samplers import SAMPLERS, Sampler, samplers_for
from latens.text import quoted, shown
from latens.training.loop import build_model, known_forms, use_forms
from latens.training.recipes import MAX_SEED, Recipe, whole_number
from latens.verdict import Verdict, judge

__all__ = ["TEST", "TRAIN", "Run", "Samples", "samples_as_arrays", "weights_in"]

WEIGHTS, CHECKPOINT, LATENTS = "model.safetensors", "checkpoint.safetensors", "latents.npz"
LATENT_ARRAYS = ("latents", "part", "ids", "squared_error")
TRAIN, TEST = 0, 1  # the two values of `part`
ENOUGH_FOR_A_MAP = 1000  # test images; with fewer, maps show the train images too


@dataclass(frozen=True)
class Samples:
    """New pictures: float32 (N, C, H, W) about [0, 1], the latents (N, D) they were decoded from, labels (N,) or None."""

    images: np.ndarray
    latents: np.ndarray
    labels: np.ndarray | None


def weights_in(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The model's weights out of what a Step's `state()` gave."""
    return {name.removeprefix("model."): tensor for name, tensor in state.items() if name.startswith("model.")}


class Run:
    """A run's folder, opened. `latens.open_run` makes one.

    Args:
        path: the folder; it holds a run.json.
        device: where the model works, see `choose_device`.

    Raises:
        RunDamaged: run.json is missing or unreadable.
        RunError: it was written by a later latens.
    """

    def __init__(self, path: str | os.PathLike[str], device: str = "cpu") -> None:
        self.folder = RunFolder(path)
        self.device = device
        self._kept: dict[str, tuple[str, Any]] = {}
        self._reading = threading.RLock()
        self._own_model: Model | None = None
        self._own_images: Dataset | None = None
        self._usual_distance: tuple[dict[str, np.ndarray], float] | None = None

    @property
    def path(self) -> Path:
        """The folder."""
        return self.folder.path

    @property
    def record(self) -> dict[str, Any]:
        """The content of run.json as it is on disk now; `update` changes it."""
        return self.folder.record

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self.record['data']['name']}, {self.record['status']})"

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def recipe(self) -> Recipe:
        """The setting with which it was trained."""
        return Recipe.from_json(self.record["recipe"])

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.record["data"]["shape"]
        return channels, height, width

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; empty without labels."""
        return tuple(self.record["data"]["class_names"])

    def save(self, name: str, content: Any) -> None:
        """Save a file of the run; see `RunFolder.commit`."""
        self.folder.save(name, content)

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Save arrays as an .npz of the run."""
        self.folder.save(name, arrays)

    def update(self, **entries: Any) -> None:
        """Change entries of run.json; see `RunFolder.commit`."""
        self.folder.update(**entries)

    def seal(self, *names: str) -> None:
        """Note the hashes of files that were written by other means; see `RunFolder.seal`."""
        self.folder.seal(*names)

    def forget(self, *names: str) -> None:
        """Take files out of the run and delete them; see `RunFolder.forget`."""
        self.folder.forget(*names)

    def checked(self, name: str) -> Path:
        """The path of a file of the run, its hash compared; see `RunFolder.checked`."""
        return self.folder.checked(name)

    def _current(self, name: str, read: Callable[[], Any]) -> Any:
        """What was read from a file of the run, kept until the file changes."""
        with self._reading:  # threads of the explorer don't read one file twice
            digest = self.folder.files.get(name, "")
            if self._kept.get(name, ("", None))[0] != digest or not digest:
                self._kept[name] = digest, read()
            return self._kept[name][1]

    @property
    def model(self) -> Model:
        """The model with the run's weights, of the last epoch that is kept; read again when the file has changed.

        Raises:
            RunError: there are no weights yet; or it was adopted, and its functions have not been given back.
            RunDamaged: the weights are missing or damaged, or do not fit the model of run.json.
        """
        if self._own_model is not None:
            return self._own_model
        model: Model = self._current(self._weights_file(), self._load_model)
        return model

    @model.setter
    def model(self, model: Model) -> None:
        """Use a model that is in memory: one that is being trained, or one made of adopted functions."""
        self._own_model = model

    def untrained_model(self) -> Model:
        """A new model on the run's device, with weights as the seed of its recipe makes them."""
        return self._placed(build_model(self.recipe, self.image_shape))

    def _load_model(self) -> Model:
        model = build_model(self.recipe, self.image_shape)
        try:
            model.load_state_dict(self.weights())
        except RuntimeError as error:
            raise RunDamaged(f"{self.path}: the weights do not fit the model of run.json ({error})") from None
        return self._placed(model)

    def _placed(self, model: Model) -> Model:
        device = choose_device(self.device)
        if device.type == "cpu" and self.record.get("forms"):
            use_forms(model, known_forms(self.record["forms"]))
        return model.to(device).eval()

    def weights(self) -> dict[str, torch.Tensor]:
        """The weights of the last epoch that is kept, on the CPU.

        Raises:
            RunError: there are none yet.
            RunDamaged: they are missing, or their bytes are not those that were written.
        """
        name = self._weights_file()
        # A checkpoint of an earlier version has no hash in run.json, but one of its own.
        sealed = name in self.folder.files
        tensors = self.folder.load(name) if sealed else read_safetensors(self.path / name)
        return tensors if name == WEIGHTS else weights_in(tensors)

    def _weights_file(self) -> str:
        """Where the latest weights are: while a run can be continued, its checkpoint is the newer file."""
        if self.recipe.is_adopted:
            raise RunError(
                f"{self.path}: was adopted as two functions, which no folder can hold;"
                f" latens.adopt(encode, decode, images, out={str(self.path)!r}) gives them back"
            )
        record = self.record
        unfinished = record["status"] in ("training", "stopped")
        if unfinished and (CHECKPOINT in record["files"] or (self.path / CHECKPOINT).exists()):
            return CHECKPOINT
        if WEIGHTS in record["files"]:
            return WEIGHTS
        raise RunError(
            f"{self.path}: has no weights, since no epoch was completed;"
            + (f" `latens run --resume --out {quoted(self.path)}` starts again" if unfinished else " start a new run")
        )

    def encode(self, images: Any) -> np.ndarray:
        """Images -> latents, float32 (N, D); see `latens.latents.encode_images`."""
        return encode_images(self.model, images)

    def decode(self, latents: Any) -> np.ndarray:
        """Latents (N, D) -> pictures, float32 (N, C, H, W); see `latens.latents.decode_latents`."""
        return decode_latents(self.model, latents)

    def reconstruct(self, images: Any) -> np.ndarray:
        """Images through the latent and back, float32 (N, C, H, W)."""
        return reconstruct_images(self.model, images)

    @property
    def history(self) -> list[dict[str, Any]]:
        """One dict an epoch: epoch, step, train_loss, train_mse, test_mse, learning_rate, elapsed."""
        path = self.path / "history.jsonl"
        if not path.exists():
            return []
        try:
            return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        except ValueError as error:
            raise RunDamaged(f"{path}: not readable as lines of JSON ({error})") from None

    @property
    def images(self) -> Dataset:
        """The run's own images: loaded from where they came from, or, where that is not possible, as the run keeps them.

        Setting it gives the run the same images from elsewhere, as a `Dataset`.

        Raises:
            ImagesError: they can't be read.
            RunError: they are no longer there, or what is there now is not what the run was trained on.
        """
        if self._own_images is None:
            data = self.record["data"]
            found = load_kept_images(self.folder) if IMAGES in self.folder.files else self._loaded_images(data)
            self.check_images(found, str(data["source"]))
            self._own_images = found
        return self._own_images

    @images.setter
    def images(self, images: Dataset) -> None:
        self.check_images(images, getattr(images, "source", "images"))
        self._own_images = images

    def _loaded_images(self, data: Mapping[str, Any]) -> Dataset:
        if data["source"] == "array":
            raise RunError(
                f"{self.path}: its images were given as an array and are not kept in the run; give them again:"
                " run.images = load_images(array), or data= of open_run and resume"
            )
        try:
            return load_images(data["source"], **data["options"])
        except ImagesNotFound:
            raise RunError(
                f"{self.path}: its images are no longer at {shown(data['source'])}; say where they are now:"
                f" --data NEW, or open_run(..., data=NEW)"
            ) from None

    def check_images(self, images: Any, source: str) -> None:
        """See that a data set is the one that the run was trained on.

        Args:
            images: the data set.
            source: what it is called in the message.

        Raises:
            RunError: its pixels, labels or class names are others.
            UsageError: it is no `Dataset`.
        """
        if not isinstance(images, Dataset):
            raise UsageError(f"images is a {type(images).__name__}; a Dataset is needed: load_images(...) makes one")
        if images.fingerprint != self.record["data"]["fingerprint"]:
            raise RunError(
                f"{source}: these are not the images that {self.path} was trained on (fingerprint differs);"
                " give the same images, or start a new run"
            )

    @property
    def latents(self) -> dict[str, np.ndarray]:
        """The arrays of latents.npz: latents, part, ids, squared_error, and labels where there are any."""
        found: dict[str, np.ndarray] = self._current(LATENTS, lambda: self.folder.load(LATENTS, LATENT_ARRAYS))
        return found

    @property
    def mapped_part(self) -> int | None:
        """The part that maps and the probe show: test, or None for all images where the test part is too small to show much."""
        return TEST if int((self.latents["part"] == TEST).sum()) >= ENOUGH_FOR_A_MAP else None

    def of_part(self, name: str, part: int | None) -> np.ndarray:
        """One array of `latents`, the rows of one part only, or all of them for None."""
        rows: np.ndarray = self.latents[name]
        return rows if part is None else rows[self.latents["part"] == part]

    def labels_of(self, part: int | None) -> np.ndarray | None:
        """The labels of one part, or of all images for None, int64 (N,); None where there are no labels."""
        return self.of_part("labels", part) if "labels" in self.latents else None

    @property
    def usual_distance(self) -> float:
        """The median distance of a latent of `mapped_part` to its nearest neighbour: the unit of distances from the data."""
        latents = self.latents
        if self._usual_distance is None or self._usual_distance[0] is not latents:
            self._usual_distance = latents, usual_distance(self.of_part("latents", self.mapped_part))
        return self._usual_distance[1]

    def map(self, name: str = "tsne", seed: int | None = None, progress: Progress | None = None) -> Map:
        """A map of the latents of `mapped_part`: the one in the folder, or fitted now and kept.

        Args:
            name: one of `MAPS`.
            seed: fit it anew with this seed; None takes what is there, or the run's own seed.
            progress: shows how far a fit is.
        """
        file = f"maps/{name}.npz"
        latents = self.of_part("latents", self.mapped_part)
        # A map from somebody else's coordinates is there or not, it can't be fitted.
        kind = map_kind(name) if file in self.record["files"] else MAPS[name]
        if seed is None and file in self.record["files"]:
            return kind.restore(self.folder.load(file), latents)
        with (progress or Silent()).stage(f"map {name}") as tick:
            chosen = self.recipe.config.seed if seed is None else whole_number("seed", seed, 0, MAX_SEED)
            fitted = kind().fit(latents, seed=chosen, progress=tick)
        self.keep_map(name, fitted)
        return fitted

    def keep_map(self, name: str, fitted: Map) -> None:
        """Store a map of the latents of `mapped_part` under a name."""
        # The scores were those of the map before.
        self.folder.commit({f"maps/{name}.npz": fitted.state()}, forget=[f"maps/{name}.json"])

    def map_scores(self, name: str) -> Scores:
        """How far to trust a map; computed once, kept beside it."""
        file = f"maps/{name}.json"
        if file not in self.record["files"]:
            made, seed = self.map(name), self.recipe.config.seed
            scored = self.folder.files.get(f"maps/{name}.npz")
            part = self.mapped_part
            latents = self.of_part("latents", part)
            found = score_map(
                latents,
                made.coordinates,
                self.labels_of(part),
                kept=made.trust,
                split="test" if part == TEST else "train and test",
                seed=seed,
            )
            with self.folder.lock():
                if self.folder.files.get(f"maps/{name}.npz") != scored:
                    return found  # meanwhile another process has kept another map
                self.save(file, found.as_json())
        return Scores.from_json(self.folder.load(file))

    def sampler(self, name: str, progress: Progress | None = None) -> Sampler:
        """A sampler over the train latents: the one in the folder, or fitted now and kept.

        Args:
            name: one of `SAMPLERS`.
            progress: shows how far a fit is.

        Raises:
            RunError: the model can't have it, such as `prior` where it has none.
        """
        # A kept sampler of an adopted run needs no model.
        kind, model = SAMPLERS[name], self._own_model if self.recipe.is_adopted else self.model
        why_not = kind.unavailable(model)
        if why_not:
            raise RunError(
                f"{self.path}: {name} can't sample its latents: {why_not}; others can: {', '.join(samplers_for(model))}"
            )
        options = kind.options_for(model, choose_device(self.device))
        file = f"samplers/{name}.safetensors"
        if file in self.record["files"]:
            return kind.restore({n: t.numpy() for n, t in self.folder.load(file).items()}, options)
        with (progress or Silent()).stage(f"sampler {name}") as tick:
            fitted = kind(**options).fit(self.of_part("latents", TRAIN), self.labels_of(TRAIN), tick)
        state = {name: torch.from_numpy(np.array(value)) for name, value in fitted.state().items()}
        self.save(file, state)
        return fitted

    def sample(self, n: int, sampler: str = "class-means", seed: int = 0, labels: np.ndarray | None = None) -> Samples:
        """New pictures: latents drawn by a sampler, decoded.

        Args:
            n: how many.
            sampler: one of `SAMPLERS`.
            seed: the same seed, the same pictures.
            labels: the class of each, int (n,); None lets the sampler choose.
        """
        n, seed = whole_number("the number of samples", n), whole_number("seed", seed, 0, MAX_SEED)
        if n < 1:
            raise UsageError(f"{n} samples were asked for; at least 1 is needed")
        source = self.sampler(sampler)
        if labels is None:
            labels = source.labels_for(n)
        latents = source.sample(n, seed=seed, labels=labels)
        return Samples(self.decode(latents), latents, labels)

    def figure(self, name: str, **options: Any) -> Any:
        """A figure of the run as matplotlib's `Figure`, which notebooks show.

        Args:
            name: one of `latens.figures.FIGURES`.
            **options: those of the figure, such as `map="pca"`; see `latens figure --help`.

        Raises:
            UnknownName: there is no such figure.
            UsageError: it has no such option, or a value is not allowed.
            RunError: the run lacks what the figure needs.
        """
        # Figures stand above runs and know them; only this call goes the other way.
        of_run = import_module("latens.figures.of_run")
        return of_run.figure_of(self, name, **options)

    @property
    def scores(self) -> ScoreTable:
        """The scores, a sequence of records with `to_pandas` and `to_dicts`, and notes on what was left out.

        Raises:
            RunError: it was not scored yet.
        """
        plain = self.folder.load("metrics.json")
        try:
            return ScoreTable.from_json(plain)
        except (KeyError, TypeError, ValueError) as error:
            raise RunDamaged(f"{self.path / 'metrics.json'}: not readable as scores ({error})") from None

    @property
    def verdict(self) -> Verdict:
        """What the scores come to: see `latens.verdict`.

        Raises:
            RunError: it was not scored yet.
        """
        return judge(self.scores)


def samples_as_arrays(samples: Samples) -> dict[str, np.ndarray]:
    """Samples as they are stored: `images` uint8 (N, C, H, W), `latents`, and `labels` where there are any."""
    arrays = {"images": to_uint8(samples.images), "latents": samples.latents}
    return arrays if samples.labels is None else {**arrays, "labels": samples.labels}

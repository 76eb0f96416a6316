"""`Run`: what is in a run's folder, read when it is asked for.

run.json                what was asked and what came of it; the hashes of the files below
history.jsonl           one line an epoch
model.safetensors       the weights
checkpoint.safetensors  while it trains: all that going on needs
latents.npz             latents, labels, ids, part (0 train, 1 test) and squared error of every image
maps/NAME.npz           samplers/NAME.safetensors    snapshots/EPOCH.npz
probe.npz               metrics.json                 figures/NAME.png        report.html
"""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latens.device import choose_device
from latens.errors import RunDamaged, RunError, UsageError
from latens.files import read_json, read_npz, read_safetensors, sha256_file, write_json, write_npz, write_safetensors
from latens.images import Dataset, load_images
from latens.images.pixels import to_uint8
from latens.latents import decode_latents, encode_images, reconstruct_images
from latens.maps import MAPS, Map, map_kind
from latens.metrics import METRICS, Scores
from latens.models.contract import Model
from latens.neighbours import usual_distance
from latens.progress import Progress, Silent
from latens.samplers import SAMPLERS, Sampler, samplers_for
from latens.training.loop import build_model, known_forms, use_forms
from latens.training.recipes import Recipe
from latens.verdict import Verdict, judge

__all__ = ["FORMAT", "TEST", "TRAIN", "Run", "Samples", "samples_as_arrays", "weights_in"]

FORMAT = 1
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

    def __init__(self, path: Path, device: str = "cpu") -> None:
        self.path = path
        self.device = device
        self._record_lock = threading.RLock()
        self.record: dict[str, Any] = read_json(path / "run.json")
        if not isinstance(self.record, dict) or "format" not in self.record:
            raise RunDamaged(f"{path / 'run.json'}: not a run's record")
        if self.record["format"] > FORMAT:
            raise RunError(
                f"{path}: written by a later latens (format {self.record['format']}, this one knows {FORMAT})"
            )

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

    def update(self, **entries: Any) -> None:
        """Write entries of run.json."""
        with self._record_lock:
            self.record.update(entries)
            write_json(self.path / "run.json", self.record)

    def seal(self, *names: str) -> None:
        """Note the hashes of files of the run, by which a changed byte is noticed."""
        hashes = {name: sha256_file(self.path / name) for name in names}
        with self._record_lock:  # threads of the explorer seal what each has fitted
            self.update(files={**self.record.get("files", {}), **hashes})

    def forget(self, name: str) -> None:
        """Take a sealed file out of the run."""
        with self._record_lock:
            self.update(files={file: digest for file, digest in self.record["files"].items() if file != name})
        (self.path / name).unlink(missing_ok=True)

    def checked(self, name: str) -> Path:
        """The path of a sealed file, its hash compared.

        Raises:
            RunError: the run has no such file yet.
            RunDamaged: it is missing, or its bytes are not those that were written.
        """
        path = self.path / name
        if name not in self.record.get("files", {}):
            raise RunError(f"{self.path}: has no {name} yet; `latens run --resume --out {self.path}` completes it")
        if not path.exists():
            raise RunDamaged(f"{path}: the file is missing")
        if sha256_file(path) != self.record["files"][name]:
            raise RunDamaged(f"{path}: its bytes are not those that were written (SHA-256 differs)")
        return path

    @cached_property
    def model(self) -> Model:
        """The model with the run's weights: those of the last epoch, or where there was none yet those of the seed.

        Raises:
            RunError: it was adopted, and its functions have not been given back; see `latens.adopt`.
        """
        if self.recipe.is_adopted:
            raise RunError(
                f"{self.path}: was adopted as two functions, which no folder can hold;"
                f" latens.adopt(encode, decode, images, out={str(self.path)!r}) gives them back"
            )
        model = build_model(self.recipe, self.image_shape)
        try:
            model.load_state_dict(self._weights() or model.state_dict())
        except RuntimeError as error:
            raise RunDamaged(f"{self.path}: the weights do not fit the model of run.json ({error})") from None
        device = choose_device(self.device)
        if device.type == "cpu" and self.record.get("forms"):
            use_forms(model, known_forms(self.record["forms"]))
        return model.to(device).eval()

    def _weights(self) -> dict[str, torch.Tensor]:
        if "model.safetensors" in self.record["files"]:
            return read_safetensors(self.checked("model.safetensors"))
        checkpoint = self.path / "checkpoint.safetensors"
        return weights_in(read_safetensors(checkpoint)) if checkpoint.exists() else {}

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

    @cached_property
    def images(self) -> Dataset:
        """The run's own images, found again where they came from.

        Raises:
            ImagesError: they have gone.
            RunError: what is there now is not what the run was trained on.
        """
        data = self.record["data"]
        dataset = load_images(data["source"], **data["options"])
        if dataset.fingerprint != data["fingerprint"]:
            raise RunError(
                f"{data['source']}: these are not the images that {self.path} was trained on (fingerprint differs)"
            )
        return dataset

    @cached_property
    def latents(self) -> dict[str, np.ndarray]:
        """The arrays of latents.npz: latents, part, ids, squared_error, and labels where there are any."""
        return read_npz(self.checked("latents.npz"), ("latents", "part", "ids", "squared_error"))

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

    @cached_property
    def usual_distance(self) -> float:
        """The median distance of a latent of `mapped_part` to its nearest neighbour: the unit of distances from the data."""
        return usual_distance(self.of_part("latents", self.mapped_part))

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
            return kind.restore(read_npz(self.checked(file)), latents)
        with (progress or Silent()).stage(f"map {name}") as tick:
            chosen = self.recipe.config.seed if seed is None else seed
            fitted = kind().fit(latents, seed=chosen, progress=tick)
        self.keep_map(name, fitted)
        return fitted

    def keep_map(self, name: str, fitted: Map) -> None:
        """Store a map of the latents of `mapped_part` under a name."""
        self.write_arrays(f"maps/{name}.npz", fitted.state())
        self.forget(f"maps/{name}.json")  # the scores were those of the map before

    def map_scores(self, name: str) -> Scores:
        """How far to trust a map; computed once, kept beside it."""
        file = f"maps/{name}.json"
        if file not in self.record["files"]:
            made, seed = self.map(name), self.recipe.config.seed
            part = self.mapped_part
            latents = self.of_part("latents", part)
            found = METRICS["map"](
                latents,
                made.coordinates,
                self.labels_of(part),
                kept=made.trust,
                split="test" if part == TEST else "train and test",
                seed=seed,
            )
            write_json(self.path / file, found.as_json())
            self.seal(file)
        return Scores.from_json(read_json(self.checked(file)))

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write an .npz into the folder, and seal it."""
        write_npz(self.path / name, arrays)
        self.seal(name)

    def sampler(self, name: str, progress: Progress | None = None) -> Sampler:
        """A sampler over the train latents: the one in the folder, or fitted now and kept.

        Args:
            name: one of `SAMPLERS`.
            progress: shows how far a fit is.

        Raises:
            RunError: the model can't have it, such as `prior` where it has none.
        """
        kind = SAMPLERS[name]
        why_not = kind.unavailable(self.model)
        if why_not:
            raise RunError(
                f"{self.path}: {name} can't sample its latents: {why_not}; others can: {', '.join(samplers_for(self.model))}"
            )
        options = kind.options_for(self.model, choose_device(self.device))
        file = f"samplers/{name}.safetensors"
        if file in self.record["files"]:
            return kind.restore({n: t.numpy() for n, t in read_safetensors(self.checked(file)).items()}, options)
        with (progress or Silent()).stage(f"sampler {name}") as tick:
            fitted = kind(**options).fit(self.of_part("latents", TRAIN), self.labels_of(TRAIN), tick)
        state = {name: torch.from_numpy(np.array(value)) for name, value in fitted.state().items()}
        write_safetensors(self.path / file, state)
        self.seal(file)
        return fitted

    def sample(self, n: int, sampler: str = "class-means", seed: int = 0, labels: np.ndarray | None = None) -> Samples:
        """New pictures: latents drawn by a sampler, decoded.

        Args:
            n: how many.
            sampler: one of `SAMPLERS`.
            seed: the same seed, the same pictures.
            labels: the class of each, int (n,); None lets the sampler choose.
        """
        if n < 1:
            raise UsageError(f"{n} samples were asked for; at least 1 is needed")
        source = self.sampler(sampler)
        if labels is None:
            labels = source.labels_for(n)
        latents = source.sample(n, seed=seed, labels=labels)
        return Samples(self.decode(latents), latents, labels)

    @property
    def scores(self) -> dict[str, Any]:
        """What metrics.json holds: scores, and notes on what was left out.

        Raises:
            RunError: it was not scored yet.
        """
        scores: dict[str, Any] = read_json(self.checked("metrics.json"))
        return scores

    @property
    def verdict(self) -> Verdict:
        """What the scores come to: see `latens.verdict`.

        Raises:
            RunError: it was not scored yet.
        """
        return judge(self.scores["scores"])


def samples_as_arrays(samples: Samples) -> dict[str, np.ndarray]:
    """Samples as they are stored: `images` uint8 (N, C, H, W), `latents`, and `labels` where there are any."""
    arrays = {"images": to_uint8(samples.images), "latents": samples.latents}
    return arrays if samples.labels is None else {**arrays, "labels": samples.labels}

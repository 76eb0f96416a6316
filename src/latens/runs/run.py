"""`Run`: the view of a run's folder that knows models, latents, maps, samplers and scores. It reads them on demand.

run.json                settings, status and results; the hashes of the files below
history.jsonl           one line per epoch
model.safetensors       the weights
checkpoint.safetensors  during training: everything that is needed to continue
latents.npz             latents, labels, ids, part (0 train, 1 test) and squared error of every image, and as column:NAME
                        the columns of their table
images.npz              the images, if they can't be loaded again (arrays in memory)
maps/NAME.npz           samplers/NAME.safetensors    snapshots/EPOCH.npz
probe.npz               metrics.json                 figures/NAME.png        report.html
review.csv              neighbours.npz               what its review found, and the nearest others of each latent
adopted/encoder.onnx    adopted/decoder.onnx         of an adopted model that ONNX can hold

`latens.runs.record` describes how these files are written and checked.
"""

import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latens.errors import ImagesNotFound, RunDamaged, RunError, UsageError, lacks_memory
from latens.files import MAX_JSON, open_regular, read_safetensors
from latens.frames import Rows
from latens.images.contract import Dataset, Images
from latens.images.pixels import PixelFormat, composite, shown_channels, to_floats
from latens.maps import FEATURES, GIVEN, MAPS, Map, map_kind
from latens.metrics import Scores, ScoreTable
from latens.models import MODELS
from latens.progress import Progress, Silent
from latens.runs.record import RECORD, RunFolder, own_file
from latens.runs.tables import COLUMN, LatentArrays
from latens.samplers import SAMPLERS, Sampler, samplers_for
from latens.text import quoted, shown
from latens.training.recipes import MAX_SEED, Recipe, whole_number

if TYPE_CHECKING:
    # What is only needed to compute is imported where it is: the explorer shows a map before torch is there.
    import torch

    from latens.models.contract import Model
    from latens.verdict import Verdict

__all__ = ["TEST", "TRAIN", "Run", "Samples", "weights_in"]

WEIGHTS, CHECKPOINT, LATENTS = "model.safetensors", "checkpoint.safetensors", "latents.npz"
HISTORY_FILE = "history.jsonl"
ENCODER = "encoder.onnx"  # the given encoder of a run, where it is a file
LATENT_ARRAYS = ("latents", "part", "ids", "squared_error")
STORED = ("adopted/encoder.onnx", "adopted/decoder.onnx")  # of an adopted model that a file can hold
MADE_ELSEWHERE = {  # maps that are stored, but not fitted unasked: what is missing, and the option that gives it
    FEATURES: ("no features were mapped", "--features ENCODER"),
    GIVEN: ("no coordinates were given", "--coordinates FILE"),
}
TRAIN, TEST = 0, 1  # the two values of `part`
ENOUGH_FOR_A_MAP = 1000  # test images; with fewer, maps also show the train images


@dataclass(frozen=True)
class Samples:
    """New images: float32 (N, C, H, W), about [0, 1]; the latents (N, D) that they were decoded from; labels (N,) or None."""

    images: np.ndarray
    latents: np.ndarray
    labels: np.ndarray | None


def weights_in(state: "Mapping[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """The model's weights in a training state, as `Step.state()` returns it."""
    return {name.removeprefix("model."): tensor for name, tensor in state.items() if name.startswith("model.")}


MADE_BY = {"device": str, "threads": int, "versions": dict, "result": dict}  # entries that each run.json has
MORE = {"forms": dict, "left_out": dict, "latent_shape": list}  # entries that it may have
MORE_FACTS = {"notes": list, "options": dict, "rules": int, "show": str, "dtype": str}  # that its data may have
FACTS = {"name": str, "source": str, "fingerprint": str, "shape": list, "train": int, "test": int, "class_names": list}


def _check_facts(path: Path, record: Mapping[str, Any]) -> None:
    """Refuse a record whose images or recipe can't be those of a run.

    Raises:
        RunDamaged: an entry is missing, or of another kind.
    """
    data = record["data"]
    other = [name for name, kind in MADE_BY.items() if not isinstance(record.get(name), kind)]
    other += [name for name, kind in MORE.items() if not isinstance(record.get(name), kind | None)]
    if other:
        raise RunDamaged(f"{path / RECORD}: not a run's record; its {other[0]} is missing or of another kind")
    wrong = [name for name, kind in FACTS.items() if not isinstance(data.get(name), kind)]
    wrong += [name for name, kind in MORE_FACTS.items() if name in data and not isinstance(data[name], kind)]
    shape = data.get("shape")
    if not wrong and not (len(shape) == 3 and all(type(size) is int and size > 0 for size in shape)):
        wrong = ["shape"]
    texts = [name for name in ("class_names", "notes") if name not in wrong]
    wrong += [name for name in texts if not all(isinstance(one, str) for one in data.get(name, ()))]
    if wrong:
        raise RunDamaged(f"{path / RECORD}: does not say what its images are: {', '.join(wrong)}")
    try:
        Recipe.from_json(record["recipe"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RunDamaged(f"{path / RECORD}: its recipe is not one ({type(error).__name__}: {error})") from None


def _epoch_in(line: str) -> dict[str, Any]:
    """One line of a history.

    Raises:
        ValueError: it is no dict of numbers.
    """
    row = json.loads(line)
    if not isinstance(row, dict) or type(row.get("epoch")) is not int:
        raise ValueError("a line that is no epoch")
    other = next((name for name, value in row.items() if not _is_number(value)), None)
    if other is not None:
        raise ValueError(f"{shown(other)} is no number")
    return row


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and -1e300 < value < 1e300)


def _unsealed(path: Path) -> bytes:
    """A small file of a run of an earlier version, which has no hash of it."""
    try:
        with open_regular(own_file(path.parent, path.name)) as file:
            content = file.read(MAX_JSON + 1)
    except OSError as error:
        raise RunDamaged(f"{path}: not readable ({error.strerror})") from None
    if len(content) > MAX_JSON:
        raise RunDamaged(f"{path}: longer than {MAX_JSON >> 20} MiB")
    return content


def _opened_again(path: str, device: str, kind: "type[Model] | None") -> "Run":
    run = Run(path, device)
    if kind is not None:
        run.know_class(kind)
    return run


class Run:
    """An opened run. `latens.open_run` makes one.

    Args:
        path: the run's folder, which contains a run.json.
        device: the device of the model, see `choose_device`.

    Raises:
        RunDamaged: run.json is missing or not valid.
        RunError: it was written by a later latens.
    """

    def __init__(self, path: str | os.PathLike[str], device: str = "cpu") -> None:
        self.folder = RunFolder(path)
        _check_facts(self.path, self.folder.record)
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
        """The current content of run.json on disk; `update` changes it."""
        return self.folder.record

    def __reduce__(self) -> "tuple[Callable[..., Run], tuple[str, str, type[Model] | None]]":
        """For pickle: the path of its folder, which is opened there, and the class of its model where that is the user's own."""
        kind = MODELS.added.get(self.recipe.model)
        return _opened_again, (os.path.abspath(self.path), self.device, kind if isinstance(kind, type) else None)

    def know_class(self, kind: "type[Model]") -> None:
        """Take a class of the user's own for this run's model; in this process, runs of the same model then have it too.

        Raises:
            UsageError: it is no class of models, or this run's model is none of the user's own.
        """
        from latens.models.own import is_own, know_class

        if not is_own(self.recipe.model):
            raise UsageError(f"{self.path}: its model is {self.recipe.model!r}, no class of your own; leave model out")
        know_class(kind, self.recipe.model)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self.record['data']['name']}, {self.record['status']})"

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def recipe(self) -> Recipe:
        """The settings of the training."""
        return Recipe.from_json(self.record["recipe"])

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.record["data"]["shape"]
        return channels, height, width

    @property
    def format(self) -> PixelFormat:
        """What the pixels of its images mean: type, range, names of the channels, and how they are shown.

        Raises:
            RunDamaged: run.json says something else than a format.
        """
        try:
            return PixelFormat.from_json(self.record["data"], self.image_shape[0])
        except (KeyError, TypeError, ValueError) as error:
            raise RunDamaged(f"{self.path}: run.json has no valid range or channels ({error})") from None

    @property
    def shown_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of images as they are shown: C is 1 or 3."""
        channels, height, width = self.image_shape
        return shown_channels(channels, self.format.show), height, width

    def shown(self, images: np.ndarray) -> np.ndarray:
        """Images as they are shown, one channel of grey or red, green and blue, by the run's rule.

        Args:
            images: bytes of ordinary images, or floats about [0, 1], such as `decode` gives, (N, C, H, W).
        """
        return composite(images, self.format.show)

    def inputs_of(self, images: Any) -> Any:
        """Images as the model takes them: ordinary bytes, or float32 in [0, 1] of the run's range.

        Args:
            images: `Images`, read by the run's range and not by their own; or an array or tensor (N, C, H, W). Whole numbers
                are numbers as the run's own images have them. Floats are that too where these are floats with a range other
                than 0 to 1; otherwise they lie in [0, 1] already, as those do that `decode` gives.
        """
        form = self.format
        if isinstance(images, Images):
            if form.is_plain or images.pixels.shape[1:] != self.image_shape:
                return images  # with a shape that does not fit it is refused
            return replace(images, value_range=form.value_range)
        if form.is_plain or isinstance(images, Dataset):
            return images
        from latens.images.given import as_array

        array = as_array(images, "images")
        own_floats = form.dtype == "float32" and any(pair != (0, 1) for pair in form.value_range)
        if array.dtype.kind in "ui" or (array.dtype.kind == "f" and own_floats):
            if array.ndim == 3 and array.shape != self.image_shape:
                array = array[:, None]
            return to_floats(array, form.value_range) if array.shape[-3:] == self.image_shape else array
        return array

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes; empty without labels."""
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
        """Record the hashes of files that were written by other means; see `RunFolder.seal`."""
        self.folder.seal(*names)

    def forget(self, *names: str) -> None:
        """Remove files from the run and delete them; see `RunFolder.forget`."""
        self.folder.forget(*names)

    def checked(self, name: str) -> Path:
        """The path of a file of the run, after checking its hash; see `RunFolder.checked`."""
        return self.folder.checked(name)

    def _current(self, name: str, read: Callable[[], Any], what: str = "") -> Any:
        """The result of reading a file of the run, or what of it, cached until the file changes."""
        with self._reading:  # so that threads of the explorer don't read a file twice
            digest, key = self.folder.files.get(name, ""), what + name
            if self._kept.get(key, ("", None))[0] != digest or not digest:
                self._kept[key] = digest, read()
            return self._kept[key][1]

    @property
    def model(self) -> "Model":
        """The model with the latest stored weights. It is read again when the file has changed.

        Raises:
            RunError: there are no weights yet; or the run was adopted and its functions are not available.
            RunDamaged: the weights are missing or damaged, or do not fit the model of run.json.
        """
        if self._own_model is not None:
            return self._own_model
        if self.recipe.is_adopted and STORED[0] in self.folder.files:
            adopted: Model = self._current(STORED[0], self._load_adopted)
            return adopted
        model: Model = self._current(self._weights_file(), self._load_model)
        return model

    @model.setter
    def model(self, model: "Model") -> None:
        """Use a model in memory: one in training, or one made of adopted functions."""
        self._own_model = model

    def untrained_model(self) -> "Model":
        """A new model on the run's device, with initial weights from the recipe's seed."""
        return self._placed(self._new_model())

    def _new_model(self) -> "Model":
        from latens.training.loop import build_model

        name = self.recipe.model
        if ":" in name and name not in MODELS:
            kind = name.rpartition(":")[2].rpartition(".")[2]
            raise RunError(
                f"{self.path}: its model is {shown(name)}, a class outside latens, and opening a run imports none. If you"
                f" trust that module, give it: --model {shown(name)}, or latens.open_run(RUN, model={shown(kind)})"
            )
        return build_model(self.recipe, self.image_shape)

    def _load_model(self) -> "Model":
        model = self._new_model()
        try:
            model.load_state_dict(self.weights())
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise RunDamaged(f"{self.path}: the weights do not fit the model of run.json ({reason})") from None
        return self._placed(model)

    def _load_adopted(self) -> "Model":
        from latens.models.onnx_pair import OnnxPair, model_of_pair

        pair = OnnxPair(*(self.folder.load(name) for name in STORED))
        try:
            return model_of_pair(self.image_shape, tuple(self.record["latent_shape"]), pair).eval()
        except UsageError as error:
            raise RunDamaged(f"{self.path}: its adopted model can't be used: {error}") from None

    def _placed(self, model: "Model") -> "Model":
        from latens.device import choose_device
        from latens.encoders import encoder_of
        from latens.models import FrozenModel
        from latens.training.loop import known_forms, use_forms

        device = choose_device(self.device)
        if ENCODER in self.folder.files and isinstance(model, FrozenModel):
            name = self.recipe.model_options["encoder"]
            model.use_encoder(lambda: replace(encoder_of(f"onnx:{self.checked(ENCODER)}"), name=name))
        if device.type == "cpu" and self.record.get("forms"):
            use_forms(model, known_forms(self.record["forms"]))
        return model.to(device).eval()

    def weights(self) -> "dict[str, torch.Tensor]":
        """The latest stored weights, on the CPU.

        Raises:
            RunError: there are no weights yet.
            RunDamaged: the file is missing, or its bytes are not those that were written.
        """
        name = self._weights_file()
        # Earlier versions did not record the checkpoint's hash in run.json; the file contains its own.
        sealed = name in self.folder.files
        tensors = self.folder.load(name) if sealed else read_safetensors(own_file(self.path, name))
        return tensors if name == WEIGHTS else weights_in(tensors)

    def _weights_file(self) -> str:
        """The file of the latest weights: the checkpoint while a run is unfinished, since it is the newer one."""
        if self.recipe.is_adopted:
            raise RunError(
                f"{self.path}: was adopted as two functions, which can't be stored in a folder;"
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
        """Encode images, read by the run's range (see `inputs_of`): the latents, float32 (N, D)."""
        from latens.latents import encode_images

        return encode_images(self.model, self.inputs_of(images))

    def decode(self, latents: Any) -> np.ndarray:
        """Decode latents (N, D): the images, float32 (N, C, H, W); see `latens.latents.decode_latents`."""
        from latens.latents import decode_latents

        return decode_latents(self.model, latents)

    def reconstruct(self, images: Any) -> np.ndarray:
        """Encode and decode images, read by the run's range: their reconstructions, float32 (N, C, H, W), about [0, 1].

        `latens.images.pixels.from_floats` makes numbers of them as the images have.
        """
        from latens.latents import reconstruct_images

        return reconstruct_images(self.model, self.inputs_of(images))

    def denoise(self, images: Any) -> np.ndarray:
        """Remove noise from images, by a model that was trained to, such as `autoencoder:noise=0.2`.

        Args:
            images: as for `encode`; floats may lie outside [0, 1], as they do with noise, from -3 to 4.

        Returns:
            float32 (N, C, H, W), in [0, 1].

        Raises:
            RunError: the model was not trained to remove noise.
            UsageError: images of another shape or type.
        """
        from latens.images.given import as_array
        from latens.latents import reconstruct_images

        self.check_denoises()
        given = self.inputs_of(images)
        if not isinstance(given, Images | Dataset):
            given = as_array(given, "images")
            if given.dtype.kind == "f" and given.size and given.min() >= -3 and given.max() <= 4:
                given = np.clip(given, 0, 1)
        clean: np.ndarray = np.clip(reconstruct_images(self.model, given), 0, 1)
        return clean

    def check_denoises(self) -> None:
        """Refuse a run whose model was not trained to remove noise.

        Raises:
            RunError: it was not.
        """
        if not self.model.input_noise > 0:
            raise RunError(
                f"{self.path}: its model was not trained to remove noise; train one that is:"
                " latens run DATA --model autoencoder:noise=0.2"
            )

    @property
    def history(self) -> Rows:
        """One dict per epoch: epoch, step, train_loss, train_mse, test_mse, learning_rate, elapsed (seconds).

        `run.history.to_pandas()` and `polars.DataFrame(run.history)` make tables of it.
        """
        path = self.path / HISTORY_FILE
        sealed = HISTORY_FILE in self.folder.files  # runs of earlier versions have no hash of it
        if not sealed and not path.exists():
            return Rows()
        try:
            content = self.folder.load(HISTORY_FILE) if sealed else _unsealed(path)
            return Rows(_epoch_in(line) for line in content.decode().splitlines())
        except (ValueError, RecursionError) as error:
            raise RunDamaged(f"{path}: not readable as lines of JSON ({error})") from None

    @property
    def images(self) -> Dataset:
        """The run's images: loaded from their source, or from the run if it stores them.

        Assign a `Dataset` of the same images if the source has moved.

        Raises:
            ImagesError: they can't be read.
            RunError: they no longer exist, or have changed since the run was trained.
        """
        if self._own_images is None:
            from latens.runs.kept_images import IMAGES, load_kept_images

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
        from latens.images.load import load_again
        from latens.images.remote import is_remote

        source = str(data["source"])
        try:
            return load_again(source, data, fetch=False)
        except ImagesNotFound:
            if is_remote(source):  # of whoever made the run: nothing is reached that the user has not asked for
                raise RunError(
                    f"{self.path}: its images are at {shown(source)} and not in the cache; to fetch them, give the address:"
                    f" --data {quoted(source)}, or open_run(..., data=...)"
                ) from None
            raise RunError(
                f"{self.path}: its images are no longer at {shown(data['source'])}; say where they are now:"
                f" --data NEW, or open_run(..., data=NEW)"
            ) from None

    def check_images(self, images: Any, source: str) -> None:
        """Check that a data set is the one that the run was trained on.

        Args:
            images: the data set.
            source: its name in the message.

        Raises:
            RunError: its pixels, labels or class names differ.
            RunDamaged: they are those images, and run.json says another shape of them.
            UsageError: it is not a `Dataset`.
        """
        if not isinstance(images, Dataset):
            raise UsageError(f"images is a {type(images).__name__}; a Dataset is needed: load_images(...) makes one")
        if images.fingerprint != self.record["data"]["fingerprint"]:
            raise RunError(
                f"{source}: not the images that {self.path} was trained on (the fingerprint differs);"
                " give the same images, or start a new run"
            )
        if images.shape != self.image_shape:
            raise RunDamaged(
                f"{self.path / RECORD}: says that its images are {self.image_shape}; they are {images.shape}"
            )

    @property
    def latents(self) -> LatentArrays:
        """The arrays of latents.npz, memory-mapped: latents, part, ids, squared_error, and labels if there are any.

        `run.latents.to_pandas()` and `polars.DataFrame(run.latents.columns())` make tables of it.
        """
        found: LatentArrays = self._current(
            LATENTS,
            lambda: LatentArrays(self._of_its_classes(self.folder.mapped(LATENTS, LATENT_ARRAYS)), self.class_names),
        )
        return found

    def _of_its_classes(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Arrays of latents.npz, whose labels are looked at; -1 is that of an image without a class, as parts may have."""
        labels = arrays.get("labels")
        if labels is not None and labels.size and not -1 <= labels.min() <= labels.max() < len(self.class_names):
            raise RunDamaged(f"{self.path / LATENTS}: not what a run has there: its labels are none of its classes")
        return arrays

    def _head(self, name: str) -> np.ndarray | None:
        """`part` or `labels` of latents.npz, None where it has none; all of the file is not read for them."""
        digest, whole = self._kept.get(LATENTS, ("", {}))
        if digest and digest == self.folder.files.get(LATENTS):
            read: np.ndarray | None = whole.get(name)
            return read  # all of the file is in memory
        arrays: dict[str, np.ndarray] = self._current(
            LATENTS, lambda: self._of_its_classes(self.folder.glance(LATENTS, ("part", "labels"))), "head of "
        )
        return arrays.get(name)

    @property
    def part(self) -> np.ndarray:
        """The part of each image, 0 (train) or 1 (test), (N,).

        Raises:
            RunError: there are no latents yet.
            RunDamaged: latents.npz is missing, or damaged there.
        """
        part = self._head("part")
        if part is None:
            raise RunDamaged(f"{self.path / LATENTS}: has no array 'part'")
        return part

    @property
    def mapped_part(self) -> int | None:
        """The part that maps and the probe show: test, or None (all images) if the test part is small."""
        return TEST if int((self.part == TEST).sum()) >= ENOUGH_FOR_A_MAP else None

    def of_part(self, name: str, part: int | None) -> np.ndarray:
        """One array of `latents`: the rows of one part, or all rows for None."""
        rows: np.ndarray = self.latents[name][self._rows_of(part)]
        return rows

    def _rows_of(self, part: int | None) -> Any:
        """What picks the rows of one part, or all for None; a slice, which copies nothing, where the parts do not mix."""
        if part is None:
            return slice(None)
        test = int(np.argmax(self.part == TEST)) if (self.part == TEST).any() else len(self.part)
        if (self.part[:test] == TRAIN).all() and (self.part[test:] == TEST).all():
            return slice(0, test) if part == TRAIN else slice(test, None)
        return self.part == part

    def labels_of(self, part: int | None) -> np.ndarray | None:
        """The labels of one part, or of all images for None, int64 (N,); None without labels."""
        labels = self._head("labels")
        return None if labels is None else labels[self._rows_of(part)]

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """The columns of the images' table by their names, one value an image in the order of `latents`; see `Images`."""
        return {name.removeprefix(COLUMN): array for name, array in self.latents.items() if name.startswith(COLUMN)}

    @property
    def usual_distance(self) -> float:
        """The median distance of a latent of `mapped_part` to its nearest neighbour: the unit of distances from the data."""
        latents = self.latents
        if self._usual_distance is None or self._usual_distance[0] is not latents:
            from latens.neighbours import usual_distance

            self._usual_distance = latents, usual_distance(self.of_part("latents", self.mapped_part))
        return self._usual_distance[1]

    def map(
        self, name: str = "tsne", seed: int | None = None, progress: Progress | None = None, *, features: Any = None
    ) -> Map:
        """A map of the latents of `mapped_part`: the stored one, or a new fit, which is stored.

        Args:
            name: one of `MAPS`, or `features` or `given` where there is one.
            seed: fit again with this seed; None takes the stored map, or the run's seed for a fit.
            progress: shows the progress of a fit.
            features: an encoder: maps its features of the images in place of the latents, anew, and stores the map as `features`;
                see `latens.computed.map_run`.

        Raises:
            UnknownName: there is no such map.
            RunError: the map `features` or `given` was not made yet.
        """
        if features is not None:
            # What is computed from runs stands above them; only this call goes the other way.
            made: Map = import_module("latens.computed").map_run(
                self, name, seed=seed, features=features, progress=progress
            )
            return made
        file = f"maps/{name}.npz"
        if name in MADE_ELSEWHERE and file not in self.record["files"]:
            missing, option = MADE_ELSEWHERE[name]
            raise RunError(f"{self.path}: {missing}; say `latens map {quoted(self.path)} {option}` first")
        latents, made_of = self._latents_of(self.mapped_part)
        # A map of given coordinates can only be stored, not fitted.
        kind = map_kind(name) if file in self.record["files"] else MAPS[name]
        if seed is None and file in self.record["files"]:
            return kind.restore(self.folder.load(file), latents)
        with (progress or Silent()).stage(f"map {name}") as tick:
            chosen = self.recipe.config.seed if seed is None else whole_number("seed", seed, 0, MAX_SEED)
            fitted = kind().fit(latents, seed=chosen, progress=tick)
        self.keep_map(name, fitted, made_of)
        return fitted

    def keep_map(self, name: str, fitted: Map, made_of: Mapping[str, str] | None = None) -> None:
        """Store a map of the latents of `mapped_part` under a name.

        Args:
            name: of the map.
            fitted: the map.
            made_of: see `RunFolder.commit`.
        """
        # Its scores were those of the previous map.
        self.folder.commit({f"maps/{name}.npz": fitted.state()}, forget=[f"maps/{name}.json"], made_of=made_of)

    def _latents_of(self, part: int | None) -> tuple[np.ndarray, dict[str, str]]:
        """The latents of a part, and latents.npz with the hash that it had when they were read."""
        with self._reading:
            return self.of_part("latents", part), {LATENTS: self._kept[LATENTS][0]}

    def map_scores(self, name: str) -> Scores:
        """The scores of a map; computed once and stored beside it."""
        file = f"maps/{name}.json"
        if file not in self.record["files"]:
            from latens.metrics.map import score_map

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
                    return found  # another process has stored another map in the meantime
                self.save(file, found.as_json())
        return Scores.from_json(self.folder.load(file))

    def sampler(self, name: str, progress: Progress | None = None) -> Sampler:
        """A sampler of the train latents: the stored one, or a new fit, which is stored.

        Args:
            name: one of `SAMPLERS`.
            progress: shows the progress of a fit.

        Raises:
            RunError: the model can't have it, such as `prior` where it has none.
        """
        import torch

        from latens.device import choose_device

        # A stored sampler of an adopted run needs no model.
        kind, model = SAMPLERS[name], self._own_model if self.recipe.is_adopted else self.model
        why_not = kind.unavailable(model)
        if why_not:
            raise RunError(
                f"{self.path}: {name} can't sample its latents: {why_not}; others can: {', '.join(samplers_for(model))}"
            )
        options = kind.options_for(model, choose_device(self.device))
        file = f"samplers/{name}.safetensors"
        if file in self.record["files"]:
            return self._restored(file, kind, options)
        with (progress or Silent()).stage(f"sampler {name}") as tick:
            latents, made_of = self._latents_of(TRAIN)
            fitted = kind(**options).fit(latents, self.labels_of(TRAIN), tick)
        state = {name: torch.from_numpy(np.array(value)) for name, value in fitted.state().items()}
        self.folder.commit({file: state}, made_of=made_of)
        return fitted

    def _restored(self, file: str, kind: type[Sampler], options: Mapping[str, Any]) -> Sampler:
        """A stored sampler, once it has drawn a latent: its arrays may be of any shape and type."""
        tensors = self.folder.load(file)
        try:
            stored = kind.restore({name: tensor.numpy() for name, tensor in tensors.items()}, options)
            drawn = stored.sample(1, labels=stored.labels_for(1))
        except (ValueError, TypeError, IndexError, KeyError, ArithmeticError, RuntimeError, AttributeError) as error:
            if lacks_memory(error):
                raise
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise RunDamaged(f"{self.path / file}: is no sampler of this run ({reason})") from None
        if drawn.shape != (1, self.recipe.latent_dim) or not np.isfinite(drawn).all():
            raise RunDamaged(f"{self.path / file}: is no sampler of this run: it draws what is no latent of it")
        return stored

    def sample(self, n: int, sampler: str = "class-means", seed: int = 0, labels: np.ndarray | None = None) -> Samples:
        """New images: latents from a sampler, decoded.

        Args:
            n: number of images, at least 1.
            sampler: one of `SAMPLERS`.
            seed: equal seeds give equal images.
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

    def detect(self, images: Any, **options: Any) -> Any:
        """How odd new images are beside those that the run was trained on, where, and how sure that is.

        Args:
            images: as for `load_images`, or one image file, or `Images`.
            **options: `method`, `false_alarms`, `features`, `maps`; see `latens.detection.detect_images`.

        Returns:
            `latens.detection.Detections`.
        """
        return import_module("latens.detection").detect_images(self, images, **options)

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

    def review(self, images: Any, **options: Any) -> Any:
        """Review new images: near-duplicates of the run's, odd ones, doubtful labels; see `latens.computed.review.review_new`.

        Args:
            images: as for `load_images`, one file, or `Images`.
            **options: `strict=True` refuses files that can't be read.

        Returns:
            A `NewReview`: one record an image, with `as_csv` and `as_json`.
        """
        # What is computed from runs stands above them; only this call goes the other way.
        return import_module("latens.computed.review").review_new(self, images, **options)

    def search(self, what: Any, k: int = 10, **options: Any) -> Any:
        """The nearest of the run's images to others: a `latens.computed.Found` with ids and distances, nearest first.

        Args:
            what: an id of the run, an image file or folder, images as an array or `Images`, or latents (M, D).
            k: how many of each.
            **options: `within=` a file of latents to search instead, and others of `latens.computed.search_run`.

        Raises:
            UsageError: neither an id nor images; k below 1.
            ImagesError: the images can't be read.
        """
        # What is computed from runs stands above them; only this call goes the other way.
        return import_module("latens.computed").search_run(self, what, k, **options)

    @property
    def scores(self) -> ScoreTable:
        """The scores, a sequence of records with `to_pandas` and `to_dicts`, and notes on what was left out.

        Raises:
            RunError: the run was not scored yet.
        """
        plain = self.folder.load("metrics.json")
        try:
            return ScoreTable.from_json(plain)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunDamaged(f"{self.path / 'metrics.json'}: not readable as scores ({error})") from None

    @property
    def verdict(self) -> "Verdict":
        """The conclusions from the scores, see `latens.verdict`.

        Raises:
            RunError: the run was not scored yet.
        """
        from latens.verdict import judge

        return judge(self.scores, quoted(self.path), relu=self.recipe.has_relu_latent)

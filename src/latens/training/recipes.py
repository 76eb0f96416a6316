"""Recipes: complete settings by name. They load no torch, since the command line reads their names."""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from latens.errors import UnknownName, UsageError
from latens.models import MODELS
from latens.tables import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from latens.images import Dataset

__all__ = [
    "ADOPTED",
    "AUGMENTATIONS",
    "FROZEN",
    "LINEAR_PATH",
    "MAX_SEED",
    "OPTIMISERS",
    "PRECISIONS",
    "RECIPES",
    "RECIPE_OPTIONS",
    "TRAINED_ELSEWHERE",
    "Recipe",
    "TrainConfig",
    "best",
    "fast",
    "generative",
    "model_name",
    "named_with_options",
    "notebook",
    "options_of_encoder",
    "read_choice",
    "recipe_for",
    "whole_number",
]

OPTIMISERS = ("adam", "muon")
PRECISIONS = ("float32", "tf32", "bfloat16")
MAX_SEED = 2**32 - 1  # what scikit-learn and numpy's older generators take
AUGMENTATIONS = ("none", "shift", "shift-flip", "flip", "blend", "blend-flip")
FAST_STEPS, BEST_STEPS, GENERATIVE_STEPS = 2814, 15_946, 5628
FEW_STEPS, MORE_STEPS = 1200, 2400  # beside a linear path, which starts where it would take thousands
MORE = 2048  # images, from which on more and longer steps do not overfit
FEW = 16_384  # images; with fewer a network overfits
LATENT_BIAS = 0.6  # of a ReLU latent under Muon, at the start
HOLDOUT = 0.1  # of the train images, of a small set
LINEAR_PATH = "linear-path"  # the network of a small set
MOST_TRIED = 1500  # images, by which an augmentation is chosen
NARROW = 8  # latent dimensions, under which a small set's latent starts with that bias too
FROZEN = "frozen"  # the model whose encoder is given; not in `MODELS`, since it can't be made without one
FROZEN_DIM = 128  # latent dimensions that keep most of what a pretrained encoder tells apart
ADOPTED = "adopted"  # the model of an adopted run; not in `MODELS`
TRAINED_ELSEWHERE = "kept"  # the recipe of a model that was trained elsewhere; not in `RECIPES`
# What the command line takes; Python takes every part of a Recipe and its TrainConfig.
RECIPE_OPTIONS = (
    *(
        "model",
        "network",
        "latent_dim",
        "epochs",
        "batch_size",
        "learning_rate",
        "precision",
        "augmentation",
        "window",
        "seed",
    ),
)


def read_choice(text: str) -> tuple[str, dict[str, Any]]:
    """A name with options, as the command line takes it: `variational:beta=4,decoder=bernoulli`.

    The name may be that of a class of the user's own, `package.module:Class`.

    Raises:
        UsageError: an option without a value, or given twice.

    >>> read_choice("variational:beta=4,decoder=bernoulli")
    ('variational', {'beta': 4, 'decoder': 'bernoulli'})
    >>> read_choice("package.models:Masked:share=0.5")
    ('package.models:Masked', {'share': 0.5})
    """
    name, _, rest = text.partition(":")
    if name not in MODELS and rest and "=" not in rest.partition(":")[0]:
        own, _, rest = rest.partition(":")
        name = f"{name}:{own}"
    options: dict[str, Any] = {}
    for part in rest.split(",") if rest else ():
        option, equals, value = part.partition("=")
        if not equals or not option or not value or option in options:
            raise UsageError(f"{text!r}: {part!r} is no option; write name:option=value,option=value, each option once")
        options[option.replace("-", "_")] = _read_value(value)
    return name, options


def model_name(model: Any) -> Any:
    """The name of a model that a user has asked for. A class of the user's own is imported, and known to `MODELS` from now on.

    Args:
        model: a name, with options or without, `package.module:Class` among them; or a subclass of `latens.models.Model`.

    Raises:
        UsageError: there is no such class, or it is no model.
    """
    if isinstance(model, type):
        from latens.models.own import know_class

        return know_class(model)
    name = read_choice(model)[0] if isinstance(model, str) else ""
    if ":" in name and name not in MODELS:
        from latens.models.own import class_named

        class_named(name)
    return model


def named_with_options(name: str, options: Mapping[str, Any]) -> str:
    """The text that `read_choice` reads.

    >>> named_with_options("variational", {"beta": 4, "decoder": "bernoulli"})
    'variational:beta=4,decoder=bernoulli'
    """
    return name + ":" * bool(options) + ",".join(f"{option}={value}" for option, value in options.items())


def _read_value(text: str) -> bool | int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return {"true": True, "false": False}.get(text.lower(), text)


def whole_number(name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """A whole number as a plain int, numpy's and torch's own as well.

    Raises:
        UsageError: it is of another type, or outside of the range.

    >>> whole_number("epochs", 3, least=1)
    3
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise UsageError(f"{name} is {value!r}; a whole number is needed")
    if least is not None and number < least:
        raise UsageError(f"{name} is {number}; at least {least} is needed")
    if most is not None and number > most:
        raise UsageError(f"{name} is {number}; at most {most} is allowed")
    return number


def _real_number(name: str, value: Any) -> float:
    plain = _plain(value)
    if isinstance(plain, bool) or not isinstance(plain, int | float):
        raise UsageError(f"{name} is {value!r}; a number is needed")
    return plain


def _plain(value: Any) -> Any:
    """A scalar of numpy or torch as Python's own; anything else as it is."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value


@dataclass(frozen=True)
class TrainConfig:
    """Training settings: all numbers that determine the result, apart from the model and the images.

    Args:
        epochs: passes over the train part.
        batch_size: images a step; the last step of an epoch takes the remaining ones.
        optimiser: `"adam"`, or `"muon"`: Muon on the weights and Adam on the biases.
        learning_rate: of Adam; with Muon it moves only the biases.
        matrix_learning_rate: of Muon.
        beta2: Adam's second moment decay.
        weight_decay: Muon's, see `latens.training.optimisers.Muon`.
        warmup: share of all steps in which the learning rate rises.
        decay: whether it falls linearly to zero, or stays constant.
        seed: of the weights, the order of the images and the noise.
        precision: of the arithmetic: one of `PRECISIONS`.
        augmentation: `"none"`, or how batches are augmented, see `latens.training.augmentation.moved`: `"shift"`, `"shift-flip"`,
            `"flip"`, `"blend"`, `"blend-flip"`.
        holdout: share of the train part, 0 to 0.5, that is not trained on: the weights of the epoch with the least loss on it are
            kept. 0 keeps those of the last epoch.
        window: images that are shuffled together, where the train part does not fit into memory, see
            `latens.training.order.batches`; 0 shuffles all. `recipe_for` chooses it.
    """

    epochs: int
    batch_size: int
    optimiser: str = "adam"
    learning_rate: float = 2e-4
    matrix_learning_rate: float = 0.03
    beta2: float = 0.999
    weight_decay: float = 0.0
    warmup: float = 0.0
    decay: bool = False
    seed: int = 0
    precision: str = "float32"
    augmentation: str = "none"
    holdout: float = 0.0
    window: int = 0

    def __post_init__(self) -> None:
        # Plain numbers, so that they can be stored: numpy's scalars are given as well.
        plain: dict[str, Any] = {name: whole_number(name, getattr(self, name), 1) for name in ("epochs", "batch_size")}
        plain["window"] = whole_number("window", self.window, 0)
        plain["seed"] = whole_number("seed", self.seed, 0, MAX_SEED)
        for name in ("learning_rate", "matrix_learning_rate", "beta2", "weight_decay", "warmup", "holdout"):
            plain[name] = _real_number(name, getattr(self, name))
        plain["decay"] = bool(self.decay)
        for name, value in plain.items():
            object.__setattr__(self, name, value)  # of a frozen dataclass, while it is being made
        for name in ("learning_rate", "matrix_learning_rate"):
            if not 0 < plain[name] < math.inf:
                raise UsageError(f"{name} is {plain[name]:g}; it must be above 0 and finite")
        if not 0 <= self.weight_decay < math.inf:
            raise UsageError(f"weight_decay is {self.weight_decay:g}; it must not be negative, and finite")
        if not 0 <= plain["holdout"] <= 0.5:
            raise UsageError(f"holdout is {plain['holdout']:g}; a share of the train images from 0 to 0.5 is allowed")
        if self.optimiser not in OPTIMISERS:
            raise UsageError(f"optimiser is {self.optimiser!r}; known: {', '.join(OPTIMISERS)}")
        if self.augmentation not in AUGMENTATIONS:
            raise UsageError(f"augmentation is {self.augmentation!r}; known: {', '.join(AUGMENTATIONS)}")
        if self.precision not in PRECISIONS:
            raise UsageError(f"precision is {self.precision!r}; known: {', '.join(PRECISIONS)}")

    @classmethod
    def from_json(cls, settings: dict[str, Any]) -> "TrainConfig":
        """The config that `asdict` made a dict of."""
        return cls(**{f.name: settings[f.name] for f in fields(cls) if f.name in settings})


@dataclass(frozen=True)
class Recipe:
    """A complete setting by name: what is trained, and how.

    Args:
        name: of the recipe.
        model: a name of `MODELS`.
        network: a name of `NETWORKS`.
        latent_dim: D.
        config: how it is trained.
        model_options: what the model's constructor takes beside the shape, the dimension and the network: `{"beta": 4}`.
        latent_bias: added to the encoder's last bias; above 0 it keeps units of a ReLU latent from dying in the first steps.
        output_bias: initial value of the decoder's last bias, best the mean pixel; None leaves it as torch draws it.
    """

    name: str
    model: str
    network: str
    latent_dim: int
    config: TrainConfig
    model_options: Mapping[str, Any] = field(default_factory=dict)
    latent_bias: float = 0.0
    output_bias: float | None = None

    def __post_init__(self) -> None:
        for name, kinds in (("model", "MODELS"), ("network", "NETWORKS")):
            if not isinstance(getattr(self, name), str):
                given = type(getattr(self, name)).__name__
                raise UsageError(f"{name} is an object of type {given}; the name of one of {kinds} is needed")
        plain = {name: _plain(value) for name, value in self.model_options.items()}
        latent_dim = whole_number("latent dimension", self.latent_dim, 1)
        for name, value in (("latent_dim", latent_dim), ("model_options", plain)):
            object.__setattr__(self, name, value)

    def with_options(self, **options: Any) -> "Recipe":
        """The recipe with some parts replaced, its own or its config's; None leaves a part as it is.

        A learning rate given without a matrix learning rate scales both by the same factor.
        A model may have options, `model="variational:beta=4"`; a model other than the recipe's gets none of the recipe's options.

        Raises:
            UnknownName: there is no such part.
            UsageError: a value that is not allowed.
        """
        given = {name: value for name, value in options.items() if value is not None}
        own = {f.name for f in fields(self)} - {"name", "config"}
        for name in given:
            if name not in (known := own | {f.name for f in fields(self.config)}):
                raise UnknownName("option", name, known)
        config = {name: value for name, value in given.items() if name not in own}
        parts = {name: value for name, value in given.items() if name in own}
        if isinstance(parts.get("model"), str):
            parts["model"], told = read_choice(parts["model"])
            parts["model_options"] = {**told, **parts.get("model_options", {})}
        if "learning_rate" in config and "matrix_learning_rate" not in config:
            # One option scales both: with Muon, Adam's rate alone moves only the biases.
            factor = _real_number("learning_rate", config["learning_rate"]) / self.config.learning_rate
            config["matrix_learning_rate"] = self.config.matrix_learning_rate * factor
        chosen = replace(self, **parts, config=replace(self.config, **config))
        if "network" not in parts and chosen.network == LINEAR_PATH and chosen.has_no_linear_path:
            chosen = replace(chosen, network="convolutional")
        if "latent_bias" not in parts and not chosen.has_relu_latent:
            chosen = replace(chosen, latent_bias=0.0)  # which is there to keep a ReLU from dying
        elif "latent_bias" not in parts and chosen.config.optimiser == "muon" and chosen.latent_dim < NARROW:
            # So few units can all die in the first long steps of Muon (docs/decisions/0017-models.md).
            chosen = replace(chosen, latent_bias=max(chosen.latent_bias, LATENT_BIAS))
        return chosen

    @property
    def has_relu_latent(self) -> bool:
        """Whether a ReLU cuts off the latents, which can leave units at 0 for ever."""
        return self.model == "autoencoder" and self.model_options.get("activation", "relu") == "relu"

    @property
    def has_no_linear_path(self) -> bool:
        """Whether the model can't have one: a grid of latents needs a map, and a given encoder is no linear one."""
        return self.model == FROZEN or bool(self.model_options.get("spatial"))

    @property
    def is_adopted(self) -> bool:
        """Whether it stands for an adopted model: latens trained nothing, and `network` is the model's name."""
        return self.model == ADOPTED

    @property
    def model_choice(self) -> str:
        """The model with its options, as `with_options(model=...)` and `--model` take it."""
        return named_with_options(self.model, self.model_options)

    def to_json(self) -> dict[str, Any]:
        """The recipe as a plain dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, settings: dict[str, Any]) -> "Recipe":
        """The recipe that `to_json` made a dict of."""
        return cls(**{**settings, "config": TrainConfig.from_json(settings["config"])})


def options_of_encoder(name: str, options: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """The parts of a recipe to replace where the encoder is given; see `latens.models.FrozenModel`.

    Args:
        name: of the encoder.
        options: other parts, as `Recipe.with_options` takes them.

    Raises:
        UsageError: another model is asked for.
    """
    if options.get("model") not in (None, FROZEN):
        raise UsageError(
            f"an encoder is given, so the model is {FROZEN}; --model {options['model']} has an encoder of its own"
        )
    # What an encoder sees in images is computed once; it would have to look at each augmented image anew.
    chosen = {"latent_dim": FROZEN_DIM, "augmentation": "none"}
    chosen |= {part: value for part, value in options.items() if value is not None}
    return {**chosen, "model": FROZEN, "model_options": {"encoder": name}}


def notebook(images: "Dataset") -> Recipe:
    """The setting of the reference experiment: Adam at 2e-4, batch 512, 300 epochs.

    `latens run mnist --recipe notebook`: test MSE 0.0027 after 300 epochs, about half an hour on two CPU cores.
    """
    return Recipe("notebook", "autoencoder", "convolutional", 64, TrainConfig(epochs=300, batch_size=512))


def fast(images: "Dataset") -> Recipe:
    """The default: Muon on the weights, Adam on the biases, a short rise and a linear fall of the learning rate.

    `latens run mnist`: test MSE 0.0022 after 3 epochs, ten seconds on two CPU cores.

    It is a budget of steps, so that small sets train as well as large ones: 2,814 steps, or one epoch if that is more.
    With fewer than 16,384 images a network overfits, and PCA of as many numbers has a smaller error. Such sets get the network
    `linear-path`, which starts as PCA, no activation on the latent, 1,200 shorter steps (2,400 from 2,048 images on), and an
    augmentation chosen by the error of PCA on images held out. A tenth of the train images is held out, and the weights with the
    least error on it are kept (docs/decisions/0022-never-worse-than-pca.md).
    """
    num_images, few = _how_many(images)
    if few:
        return _fast_for_few(images)
    batch_size = 64
    config = TrainConfig(
        epochs=max(1, round(FAST_STEPS * batch_size / num_images)),
        batch_size=batch_size,
        optimiser="muon",
        learning_rate=0.016,
        matrix_learning_rate=0.03,
        beta2=0.99,
        warmup=0.02,
        decay=True,
    )
    return Recipe(
        "fast",
        "autoencoder",
        "convolutional",
        _latent_dim(images),
        config,
        latent_bias=LATENT_BIAS,
        output_bias=_mean_pixel(images),
    )


def _fast_for_few(images: "Dataset") -> Recipe:
    num_images = len(images.train)
    more = num_images >= MORE
    batch_size = 32
    config = TrainConfig(
        epochs=max(1, round((MORE_STEPS if more else FEW_STEPS) * batch_size / num_images)),
        batch_size=batch_size,
        optimiser="muon",
        learning_rate=0.003 if more else 0.002,
        matrix_learning_rate=0.01 if more else 0.006,
        beta2=0.99,
        warmup=0.02,
        decay=True,
        augmentation=_augmentation(images),
        holdout=HOLDOUT,
    )
    return Recipe(
        "fast",
        "autoencoder",
        LINEAR_PATH,
        _latent_dim(images),
        config,
        model_options={"activation": "none"},
        output_bias=_mean_pixel(images),  # of another network, if one is asked for
    )


def _augmentation(images: "Dataset") -> str:
    """The augmentation for a small set, by the error of PCA on some of its train images."""
    from latens.training.linear_start import choose_augmentation
    from latens.training.loop import held_out, some_images

    learned, held = held_out(len(images.train), HOLDOUT, 0)
    x, y = (some_images(images.train.inputs, rows[:: -(-len(rows) // MOST_TRIED)]) for rows in (learned, held))
    return choose_augmentation(x, y, _latent_dim(images))


def best(images: "Dataset") -> Recipe:
    """The least error in a quarter of an hour: a residual network, no activation on the latent, bfloat16.

    `latens run mnist --recipe best`: test MSE 0.00067 after 17 epochs, 12 minutes on two CPU cores with bfloat16 units.
    Without such units `--precision float32` is faster.

    Half of the batches are shifted by a pixel, and weights decay a little: without these the network overfits after ten epochs
    (docs/log.md).

    It is a budget of steps like `fast`'s, with the same settings for small sets. Images above 32 × 32 get fewer steps in
    proportion to their pixels, but not fewer than `fast` takes: at 256 × 256 those take hours on a CPU.
    """
    num_images, few = _how_many(images)
    batch_size = 64 if num_images >= 2048 else 32
    height, width = images.shape[1:]
    steps = max(FAST_STEPS, BEST_STEPS * min(1, 32 * 32 / (height * width)))
    config = TrainConfig(
        epochs=max(1, round(steps * batch_size / num_images)),
        batch_size=batch_size,
        optimiser="muon",
        learning_rate=0.003 if few else 0.016,
        matrix_learning_rate=0.01 if few else 0.03,
        beta2=0.99,
        warmup=0.02,
        decay=True,
        weight_decay=0.0 if few else 0.03,
        precision="bfloat16",
        augmentation=_augmentation(images) if few else "shift",
        holdout=HOLDOUT if few else 0.0,
    )
    return Recipe(
        "best",
        "autoencoder",
        "residual",
        _latent_dim(images),
        config,
        model_options={"activation": "none"},
        output_bias=_mean_pixel(images),
    )


def generative(images: "Dataset") -> Recipe:
    """A variational autoencoder whose normal prior generates; the sampler `local-mixture` is its learned prior.

    `latens run mnist --recipe generative`: figures in docs/results.md, by `python benchmarks/generative.py`. FD of the normal
    prior with `variational` and `fast`: 57.

    The weights of the divergences rise over the first fifth of the steps; the latents of all images together are drawn to the
    prior by a weight of their own (`match`); and the network has hidden layers at its narrow end, because a small latent has to
    be folded.
    Mostly black and white images get a Bernoulli likelihood, and are decoded as sharply as they are; others get a Gaussian of the
    variance that fits best.

    It is a budget of steps like `fast`'s; small sets get the augmentation that is chosen as for `fast`.
    """
    num_images, few = _how_many(images)
    batch_size = 128 if num_images >= 2048 else 32
    height, width = images.shape[1:]
    steps = max(FAST_STEPS, GENERATIVE_STEPS * min(1, 32 * 32 / (height * width)))
    epochs = max(1, round(steps * batch_size / num_images))
    warmup = max(1, epochs * -(-num_images // batch_size) // 5)
    bernoulli = _black_and_white(images)
    config = TrainConfig(
        epochs=epochs,
        batch_size=batch_size,
        optimiser="muon",
        learning_rate=0.003 if few else 0.008,
        matrix_learning_rate=0.01 if few else 0.015,
        beta2=0.99,
        warmup=0.02,
        decay=True,
        augmentation=_augmentation(images) if few else "none",
    )
    return Recipe(
        "generative",
        "variational",
        "deep",
        16,
        config,
        model_options={
            "likelihood": "bernoulli" if bernoulli else "calibrated",
            "beta": 0.5 if bernoulli else 1.0,
            "match": 10.0 if bernoulli else 30.0,
            "warmup": warmup,
            **({"sharpness": "matched"} if bernoulli else {}),
        },
        output_bias=_mean_pixel(images),
    )


def _black_and_white(images: "Dataset") -> bool:
    """Whether most pixels of about a thousand train images are within a tenth of black or white."""
    import numpy as np

    from latens.images.pixels import in_unit

    some = _some_inputs(images)
    x = in_unit(some.astype(np.float64)) if some.dtype.kind == "u" else some
    return bool(((x < 0.1) | (x > 0.9)).mean() > 0.5)


def _how_many(images: "Dataset") -> tuple[int, bool]:
    """The number of train images, and whether they are so few that a network overfits."""
    return len(images.train), len(images.train) < FEW


def _latent_dim(images: "Dataset") -> int:
    return 128 if math.prod(images.shape) > 3072 else 64


def _mean_pixel(images: "Dataset") -> float:
    """Mean pixel of about a thousand train images, in [0, 1]."""
    import numpy as np

    from latens.images.pixels import in_unit

    some = _some_inputs(images)
    return round(float(in_unit(some.mean()) if some.dtype.kind == "u" else some.mean(dtype=np.float64)), 4)


def _some_inputs(images: "Dataset") -> "NDArray[Any]":
    """About a thousand train images, as they are read."""
    import numpy as np

    from latens.arrays import gather

    return gather(images.train.inputs, np.arange(0, len(images.train), max(1, len(images.train) // 1000)))


def recipe_for(name: str, images: "Dataset") -> Recipe:
    """The recipe of a name for these images, as they fit into this machine's memory.

    Images that do not fit are shuffled in windows, see `latens.training.order.window_for`. The recipe keeps how many together, so
    that a run is continued, and can be made again elsewhere, in the same order.

    Raises:
        UnknownName: there is no such recipe.
    """
    from latens.training.order import window_for

    return RECIPES[name](images).with_options(window=window_for(images))


RECIPES: "Table[Callable[[Dataset], Recipe]]" = Table(
    "recipe",
    {
        "fast": "latens.training.recipes:fast",
        "best": "latens.training.recipes:best",
        "notebook": "latens.training.recipes:notebook",
        "generative": "latens.training.recipes:generative",
    },
    group="recipes",
)

"""Encoders that the user has: pretrained networks of timm, ONNX files, or any function, as feature maps of images.

    timm:resnet18           a model of timm, with the weights that are on the disk
    onnx:model.onnx         an ONNX file, run by onnxruntime
    package.module:name     a function that gives a torch module or a function, or one of these itself; installed, or in the
                            working folder

latens ships no such weights, and fetches none by itself.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from latens.errors import MissingExtra, UsageError

__all__ = ["Encoder", "encoder_of", "file_of_encoder", "give_encoder", "recorded_encoder", "working_folder_on_path"]

SIDE = 224  # pixels of the longer side that images are resized to, which such networks are trained at
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, which such networks expect
STRIDES = (
    8,
    16,
)  # pixels a place of the chosen feature maps, about: small enough to say where, large enough to know what
CLASSES = (1000, 1001, 21_841, 21_843)  # of ImageNet: a network that gives so many numbers gives classes, no features
FORMS = "timm:NAME, onnx:FILE, or MODULE:NAME of a function or a torch module"

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Encoder:
    """A fixed network from images to feature maps.

    Args:
        name: as it was asked for.
        function: float32 (B, 3, H, W), normalised as for ImageNet, to one or several tensors (B, F, h, w) or (B, F).
        size: (H, W) that it takes; None for any.
        whole: like `function`, what it sees in an image as a whole; None where `function` says that too.
    """

    name: str
    function: Callable[[Tensor], Any]
    size: tuple[int, int] | None = None
    whole: Callable[[Tensor], Any] | None = None

    @torch.no_grad()
    def maps(self, images: NDArray[Any]) -> list[Tensor]:
        """The feature maps of images.

        Args:
            images: float32 (B, 1 or 3, H, W) in [0, 1].

        Returns:
            Tensors (B, F, h, w); a vector of features is a map of one place.

        Raises:
            UsageError: the encoder fails, or gives something else.
        """
        return self._called(self.function, images)

    def _called(self, function: Callable[[Tensor], Any], images: NDArray[Any]) -> list[Tensor]:
        x = torch.from_numpy(np.ascontiguousarray(images, np.float32)).expand(-1, 3, -1, -1)
        size = self.size or _enlarged(x.shape[2], x.shape[3])
        x = functional.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
        x = (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(SPREAD)[:, None, None]
        try:
            found = function(x)
            tensors: list[Tensor] = [found] if torch.is_tensor(found) else [torch.as_tensor(one) for one in found]
        except Exception as error:  # anybody's code
            raise UsageError(f"encoder {self.name}: the encoder fails ({type(error).__name__}: {error})") from error
        usable = [t.float() if t.ndim == 4 else t.float()[:, :, None, None] for t in tensors if t.ndim in (2, 4)]
        if any(not torch.isfinite(t).all() for t in usable):
            raise UsageError(f"encoder {self.name}: gives NaN or infinity; finite feature maps (B, F, h, w) are needed")
        if not usable or any(len(t) != len(x) for t in usable):
            shapes = ", ".join(str(tuple(t.shape)) for t in tensors) or "nothing"
            raise UsageError(
                f"encoder {self.name}: gives {shapes} for {len(x)} images; finite feature maps (B, F, h, w) are needed"
            )
        return usable

    def vectors(self, images: NDArray[Any]) -> Floats:
        """What it sees in each image as a whole: the mean of each feature over all places, float32 (B, F).

        Of a network these are its own vector of features, or where it gives classes or maps its deepest feature map; of a
        function all that it gives.

        Args:
            images: as for `maps`.

        Raises:
            UsageError: the encoder fails, or gives something else.
        """
        maps = self._called(self.whole or self.function, images)
        found: Floats = torch.cat([one.mean((2, 3)) for one in maps], 1).numpy()
        return found


def _enlarged(height: int, width: int) -> tuple[int, int]:
    scale = SIDE / max(height, width)
    return max(32, round(height * scale)), max(32, round(width * scale))


def encoder_of(features: Any) -> Encoder:
    """The encoder of a name, or of a function or torch module.

    Args:
        features: see the head of this module; or a function (B, 3, H, W) -> (B, F, h, w) of tensors, a torch module, or an
            `Encoder`.

    Raises:
        UsageError: no such encoder, or it can't be loaded.
        MissingExtra: a package that it needs is not installed.
    """
    if isinstance(features, Encoder):
        return features
    if isinstance(features, str):
        kind, _, rest = features.partition(":")
        if kind == "timm" and rest:
            return _of_timm(features, rest)
        if (file := file_of_encoder(features)) is not None:
            return _of_onnx(features, str(file))
        if rest:
            return _of_object(features, _imported(features, kind, rest))
        raise UsageError(f"encoder {features!r}; allowed is {FORMS}")
    if isinstance(features, nn.Module) or callable(features):
        return _of_object(type(features).__name__, features)
    raise UsageError(f"features of type {type(features).__name__}; allowed is {FORMS}")


_given: dict[str, Encoder] = {}  # by their names


def give_encoder(features: Any) -> Encoder:
    """Let the runs of this process use an encoder of which they only know the name; see `recorded_encoder`.

    Args:
        features: see `encoder_of`.

    Returns:
        The encoder.

    Raises:
        UsageError: no such encoder, or it can't be loaded.
        MissingExtra: a package that it needs is not installed.
    """
    encoder = encoder_of(features)
    _given[encoder.name] = encoder
    return encoder


def recorded_encoder(name: str) -> Encoder:
    """The encoder that a run names: one that was given in this process, or a network of timm's own.

    A run may come from anybody. So it never names code that is imported, a file that is read, or an address that is fetched.

    Raises:
        UsageError: it is neither, or can't be loaded.
        MissingExtra: timm is not installed.
    """
    if name in _given:
        return _given[name]
    if re.fullmatch(r"timm:[A-Za-z0-9_.]+", name):
        return encoder_of(name)
    known = ":" in name or name.endswith(".onnx")
    again = repr(name) if known else "the same network"
    raise UsageError(
        f"encoder {name!r}: a run does not load code or files that it names by itself; if you trust it, give it:"
        f" {f'--encoder {name}, or ' * known}from Python latens.encoders.give_encoder({again})"
    )


def file_of_encoder(name: Any) -> Path | None:
    """The ONNX file that the name of an encoder means; None for other encoders."""
    if not isinstance(name, str):
        return None
    kind, _, rest = name.partition(":")
    return Path(rest) if kind == "onnx" and rest else Path(name) if name.endswith(".onnx") else None


def _imported(name: str, module: str, attribute: str) -> Any:
    try:
        with working_folder_on_path(), redirect_stdout(sys.stderr):  # what it prints is no part of an answer
            found = getattr(import_module(module), attribute)
            # A function that makes a network, or the network itself.
            return found() if callable(found) and not isinstance(found, nn.Module) and _takes_nothing(found) else found
    except Exception as error:  # anybody's code
        raise UsageError(
            f"encoder {name!r}: can't be loaded ({type(error).__name__}: {error}); allowed is {FORMS}"
        ) from error


@contextmanager
def working_folder_on_path() -> Iterator[None]:
    """Let modules beside the user be found, behind all that are installed: a command's own path begins at its program."""
    folder = os.getcwd()
    missing = folder not in sys.path and "" not in sys.path
    if missing:
        sys.path.append(folder)
    try:
        yield
    finally:
        if missing and folder in sys.path:
            sys.path.remove(folder)


def _takes_nothing(function: Any) -> bool:
    from inspect import Parameter, signature

    needed = [p for p in signature(function).parameters.values() if p.default is Parameter.empty]
    return all(p.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD) for p in needed)


def _of_object(name: str, found: Any) -> Encoder:
    if isinstance(found, nn.Module):
        hooked = _Hooked(found.eval())
        return Encoder(name, hooked, whole=hooked.whole)
    return Encoder(name, found)


class _Hooked:
    """A torch module whose feature maps are taken on their way: the last of each of the wanted sizes."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        for parameter in module.parameters():
            parameter.requires_grad_(False)

    def __call__(self, x: Tensor) -> list[Tensor]:
        seen, output = self._seen(x)
        chosen = _of_strides(list(seen), x.shape[2])
        return [seen[size] for size in chosen] if chosen else ([output] if isinstance(output, Tensor) else list(output))

    def whole(self, x: Tensor) -> list[Tensor]:
        """Its own vector of features, or its deepest feature map."""
        seen, output = self._seen(x)
        own = output if isinstance(output, Tensor) else None
        if own is not None and own.ndim == 2 and own.shape[1] not in CLASSES:
            return [own]
        deepest = _deepest(list(seen))
        return [own] if deepest is None and own is not None else [seen[deepest]] if deepest else list(output)

    def _seen(self, x: Tensor) -> tuple[dict[tuple[int, int], Tensor], Any]:
        """The last feature map of each size, and the output."""
        seen: dict[tuple[int, int], Tensor] = {}

        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim == 4 and len(output) == len(x):
                seen[output.shape[2], output.shape[3]] = output

        handles = [one.register_forward_hook(keep) for one in self.module.modules()]
        try:
            output = self.module(x)
        finally:
            for handle in handles:
                handle.remove()
        return seen, output


def _deepest(sizes: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """The smallest size of a map that still has places."""
    return min((size for size in sizes if min(size) > 1), key=lambda size: size[0] * size[1], default=None)


def _of_strides(sizes: Sequence[tuple[int, int]], height: int) -> list[tuple[int, int]]:
    """Those of some sizes of maps that are nearest to the wanted strides, the finer first; each once."""
    maps = [size for size in sizes if min(size) > 1]
    if not maps:
        return []
    nearest = [min(maps, key=lambda size: abs(np.log(height / size[0] / stride))) for stride in STRIDES]
    return list(dict.fromkeys(nearest))


def _of_timm(name: str, model: str) -> Encoder:
    try:
        import timm
    except Exception as error:  # timm fails in several ways where torchvision is missing
        raise MissingExtra(f"encoder {name!r} needs timm ({error}): pip install timm") from error
    try:
        made = timm.create_model(model, pretrained=True, num_classes=0)  # its features, not its classes
    except Exception as error:
        raise UsageError(f"encoder {name!r}: timm can't make it ({type(error).__name__}: {error})") from error
    return _of_object(name, made)


def _of_onnx(name: str, path: str) -> Encoder:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise MissingExtra(f"encoder {name!r} needs {error.name}: pip install onnx onnxruntime") from None
    if not os.path.isfile(path):
        raise UsageError(f"encoder {name!r}: no such file")
    try:
        model = onnx.load(path)
        wanted = _with_all_maps(onnx, model)
        session = onnxruntime.InferenceSession(wanted.SerializeToString(), providers=["CPUExecutionProvider"])
        entry = session.get_inputs()[0]
        fixed = tuple(side for side in entry.shape[2:] if isinstance(side, int))
        size = (fixed[0], fixed[1]) if len(fixed) == 2 else (SIDE, SIDE)
        names, whole = _outputs_to_take(session, entry.name, size)
    except UsageError:
        raise
    except Exception as error:  # onnx and onnxruntime have errors of their own
        raise UsageError(f"encoder {name!r}: not usable as an ONNX network ({type(error).__name__}: {error})") from None
    batch = entry.shape[0] if isinstance(entry.shape[0], int) else None

    def run(x: Tensor, names: Sequence[str] = names) -> list[Tensor]:
        blocks = torch.split(x, batch) if batch else [x]
        found = [session.run(names, {entry.name: block.numpy()}) for block in blocks]
        return [torch.from_numpy(np.concatenate(parts)) for parts in zip(*found, strict=True)]

    return Encoder(name, run, size, lambda x: run(x, [whole]))


def _with_all_maps(onnx: Any, model: Any) -> Any:
    """The same network, with every convolution's and activation's result as an output."""
    there = {output.name for output in model.graph.output}
    kinds = {"Conv", "Relu", "Add", "Clip", "HardSwish", "Mul", "Concat", "MaxPool"}
    for node in model.graph.node:
        if node.op_type in kinds and node.output[0] not in there:
            model.graph.output.append(onnx.ValueInfoProto(name=node.output[0]))
            there.add(node.output[0])
    return model


def _outputs_to_take(session: Any, entry: str, size: tuple[int, int]) -> tuple[list[str], str]:
    """The names of the last feature maps of the wanted sizes, and of what the network sees in the whole image."""
    names = [output.name for output in session.get_outputs()]
    found = session.run(names, {entry: np.zeros((1, 3, *size), np.float32)})
    last: dict[tuple[int, int], str] = {}
    for name, value in zip(names, found, strict=True):
        if getattr(value, "ndim", 0) == 4 and len(value) == 1:
            last[value.shape[2], value.shape[3]] = name
    chosen, deepest = _of_strides(list(last), size[0]), _deepest(list(last))
    own: tuple[int, ...] = getattr(found[0], "shape", ())
    whole = names[0] if deepest is None or (len(own) == 2 and own[1] not in CLASSES) else last[deepest]
    return [last[one] for one in chosen] if chosen else names[:1], whole

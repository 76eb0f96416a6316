"""The contract of an adapter."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import nn

    from latens.models.adopted import ArrayFunction
    from latens.models.onnx_pair import OnnxPair

__all__ = ["Adapted", "Adapter", "folder_of", "from_package", "read_config"]


class Adapted(NamedTuple):
    """A model as two functions, see `latens.models.adopted.AdoptedModel`.

    Args:
        encode: images in [0, 1] -> latents.
        decode: latents -> images.
        name: of the model.
        modules: the same as modules of torch, which ONNX may hold; None where there are none.
        pair: the same as ONNX files; None where there are none yet.
    """

    encode: "ArrayFunction"
    decode: "ArrayFunction"
    name: str
    modules: "tuple[nn.Module, nn.Module] | None" = None
    pair: "OnnxPair | None" = None


class Adapter(NamedTuple):
    """A kind of models.

    Args:
        what: what it takes, in words.
        takes: whether a model, or a path, is of this kind; it imports no package for it.
        adapt: its functions.
    """

    what: str
    takes: Callable[[Any], bool]
    adapt: Callable[[Any], Adapted]


def folder_of(model: Any, *files: str) -> Path | None:
    """The folder that a path names, if it has these files."""
    if not isinstance(model, str | os.PathLike):
        return None
    folder = Path(model).expanduser()
    return folder if folder.is_dir() and all((folder / file).is_file() for file in files) else None


def from_package(model: Any, package: str) -> bool:
    """Whether an object's class, or one that it is made from, is of a package."""
    return any(kind.__module__.partition(".")[0] == package for kind in type(model).__mro__)


def read_config(path: Path) -> dict[str, Any]:
    """A JSON file of settings; empty where it holds none."""
    try:
        config = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}

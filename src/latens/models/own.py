"""Model classes of the user's own modules, which `MODELS` knows as `package.module:Class` once the user has named them.

To import a module is to run its code. Only a user's own word does that: `model=`, `--model`. A name in a run's folder is no
such word (docs/decisions/0049-own-classes.md).
"""

import inspect
from importlib import import_module
from typing import Any

from latens.encoders import working_folder_on_path
from latens.errors import UsageError
from latens.models import MODELS
from latens.models.contract import Model

__all__ = ["class_named", "is_own", "know_class", "name_of"]


def is_own(name: str) -> bool:
    """Whether a model's name is that of a class of the user's own, `package.module:Class`."""
    return ":" in name


def name_of(kind: type[Model]) -> str:
    """The name by which `MODELS` knows a class: that of its entry, or `package.module:Class`."""
    place = f"{kind.__module__}:{kind.__qualname__}"
    named = (name for name in MODELS.own if MODELS[name] is kind)
    plugged = (name for name, entry in MODELS.plugins.items() if entry.value == place)
    return next(named, None) or next(plugged, place)


def know_class(kind: Any, name: str = "") -> str:
    """Let `MODELS` know a class in this process, and say by which name.

    Args:
        kind: a subclass of `Model`, made as `(image_shape, latent_dim, network, **options)`.
        name: by which a run knows it; its module and its own name by default.

    Raises:
        UsageError: it is no such class.
    """
    if not (isinstance(kind, type) and issubclass(kind, Model)):
        given = kind.__qualname__ if isinstance(kind, type) else f"an object of type {type(kind).__name__}"
        raise UsageError(f"model is {given}; a name or a subclass of latens.models.Model is needed")
    if inspect.isabstract(kind):
        missing = ", ".join(sorted(kind.__abstractmethods__))
        raise UsageError(f"model is {kind.__qualname__}, which lacks {missing}; latens.models.Model asks for it")
    if len(inspect.signature(kind).parameters) < 3:
        raise UsageError(
            f"{kind.__qualname__} takes {inspect.signature(kind)}; a model is made as (image_shape, latent_dim, network, ...)"
        )
    name = name or name_of(kind)
    if is_own(name):
        MODELS.add(name, kind)
    return name


def class_named(name: str) -> str:
    """Import the class that a user has named, `package.module:Class`, and let `MODELS` know it; the name.

    Modules are also found in the current folder, after all others.

    Raises:
        UsageError: there is no such module or class, or it is no subclass of `Model`.
    """
    module, _, attribute = name.partition(":")
    try:
        with working_folder_on_path():
            kind: Any = import_module(module)
        for part in attribute.split("."):
            kind = getattr(kind, part)
    except Exception as error:  # the user's module may raise anything
        raise UsageError(
            f"model {name!r} can't be imported ({type(error).__name__}: {error}); write package.module:Class, of a module that"
            " python finds from this folder"
        ) from error
    return know_class(kind, name)

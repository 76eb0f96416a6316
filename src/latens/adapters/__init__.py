"""Other people's models, as the two functions that `latens.adopt` takes: one file a kind, and a line of the table."""

from typing import Any

from latens.adapters.contract import Adapted, Adapter
from latens.errors import UsageError
from latens.tables import Table

__all__ = ["ADAPTERS", "Adapted", "Adapter", "adapt", "adapter_of"]

ADAPTERS: Table[Adapter] = Table(
    "adapter",
    {
        "onnx": "latens.adapters.onnx:ADAPTER",
        "diffusers": "latens.adapters.diffusers:ADAPTER",
        "pythae": "latens.adapters.pythae:ADAPTER",
        "keras": "latens.adapters.keras:ADAPTER",
        "torchscript": "latens.adapters.torchscript:ADAPTER",
        "torch": "latens.adapters.modules:ADAPTER",
        "scikit-learn": "latens.adapters.transformer:ADAPTER",
    },
    group="adapters",
)
"""Name -> `Adapter`. The first that takes a model adapts it."""


def adapt(model: Any) -> Adapted:
    """The functions of a model, or of the model in a folder or file.

    Raises:
        UsageError: no adapter takes it, or it is not what its kind needs.
        MissingExtra: its package is not installed.
    """
    return adapter_of(model).adapt(model)


def adapter_of(model: Any) -> Adapter:
    """The adapter that takes a model, or the model in a folder or file; neither is read for it.

    Raises:
        UsageError: there is none.
    """
    for name in ADAPTERS:
        if ADAPTERS[name].takes(model):
            return ADAPTERS[name]
    kinds = "; ".join(ADAPTERS[name].what for name in ADAPTERS)
    raise UsageError(f"{model if isinstance(model, str) else type(model).__name__}: not a model that is known: {kinds}")

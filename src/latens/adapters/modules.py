"""Modules of torch: a pair (encoder, decoder), or one with the methods encode and decode, or with both halves as parts."""

from typing import Any

from torch import Tensor, nn

from latens.adapters.contract import Adapted, Adapter
from latens.errors import UsageError

__all__ = ["ADAPTER", "Method"]


class Method(nn.Module):
    """A method of a module as a module of its own."""

    def __init__(self, owner: nn.Module, name: str) -> None:
        super().__init__()
        self.owner, self.name = owner, name

    def forward(self, x: Tensor) -> Tensor:
        """What the method gives."""
        made: Tensor = getattr(self.owner, self.name)(x)
        return made


def _is_pair(model: Any) -> bool:
    return isinstance(model, tuple | list) and len(model) == 2 and all(isinstance(half, nn.Module) for half in model)


def _adapt(model: Any) -> Adapted:
    if _is_pair(model):
        encoder, decoder = (half.eval() for half in model)
        return Adapted(encoder, decoder, type(encoder).__name__, (encoder, decoder))
    for names in (("encode", "decode"), ("encoder", "decoder")):
        if all(callable(getattr(model, name, None)) for name in names):
            halves = Method(model.eval(), names[0]), Method(model, names[1])
            return Adapted(*halves, type(model).__name__, halves)
    raise UsageError(
        f"{type(model).__name__} has no methods encode and decode; add them, or give a pair (encoder, decoder)"
    )


ADAPTER = Adapter(
    "a torch.nn.Module with encode and decode, or a pair (encoder, decoder)",
    lambda model: isinstance(model, nn.Module) or _is_pair(model),
    _adapt,
)

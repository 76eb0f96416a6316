"""TorchScript files: a folder with encoder.pt and decoder.pt that `torch.jit.save` wrote."""

from typing import Any

import torch

from latens.adapters.contract import Adapted, Adapter, folder_of
from latens.errors import UsageError

__all__ = ["ADAPTER"]

FILES = ("encoder.pt", "decoder.pt")


def _adapt(model: Any) -> Adapted:
    folder = folder_of(model, *FILES)
    assert folder is not None
    halves = []
    for file in FILES:
        try:
            loaded: Any = torch.jit.load(str(folder / file), map_location="cpu")  # type: ignore[no-untyped-call]
            halves.append(loaded.eval())
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise UsageError(f"{folder / file}: not TorchScript, which torch.jit.save writes: {reason}") from None
    encoder, decoder = halves
    return Adapted(encoder, decoder, folder.resolve().name, (encoder, decoder))


ADAPTER = Adapter(
    "a folder with encoder.pt and decoder.pt in TorchScript", lambda model: folder_of(model, *FILES) is not None, _adapt
)

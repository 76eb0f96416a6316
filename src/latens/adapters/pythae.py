"""Models of pythae: an object, or a folder that `model.save` wrote."""

from typing import Any

from torch import Tensor, nn

from latens.adapters.contract import Adapted, Adapter, folder_of, from_package
from latens.errors import MissingExtra, UsageError

__all__ = ["ADAPTER"]


class _Encoder(nn.Module):
    def __init__(self, part: Any) -> None:
        super().__init__()
        self.part: Any = part

    def forward(self, x: Tensor) -> Tensor:
        """The latents; of a variational model their means."""
        made: Tensor = self.part(x).embedding
        return made


class _Decoder(_Encoder):
    def forward(self, x: Tensor) -> Tensor:
        """The images."""
        made: Tensor = self.part(x).reconstruction
        return made


def _adapt(model: Any) -> Adapted:
    folder = folder_of(model, "model_config.json", "model.pt")
    if folder is not None:
        pickled = [path.name for path in folder.glob("*.pkl")]
        if pickled:  # which is code: latens unpickles nothing
            raise UsageError(
                f"{folder}: its networks are pickled ({', '.join(pickled)}); load it yourself, give the model"
            )
        try:
            from pythae.models import AutoModel
        except ImportError as error:
            raise MissingExtra(f"{folder}: a model of pythae needs {error.name}: pip install pythae") from None
        model = AutoModel.load_from_folder(str(folder))
    halves = _Encoder(model.eval().encoder), _Decoder(model.decoder)
    return Adapted(*halves, type(model).__name__, halves)


ADAPTER = Adapter(
    "a model of pythae, or its folder",
    lambda model: from_package(model, "pythae") or folder_of(model, "model_config.json", "model.pt") is not None,
    _adapt,
)

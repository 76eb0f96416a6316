"""Autoencoders of diffusers: an object, or a folder that `save_pretrained` wrote. Most have pixels in [-1, 1]."""

from typing import Any

from torch import Tensor, nn

from latens.adapters.contract import Adapted, Adapter, folder_of, from_package, read_config
from latens.errors import MissingExtra, UsageError

__all__ = ["ADAPTER"]

WITH_TRANSFORMERS = {"AutoencoderRAE"}
IN_UNIT = {"AutoencoderRAE"}  # classes with pixels in [0, 1], which they normalise themselves


class _Encoder(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model: Any = model
        self.in_unit = type(model).__name__ in IN_UNIT

    def forward(self, x: Tensor) -> Tensor:
        """The mode of the latent of images in [0, 1]."""
        made: Any = self.model.encode(x if self.in_unit else 2 * x - 1)
        found: Tensor = made.latent_dist.mode() if hasattr(made, "latent_dist") else made[0]
        return found


class _Decoder(_Encoder):
    def forward(self, x: Tensor) -> Tensor:
        """The images of latents, in [0, 1]."""
        made: Tensor = self.model.decode(x).sample
        return made if self.in_unit else made / 2 + 0.5


def _class_in(model: Any) -> str:
    folder = folder_of(model, "config.json")
    return str(read_config(folder / "config.json").get("_class_name", "")) if folder is not None else ""


def _adapt(model: Any) -> Adapted:
    name = _class_in(model)
    if name:
        try:
            import diffusers

            if name in WITH_TRANSFORMERS:
                import transformers  # noqa: F401  # without it diffusers has the class, but no encoder for it
        except ImportError as error:
            raise MissingExtra(f"{model}: a {name} needs {error.name}: pip install {error.name}") from None
        kind = getattr(diffusers, name, None)
        if kind is None:
            raise UsageError(f"{model}: its config.json names {name}, which diffusers {diffusers.__version__} has not")
        model = kind.from_pretrained(model, local_files_only=True, use_safetensors=True)
    halves = _Encoder(model.eval()), _Decoder(model)
    return Adapted(*halves, type(model).__name__, halves)


ADAPTER = Adapter(
    "an autoencoder of diffusers, or its folder",
    lambda model: (
        "Autoencoder" in (_class_in(model) or type(model).__name__)
        and (bool(_class_in(model)) or from_package(model, "diffusers"))
    ),
    _adapt,
)

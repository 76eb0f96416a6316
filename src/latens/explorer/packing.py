"""Arrays and networks as the one file holds them: 16 bit between the lowest and the highest value where that is exact enough."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from latens.errors import RunError
from latens.latents import decode_latents, encode_images
from latens.models.contract import Model
from latens.models.rules import First, Levels
from latens.networks.grid import GridToMap, MapToGrid
from latens.networks.half import layers_of
from latens.networks.layers import MapToVector, ResidualBlock, SubPixel, VectorToMap
from latens.networks.linear_path import FromLinear, LinearPath, ToLinear

__all__ = ["Pack", "networks_of", "scaled"]

MOST_ENCODER = 8_000_000  # bytes; without an encoder there is no round trip
ALIKE = 2e-4  # that weights of 16 bit may change pictures by, and latents as a share of the largest number
STEPS = 65_535
SKIPPED = (nn.Identity, nn.Dropout)  # which change nothing once a model is trained
ATTRIBUTES: Mapping[type[nn.Module], tuple[str, ...]] = {
    nn.Conv2d: ("stride", "padding"),
    nn.ConvTranspose2d: ("stride", "padding", "output_padding"),
    MapToVector: (),
    VectorToMap: (),
    nn.Linear: (),
    nn.ReLU: (),
    nn.SiLU: (),
    ResidualBlock: (),
    SubPixel: ("size",),
    MapToGrid: (),
    GridToMap: ("size",),
    ToLinear: (),
    FromLinear: (),
    nn.Flatten: (),
    nn.Sigmoid: (),
    First: ("count",),
    Levels: ("levels",),
}
"""What layers.js has to know of a layer beside its weights."""


class Pack:
    """The arrays of a file, one after the other, and where each lies."""

    def __init__(self) -> None:
        self.layout: dict[str, dict[str, Any]] = {}
        self.body = bytearray()

    def copy(self) -> "Pack":
        """Another one with the same arrays."""
        made = Pack()
        made.layout, made.body = dict(self.layout), bytearray(self.body)
        return made

    def without(self, prefix: str) -> "Pack":
        """Another one without the arrays whose names begin so."""
        made = Pack()
        for name, layout in self.layout.items():
            if not name.startswith(prefix):
                end = layout["offset"] + layout["count"] * np.dtype(layout["dtype"]).itemsize
                made.layout[name] = {**layout, "offset": len(made.body)}
                made.body += self.body[layout["offset"] : end]
                made.body += bytes(-len(made.body) % 8)
        return made

    def share(self, other: "Pack", *names: str) -> None:
        """Take arrays that another pack has: they lie in its body, where `shift` leaves them."""
        self.layout |= {name: {**other.layout[name], "shared": True} for name in names if name in other.layout}

    def shift(self, offset: int) -> None:
        """Its body will lie behind another one, of which it has shared arrays."""
        for name, layout in self.layout.items():
            self.layout[name] = layout if layout.get("shared") else {**layout, "offset": layout["offset"] + offset}

    def add(self, name: str, array: NDArray[Any], **more: Any) -> str:
        """Put in an array of uint8, uint16, int32 or float32 under a name, which is given back."""
        assert array.dtype.name in ("uint8", "uint16", "int32", "float32"), f"{name} is {array.dtype}"
        self.layout[name] = {"dtype": array.dtype.name, "offset": len(self.body), "count": int(array.size), **more}
        self.body += np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        self.body += bytes(-len(self.body) % 8)
        return name

    def add_scaled(self, name: str, array: NDArray[Any]) -> str:
        """Put in numbers (N, K) as 16 bit between the lowest and the highest of each column."""
        codes, low, step = scaled(array)
        return self.add(name, codes, low=low.tolist(), step=step.tolist())


def scaled(array: NDArray[Any]) -> tuple[NDArray[np.uint16], NDArray[np.float64], NDArray[np.float64]]:
    """An array in 16 bit: each number in steps from the lowest of its column, those lowest, and the length of a step."""
    low, high = array.min(0).astype(np.float64), array.max(0).astype(np.float64)
    step = (high - low) / STEPS
    codes = np.rint((array - low) / np.where(step > 0, step, 1)).astype(np.uint16)
    return codes, low, step


def networks_of(model: Model, pack: Pack, latents: NDArray[np.float32]) -> dict[str, Any]:
    """Both halves of a model as layers.js takes them; weights as 16 bit where that changes nothing to be seen.

    Args:
        model: whose layers are all of the kinds that layers.js knows, one after the other.
        pack: where the weights go.
        latents: some of its own, (B, D), by which that is judged.

    Raises:
        RunError: the model has layers that the page can't compute, or a way of its own to encode or decode.

    A given encoder stays out of the file: `encoder` is then None, as where it is too large.
    """
    kind = type(model)
    if kind.encode is not Model.encode or kind.decode is not Model.decode:
        raise RunError(
            f"this model can't be put into one file: {kind.__name__} has its own encode or decode, which the page can't"
            " compute; `latens explore` shows the run"
        )
    layers = {
        "encoder": [*layers_of(model.encoder), nn.Flatten(), *layers_of(model.after_encoder)],
        "decoder": [*layers_of(model.decoder), *layers_of(model.after_decoder)],
    }
    layers = {name: [one for one in listed if not isinstance(one, SKIPPED)] for name, listed in layers.items()}
    if not model.trained_together:
        del layers["encoder"]
    else:
        _check(layers["encoder"], torch.zeros(1, *model.image_shape, device=model.device, dtype=model.dtype))
    _check(layers["decoder"], model.shaped(torch.zeros(1, model.latent_dim, device=model.device, dtype=model.dtype)))
    coarse = _survives(model, latents)
    size = sum(tensor.numel() for tensor in model.encoder.state_dict().values()) * (2 if coarse else 4)
    halves: dict[str, Any] = {
        name: [_layer(layer, f"{name} {i}", pack, coarse) for i, layer in enumerate(listed)]
        for name, listed in layers.items()
        if name == "decoder" or size <= MOST_ENCODER
    }
    if len(model.latent_shape) > 1:
        halves["decoder"].insert(0, {"kind": "Shape", "size": list(model.latent_shape)})
    return {"encoder": halves.get("encoder"), "decoder": halves["decoder"]}


@torch.no_grad()
def _check(layers: Sequence[nn.Module], x: torch.Tensor) -> None:
    """See that layers.js computes each layer, given what reaches it."""
    for layer in layers:
        known = _is_known(layer)
        if known and not (isinstance(layer, nn.Linear) and x.ndim != 2):
            x = layer(x)
            continue
        names = ", ".join(kind.__name__ for kind in ATTRIBUTES)
        raise RunError(
            f"this model can't be put into one file: the page can't compute the layer {' '.join(str(layer).split())}; it knows"
            f" plain {names}; `latens explore` shows the run"
        )


def _is_known(layer: nn.Module) -> bool:
    bare = getattr(layer, "weight", None) is not None and getattr(layer, "bias", None) is None
    plain = not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) or (
        layer.groups == 1
        and set(layer.dilation) == {1}
        and layer.padding_mode == "zeros"
        and isinstance(layer.padding, tuple)
    )
    whole = not isinstance(layer, nn.Flatten) or (layer.start_dim, layer.end_dim) == (1, -1)
    if isinstance(layer, LinearPath) and not all(_is_known(part) for part in layers_of(layer.layers)):
        return False
    hooked = any(part._forward_hooks or part._forward_pre_hooks for part in layer.modules())
    return type(layer) in ATTRIBUTES and plain and whole and not bare and not hooked


def _layer(layer: nn.Module, name: str, pack: Pack, coarse: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"kind": type(layer).__name__}
    if isinstance(layer, LinearPath):
        facts["layers"] = [_layer(one, f"{name} {i}", pack, coarse) for i, one in enumerate(layers_of(layer.layers))]
    for attribute in ATTRIBUTES[type(layer)]:
        value = getattr(layer, attribute)
        facts[attribute] = list(value) if isinstance(value, tuple) else value
    tensors = list(layer.named_buffers(recurse=False) if isinstance(layer, LinearPath) else layer.named_parameters())
    if isinstance(layer, FromLinear) and layer.further is not None and layer.further.amounts.any():
        tensors += layer.further.named_buffers("further")
    for key, parameter in tensors:
        array = np.ascontiguousarray(parameter.detach().cpu().numpy(), np.float32)
        if key == "weight":
            facts["weight_shape"] = list(array.shape)
        add = pack.add_scaled if coarse else pack.add
        facts[key.replace(".", "_")] = add(f"{name} {key}", array.reshape(-1, 1))
    return facts


@torch.no_grad()
def _survives(model: Model, latents: NDArray[np.float32]) -> bool:
    """Whether pictures and latents stay as they are with weights of 16 bit."""
    rounded = copy.deepcopy(model)
    for parameter in (*rounded.parameters(), *rounded.buffers()):
        codes, low, step = scaled(parameter.detach().cpu().numpy().reshape(-1, 1))
        parameter.copy_(torch.from_numpy((low + codes * step).astype(np.float32)).view(parameter.shape))
    pictures = decode_latents(model, latents)
    change = np.abs(decode_latents(rounded, latents) - pictures).max()
    if not model.trained_together:
        return bool(change < ALIKE)
    halves = [encode_images(one, np.clip(pictures, 0, 1)) for one in (model, rounded)]
    moved = np.abs(halves[0] - halves[1]).max() / max(1.0, float(np.abs(halves[0]).max()))
    return bool(change < ALIKE and moved < ALIKE)

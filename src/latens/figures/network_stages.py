"""The stages of a network, for its drawing."""

from collections.abc import Iterator

import torch
from torch import nn

from latens.models.contract import Model
from latens.networks.layers import MapToVector, ResidualBlock, SubPixel, VectorToMap
from latens.runs import Run

__all__ = ["network_stages", "stages_of"]


def stages_of(run: Run) -> list[tuple[str, tuple[int, ...]]]:
    """The stages of a run's network, for its drawing; of an adopted model only what goes in and out is known."""
    if not run.recipe.is_adopted:
        return network_stages(run.model)
    shape = tuple(run.record["adopted"]["latent_shape"])
    return [("input", run.image_shape), ("latent", shape), ("output", run.image_shape)]


@torch.no_grad()
def network_stages(model: Model) -> list[tuple[str, tuple[int, ...]]]:
    """Each layer's name and the shape of what it puts out, without the batch, for the drawing of the network."""
    x = torch.zeros(1, *model.image_shape, device=next(model.parameters()).device)
    stages = [("input", model.image_shape), *_walk(model.encoder, x)]
    z = model.encode(x)
    latent = ("latent", (model.latent_dim,))
    # An encoder that puts out more than the latent, as a distribution's mean and variance, is shown with what it puts out.
    stages[-1:] = [latent] if stages[-1][1] == latent[1] else [stages[-1], latent]
    return [*stages, *_walk(model.decoder, z)]


def _walk(layers: nn.Module, x: torch.Tensor) -> Iterator[tuple[str, tuple[int, ...]]]:
    rows: list[tuple[str, tuple[int, ...]]] = []
    blocks = 0  # in a row, which are one stage
    for layer in layers.children():
        x = layer(x)
        blocks = blocks + 1 if isinstance(layer, ResidualBlock) else 0
        if isinstance(layer, nn.ReLU | nn.SiLU):
            rows[-1] = (f"{rows[-1][0]}, {_layer_name(layer)}", rows[-1][1])
        elif blocks > 1:
            rows[-1] = (f"{blocks} residual blocks", rows[-1][1])
        else:
            rows.append((_layer_name(layer), tuple(x.shape[1:])))
    yield from rows


def _layer_name(layer: nn.Module) -> str:
    if isinstance(layer, MapToVector | VectorToMap | nn.Linear):
        return "dense"
    if isinstance(layer, ResidualBlock):
        return "residual block"
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        kinds = {SubPixel: "sub-pixel conv", nn.ConvTranspose2d: "transposed conv"}
        stride = f" /{layer.stride[0]}" if layer.stride[0] > 1 else ""
        return f"{kinds.get(type(layer), 'conv')} {layer.kernel_size[0]}×{layer.kernel_size[1]}{stride}"
    return type(layer).__name__

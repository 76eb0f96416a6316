"""The stages of a network, for its drawing."""

import math

import torch
from torch import nn

from latens.models.contract import Model, evaluating
from latens.networks.half import layers_of
from latens.networks.layers import MapToVector, ResidualBlock, SubPixel, VectorToMap
from latens.networks.linear_path import LinearPath
from latens.runs import Run

__all__ = ["network_stages", "stages_of"]

SILENT = (nn.Identity, nn.Dropout, nn.Flatten, nn.Unflatten)  # no stages of their own


def stages_of(run: Run) -> list[tuple[str, tuple[int, ...]]]:
    """The stages of a run's network, for its drawing; of an adopted model only what goes in and out is known."""
    if not run.recipe.is_adopted:
        return network_stages(run.model)
    shape = tuple(run.record["adopted"]["latent_shape"])
    return [("input", run.image_shape), ("latent", shape), ("output", run.image_shape)]


@torch.no_grad()
def network_stages(model: Model) -> list[tuple[str, tuple[int, ...]]]:
    """Each layer's name and the shape of its output, without the batch, for the drawing of the network.

    A half whose layers are not known one by one is a single stage.
    """
    x = torch.zeros(1, *model.image_shape, device=model.device, dtype=model.dtype)
    with evaluating(model):
        latent = ("latent", model.latent_shape)
        if not model.trained_together:  # its encoder may not be at hand, and is not drawn
            z = torch.zeros(1, model.latent_dim, device=model.device, dtype=model.dtype)
            return [
                ("input", model.image_shape),
                ("given encoder", latent[1]),
                latent,
                *_walk(model.decoder, model.shaped(z)),
            ]
        stages = [("input", model.image_shape), *_walk(model.encoder, x)]
        z = model.encode(x)
        # An encoder that gives more than the latent, as a distribution's mean and variance, is shown with what it gives.
        stages[-1:] = [latent] if stages[-1][1] == latent[1] and len(stages) > 1 else [stages[-1], latent]
        stages += _walk(model.decoder, model.shaped(z))
    return stages


def _walk(half: nn.Module, x: torch.Tensor) -> list[tuple[str, tuple[int, ...]]]:
    if isinstance(half, LinearPath):
        *before, (name, shape) = _walk(half.layers, x)
        return [*before, (f"{name} + linear path", shape)]
    rows: list[tuple[str, tuple[int, ...]]] = []
    blocks, first = 0, x  # blocks in a row, which are one stage
    for layer in layers_of(half):
        y: object = layer(x)
        if not isinstance(y, torch.Tensor):  # which only the next layer understands
            return [(_layer_name(half), _drawn(half(first)))]
        x = y
        blocks = blocks + 1 if isinstance(layer, ResidualBlock) else 0
        name, shape = _layer_name(layer), _drawn(x)
        if rows and (isinstance(layer, SILENT) or (_is_activation(layer) and shape == rows[-1][1])):
            rows[-1] = (rows[-1][0] if isinstance(layer, SILENT) else f"{rows[-1][0]}, {name}", shape)
        elif blocks > 1:
            rows[-1] = (f"{blocks} residual blocks", shape)
        else:
            rows.append((name, shape))
    return rows


def _drawn(x: torch.Tensor) -> tuple[int, ...]:
    """The shape of an output without the batch, as one of those that the drawing knows."""
    shape = tuple(x.shape[1:])
    return shape if 1 <= len(shape) <= 3 else (math.prod(shape),)


def _is_activation(layer: nn.Module) -> bool:
    return not any(True for _ in layer.parameters()) and type(layer).__module__ == "torch.nn.modules.activation"


def _layer_name(layer: nn.Module) -> str:
    if isinstance(layer, MapToVector | VectorToMap | nn.Linear):
        return "dense"
    if isinstance(layer, ResidualBlock):
        return "residual block"
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        kinds = {SubPixel: "sub-pixel conv", nn.ConvTranspose2d: "transposed conv"}
        stride = f" /{layer.stride[0]}" if layer.stride[0] > 1 else ""
        return f"{kinds.get(type(layer), 'conv')} {layer.kernel_size[0]}×{layer.kernel_size[1]}{stride}"
    name = type(layer).__name__
    return f"module {name}" if name.lower().startswith("latent") else name  # "latent" is the stage between the halves

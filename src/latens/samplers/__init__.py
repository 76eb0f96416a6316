"""Samplers: new latents, for a decoder to turn into images. They take plain arrays, so they work on any latents."""

from latens.samplers.contract import Sampler
from latens.tables import Table

__all__ = ["SAMPLERS", "Sampler", "samplers_for"]

SAMPLERS: Table[type[Sampler]] = Table(
    "sampler",
    {
        "class-means": "latens.samplers.class_means:ClassMeansSampler",
        "gaussian": "latens.samplers.gaussian:GaussianSampler",
        "mixture": "latens.samplers.mixture:MixtureSampler",
        "jitter": "latens.samplers.jitter:JitterSampler",
        "prior": "latens.samplers.prior:PriorSampler",
        "flow": "latens.samplers.flow:FlowSampler",
    },
    group="samplers",
)
"""Name -> class of `Sampler`, made without arguments."""


def samplers_for(model: object, every: bool = True) -> tuple[str, ...]:
    """Names of the samplers that a model supports: all of them, or those that are scored by default."""
    kinds = {name: SAMPLERS[name] for name in SAMPLERS}
    return tuple(n for n, kind in kinds.items() if not kind.unavailable(model) and (every or kind.by_default()))

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
        "local-mixture": "latens.samplers.local_mixture:LocalMixtureSampler",
        "jitter": "latens.samplers.jitter:JitterSampler",
        "prior": "latens.samplers.prior:PriorSampler",
        "flow": "latens.samplers.flow:FlowSampler",
    },
    group="samplers",
)
"""Name -> class of `Sampler`, made without arguments."""


def samplers_for(model: object, every: bool = True) -> tuple[str, ...]:
    """Names of the samplers that a model supports: all, or those scored by default, its learned prior among them."""
    kinds = {name: SAMPLERS[name] for name in SAMPLERS if not SAMPLERS[name].unavailable(model)}
    learned = getattr(model, "learned_prior", "")
    return tuple(name for name, kind in kinds.items() if every or kind.by_default() or name == learned)

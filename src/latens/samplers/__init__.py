"""Samplers: new latents, for a decoder to make pictures of. They know no model, so they work on anybody's latents."""

from latens.samplers.contract import Sampler
from latens.tables import Table

__all__ = ["SAMPLERS", "SLOW_SAMPLERS", "Sampler"]

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
)
"""Name -> class of `Sampler`, made without arguments."""

SLOW_SAMPLERS = ("jitter", "flow")
"""Those that a run leaves out of its verdict unless they are asked for: one takes a minute to fit, one stays with the data."""

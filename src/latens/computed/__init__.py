"""What is computed from a trained run and kept in its folder: latents, maps, the probe, scores."""

from latens.computed.encoding import encode_run, encode_source
from latens.computed.interpolations import arithmetic_of_run, paths_of_run, traversals_of_run
from latens.computed.mapping import NOISES, map_run, probe_run
from latens.computed.scoring import score_run
from latens.computed.searching import Found, search_run

__all__ = [
    "NOISES",
    "Found",
    "arithmetic_of_run",
    "encode_run",
    "encode_source",
    "map_run",
    "paths_of_run",
    "probe_run",
    "score_run",
    "search_run",
    "traversals_of_run",
]

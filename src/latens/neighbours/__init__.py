"""Nearest neighbours: for maps, metrics, the probe and the explorer."""

from latens.neighbours.cells import MANY, Cells, can_search_cells
from latens.neighbours.kept import neighbours_kept, placed_neighbours_kept
from latens.neighbours.known import nearest_of_known, reach_of
from latens.neighbours.search import Neighbours, nearest_neighbours
from latens.neighbours.stored import nearest_stored
from latens.neighbours.usual import distance_ratios, in_usual_distances, usual_distance

__all__ = [
    "MANY",
    "Cells",
    "Neighbours",
    "can_search_cells",
    "distance_ratios",
    "in_usual_distances",
    "nearest_neighbours",
    "nearest_of_known",
    "nearest_stored",
    "neighbours_kept",
    "placed_neighbours_kept",
    "reach_of",
    "usual_distance",
]

"""A path through real latents: the shortest path over the graph of nearest neighbours."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, dijkstra

from latens.errors import UsageError
from latens.interpolation.contract import LatentPath, checked_data, checked_ends
from latens.neighbours import nearest_neighbours

__all__ = ["NEIGHBOURS", "Graph", "along_graph", "neighbour_graph"]

NEIGHBOURS = 10


def along_graph(
    start: Any, end: Any, steps: int = 11, latents: NDArray[Any] | None = None, neighbours: int = NEIGHBOURS
) -> LatentPath:
    """The shortest path over the neighbour graph of real latents, then divided into equal lengths.

    Each latent is joined to its nearest neighbours, both ways, by edges as long as their distance. If the graph is not
    connected, each component is joined to the nearest node outside it until it is. The points lie on the edges: near real
    latents, seldom on one; `rows` says which are passed, and `places` where.

    Args:
        start: see `interpolate`; it need not be one of the data.
        end: see `interpolate`.
        steps: see `interpolate`.
        latents: of the data, (N, D), finite.
        neighbours: that each is joined to; all others where there are fewer.

    Raises:
        UsageError: no data, or other shapes, or fewer than one neighbour.

    Source: Tenenbaum, de Silva and Langford 2000, "A global geometric framework for nonlinear dimensionality reduction",
    Science 290, steps 1 and 2 (Isomap's distances).

    >>> import numpy as np
    >>> corner = np.array([[0, 0], [1, 0], [2, 0], [2, 1], [2, 2]])
    >>> path = along_graph(corner[0], corner[4], 3, corner, neighbours=1)
    >>> path.latents.tolist(), path.rows.tolist()
    ([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0]], [0, 1, 2, 3, 4])
    """
    first, last = checked_ends(start, end, steps)
    if latents is None:
        raise UsageError("the way along the graph goes by real latents; give it those of the data, (N, D)")
    if neighbours < 1:
        raise UsageError(f"{neighbours} neighbours were asked for; at least 1 is needed")
    data = checked_data(latents, len(first))
    ends = np.stack([first, last]).astype(np.float32)
    found = Graph(np.concatenate([data, ends]), neighbours).path(len(data), len(data) + 1, steps)
    real = found.rows < len(data)
    return LatentPath("graph", found.latents, found.rows[real], found.places[real])


class Graph:
    """The neighbour graph of latents, for many paths between them.

    Args:
        latents: (N, D), finite, N at least 1.
        neighbours: see `along_graph`.
    """

    def __init__(self, latents: NDArray[Any], neighbours: int = NEIGHBOURS) -> None:
        # Equal latents are one node: otherwise they would be neighbours of each other only. Adding 0 makes -0 a 0.
        self.nodes, self.rows, inverse = np.unique(
            checked_data(latents) + np.float32(0), axis=0, return_index=True, return_inverse=True
        )
        self.node_of = inverse.reshape(-1)
        self.edges = neighbour_graph(self.nodes, neighbours)

    def path(self, first: int, last: int, steps: int = 11) -> LatentPath:
        """The shortest path between two of the latents, by their rows; see `along_graph`."""
        source, target = self.node_of[[first, last]]
        chain = _shortest(self.edges, int(source), int(target))
        points, places = _resampled(self.nodes[chain].astype(np.float64), steps)
        points[0], points[-1] = self.nodes[source], self.nodes[target]
        return LatentPath("graph", points.astype(np.float32), self.rows[chain].astype(np.int64), places)


def neighbour_graph(nodes: NDArray[np.float32], neighbours: int) -> csr_array:
    """Distances between each node and its nearest, sparse (N, N), in one piece when read as undirected."""
    num = len(nodes)
    if num < 2:
        return csr_array((num, num))
    k = min(neighbours, num - 1)
    distances, indices = nearest_neighbours(nodes, k=k)
    rows, columns, lengths = np.repeat(np.arange(num), k), indices.ravel(), distances.ravel().astype(np.float64)
    while True:
        places = rows.astype(np.int32), columns.astype(np.int32)  # scipy 1.13 searches graphs with such numbers alone
        graph = csr_array(coo_array((lengths, places), shape=(num, num)))
        pieces, piece_of = connected_components(graph, directed=False)
        if pieces == 1:
            return graph
        bridges = [_bridge(nodes, piece_of == p) for p in range(pieces) if p != np.bincount(piece_of).argmax()]
        more_rows, more_columns, more_lengths = zip(*bridges, strict=True)
        rows, columns = np.append(rows, more_rows), np.append(columns, more_columns)
        lengths = np.append(lengths, more_lengths)


def _bridge(nodes: NDArray[np.float32], inside: NDArray[np.bool_]) -> tuple[int, int, float]:
    """The shortest edge from a piece of the graph to what is outside: two nodes, and its length."""
    here, there = np.flatnonzero(inside), np.flatnonzero(~inside)
    distances, nearest = nearest_neighbours(nodes[there], nodes[here], 1)
    best = int(distances[:, 0].argmin())
    return int(here[best]), int(there[nearest[best, 0]]), float(distances[best, 0])


def _shortest(graph: csr_array, source: int, target: int) -> NDArray[np.int64]:
    """The nodes from source to target, both included."""
    if source == target:
        return np.array([source])
    before = dijkstra(graph, directed=False, indices=source, return_predecessors=True)[1]
    chain = [target]
    while chain[-1] != source:
        chain.append(int(before[chain[-1]]))
    return np.array(chain[::-1])


def _resampled(corners: NDArray[np.float64], steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points at equal lengths along a line through corners (P, D), and where its corners are, as shares of its length."""
    along = np.append(0, np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1)))
    places = along / along[-1] if along[-1] > 0 else np.zeros(len(corners))
    at = np.linspace(0, 1, steps)
    return np.stack([np.interp(at, places, column) for column in corners.T], axis=1), places

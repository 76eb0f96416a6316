"""What can be asked of a figure of a run."""

from dataclasses import dataclass

__all__ = ["DrawingOptions"]


@dataclass(frozen=True)
class DrawingOptions:
    """What can be asked of a figure; each figure looks at its own part.

    Args:
        start: first test image of the reconstructions; 0 where the test part is too small.
        pairs: how many pairs.
        per_row: pairs in a row.
        autoscale: stretch the contrast of each picture, as the notebook's imshow does.
        map: which map, for `map` and `probe-map`.
        refit: show the probe on a map fitted anew with its points, as the notebook does.
        sampler: for `samples`.
        n: how many samples.
        seed: of the samples, and of the choice of pictures on the contact sheet.
        first: row of the test part: where a path starts, what a traversal goes through; None takes the first image, the mean.
        last: row of the test part where a path ends; None takes the next of another class.
        way: of a path, one of `PATHS`; None shows all.
        steps: of a path (11 where None) or of each direction of the traversals (7).
        directions: of the traversals.
        plus: rows of the test part ("7") or means of classes ("mean:three") that are added, for `arithmetic`.
        minus: those that are taken away.
    """

    start: int = 200
    pairs: int = 100
    per_row: int = 10
    autoscale: bool = False
    map: str = "tsne"
    refit: bool = False
    sampler: str = "class-means"
    n: int = 100
    seed: int = 0
    first: int | None = None
    last: int | None = None
    way: str | None = None
    steps: int | None = None
    directions: int = 6
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()

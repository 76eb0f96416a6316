"""Between a run's latents and beyond: paths from image to image, traversals, sums and differences, each decoded."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from latens.errors import UsageError
from latens.images import Dataset
from latens.images.pixels import to_floats
from latens.interpolation import PATHS, LatentPath, Traversals, interpolate, kept_in_range, latent_arithmetic, traverse
from latens.neighbours import distance_ratios, nearest_neighbours
from latens.runs import Run
from latens.runs.run import TEST

__all__ = [
    "Decoded",
    "Sum",
    "arithmetic_of_run",
    "default_pair",
    "image_name",
    "paths_of_run",
    "pixels_of",
    "test_latent",
    "traversals_of_run",
]

MEAN = "mean:"


@dataclass(frozen=True)
class Decoded:
    """A path through a run's latents: what is decoded along it, (steps, C, H, W), and how far each point is from the data."""

    path: LatentPath
    pictures: np.ndarray
    ratios: np.ndarray


@dataclass(frozen=True)
class Sum:
    """Latents added and taken away.

    Args:
        names: of the operands, those that are added first.
        num_plus: how many are added.
        operands: a picture of each: the image itself, or what is decoded of a mean; float in [0, 1], (K, C, H, W).
        latent: the result, held where units have a wall, (D,).
        picture: decoded of it, (C, H, W).
        ratio: how far it lies from the data.
        nearest: row of the mapped latents that is nearest to it.
        cut: share of its numbers that were held.
        used: rows of the test part that were operands.
    """

    names: tuple[str, ...]
    num_plus: int
    operands: np.ndarray
    latent: np.ndarray
    picture: np.ndarray
    ratio: float
    nearest: int
    cut: float
    used: tuple[int, ...]


def default_pair(run: Run, first: int | None = None, last: int | None = None) -> tuple[int, int]:
    """Two rows of the test part: what is not given is the first image, and the next after the first of another class.

    Without labels, or where all are of one class, it is the next image.

    Raises:
        UsageError: a row outside of the test part, or twice the same.
    """
    num = len(run.of_part("latents", TEST))
    if num < 2:
        raise UsageError(f"{run.path}: its test part holds {num} image; a path needs two")
    start = 0 if first is None else _row(first, num)
    if last is None:
        others = (start + 1 + np.arange(num - 1)) % num
        labels = run.labels_of(TEST)
        different = others if labels is None else others[labels[others] != labels[start]]
        last = int(different[0] if len(different) else others[0])
    if start == _row(last, num):
        raise UsageError(f"a path from image {start} to itself; give two different rows of the test part")
    return start, last


def _row(row: int, num: int) -> int:
    if not 0 <= row < num:
        raise UsageError(f"image {row} is not in the test part; rows from 0 to {num - 1} are")
    return row


def test_latent(run: Run, row: int) -> np.ndarray:
    """The latent of one image of the test part, float32 (D,).

    Raises:
        UsageError: there is no such row.
    """
    latents = run.of_part("latents", TEST)
    latent: np.ndarray = latents[_row(row, len(latents))]
    return latent


def paths_of_run(run: Run, first: int, last: int, ways: Sequence[str] = tuple(PATHS), steps: int = 11) -> list[Decoded]:
    """From one image of the test part to another, decoded.

    The data whose graph is followed, and from which distances are measured, are the latents that the maps show.

    Args:
        run: with latents.
        first: row of the test part.
        last: as first.
        ways: names of `PATHS`.
        steps: points a path.

    Raises:
        UnknownName: no such way.
        UsageError: rows outside of the test part, twice the same row, or fewer than two steps.
    """
    first, last = default_pair(run, first, last)
    data = run.of_part("latents", run.mapped_part)
    found = [interpolate(test_latent(run, first), test_latent(run, last), steps, way, data) for way in ways]
    points = np.concatenate([path.latents for path in found])
    ratios = distance_ratios(data, points, run.usual_distance).reshape(len(found), steps)
    pictures = run.decode(points).reshape(len(found), steps, *run.image_shape)
    return [Decoded(*one) for one in zip(found, pictures, ratios, strict=True)]


def traversals_of_run(
    run: Run, directions: int = 6, steps: int = 7, middle: int | None = None
) -> tuple[Traversals, np.ndarray, np.ndarray]:
    """Along the directions in which a run's latents vary most, decoded.

    Args:
        run: with latents.
        directions: how many.
        steps: points a direction, odd.
        middle: row of the test part to start from; None starts from the mean.

    Returns:
        The traversals, pictures (directions, steps, C, H, W), and how far each point is from the data, (directions, steps).

    Raises:
        UsageError: a row outside of the test part, or what `traverse` refuses.
    """
    data = run.of_part("latents", run.mapped_part)
    found = traverse(data, directions, steps, middle=None if middle is None else test_latent(run, middle))
    flat = found.latents.reshape(-1, data.shape[1])
    pictures = run.decode(flat).reshape(*found.latents.shape[:2], *run.image_shape)
    return found, pictures, distance_ratios(data, flat, run.usual_distance).reshape(found.latents.shape[:2])


def arithmetic_of_run(run: Run, images: Dataset, plus: Sequence[str] = (), minus: Sequence[str] = ()) -> Sum:
    """Latents of a run added and taken away, decoded, with the nearest real image.

    Args:
        run: with latents.
        images: its own.
        plus: what is added: a row of the test part ("7"), or the mean of a class ("mean:three"). By default the first image;
            less the mean of its class, plus that of the next; without labels the first image less the second plus the third.
        minus: what is taken away, likewise.

    Raises:
        UsageError: no such row or class, or something to take away and nothing to add.
    """
    if not plus and not minus:
        plus, minus = _default_operands(run)
    texts, data = [*plus, *minus], run.of_part("latents", run.mapped_part)
    latents = [_operand(run, text) for text in texts]
    result = latent_arithmetic(latents[: len(plus)], latents[len(plus) :])
    held = kept_in_range(result, data)
    pictures = [
        run.decode(z)[0] if text.startswith(MEAN) else to_floats(images.test.inputs[int(text)])
        for text, z in zip(texts, latents, strict=True)
    ]
    return Sum(
        names=tuple(_operand_name(run, text) for text in texts),
        num_plus=len(plus),
        operands=np.stack(pictures),
        latent=held,
        picture=run.decode(held)[0],
        ratio=float(distance_ratios(data, held[None], run.usual_distance)[0]),
        nearest=int(nearest_neighbours(data, held[None], 1)[1][0, 0]),
        cut=float((held != result).mean()),
        used=tuple(int(text) for text in texts if not text.startswith(MEAN)),
    )


def _default_operands(run: Run) -> tuple[list[str], list[str]]:
    labels = run.labels_of(TEST)
    if labels is None:
        return ["0", "2"], ["1"]
    _, other = default_pair(run)
    return ["0", MEAN + run.class_names[labels[other]]], [MEAN + run.class_names[labels[0]]]


def _operand(run: Run, text: str) -> np.ndarray:
    """The latent that an operand names."""
    if not text.startswith(MEAN):
        if not text.isascii() or not text.isdigit():
            raise UsageError(
                f"{text!r} is no operand; give a row of the test part (7), or the mean of a class (mean:NAME)"
            )
        return test_latent(run, int(text))
    name, labels = text.removeprefix(MEAN), run.labels_of(run.mapped_part)
    if labels is None:
        raise UsageError(f"{text!r}: these images have no labels, so there are no classes; give rows of the test part")
    if name not in run.class_names:
        raise UsageError(f"{text!r}: no class {name!r}; known: {', '.join(run.class_names)}")
    chosen = labels == run.class_names.index(name)
    if not chosen.any():
        raise UsageError(
            f"{text!r}: the {'test part holds' if run.mapped_part == TEST else 'data hold'} no image of it"
        )
    mean: np.ndarray = run.of_part("latents", run.mapped_part)[chosen].mean(axis=0, dtype=np.float64)
    return mean


def _operand_name(run: Run, text: str) -> str:
    return f"mean of {text.removeprefix(MEAN)}" if text.startswith(MEAN) else image_name(run, int(text))


def image_name(run: Run, row: int, part: int | None = TEST) -> str:
    """A few words for one image: its row, and its class where there is one; `part` None counts train and test together."""
    labels = run.labels_of(part)
    train = len(run.latents["part"]) - len(run.of_part("latents", TEST))
    number = f"image {row}" if part == TEST else f"image {row - train}" if row >= train else f"train image {row}"
    return number if labels is None else f"{number} · {run.class_names[labels[row]]}"


def pixels_of(images: Dataset, rows: np.ndarray, part: int | None = TEST) -> np.ndarray:
    """Images of the test part, or of train and test counted together: uint8, or floats in [0, 1], (N, C, H, W)."""
    if part == TEST:
        return np.asarray(images.test.inputs[rows])
    num = len(images.train)
    return np.stack([images.train.inputs[row] if row < num else images.test.inputs[row - num] for row in rows])

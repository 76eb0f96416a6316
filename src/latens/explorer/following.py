"""The training of a run as the page shows it: curve, scores and verdict, during training and as a playback."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.errors import LatensError, UsageError
from latens.explorer.view import View
from latens.explorer.wire import Answer
from latens.latents import reconstruct_images
from latens.maps.pca import principal_plane
from latens.maps.procrustes import FEWEST
from latens.metrics.meanings import meaning_of
from latens.runs import Run
from latens.runs.run import TEST

__all__ = ["epochs_of", "history", "live", "snapshot"]

SHOWN = 10  # reconstructions while it trains
MARGIN = 1.08


def history(view: View) -> Answer:
    """The loss curve, settings, result, scores and verdict; what is not there yet is null."""
    run = Run(view.run.path)  # what the folder holds now
    scored = "metrics.json" in run.record["files"]
    return Answer(
        {
            "status": run.record["status"],
            "error": run.record.get("error", ""),
            "history": run.history,
            "recipe": run.record["recipe"],
            "result": run.record["result"],
            "facts": {name: run.record[name] for name in ("created", "device", "threads", "versions")},
            "data": {name: run.record["data"][name] for name in ("name", "train", "test", "shape", "notes")},
            "scores": [{**one.as_dict(), "meaning": meaning_of(one)} for one in run.scores] if scored else None,
            "verdict": run.verdict.as_json() if scored else None,
            "snapshots": epochs_of(run),
            "ready": "latens.npz" in run.record["files"],
        }
    )


def epochs_of(run: Run, most: int | None = None) -> list[int]:
    """The epochs of which the run keeps the test latents; of more than `most` so many, evenly spaced, the last among them."""
    kept = sorted(int(path.stem) for path in (run.path / "snapshots").glob("*.npz") if path.stem.isdigit())
    if most is None or len(kept) <= most:
        return kept
    return [kept[i] for i in np.linspace(0, len(kept) - 1, most).round().astype(int)]


def live(view: View, look: str = "") -> Answer:
    """Some test images and their reconstructions by the weights of the last epoch: `epoch`, `pixels`, `reconstructions`.

    Raises:
        RunError: the images have gone, or no epoch has ended yet.
    """
    run = Run(view.run.path)
    inputs = np.array(view.run.images.test.inputs[:SHOWN])
    model, epoch = _weights_now(run), len(run.history)
    rebuilt = view.shown(reconstruct_images(model, inputs), look)
    return Answer({"epoch": epoch}, {"pixels": view.shown(inputs, look), "reconstructions": rebuilt})


def _weights_now(run: Run) -> Any:
    """The model as the checkpoint, or the trained run, has it; its own copy, since another thread may be training."""
    return run.model


def snapshot(view: View, epoch: int) -> Answer:
    """The test latents of one epoch on their principal plane, turned and mirrored so that they lie as those of the last epoch do.

    Beside another run, those of the last epoch of the second lie as those of the first do.

    Returns:
        `x` and `y`, uint16 (N,), each epoch scaled so that its farthest point is inside; `labels` where there are any.

    Raises:
        UsageError: that epoch was not kept.

    Source of the alignment: Schönemann, "A generalized solution of the orthogonal Procrustes problem", 1966.
    """
    epochs = epochs_of(view.run)
    if epoch not in epochs:
        raise UsageError(f"epoch {epoch} was not kept; known: {', '.join(map(str, epochs)) or 'none'}")
    last = _plane(view.run, epochs[-1])
    here = _plane(view.run, epoch) if epoch != epochs[-1] else last
    turned = here @ _turn(here, _as_beside(view, last))
    # Each epoch to the same size: latents grow while they are learned, and what the eye follows is their order. All points are
    # inside, as on a map: outliers that were cut off would stand in a column at the edge.
    half = MARGIN * float(np.abs(turned).max(initial=0)) or 1.0
    places = np.rint((turned / half + 1) / 2 * 65_535).astype(np.uint16)
    arrays: dict[str, NDArray[Any]] = {"x": places[:, 0], "y": places[:, 1]}
    labels = _labels(view.run, len(places))
    return Answer({"epoch": epoch}, arrays if labels is None else {**arrays, "labels": labels})


def _turn(places: NDArray[np.float64], onto: NDArray[np.float64]) -> NDArray[np.float64]:
    """The turn or mirroring (2, 2) about 0 that lays places onto others best."""
    left, _, right = np.linalg.svd(places.T @ onto)
    turn: NDArray[np.float64] = left @ right
    return turn


def _as_beside(view: View, last: NDArray[np.float64]) -> NDArray[np.float64]:
    """The places of the last epoch, turned as those of the first run lie, where this run is the second of two."""
    if view.pair is None or view.pair.first is view:
        return last
    first = view.pair.first.run
    there = {str(one): row for row, one in enumerate(first.of_part("ids", TEST))}
    pairs = [(row, there[str(one)]) for row, one in enumerate(view.run.of_part("ids", TEST)) if str(one) in there]
    epochs = epochs_of(first)
    if len(pairs) < FEWEST or not epochs:
        return last
    mine, theirs = np.array(pairs).T
    onto = _plane(first, epochs[-1])[theirs]
    return last @ _turn(last[mine] - last[mine].mean(0), onto - onto.mean(0))


def _plane(run: Run, epoch: int) -> NDArray[np.float64]:
    latents = run.folder.load(f"snapshots/{epoch:05d}.npz", ("latents",))["latents"]
    mean, directions, _ = principal_plane(latents)
    places: NDArray[np.float64] = (latents - mean) @ directions
    return places


def _labels(run: Run, count: int) -> NDArray[np.uint16] | None:
    """Labels of the test part; while the run trains there is no latents.npz yet, and they come from the images."""
    try:
        labels = run.images.test.labels
    except (LatensError, OSError):
        return None
    return None if labels is None else np.asarray(labels[:count]).astype(np.uint16)

"""How odd the run's own images are, by its detector, calibrated on normal images that training did not see."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latens.explorer.columns import Column
from latens.runs.run import TRAIN

if TYPE_CHECKING:
    from latens.explorer.view import View

__all__ = ["LISTED", "Odd", "odd_columns"]

LISTED = 500  # images, the oddest first


class Odd:
    """Scores of all points, and p-values of those that training did not see.

    A p-value compares an image with normal ones that the model has not seen, so one that it was trained on has none.

    Args:
        view: of a run whose model and images are available.

    Raises:
        RunError: it has no model or images, or no normal images that training did not see.
    """

    def __init__(self, view: "View") -> None:
        from latens.detection.fitted import digests_of, fit_detector, images_at_once

        self.view = view
        fitted = fit_detector(view.run, progress=view.work)
        self.calibration = fitted.calibrated()
        rows = np.arange(len(view.latents)) + view.first
        scores, own, step = [], [], images_at_once(view.run.image_shape)
        with view.work.stage("odd images") as tick:
            for start in range(0, len(rows), step):
                pixels = view.inputs(rows[start : start + step])
                scores.append(fitted.measure(pixels)[1].scores)
                own.append(np.isin(digests_of(pixels), fitted.digests))
                tick(min(start + step, len(rows)), len(rows))
        self.scores: NDArray[np.float64] = np.concatenate(scores)
        self.p_values = self.calibration.p_values(self.scores, np.concatenate(own))
        self.p_values[view.run.latents["part"][rows] == TRAIN] = np.nan

    def facts(self) -> dict[str, Any]:
        """The oddest images that training did not see as `Finding` of the page's types.js, and what the p-values rest on."""
        view, unseen = self.view, np.flatnonzero(np.isfinite(self.p_values))
        odd = self.calibration.decide(self.p_values[unseen])
        worst = np.argsort(-self.scores[unseen], kind="stable")[:LISTED]
        names = view.run.class_names
        found = [
            {
                "kind": "odd",
                "id": str(view.ids[row]),
                "part": "test",
                "label": "" if view.labels is None else names[view.labels[row]],
                "score": float(self.scores[row]),
                "p_value": float(self.p_values[row]),
                "odd": bool(is_odd),
                "suggested": "",
                "other_id": "",
                "point": int(row),
            }
            for row, is_odd in zip(unseen[worst], odd[worst], strict=True)
        ]
        return {
            "images": len(unseen),
            "odd": int(odd.sum()),
            "false_alarms": self.calibration.false_alarms,
            "calibration_images": len(self.calibration),
            "notes": list(self.calibration.notes),
            "found": found,
        }


def odd_columns(view: "View") -> list[Column]:
    """The score and the p-value as columns of the points, computed when first asked for; none without images or model."""
    if view.missing or not view.decodes:
        return []
    return [
        Column(
            "odd:score", "odd: score", "number", unit="by the detector; higher is odder", load=lambda: view.odd.scores
        ),
        Column(
            "odd:p",
            "odd: p-value",
            "number",
            unit="share of normal images that are at least as odd",
            load=lambda: view.odd.p_values,
        ),
    ]

"""How well a detector tells odd images from normal ones, and odd places from normal ones, where the truth is known."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from sklearn.metrics import precision_recall_curve, roc_auc_score

__all__ = ["Evaluation", "Measure", "aupro", "evaluate"]

MOST_FALSE = 0.3  # share of normal places that are called odd, up to which AUPRO integrates
DRAWS = 200  # of the bootstrap
BOUNDS = (2.5, 97.5)  # percentiles of the interval


@dataclass(frozen=True)
class Measure:
    """One number of an evaluation.

    Args:
        subject: `"all"`, or the kind of defect.
        name: `"AUROC"`, `"F1"`, `"pixel AUROC"` or `"AUPRO"`.
        value: from 0 to 1.
        interval: 95 % by bootstrap over images, or None.
        num_normal: images without a defect.
        num_odd: images with one.
    """

    subject: str
    name: str
    value: float
    interval: tuple[float, float] | None
    num_normal: int
    num_odd: int


@dataclass(frozen=True)
class Evaluation:
    """All measures, and what is left out, a sentence each."""

    measures: tuple[Measure, ...]
    notes: tuple[str, ...] = ()

    def as_dicts(self) -> list[dict[str, Any]]:
        """One dict a measure."""
        return [asdict(one) for one in self.measures]


def evaluate(
    scores: NDArray[Any],
    odd: NDArray[np.bool_],
    kinds: NDArray[np.str_],
    maps: NDArray[Any] | None = None,
    masks: NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> Evaluation:
    """AUROC and best F1 per image, over all and for each kind of defect; AUROC and AUPRO per place.

    Args:
        scores: (N,); higher is odder.
        odd: bool (N,), the truth.
        kinds: str (N,), the kind of each image's defect; those of normal images are not read.
        maps: (N, H, W), or None.
        masks: bool (N, H, W), where each defect is; all False for normal images; or None.
        seed: of the bootstrap.
    """
    measures: list[Measure] = []
    if odd.all() or not odd.any():
        return Evaluation((), (f"the new images are all {'odd' if odd.all() else 'normal'}, so there is no AUROC",))
    subjects = [("all", np.ones(len(odd), bool))]
    names = np.unique(kinds[odd])
    if len(names) > 1:
        subjects += [(str(name), ~odd | (odd & (kinds == name))) for name in names]
    rng = np.random.default_rng(seed)
    for subject, rows in subjects:
        truth, found = odd[rows], scores[rows]
        counts = (int((~truth).sum()), int(truth.sum()))
        for name, function in (("AUROC", roc_auc_score), ("F1", _best_f1)):
            interval = _interval(function, truth, found, rng)
            measures.append(Measure(subject, name, float(function(truth, found)), interval, *counts))
        if maps is not None and masks is not None and masks[rows].any():
            flat = masks[rows].ravel()
            measures.append(
                Measure(subject, "pixel AUROC", float(roc_auc_score(flat, maps[rows].ravel())), None, *counts)
            )
            measures.append(Measure(subject, "AUPRO", aupro(maps[rows], masks[rows]), None, *counts))
    return Evaluation(tuple(measures))


def _best_f1(truth: NDArray[np.bool_], scores: NDArray[Any]) -> float:
    """F1 at the threshold that is best for these images, so an upper bound."""
    precision, recall, _ = precision_recall_curve(truth, scores)
    return float((2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)).max())


def _interval(function: Any, truth: NDArray[np.bool_], scores: NDArray[Any], rng: np.random.Generator) -> Any:
    """By drawing normal and odd images again, each among themselves, so that both are there."""
    parts = [np.flatnonzero(truth), np.flatnonzero(~truth)]
    values = []
    for _ in range(DRAWS):
        rows = np.concatenate([rng.choice(part, len(part)) for part in parts])
        values.append(function(truth[rows], scores[rows]))
    low, high = np.percentile(values, BOUNDS)
    return float(low), float(high)


def aupro(maps: NDArray[Any], masks: NDArray[np.bool_], most_false: float = MOST_FALSE) -> float:
    """The area under the curve of per-region overlap over the false positive rate, as a share of the best possible.

    Each connected region of a mask counts the same, however large: the overlap is the mean over regions of the share of a
    region that lies above the threshold.

    Args:
        maps: (N, H, W); higher is odder.
        masks: bool (N, H, W), with at least one True and one False.
        most_false: the rate up to which the curve is integrated.

    Returns:
        From 0 to 1.

    Source: Bergmann et al., "The MVTec anomaly detection dataset", 2021, section 4.2.
    """
    weights = np.zeros(masks.shape, np.float64)
    regions = 0
    for number, mask in enumerate(masks):
        if mask.any():
            found, count = label(mask, np.ones((3, 3)))
            sizes = np.bincount(found.ravel())
            weights[number] = np.where(mask, 1 / sizes[found], 0)
            regions += count
    order = np.argsort(-maps.ravel(), kind="stable")
    values = maps.ravel()[order]
    last = np.flatnonzero(np.append(np.diff(values) != 0, True))  # equal values pass a threshold together
    overlap = np.cumsum(weights.ravel()[order])[last] / regions
    false = np.cumsum(~masks.ravel()[order])[last] / np.count_nonzero(~masks)
    false, overlap = np.append(0, false), np.append(0, overlap)
    inside = false < most_false
    end = np.interp(most_false, false, overlap)
    x, y = np.append(false[inside], most_false), np.append(overlap[inside], end)
    return float(np.trapezoid(y, x) / most_false)

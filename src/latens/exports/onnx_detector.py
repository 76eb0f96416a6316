"""A run's detector as one ONNX file: images in; scores, p-values and heat maps out."""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latens.detection import DEFAULT_DETECTOR, DETECTORS
from latens.detection.conformal import least_false_alarms
from latens.detection.fitted import Fitted, fit_detector
from latens.detection.graphs import DetectorGraph, PValues
from latens.errors import UsageError
from latens.exports.onnx_pair import check_installed, proto_of, write_proto
from latens.exports.programs import IMAGES, facts_of, plain_model
from latens.models.contract import Model
from latens.progress import Progress
from latens.runs import Run
from latens.text import listed

__all__ = ["detector_of", "write_onnx_detector"]

FILE = "detect.onnx"
ALPHAS = (0.01, 0.05)  # rates of false alarms whose thresholds the file holds


def write_onnx_detector(
    run: Run,
    folder: str | os.PathLike[str],
    method: str = DEFAULT_DETECTOR,
    *,
    progress: Progress | None = None,
) -> Path:
    """Write what `run.detect` computes as one ONNX file of opset 20.

    Args:
        run: complete; trained on normal images, which are at hand.
        folder: where `detect.onnx` goes; a file of this name is replaced.
        method: a name of `latens.detection.DETECTORS`.
        progress: shows the progress.

    Returns:
        The path.

    `detect.onnx` takes `images` (batch, C, H, W), float32 in [0, 1] as `encoder.onnx` does, for any batch, and gives `scores`
    (batch), `p_values` (batch) and, of a method that has them, `maps` (batch, H, W). Its metadata are those of `encoder.onnx`,
    with `method`, `calibration_images` (how many), and for 1 % and 5 % false alarms, where there are enough calibration images,
    `thresholds` (a score above is odd) and `map_levels` (places above are odd), as JSON.

    Raises:
        UnknownName: there is no such method.
        UsageError: the method has no graph.
        MissingExtra: onnx or onnxscript is not installed.
        RunError: the run was adopted, or its encoder was given; or it can't detect, see `fit_detector`.
        ImagesError: its images can't be read.
    """
    if not DETECTORS[method].has_graph:
        able = [name for name in DETECTORS if DETECTORS[name].has_graph]
        raise UsageError(f"the method {method} can't be written as ONNX; methods that can: {listed(able)}")
    check_installed()
    module, fitted = detector_of(run, method, progress=progress)
    made = ["scores", "p_values", "maps"][: 3 if fitted.detector.has_maps else 2]
    proto = proto_of(f"{run.path}: the detector", module, torch.zeros(2, *run.image_shape), IMAGES, made)
    return write_proto(Path(folder) / FILE, proto, facts_of(run) | {"method": method} | _calibration_of(fitted))


def detector_of(
    run: Run, method: str = DEFAULT_DETECTOR, *, progress: Progress | None = None
) -> tuple[nn.Module, Fitted]:
    """What `detect.onnx` is made of: the module from images to scores, p-values and maps; and the fitted detector.

    Args:
        run: as for `write_onnx_detector`.
        method: one that has a graph.
        progress: shows the progress.

    Raises:
        RunError: as `write_onnx_detector`.
        ImagesError: as `write_onnx_detector`.
    """
    model = plain_model(run)
    fitted = fit_detector(run, method, progress=progress)
    return _Detecting(model, fitted.detector.graph(run.image_shape), PValues(fitted.scores)).eval(), fitted


class _Detecting(nn.Module):
    """From images to scores, p-values and maps."""

    def __init__(self, model: Model, detector: DetectorGraph, p_values: PValues) -> None:
        super().__init__()
        self.model, self.detector, self.p_values = model, detector, p_values

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Scores (B,), p-values (B,), and maps (B, H, W) if there are any."""
        latents = self.model.encode(images)
        scores, maps = self.detector(images, latents, self.model.decode(latents))
        found = (scores, self.p_values(scores))
        return found if maps is None else (*found, maps)


def _calibration_of(fitted: Fitted) -> dict[str, Any]:
    reached = [alpha for alpha in ALPHAS if alpha * (1 + 1e-9) >= least_false_alarms(len(fitted.scores))]
    calibrations = {f"{alpha:g}": fitted.calibrated(alpha) for alpha in reached}
    facts: dict[str, Any] = {
        "calibration_images": len(fitted.scores),
        "thresholds": {alpha: one.threshold for alpha, one in calibrations.items()},
    }
    if fitted.detector.has_maps:
        facts["map_levels"] = {alpha: one.level for alpha, one in calibrations.items()}
    return facts

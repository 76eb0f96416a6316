"""How well are unseen images rebuilt?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.images.mapped import let_go
from latens.images.pixels import to_floats
from latens.metrics.linear import LinearBaseline, linear_baseline
from latens.metrics.score import Score, Scores, about
from latens.metrics.similarity import SSIM_WINDOW, structural_similarity

__all__ = ["ImageErrors", "class_errors", "image_errors", "score_reconstruction", "worst_images"]

VALUES = 1 << 24  # of a block of images: 64 MiB as float32
FLOOR = 1e-10  # squared error under which an image counts as exact: 100 dB, where the logarithm would be infinite


@dataclass(frozen=True)
class ImageErrors:
    """Errors of each image, float64 (N,): mean squared, the same of the clamped reconstruction, dB, similarity or None."""

    mse: NDArray[np.float64]
    mse_clamped: NDArray[np.float64]
    psnr: NDArray[np.float64]
    ssim: NDArray[np.float64] | None


def image_errors(
    originals: NDArray[np.uint8],
    reconstruct: Callable[[NDArray[np.uint8]], NDArray[Any]] | NDArray[Any],
    progress: Callable[[int, int], object] | None = None,
) -> ImageErrors:
    """Compare images with their reconstructions, in blocks, so that neither has to fit in memory whole.

    Args:
        originals: uint8 (N, C, H, W), in memory or memory-mapped.
        reconstruct: a function from such a block to float (B, C, H, W), about [0, 1]; or all reconstructions.
        progress: called with (done, total) images.

    Returns:
        One value an image; `psnr` and `ssim` of the reconstruction clamped to [0, 1], as a picture is shown.

    Raises:
        UsageError: no images, or reconstructions of another shape.
    """
    if originals.ndim != 4 or originals.dtype != np.uint8 or 0 in originals.shape:
        raise UsageError(f"images are {originals.dtype} {originals.shape}; uint8 (N, C, H, W) are needed, at least one")
    if not callable(reconstruct) and reconstruct.shape != originals.shape:
        raise UsageError(
            f"images have shape {originals.shape}, their reconstructions {reconstruct.shape}: not the same"
        )
    has_ssim = min(originals.shape[2:]) >= SSIM_WINDOW
    num = len(originals)
    mse, clamped, ssim = np.empty(num), np.empty(num), np.empty(num)
    rows = max(1, VALUES // int(np.prod(originals.shape[1:])))
    for start in range(0, num, rows):
        here = slice(start, min(start + rows, num))
        block = np.asarray(originals[here])
        rebuilt = np.asarray(reconstruct(block) if callable(reconstruct) else reconstruct[here], np.float32)
        if rebuilt.shape != block.shape:
            raise UsageError(f"images have shape {block.shape}, their reconstructions {rebuilt.shape}: not the same")
        x = to_floats(block)
        mse[here] = np.square(rebuilt - x).mean((1, 2, 3), dtype=np.float64)
        rebuilt = rebuilt.clip(0, 1)
        clamped[here] = np.square(rebuilt - x).mean((1, 2, 3), dtype=np.float64)
        if has_ssim:
            ssim[here] = structural_similarity(x, rebuilt)
        let_go(originals)
        if progress is not None:
            progress(here.stop, num)
    return ImageErrors(mse, clamped, -10 * np.log10(np.maximum(clamped, FLOOR)), ssim if has_ssim else None)


def class_errors(mse: NDArray[Any], labels: NDArray[Any], num_classes: int) -> NDArray[np.float64]:
    """The mean squared error of each class, float64 (K,); NaN for a class without images."""
    counts = np.bincount(labels, minlength=num_classes)
    sums = np.bincount(labels, weights=mse, minlength=num_classes)
    errors: NDArray[np.float64] = np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    return errors


def worst_images(mse: NDArray[Any], k: int = 20) -> NDArray[np.int64]:
    """Rows of the k images with the largest error, worst first; fewer where there are fewer."""
    worst: NDArray[np.int64] = np.argsort(-mse, kind="stable")[:k]
    return worst


def score_reconstruction(
    train_pixels: NDArray[np.uint8],
    test_pixels: NDArray[np.uint8],
    reconstruct: Callable[[NDArray[np.uint8]], NDArray[Any]] | NDArray[Any],
    latent_dim: int,
    *,
    labels: NDArray[Any] | None = None,
    class_names: Sequence[str] = (),
    ids: Sequence[str] | NDArray[Any] | None = None,
    seed: int = 0,
    num_worst: int = 20,
    progress: Callable[[int, int], object] | None = None,
) -> Scores:
    """Score the reconstructions of the test images.

    Args:
        train_pixels: uint8 (N, C, H, W), for the baseline.
        test_pixels: uint8 (M, C, H, W).
        reconstruct: see `image_errors`, of the test images.
        latent_dim: how many components PCA is given.
        labels: int (M,) of the test images, or None.
        class_names: name of each label.
        ids: name of each test image; row numbers by default.
        seed: of the subset of train images that PCA may have to make do with.
        num_worst: how many of the worst images to name.
        progress: called with (done, total) images.

    Returns:
        `mse`, `mse_clamped`, `psnr`, `ssim`, `pca_mse`, `pca_ratio`; as details `class_mse` and `worst`.

    Raises:
        UsageError: shapes that don't fit.
    """
    errors = image_errors(test_pixels, reconstruct, progress)
    linear = linear_baseline(train_pixels, test_pixels, latent_dim, seed)
    num, mse = len(test_pixels), float(errors.mse.mean())
    scores = [
        _score("mse", mse, "", "lower", "mean over images and pixels of the squared difference, pixels in [0, 1], no"
               " clamping", num, (linear.mse, linear.name)),
        _score("mse_clamped", float(errors.mse_clamped.mean()), "", "lower", "mse after clamping to [0, 1]", num),
        _score("psnr", float(errors.psnr.mean()), "dB", "higher", "mean of per-image values after clamping to [0, 1],"
               " at most 100", num),
    ]  # fmt: skip
    notes: list[str] = []
    if errors.ssim is not None:
        what = "11 × 11 Gaussian window, σ = 1.5, data range 1, mirrored edges, after clamping to [0, 1]"
        scores.append(_score("ssim", float(errors.ssim.mean()), "", "higher", what, num))
    else:
        notes.append(f"ssim is left out: images under {SSIM_WINDOW} pixels are smaller than its window")
    _add_linear(scores, notes, linear, mse, len(train_pixels), num, latent_dim, seed)
    return Scores(tuple(scores), tuple(notes), _details(errors.mse, labels, class_names, ids, num_worst))


def _add_linear(
    scores: list[Score],
    notes: list[str],
    linear: LinearBaseline,
    mse: float,
    num_train: int,
    num: int,
    latent_dim: int,
    seed: int,
) -> None:
    """What the best linear autoencoder of the same dimension reaches, and the share of it that is left."""
    subset = linear.num_fitted < num_train
    fitted = f"{linear.num_fitted:,} train images" + (f" of {num_train:,}, drawn" if subset else "")
    pca_protocol = f"{linear.name} fitted to the pixels of {fitted}"
    pca_seed = seed if subset else None
    scores.append(_score("pca_mse", linear.mse, "", "lower", pca_protocol, num, seed=pca_seed))
    if linear.mse > 0:
        what = f"mse as a share of that of {pca_protocol}"
        scores.append(_score("pca_ratio", mse / linear.mse, "", "lower", what, num, (1.0, linear.name), pca_seed))
    else:
        notes.append("pca_ratio is left out: PCA of this dimension makes no error")
    if linear.num_components < latent_dim:
        notes.append(
            f"PCA has {linear.num_components} components in place of {latent_dim}: the train images span no more"
        )


def _score(
    name: str,
    value: float,
    unit: str,
    better: Any,
    what: str,
    num: int,
    baseline: tuple[float | None, str] = (None, ""),
    seed: int | None = None,
) -> Score:
    return Score(name, value, unit, better, *baseline, about(what, "test", num, seed))


def _details(
    mse: NDArray[np.float64],
    labels: NDArray[Any] | None,
    class_names: Sequence[str],
    ids: Sequence[str] | NDArray[Any] | None,
    num_worst: int,
) -> dict[str, Any]:
    names = range(len(mse)) if ids is None else ids
    details: dict[str, Any] = {
        "worst": [{"id": str(names[i]), "row": int(i), "mse": float(mse[i])} for i in worst_images(mse, num_worst)]
    }
    if labels is not None:
        by_class = class_errors(mse, labels, max(len(class_names), int(labels.max()) + 1))
        details["class_mse"] = {
            class_names[k] if k < len(class_names) else str(k): (float(e) if np.isfinite(e) else None)
            for k, e in enumerate(by_class)
        }
    return details

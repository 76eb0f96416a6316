"""How well are unseen images reconstructed?"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.arrays import let_go
from latens.errors import UsageError
from latens.images.pixels import to_floats
from latens.metrics.inputs import Arrays, Inputs, Kept, anew
from latens.metrics.linear import LinearBaseline, linear_baseline
from latens.metrics.score import Definition, Metric, Protocol, Score, Scores
from latens.metrics.similarity import SSIM_WINDOW, structural_similarity

__all__ = ["METRIC", "ImageErrors", "class_errors", "image_errors", "score_reconstruction", "worst_images"]

VALUES = 1 << 24  # of a block of images: 64 MiB as float32
FLOOR = 1e-10  # squared error under which an image counts as exact: 100 dB, where the logarithm would be infinite

MSE = Definition(
    "mse",
    "How far the reconstructions of the test images are from the originals: the mean squared difference of a pixel, where black"
    " is 0 and white is 1.",
    "lower",
    baseline_kind="method",
)
MSE_CLAMPED = Definition(
    "mse_clamped", "The same error after the output is cut to the range from 0 to 1, as an image is shown.", "lower"
)
PSNR = Definition(
    "psnr",
    "Peak signal-to-noise ratio: the error on a logarithmic scale. 10 dB more are an error ten times smaller.",
    "higher",
    "dB",
)
SSIM = Definition(
    "ssim",
    "Structural similarity: whether edges and textures of the original are kept, from 0 to 1 for an identical image.",
    "higher",
)
PCA_MSE = Definition(
    "pca_mse",
    "The error of PCA with as many numbers for each image: the best that a linear autoencoder can do.",
    "none",
)
PCA_RATIO = Definition(
    "pca_ratio",
    "The error as a multiple of the error of PCA. Below 1 the network is better than the best linear method.",
    "lower",
    baseline_kind="method",
)


@dataclass(frozen=True)
class ImageErrors:
    """Errors of each image, float64 (N,): mean squared, the same of the clamped reconstruction, dB, similarity or None."""

    mse: NDArray[np.float64]
    mse_clamped: NDArray[np.float64]
    psnr: NDArray[np.float64]
    ssim: NDArray[np.float64] | None


def image_errors(
    originals: NDArray[Any],
    reconstruct: Callable[[NDArray[Any]], NDArray[Any]] | NDArray[Any],
    progress: Callable[[int, int], object] | None = None,
) -> ImageErrors:
    """Compare images with their reconstructions, in blocks, so that neither has to fit in memory whole.

    Args:
        originals: uint8, or float32 in [0, 1], (N, C, H, W), in memory or memory-mapped.
        reconstruct: a function from such a block to float (B, C, H, W), about [0, 1]; or all reconstructions.
        progress: called with (done, total) images.

    Returns:
        One value an image; `psnr` and `ssim` of the reconstruction clamped to [0, 1], as a picture is shown.

    Raises:
        UsageError: no images, or reconstructions of another shape.
    """
    if originals.ndim != 4 or originals.dtype not in (np.uint8, np.float32) or 0 in originals.shape:
        raise UsageError(
            f"images are {originals.dtype} {originals.shape}; (N, C, H, W) of uint8, or of float32 in [0, 1], are needed,"
            " at least one"
        )
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
    train_pixels: NDArray[Any],
    test_pixels: NDArray[Any],
    reconstruct: Callable[[NDArray[Any]], NDArray[Any]] | NDArray[Any],
    latent_dim: int,
    *,
    labels: NDArray[Any] | None = None,
    class_names: Sequence[str] = (),
    ids: Sequence[str] | NDArray[Any] | None = None,
    seed: int = 0,
    num_worst: int = 20,
    progress: Callable[[int, int], object] | None = None,
    kept: Kept = anew,
) -> Scores:
    """Score the reconstructions of the test images.

    Args:
        train_pixels: uint8, or float32 in [0, 1], (N, C, H, W), for the baseline.
        test_pixels: the same, (M, C, H, W).
        reconstruct: see `image_errors`, of the test images.
        latent_dim: how many components PCA is given.
        labels: int (M,) of the test images, or None.
        class_names: name of each label.
        ids: name of each test image; row numbers by default.
        seed: of the subset of train images that PCA may have to make do with.
        num_worst: how many of the worst images to name.
        progress: called with (done, total) images.
        kept: gives the error of PCA, see `Inputs`.

    Returns:
        `mse`, `mse_clamped`, `psnr`, `ssim`, `pca_mse`, `pca_ratio`; as details `class_mse` and `worst`.

    Raises:
        UsageError: shapes that don't fit.
    """
    errors = image_errors(test_pixels, reconstruct, progress)

    def of_pca() -> Arrays:
        found = linear_baseline(train_pixels, test_pixels, latent_dim, seed)
        return {name: np.array(value) for name, value in asdict(found).items()}

    known = kept(f"error of PCA, {latent_dim} components, seed {seed}", of_pca)
    linear = LinearBaseline(**{name: array.item() for name, array in known.items()})
    num, mse = len(test_pixels), float(errors.mse.mean())
    difference = "mean over images and pixels of the squared difference, pixels in [0, 1], no clamping"
    scores = [
        MSE.score(mse, Protocol(difference, num), linear.mse, baseline_name=linear.name),
        MSE_CLAMPED.score(errors.mse_clamped.mean(), Protocol("mse after clamping to [0, 1]", num)),
        PSNR.score(errors.psnr.mean(), Protocol("mean of per-image values after clamping to [0, 1], at most 100", num)),
    ]
    notes: list[str] = []
    if errors.ssim is not None:
        what = "11 × 11 Gaussian window, σ = 1.5, data range 1, mirrored edges, after clamping to [0, 1]"
        scores.append(SSIM.score(errors.ssim.mean(), Protocol(what, num)))
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
    settings: dict[str, int] = {"components": linear.num_components, "train_images": linear.num_fitted}
    if linear.num_fitted < num_train:
        settings["train_images_drawn_from"] = num_train
    what = "mse of PCA fitted to the pixels of train images"
    about = Protocol(what, num, seed=seed if linear.num_fitted < num_train else None, settings=settings)
    scores.append(PCA_MSE.score(linear.mse, about))
    if linear.mse > 0:
        about = replace(about, what=f"mse as a multiple of {what}")
        scores.append(PCA_RATIO.score(mse / linear.mse, about, 1.0, baseline_name=linear.name))
    else:
        notes.append("pca_ratio is left out: PCA of this dimension makes no error")
    if linear.num_components < latent_dim:
        notes.append(
            f"PCA has {linear.num_components} components in place of {latent_dim}: the train images span no more"
        )


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


def _score(inputs: Inputs) -> Scores:
    train, test = inputs.train, inputs.test
    return score_reconstruction(
        train.pixels,
        test.pixels,
        inputs.reconstruct,
        inputs.latent_dim,
        labels=test.labels,
        class_names=inputs.class_names,
        ids=test.ids,
        seed=inputs.seed,
        kept=inputs.kept,
    )


METRIC = Metric(
    "Reconstruction: how close are the reconstructions of test images to the originals?",
    (MSE, MSE_CLAMPED, PSNR, SSIM, PCA_MSE, PCA_RATIO),
    _score,
)

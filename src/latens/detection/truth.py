"""The layout of the MVTec anomaly detection data set: masks of the defects beside the test images.

    ROOT/train/good/*.png   ROOT/test/good/*.png   ROOT/test/KIND/*.png   ROOT/ground_truth/KIND/NAME_mask.png

A mask may also be called NAME.png, in any format of images.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.images.fit import default_fit
from latens.images.kinds import is_picture
from latens.images.pictures import read_pictures
from latens.images.pixels import to_floats
from latens.runs import Run

__all__ = ["NORMAL_WORDS", "masks_of", "truth_folder"]

MASKS = "ground_truth"
NORMAL_WORDS = frozenset({"good", "normal", "ok", "okay", "healthy", "pass", "defect-free", "no_defect", "negative"})
HALF = 0.5  # of white, from which a place belongs to a mask


def truth_folder(source: Any) -> Path | None:
    """The folder with the masks that belongs to new images: beside them or one or two levels above; or None."""
    if not isinstance(source, str | os.PathLike):
        return None
    folder = Path(source).expanduser().absolute()
    candidates = (folder, folder.parent, folder.parent.parent)
    return next((one / MASKS for one in candidates if (one / MASKS).is_dir()), None)


def masks_of(run: Run, source: Any, ids: NDArray[np.str_], odd: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Where the defects of new images are, by the masks beside them, brought to the model's size as the images are.

    Args:
        run: whose rule for other shapes counts.
        source: the new images' folder.
        ids: str (N,), file names relative to it.
        odd: bool (N,), the truth per image; only odd images have masks.

    Returns:
        bool (N, H, W), False where an image has no mask; None without any.
    """
    folder = truth_folder(source)
    if folder is None:
        return None
    _, height, width = run.image_shape
    masks = np.zeros((len(ids), height, width), bool)
    files = _files(folder)
    options, rules = run.record["data"]["options"], run.record["data"].get("rules", 1)
    fit = options.get("fit", default_fit(rules))
    for row in np.flatnonzero(odd):
        path = Path(source).expanduser().absolute() / str(ids[row])
        found = files.get((path.parent.name, path.stem))
        if found is not None:
            pictures = read_pictures(found, (1, height, width), fit=fit)
            block = next(pictures.blocks(pictures.parts[0]))
            masks[row] = to_floats(block.pixels)[0, 0] >= HALF
    return masks if masks.any() else None


def _files(folder: Path) -> dict[tuple[str, str], Path]:
    """(kind, name of the image without its ending) -> mask."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and is_picture(str(path), path.name):
            found[path.parent.name, path.stem.removesuffix("_mask")] = path
    return found

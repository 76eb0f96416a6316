"""Which names of folders mean the train or the test part of a data set: `training_set`, `seg_test`, `trainA`, `val2017`.

A name is split at separators, digits and capital letters. It means a part if one of its words does and the others are
neutral ("set", "images", a year). Any other word must stand in the name of the partner as well:
`chest_xray_train` means a part beside `chest_xray_test`, and nothing beside `bus`.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

__all__ = ["IMAGES", "MASKS", "TRAIN", "TRAINED_ON", "TRUTH", "PartName", "partners", "plain", "read_name"]

TRAIN = "train"
WORDS = {
    TRAIN: {"train", "training", "trainval"},
    "test": {"test", "tests", "testing"},
    "holdout": {"holdout", "heldout"},
    "evaluation": {"eval", "evaluation"},
    "validation": {"val", "valid", "validate", "validation"},
    "development": {"dev", "devel", "development"},
}
# The first of these that a data set has is its test part.
TEST_ORDER = [kind for kind in WORDS if kind != TRAIN]
# These are trained on where there is another test part: nothing is chosen by them.
TRAINED_ON = ("validation", "development")
# Where they stand alone beside other folders, these can as well be classes: valid and invalid, dev and ops.
AMBIGUOUS = {"valid", "dev", "devel", "development", "eval", "evaluation"}
FILLERS = {
    *("set", "sets", "data", "dataset", "split", "splits", "part", "subset", "folder", "dir", "files", "samples"),
    *("image", "images", "img", "imgs", "picture", "pictures", "pics", "photo", "photos", "jpg", "jpeg", "png"),
    *("seg", "x", "full", "final", "public", "private", "raw", "new", "the", "my"),
}
IMAGES = {
    *("image", "images", "img", "imgs", "picture", "pictures", "pics", "photo", "photos", "jpegimages", "input"),
    *("inputs", "original", "originals", "rgb"),
}
MASKS = {
    *("mask", "masks", "label", "labels", "annotation", "annotations", "gt", "gts", "segmentation", "segmentations"),
    *("segmentationclass", "segmentationobject", "trimaps"),
}
TRUTH = {"groundtruth", "groundtruths", "groundtruthmasks"}

SUFFIX = re.compile(
    r"(?P<word>[a-z]+?)(?:set|data|dataset|images|imgs|img|pics|folder|files|samples)?(?P<letter>[ab])?"
)


class PartName(NamedTuple):
    """A name of a folder that may mean a part.

    Args:
        kind: a key of `WORDS`.
        own: its words that are not neutral, such as ("chest", "xray").
        letter: of trainA and trainB, "A" and "B"; otherwise "".
        ambiguous: whether the word can as well be the name of a class.
    """

    kind: str
    own: tuple[str, ...]
    letter: str
    ambiguous: bool


def plain(name: str) -> str:
    """A name without case, separators and digits: what `IMAGES`, `MASKS` and `TRUTH` hold.

    >>> plain("Ground-Truth 2")
    'groundtruth'
    """
    return "".join(re.findall(r"[^\W\d_]+", unicodedata.normalize("NFKC", name).casefold()))


@lru_cache(maxsize=1 << 16)
def read_name(name: str) -> PartName | None:
    """What part a name may mean, or None.

    >>> read_name("Training_Set"), read_name("testB").letter, read_name("trains")
    (PartName(kind='train', own=(), letter='', ambiguous=False), 'B', None)
    """
    text = unicodedata.normalize("NFKC", name)
    text = re.sub(r"(?i)\b(hold|held)[-_ .]?out", r"\1out", text)
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)  # trainA, PublicTest
    words = [word.casefold() for word in re.findall(r"[^\W\d_]+", text)]
    found: list[tuple[str, str, str]] = []
    own: list[str] = []
    letter = ""
    for word in words:
        kind, core, end = _kind_of(word)
        if kind:
            found.append((kind, core, end))
        elif word in ("a", "b", "c", "d"):
            letter = word.upper()
        elif word not in FILLERS:
            own.append(word)
    kinds = {kind for kind, _, _ in found}
    if not found or {TRAIN, "test"} <= kinds:  # train_test_split holds both
        return None
    kind, core, end = min(found, key=lambda item: item[0] != TRAIN)  # train_val is trained on
    return PartName(kind, tuple(own), letter or end.upper(), core in AMBIGUOUS)


def _kind_of(word: str) -> tuple[str, str, str]:
    """The part that a word means, the word without its endings, and the letter behind it."""
    match = SUFFIX.fullmatch(word)
    candidates = [(word, "")] + ([(match["word"], match["letter"] or "")] if match else [])
    for core, letter in candidates:
        for kind, known in WORDS.items():
            if core in known and not (letter and core in AMBIGUOUS):
                return kind, core, letter
    return "", "", ""


def partners(names: Sequence[str]) -> dict[str, PartName]:
    """Those of some folders beside each other that mean parts, where both a train and a test part are among them.

    >>> sorted(partners(["seg_train", "seg_test", "seg_pred"])), partners(["train", "bus", "car"])
    (['seg_test', 'seg_train'], {})
    """
    read = {name: part for name in names if (part := read_name(name)) is not None}
    trains = {part.own for part in read.values() if part.kind == TRAIN}
    tests = {part.own for part in read.values() if part.kind != TRAIN}
    if not trains or not tests:
        return {}
    matched = trains & tests
    if () in trains:
        matched |= {()} | tests
    return {name: part for name, part in read.items() if part.own in matched}

"""Data sets for detection: train on normal images only, test on normal and odd ones. Some normal images are kept unseen.

A decision with a promised rate of false alarms rests on normal images that training did not see (`latens.detection`). The
normal images of such a set's test part are what a detector is judged by, so they can't serve for that: a tenth of the train
part is moved to the test part, where its ids say where it came from.
"""

import numpy as np

from latens.images.contract import Images, make_images
from latens.images.split import content_hashes, split_by_content
from latens.text import counted

__all__ = ["is_for_detection", "keep_some_unseen"]

FEWEST = 20  # train images; of fewer none is moved


def is_for_detection(train: Images, test: Images) -> bool:
    """Whether all train images are of one class and the test part has others that training never saw."""
    if train.labels is None or test.labels is None or len(train) < FEWEST:
        return False
    seen = np.unique(train.labels)
    return len(seen) == 1 and bool((~np.isin(test.labels, seen)).any())


def keep_some_unseen(train: Images, test: Images) -> tuple[Images, Images, tuple[str, ...]]:
    """Both parts with a tenth of the train images moved to the test part, chosen by content; and the note on it.

    >>> pixels = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), np.uint8)
    >>> good = make_images(pixels[:30], np.arange(30).astype(str), np.zeros(30, np.int64), ("good", "spot"))
    >>> odd = make_images(pixels[30:], np.arange(30, 40).astype(str), np.ones(10, np.int64), ("good", "spot"))
    >>> [len(part) for part in keep_some_unseen(good, odd)[:2]]
    [27, 13]
    """
    kept, moved = split_by_content(content_hashes(train.pixels))
    if not len(kept) or not len(moved):
        return train, test, ()
    unseen = train.take(moved)
    assert test.labels is not None
    assert unseen.labels is not None
    joined = make_images(
        np.concatenate([test.pixels, unseen.pixels]),
        np.concatenate([test.ids, unseen.ids]),
        np.concatenate([test.labels, unseen.labels]),
        test.class_names,
        {name: np.concatenate([column, unseen.columns[name]]) for name, column in test.columns.items()},
        value_range=test.value_range,
        channel_names=test.channel_names,
        show=test.show,
    )
    note = (
        f"{counted(len(moved), 'train image')} were moved to the test part: normal images that training does not see, on which"
        " `latens detect` is calibrated"
    )
    return train.take(kept), joined, (note,)

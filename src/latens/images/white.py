"""The number that is white, where whole numbers use only a part of their type's range.

Cameras write 10, 12 or 14 bits into files of 16 bits, and masks are often written as 0 and 1: with the type's largest number as
white such images would be nearly black. The choice is made once for a whole data set, never image by image. It is said in
a note and kept with the data set's options, so that a run reads later images by the same number.
"""

from collections.abc import Iterable

from latens.errors import UsageError

__all__ = ["DEEP_WHITE", "checked_white", "choose_white"]

DEEP_WHITE = 65535  # the largest number of 16 bits
LEVELS = {1: "masks", 255: "8 bits", 1023: "10 bits", 4095: "12 bits", 16383: "14 bits", DEEP_WHITE: "16 bits"}


def checked_white(white: object) -> int | None:
    """The argument `white` of `load_images`.

    Raises:
        UsageError: it is no whole number from 1 to 65535.
    """
    if white is None:
        return None
    whole = hasattr(white, "__index__") and not isinstance(white, bool)
    if not whole or not 1 <= (value := white.__index__()) <= DEEP_WHITE:  # type: ignore[attr-defined]
        raise UsageError(
            f"white is {white!r}; allowed is a whole number from 1 to {DEEP_WHITE}: 4095 for 12 bits, 1 for masks"
        )
    return int(value)


def choose_white(largest: Iterable[int], deep: bool) -> tuple[int | None, tuple[str, ...]]:
    """The number that is white, and notes on it.

    Args:
        largest: the largest number of one image or block after another; read no further than needed.
        deep: whether the images have 16 bits.

    Returns:
        None and nothing to say where the type's largest number is white.

    >>> choose_white([900, 3987], deep=True)[0], choose_white([1, 0], deep=False)[0], choose_white([7], deep=False)
    (4095, 1, (None, ()))
    """
    found = 0
    for value in largest:
        found = max(found, value)
        if found > (16383 if deep else 1):
            return None, ()
    if found == 0 or (not deep and found != 1):
        return None, ()
    white = next(level for level in LEVELS if level >= found)
    if white == 1:
        return white, ("all numbers are 0 or 1 (masks): 1 was read as white (white, --white: another number)",)
    return white, (
        f"the largest number of all 16-bit images is {found}: {white} ({LEVELS[white]}) was read as white (white, --white: "
        "another number)",
    )

"""Options that several figures share."""

from latens.figures.contract import Option

__all__ = ["AUTOSCALE", "FIRST", "PER_ROW", "SEED", "read_seed"]


def read_seed(text: str) -> int:
    """A seed: a whole number, not negative."""
    if (number := int(text)) < 0:
        raise ValueError(text)
    return number


AUTOSCALE = Option("autoscale", False, "stretch the contrast of each image, as matplotlib's imshow does", bool)
FIRST = Option("first", None, "an image of the test part: where it starts", flag="--from", metavar="ROW")
PER_ROW = Option("per_row", 10, "images or pairs per row", metavar="N")
SEED = Option("seed", 0, "of what is drawn at random", read_seed, metavar="N")

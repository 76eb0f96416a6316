"""The values on the command line: each function is the type of an argument, and says in one line what is wrong with one."""

import argparse
import math
from collections.abc import Callable

from latens.errors import UsageError
from latens.images.words import BY_DATA, BY_TYPE
from latens.models import MODELS
from latens.text import bytes_of
from latens.training.recipes import AUGMENTATIONS, MAX_SEED, model_name, read_choice, whole_number

__all__ = [
    "augmentation",
    "count",
    "known_encoder",
    "model",
    "own_class",
    "rate",
    "seed",
    "size",
    "size_of_file",
    "value_range",
    "whole",
]


def size(text: str) -> int | tuple[int, int]:
    """`64` -> 64, `48x64` -> (48, 64)."""
    numbers = tuple(int(part) for part in text.lower().split("x"))
    if len(numbers) not in (1, 2) or min(numbers) < 1:
        raise ValueError(text)
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """The type of a whole number within bounds."""

    def read(text: str) -> int:
        try:
            return whole_number("the number", int(text), least, most)
        except ValueError:  # a UsageError is one too
            allowed = f"of at least {least}" if most is None else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {allowed}") from None

    return read


seed, count = whole(0, MAX_SEED), whole(1)


def rate(text: str) -> float:
    """A learning rate: a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def size_of_file(text: str) -> int:
    """`20MB` -> 20000000."""
    try:
        return bytes_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def model(text: str) -> str:
    """A model's name, with options or without: `variational:beta=4`. A class of a module of the user's own is imported."""
    try:
        name = read_choice(text)[0]
        model_name(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if name not in MODELS:
        raise argparse.ArgumentTypeError(f"unknown model {name!r}; known: {', '.join(MODELS)}")
    return text


def own_class(text: str) -> str:
    """A class of a module of the user's own, which is imported: `package.module:Class`."""
    if ":" not in text:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not package.module:Class; a run knows the models of latens itself"
        )
    try:
        model_name(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def known_encoder(text: str) -> str:
    """An encoder that the runs of this process may use, see `latens.encoders.give_encoder`."""
    from latens.encoders import give_encoder  # which loads torch

    try:
        return give_encoder(text).name
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def value_range(text: str) -> str | tuple[float, float]:
    """`0,900` -> (0.0, 900.0); `type` and `data` as they are. The words behind --range come here as one, see `_together`."""
    if text in (BY_TYPE, BY_DATA):
        return text
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not LOW HIGH, such as 0 4095, or {BY_TYPE}, or {BY_DATA}"
        ) from None
    return low, high


def augmentation(text: str) -> str | None:
    """A name of `AUGMENTATIONS`; "auto" leaves it to the recipe."""
    if text not in (*AUGMENTATIONS, "auto"):
        known = ", ".join((*AUGMENTATIONS, "auto"))
        raise argparse.ArgumentTypeError(f"unknown augmentation {text!r}; known: {known}")
    return None if text == "auto" else text

"""An entry of the table `FIGURES`: a figure, what it needs of a run, its options, and its words in the report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from latens.errors import UsageError
from latens.text import quoted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from latens.runs import Run
    from latens.story import Story

__all__ = [
    "HISTORY",
    "LABELS",
    "REVIEW",
    "TWO_TEST_IMAGES",
    "VARYING_LATENTS",
    "FigureEntry",
    "Need",
    "Option",
    "Words",
]

Words = tuple[str, str]
"""The alternative text of a figure, and its caption."""


@dataclass(frozen=True)
class Need:
    """Something in a run that a figure cannot be drawn without.

    Args:
        name: in a word or two.
        missing: run -> why the run lacks it, to stand behind the run's path and a colon; "" where it has it.
    """

    name: str
    missing: Callable[["Run"], str]


@dataclass(frozen=True)
class Option:
    """An option of a figure, on the command line and in Python.

    Args:
        name: in Python.
        default: its value where it is not given.
        help: what it sets, in a few words.
        read: text -> value; `bool` makes a flag without a value.
        choices: the allowed values, where they are few.
        flag: on the command line; `--name` where it is empty.
        metavar: what stands for the value in the help.
        many: takes one value or more, a tuple of them in Python.
    """

    name: str
    default: Any
    help: str
    read: Callable[[str], Any] = int
    choices: Sequence[str] | None = None
    flag: str = ""
    metavar: str | None = None
    many: bool = False


@dataclass(frozen=True)
class FigureEntry:
    """A figure. Called, it draws arrays, which may come from anywhere.

    Args:
        draw: arrays -> a matplotlib `Figure`.
        of_run: (run, its images, options by name) -> the same figure of a run; gathers the arrays and calls `draw`.
        words: what the report tells about it -> its alternative text and its caption; the second argument is the variant,
            such as "pca" of the file map-pca.png.
        chapter: of the report where it is shown, see `latens.report.sections`; "" for the chapter of further figures.
        needs: what a run must have.
        options: what can be asked.
        variants: run -> for each file that is drawn unasked the part of its name behind the figure's, and its options.
        small_letters: some letters have less than 11 points, 7.5 at least: a page scrolls it sideways on a telephone.
    """

    draw: "Callable[..., Figure]"
    of_run: "Callable[..., Figure]"
    words: "Callable[[Story, str], Words]"
    chapter: str = ""
    needs: tuple[Need, ...] = ()
    options: tuple[Option, ...] = ()
    variants: "Callable[[Run], Mapping[str, Mapping[str, Any]]]" = lambda run: {"": {}}
    small_letters: bool = False

    def __call__(self, *args: Any, **kwargs: Any) -> "Figure":
        """Draw arrays."""
        return self.draw(*args, **kwargs)

    def missing(self, run: "Run") -> str:
        """Why a run lacks something that the figure needs; "" where it has all."""
        return next(filter(None, (need.missing(run) for need in self.needs)), "")

    def settle(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """All options with their values.

        Args:
            name: of the figure, for the message.
            given: those that are not the default.

        Raises:
            UsageError: the figure has no such option, or the value is none of its choices.
        """
        settled = {option.name: option.default for option in self.options}
        for key, value in given.items():
            if key not in settled:
                known = f"it has {', '.join(settled)}" if settled else "it has none"
                raise UsageError(f"the figure {name} has no option {key}; {known}")
            (option,) = (one for one in self.options if one.name == key)
            if option.choices is not None and value is not None and value not in option.choices:
                raise UsageError(
                    f"the figure {name}: {key} is {value!r}; it must be one of {', '.join(option.choices)}"
                )
            settled[key] = value
        return settled


def _no_history(run: "Run") -> str:
    return "" if run.history else "has no history (its weights were imported); there is no loss to draw"


def _no_labels(run: "Run") -> str:
    return "" if run.class_names else "its images have no labels; there are no classes to compare"


def _no_review(run: "Run") -> str:
    from latens.computed.review.findings import FILE

    return "" if FILE in run.record["files"] else f"was not reviewed yet; `latens review {quoted(run.path)}` does it"


def _no_two_test_images(run: "Run") -> str:
    from latens.runs.run import TEST

    number = len(run.of_part("ids", TEST))
    return "" if number > 1 else f"its test part has {number} image; two are needed"


def _no_variance(run: "Run") -> str:
    varies = (
        run.of_part("latents", run.mapped_part).max(axis=0) > run.of_part("latents", run.mapped_part).min(axis=0)
    ).any()
    return "" if varies else "all its latents are equal; they vary in no direction"


HISTORY = Need("history", _no_history)
LABELS = Need("labels", _no_labels)
REVIEW = Need("review", _no_review)
TWO_TEST_IMAGES = Need("two test images", _no_two_test_images)
VARYING_LATENTS = Need("latents that vary", _no_variance)

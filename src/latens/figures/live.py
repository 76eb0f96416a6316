"""A loss curve in a Jupyter notebook that is redrawn while the model trains."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from latens.errors import MissingExtra
from latens.figures import FIGURES

if TYPE_CHECKING:
    from latens.training import Step

__all__ = ["in_notebook", "live_loss"]


def in_notebook() -> bool:
    """Whether this process is the kernel of a Jupyter notebook."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def live_loss(steps: "Iterable[Step]", last: int = 30) -> "Iterator[Step]":
    """Yield Steps as they come, and redraw the loss of the last epochs after each.

    Args:
        steps: from `train` or `record`.
        last: epochs to show.

    Raises:
        MissingExtra: IPython is not installed.

    Source: the training cell of the reference experiment; its axis was labelled batches and showed epochs.
    """
    try:
        from IPython.display import Image, display
    except ImportError:
        raise MissingExtra("live_loss draws in notebooks and needs IPython; `pip install ipython`") from None
    from latens.figures import png_bytes  # who asks `in_notebook` does not wait for matplotlib

    history: list[dict[str, Any]] = []
    shown: Any = None
    for step in steps:
        history.append({"epoch": step.epoch, "train_loss": step.train_loss, "test_mse": step.test_mse})
        figure = FIGURES["loss"](history, last=last)
        # As PNG, since notebooks know how to show a Figure only once pyplot is loaded.
        image = Image(data=png_bytes(figure), format="png")  # type: ignore[no-untyped-call]
        if shown is None:
            shown = display(image, display_id=True)  # type: ignore[no-untyped-call]
        else:
            shown.update(image)  # in its place: what else the cell has printed stays
        yield step

"""MNIST, shipped with this package: 60,000 + 10,000 handwritten digits of 28 x 28 pixels. No network is needed."""

from pathlib import Path
from typing import Any

from latens.images.contract import Dataset
from latens.images.idx import plan_named, read_named
from latens.images.plan import Options, Plan

__all__ = ["MNIST", "MnistSource"]

FOLDER = Path(__file__).parent / "mnist"
CLASS_NAMES = tuple("0123456789")


class MnistSource:
    """The MNIST database of Yann LeCun and Corinna Cortes; its licence is beside the files."""

    def accepts(self, source: Any) -> bool:
        """Whether it is the name "mnist"; a folder of that name is "./mnist"."""
        return isinstance(source, str) and source == "mnist"

    def read(self, source: Any, options: Options) -> Dataset:
        """The data set, in memory.

        Raises:
            ImagesDamaged: a file of the installation is damaged.
        """
        return read_named("mnist", FOLDER, CLASS_NAMES, options)

    def plan(self, source: Any, options: Options) -> Plan:
        """The train and the test part, in their own order."""
        return plan_named("mnist", FOLDER, CLASS_NAMES, options)


MNIST = MnistSource()

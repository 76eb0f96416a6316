"""The errors that latens raises, as one small tree.

    LatensError
    ├── UsageError            an argument that is not allowed (also a ValueError)
    │   └── UnknownName       a name that is in no table
    ├── ImagesError           something is wrong with the pictures
    │   ├── ImagesNotFound    no such file, folder or data set
    │   ├── ImagesEmpty       there is nothing in it
    │   ├── ImagesDamaged     there is something, but it can't be read as what it says it is
    │   └── LabelsError       labels that are no classes
    ├── RunError              something is wrong with a run folder
    │   ├── RunNotFound       no run there
    │   ├── RunDamaged        a file is missing, or its bytes are not those that were written
    │   └── ProtocolsDiffer   scores that were measured in different ways are not compared
    ├── TrainingDiverged      the loss is no longer a finite number
    ├── DeviceUnavailable     the requested device is not available
    ├── MissingExtra          an optional package is not installed
    └── PluginError           an installed plug-in can't be loaded

A message says in one line what is wrong, what was found, what is allowed and what to do.
"""

from collections.abc import Iterable

__all__ = [
    "DeviceUnavailable",
    "ImagesDamaged",
    "ImagesEmpty",
    "ImagesError",
    "ImagesNotFound",
    "LabelsError",
    "LatensError",
    "MissingExtra",
    "PluginError",
    "ProtocolsDiffer",
    "RunDamaged",
    "RunError",
    "RunNotFound",
    "TrainingDiverged",
    "UnknownName",
    "UsageError",
]


class LatensError(Exception):
    """Base class of latens errors. The command line prints the message in one line and exits with 2."""


class UsageError(LatensError, ValueError):
    """An argument that is not allowed."""


class UnknownName(UsageError, KeyError):
    """A name that is in no table; the message lists the known ones."""

    def __init__(self, kind: str, got: object, known: Iterable[str]) -> None:
        self.message = f"unknown {kind} {got!r}; known: {', '.join(sorted(known))}"
        super().__init__(self.message)

    def __str__(self) -> str:
        # KeyError would show the repr, with quotes.
        return self.message


class ImagesError(LatensError):
    """Something is wrong with the pictures."""


class ImagesNotFound(ImagesError):
    """No such file, folder or data set."""


class ImagesEmpty(ImagesError):
    """There is nothing in it."""


class ImagesDamaged(ImagesError):
    """There is something, but it can't be read as what it says it is."""


class LabelsError(ImagesError):
    """Labels that are no classes: of another shape, of several kinds in one, or missing for some images."""


class RunError(LatensError):
    """Something is wrong with a run folder."""


class RunNotFound(RunError):
    """No run there."""


class RunDamaged(RunError):
    """A file of the run is missing, or its bytes are not those that were written."""


class ProtocolsDiffer(RunError):
    """Scores that were measured in different ways are not compared."""


class TrainingDiverged(LatensError):
    """The loss is no longer a finite number; the last good state is kept."""


class DeviceUnavailable(LatensError):
    """The requested device is not available."""


class MissingExtra(LatensError):
    """An optional package is not installed."""


class PluginError(LatensError):
    """An installed plug-in can't be loaded."""

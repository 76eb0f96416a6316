"""The errors that latens raises, as one small tree.

    LatensError
    ├── UsageError            an argument that is not allowed (also a ValueError)
    │   └── UnknownName       a name that is in no table
    ├── ImagesError           the images can't be used
    │   ├── ImagesNotFound    no such file, folder or data set
    │   ├── ImagesEmpty       the source contains no images
    │   ├── ImagesDamaged     a file can't be read in the format of its name
    │   ├── LabelsError       the labels are not classes
    │   └── TableError        a table of images can't be read, or does not fit the images
    ├── RunError              a run can't be used as requested
    │   ├── RunNotFound       the folder contains no run
    │   │   └── RunElsewhere  a process has helped to train a run that it can't see
    │   ├── RunDamaged        a file is missing, or its bytes are not those that were written
    │   └── ProtocolsDiffer   scores of different protocols can't be compared
    ├── ProcessLost           a process that took part in the training is gone
    ├── TrainingDiverged      the loss is no longer a finite number
    ├── ClusterUnavailable    a cluster can't be reached, or could not go on
    ├── DeviceUnavailable     the requested device is not available
    ├── MissingExtra          an optional package is not installed
    └── PluginError           an installed plug-in can't be loaded

A message is one line: what is wrong, what was given, what is allowed, and what to do.
"""

from collections.abc import Iterable

__all__ = [
    "ClusterUnavailable",
    "DeviceUnavailable",
    "ImagesDamaged",
    "ImagesEmpty",
    "ImagesError",
    "ImagesNotFound",
    "LabelsError",
    "LatensError",
    "MissingExtra",
    "PluginError",
    "ProcessLost",
    "ProtocolsDiffer",
    "RunDamaged",
    "RunElsewhere",
    "RunError",
    "RunNotFound",
    "TableError",
    "TrainingDiverged",
    "UnknownName",
    "UsageError",
    "lacks_memory",
]


class LatensError(Exception):
    """Base class of latens errors. The command line prints the message in one line and exits with 2."""


class UsageError(LatensError, ValueError):
    """An argument that is not allowed."""


class UnknownName(UsageError, KeyError):
    """A name that is in no table; the message lists the known names."""

    def __init__(self, kind: str, got: object, known: Iterable[str]) -> None:
        self.message = f"unknown {kind} {got!r}; known: {', '.join(sorted(known))}"
        super().__init__(self.message)

    def __str__(self) -> str:
        # KeyError would show the repr, with quotes.
        return self.message


class ImagesError(LatensError):
    """The images can't be used."""


class ImagesNotFound(ImagesError):
    """No such file, folder or data set."""


class ImagesEmpty(ImagesError):
    """The source contains no images."""


class ImagesDamaged(ImagesError):
    """A file can't be read in the format of its name."""


class LabelsError(ImagesError):
    """The labels are not classes: wrong shape, mixed types, or missing for some images."""


class TableError(ImagesError):
    """A table of images can't be read as one, or none of its columns names the images."""


class RunError(LatensError):
    """A run can't be used as requested."""


class RunNotFound(RunError):
    """The folder contains no run."""


class RunElsewhere(RunNotFound):
    """The run that this process has helped to train is complete, in a folder that only process 0 can see."""


class RunDamaged(RunError):
    """A file of the run is missing, or its bytes are not those that were written."""


class ProtocolsDiffer(RunError):
    """Scores of different protocols can't be compared."""


class ProcessLost(LatensError):
    """A process that took part in the training is gone; the last checkpoint is kept."""


class TrainingDiverged(LatensError):
    """The loss is no longer a finite number; the last good state is kept."""


class ClusterUnavailable(LatensError):
    """A cluster of machines can't be reached, or could not go on; what it has written is kept."""


class DeviceUnavailable(LatensError):
    """The requested device is not available."""


class MissingExtra(LatensError):
    """An optional package is not installed."""


class PluginError(LatensError):
    """An installed plug-in can't be loaded."""


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory, on the device or on the host.

    torch raises a RuntimeError for it, with several lines about its allocator, and onnxruntime exceptions of its own; Python does
    where no thread can be started.

    >>> lacks_memory(MemoryError()), lacks_memory(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))
    (True, True)
    >>> lacks_memory(RuntimeError("shapes differ"))
    False
    """
    if isinstance(error, MemoryError):
        return True
    said = (
        "can't allocate memory",
        "out of memory",
        "Cannot allocate memory",
        "Failed to allocate memory",
        "std::bad_alloc",
        "can't start new thread",
    )
    own = isinstance(error, LatensError)  # which may quote a file
    return isinstance(error, Exception) and not own and any(words in str(error) for words in said)

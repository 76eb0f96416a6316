"""What the parts of a folder rest on where they are computed from images by a run."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from latens import __version__
from latens.computed.given_images import GivenImages
from latens.images.plan import Refused
from latens.parts.contract import Work
from latens.runs import Run
from latens.runs.run import WEIGHTS

__all__ = ["WorkOnImages", "run_facts"]


class WorkOnImages(Work):
    """Images, and the run that something is computed by.

    Args:
        run: whose model sees them.
        given: the images.
        reading: how they are read, options of `GivenImages`.
        part: of the source.
    """

    def __init__(self, run: Run, given: GivenImages, reading: Mapping[str, Any], part: str = "all") -> None:
        self.run, self.given, self.reading, self.part = run, given, reading, part

    @property
    def total(self) -> int:
        """All images of the source, also those that turn out to be damaged."""
        return self.given.total

    @property
    def agreed(self) -> Mapping[str, Any]:
        """The weights, the names of the images, and how they are read."""
        names = hashlib.sha256()
        for one in self.given.ids:
            names.update(one.encode("utf-8", "surrogateescape") + b"\n")
        reading = {name: str(v) for name, v in sorted(self.reading.items()) if v is not None and v is not False}
        return {
            "weights": self.run.folder.files.get(WEIGHTS, ""),
            "images": self.total,
            "ids": names.hexdigest(),
            "part": self.part,
            "reading": reading,
        }

    @property
    def metadata(self) -> Mapping[str, str]:
        """See `run_facts`."""
        return run_facts(self.run)

    @property
    def notes(self) -> Sequence[str]:
        """Of reading."""
        return self.given.notes

    @property
    def left_out(self) -> Sequence[Refused]:
        """Files that could not be used, as far as they were met."""
        return self.given.refused

    @property
    def takes_gpu(self) -> bool:
        """Unless the run was opened for the CPU."""
        return self.run.device.startswith(("auto", "cuda"))


def run_facts(run: Run) -> dict[str, str]:
    """What a file says of the run that it was computed by."""
    return {
        "run": run.name,
        "fingerprint": str(run.record["data"]["fingerprint"]),
        "weights": run.folder.files.get(WEIGHTS, ""),
        "model": run.recipe.model_choice,
        "latent_shape": json.dumps(run.record.get("latent_shape", [run.recipe.latent_dim])),
        "version": __version__,
    }

"""The engine `ray`: parts are made by a pool of actors of a Ray cluster, as a Ray Data pipeline of their numbers."""

import logging
import os
import pickle
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from importlib.util import find_spec
from typing import Any

from latens.errors import ClusterUnavailable, LatensError, MissingExtra
from latens.parts.contract import Made
from latens.parts.folder import PartsFolder
from latens.text import shown

__all__ = ["made_on_ray"]


class Maker:
    """What an actor does: it opens the folder as any process does, and makes the parts whose numbers come."""

    def __init__(self, working_folder: str, *folder: Any) -> None:
        with suppress(OSError):  # other machines may not have it; then names of files must not be relative
            os.chdir(working_folder)
        self.folder = folder
        self.parts: PartsFolder | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, bytes]:
        """The pickled `Made`, or error: Ray would wrap an error, and its words are many lines."""
        try:
            self.parts = self.parts or PartsFolder(*self.folder)
            return {"told": pickle.dumps(self.parts.make(row["item"]))}
        except (LatensError, OSError) as error:
            return {"told": pickle.dumps(error)}


def made_on_ray(parts: PartsFolder, numbers: Sequence[int]) -> Iterator[Made]:
    """Make parts on a cluster: the one of RAY_ADDRESS, or of this machine, or a new one of this machine's processors.

    All its machines see run, source and folder under the same names. Each processor gets an actor, or each GPU where the work
    takes one. A lost actor is replaced, and what it was making is made again.

    Raises:
        MissingExtra: Ray is not installed.
        ClusterUnavailable: it can't be reached, or is lost.
    """
    if find_spec("ray") is None:
        raise MissingExtra('the engine ray needs Ray: pip install "latens[ray]"')
    import ray
    from ray.data import ActorPoolStrategy

    with _joined():
        resources = ray.cluster_resources()
        kind = "GPU" if parts.work.takes_gpu and resources.get("GPU") else "CPU"
        actors = min(len(numbers), max(1, int(resources.get(kind, 1))))
        # A part is large, so that more than one for an actor would only wait there.
        pool = ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=1)
        opened = (os.getcwd(), parts.open_work, os.path.abspath(parts.path), parts.rows)
        data = ray.data.from_items(list(numbers), override_num_blocks=len(numbers))
        data.context.enable_progress_bars = data.context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        told = data.map(Maker, fn_constructor_args=opened, compute=pool, **{f"num_{kind.lower()}s": 1})
        try:
            for row in told.iter_rows():
                answer = pickle.loads(row["told"])  # noqa: S301 - of our own actor
                if isinstance(answer, Exception):
                    raise answer
                yield answer
        except ray.exceptions.RayError as error:
            text = str(error).strip().splitlines()[-1]
            raise ClusterUnavailable(f"the Ray cluster could not go on ({text}); the same line goes on") from error


@contextmanager
def _joined() -> Iterator[None]:
    """A connection to the cluster, which ends here if it began here."""
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # latens reports nothing to anybody
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    own, address = not ray.is_initialized(), os.environ.get("RAY_ADDRESS", "")
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if own and host and port.isdecimal():  # Ray itself tries for minutes
            socket.create_connection((host, int(port)), timeout=10).close()
        if own:
            ray.init(logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, ValueError, RuntimeError) as error:
        at = shown(address) or "this machine"
        raise ClusterUnavailable(f"no Ray cluster at {at} ({error}); start one, or set or unset RAY_ADDRESS") from error
    try:
        with redirect_stdout(sys.stderr):  # Ray tells there of lost actors, and a command's JSON goes there
            yield
    finally:
        if own:
            ray.shutdown()

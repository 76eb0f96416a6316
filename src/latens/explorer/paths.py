"""Paths that a person has named, kept in the run's folder as a journal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latens.errors import UsageError
from latens.explorer.view import View
from latens.runs.journal import PATHS, append_change, changes_in, not_a_change

__all__ = ["Paths", "as_kept"]

LONGEST = 60  # characters of a name


class Paths:
    """The paths that are kept with a run.

    A path has a way, one of `latens.interpolation.PATHS`, and stops: images by their ids, whose mean it is, as `{"ids": […]}`, or
    a place of a map, `{"map": name, "x": x, "y": y}` in the map's own units.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / PATHS

    def read(self) -> dict[str, dict[str, Any]]:
        """Way and stops of each path by its name, in the order in which they were kept.

        Raises:
            RunDamaged: a whole line of the file is no change of paths.
        """
        paths: dict[str, dict[str, Any]] = {}
        for number, change in changes_in(self.path, "paths"):
            try:
                name, way, stops = change["path"], str(change["way"]), change["stops"]
                if not all("ids" in stop or {"map", "x", "y"} <= set(stop) for stop in stops):
                    raise ValueError("a stop is neither images nor a place")
                paths.pop(name, None)
                if stops:
                    paths[name] = {"way": way, "stops": list(stops)}
            except (ValueError, KeyError, TypeError) as error:
                raise not_a_change(self.path, number, "paths", error) from None
        return paths

    def keep(self, name: str, way: str, stops: Sequence[dict[str, Any]]) -> None:
        """Keep a path under a name.

        Args:
            name: a short text in one line.
            way: one of `PATHS`.
            stops: two or more, see the class.

        Raises:
            UsageError: the name is empty, too long, holds control characters, or is that of another path.
        """
        name = name.strip()
        if not name or len(name) > LONGEST or not name.isprintable():
            raise UsageError(f"the name of a path must be a text of 1 to {LONGEST} printable characters")
        path = {"way": way, "stops": list(stops)}

        def is_new() -> bool:  # of two who choose the same name at once, one is told
            known = self.read().get(name)
            if known is not None and known != path:
                raise UsageError(f"there is another path named {name!r}; choose another name, or remove that one first")
            return known is None

        append_change(self.path, {"path": name, **path}, is_new)

    def remove(self, name: str) -> None:
        """Remove a path; nothing where there is none of that name."""
        if name in self.read():
            append_change(self.path, {"path": name, "way": "", "stops": []})

    def resolved(self, view: View) -> list[dict[str, Any]]:
        """As `KeptPath` of the page's types.js: with rows in place of ids, and how many of these images the run does not have."""
        return [{"name": name, "way": one["way"], **_resolved(view, one["stops"])} for name, one in self.read().items()]


def _resolved(view: View, stops: Sequence[dict[str, Any]]) -> dict[str, Any]:
    ids = [[str(one) for one in stop["ids"]] if "ids" in stop else [] for stop in stops]
    rows = [[view.row_of_id[one] - view.first for one in some if one in view.row_of_id] for some in ids]
    found = [
        {axis: stop[axis] for axis in ("map", "x", "y")} if "map" in stop else rows[i] for i, stop in enumerate(stops)
    ]
    return {"stops": found, "lost": sum(map(len, ids)) - sum(map(len, rows))}


def as_kept(view: View, stop: Any) -> dict[str, Any]:
    """A stop of `latens.explorer.decoding.path` with ids in place of rows, which are the same in any program."""
    if isinstance(stop, list):
        return {"ids": [str(view.run.latents["ids"][view.row_of(point)]) for point in stop]}
    return {"map": stop["map"], "x": float(stop["x"]), "y": float(stop["y"])}

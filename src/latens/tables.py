"""Tables of names: `MODELS`, `MAPS`, `SAMPLERS`, … A name is known before its module is imported.

The command line's choices and its help read the names; that must not cost the import of torch. Entries come from latens itself
and from installed plug-ins, by their entry points (docs/plugins.md).
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from latens.errors import PluginError, UnknownName, UsageError

__all__ = ["GROUPS", "Table", "lazy_names"]

T = TypeVar("T")
GROUPS = "latens."  # what the names of the entry point groups begin with


class Table(Mapping[str, T], Generic[T]):
    """A read-only dict from names to objects, which are imported when they are first asked for.

    Args:
        kind: what an entry is, for the error about an unknown name.
        entries: name -> `"package.module:attribute"`.
        group: of the entry points by which installed packages add entries, `latens.GROUP`; None takes none.

    A plug-in cannot replace an entry of latens: its entry is left out with a warning. `add` puts in an entry for this process.

    >>> ROOTS = Table("root", {"square": "math:sqrt"})
    >>> list(ROOTS), ROOTS["square"](9)
    (['square'], 3.0)
    >>> ROOTS["cubic"]
    Traceback (most recent call last):
    latens.errors.UnknownName: unknown root 'cubic'; known: square
    """

    def __init__(self, kind: str, entries: Mapping[str, str], group: str | None = None) -> None:
        self.kind = kind
        self.group = group
        self._own = dict(entries)
        self._added: dict[str, T] = {}

    def add(self, name: str, value: T) -> None:
        """Put in an entry for this process, or replace one that was put in before.

        Raises:
            UsageError: the name is one of latens or of a plug-in.
        """
        if name in self._own or name in self.plugins:
            raise UsageError(f"the {self.kind} {name!r} is there already; add yours under another name")
        self._added[name] = value

    @property
    def added(self) -> Mapping[str, T]:
        """The entries that were put in for this process."""
        return dict(self._added)

    @property
    def own(self) -> tuple[str, ...]:
        """The names of the entries of latens itself."""
        return tuple(self._own)

    @cached_property
    def plugins(self) -> Mapping[str, EntryPoint]:
        """The entries of installed packages, by name; looked up once a process."""
        found: dict[str, EntryPoint] = {}
        for entry in _all_plugins().get(f"{GROUPS}{self.group}", []) if self.group else []:
            if entry.name in self._own or entry.name in found:
                owner = "latens" if entry.name in self._own else _package(found[entry.name])
                warnings.warn(
                    f"the {self.kind} {entry.name!r} of {_package(entry)} is left out: {owner} has one of that name",
                    stacklevel=2,
                )
            else:
                found[entry.name] = entry
        return found

    def __getitem__(self, name: str) -> T:
        if name in self._added:
            return self._added[name]
        if name in self._own:
            module, _, attribute = self._own[name].partition(":")
            value: T = getattr(import_module(module), attribute)
            return value
        if name in self.plugins:
            return self._loaded(self.plugins[name])
        raise UnknownName(self.kind, name, list(self))

    def _loaded(self, entry: EntryPoint) -> T:
        try:
            value: T = entry.load()
        except Exception as error:  # any error of another package while it is imported
            raise PluginError(
                f"the {self.kind} {entry.name!r} of {_package(entry)} can't be loaded"
                f" ({type(error).__name__}: {error}); update or uninstall that package"
            ) from error
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._added or name in self.plugins

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from sorted(self.plugins)
        yield from self._added

    def __len__(self) -> int:
        return len(self._own) + len(self.plugins) + len(self._added)


@cache
def _all_plugins() -> Mapping[str, list[EntryPoint]]:
    """All entry points of groups that begin with `latens.`, by group: one look at what is installed serves all tables."""
    found = entry_points()
    return {group: list(found.select(group=group)) for group in found.groups if group.startswith(GROUPS)}


def _package(entry: EntryPoint) -> str:
    return f"the package {entry.dist.name}" if entry.dist is not None else f"{entry.value!r}"


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """A `__getattr__` for a package whose public names are imported when they are first used.

    Args:
        package: its name, such as `"latens.training"`.
        homes: public name -> the module of the package that holds it.
    """

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return get

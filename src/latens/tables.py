"""The tables of names: `MODELS`, `MAPS`, `SAMPLERS`, … Their names are known without importing what they name.

The command line's choices and its help read the names; that must not cost the import of torch.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Generic, TypeVar

from latens.errors import UnknownName

__all__ = ["Table"]

T = TypeVar("T")


class Table(Mapping[str, T], Generic[T]):
    """A dict from names to objects that are imported when they are first asked for.

    Args:
        kind: what the names name, for the error about an unknown one.
        entries: name -> `"package.module:attribute"`.

    >>> ROOTS = Table("root", {"square": "math:sqrt"})
    >>> list(ROOTS), ROOTS["square"](9)
    (['square'], 3.0)
    >>> ROOTS["cubic"]
    Traceback (most recent call last):
    latens.errors.UnknownName: unknown root 'cubic'; known: square
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise UnknownName(self.kind, name, self._entries)
        module, _, attribute = self._entries[name].partition(":")
        value: T = getattr(import_module(module), attribute)
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

"""The token and the port of a run's explorer, kept so that a bookmark of its page opens it again after a restart."""

import hashlib
import json
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe

from latens.errors import RunDamaged, UsageError
from latens.files import cache_folder, read_json
from latens.runs import Run

__all__ = ["Kept", "kept_in", "kept_of"]

SAFE = re.compile(r"[A-Za-z0-9_-]{20,100}")  # what `token_urlsafe` gives, and long enough not to be guessed
OWN = 0o600


@dataclass(frozen=True)
class Kept:
    """A token, and the port that a server with it had last; 0 where there was none yet.

    Args:
        token: lets a browser in.
        port: to try first.
        path: of the file it is kept in; None where it can't be kept.
    """

    token: str
    port: int
    path: Path | None

    def store(self, port: int) -> None:
        """Keep the port too, in a file that only the user may read.

        Raises:
            OSError: it can't be written.
        """
        if self.path is None or port == self.port:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Never for a moment readable by others: the file is made with its mode, and then takes the place of the old one.
        temporary = self.path.with_name(f".{self.path.name}-{token_urlsafe(6)}")
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWN)
        try:
            with os.fdopen(file, "w", encoding="ascii") as text:
                json.dump({"token": self.token, "port": port}, text)
            os.replace(temporary, self.path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def kept_of(run: Run) -> Kept:
    """That of a run, in the user's cache folder; a new one where there is none that only the user can read.

    It does not lie in the run's folder, which people give to others.
    """
    name = hashlib.sha256(str(run.path.resolve()).encode()).hexdigest()[:24]
    path = cache_folder() / "explorer" / f"{name}.json"
    try:
        return _read(path)
    except (OSError, UsageError):
        with suppress(OSError):
            path.unlink(missing_ok=True)
        return Kept(token_urlsafe(18), 0, path)


def kept_in(path: str | os.PathLike[str]) -> Kept:
    """That of a file which the user names; a new one where there is no such file.

    Raises:
        UsageError: others may read the file, it is no such file, or it can't be read or made.
    """
    try:
        return _read(Path(path))
    except FileNotFoundError:
        kept = Kept(token_urlsafe(18), -1, Path(path))
    except OSError as error:
        raise UsageError(f"{path}: can't be read ({error.strerror or error})") from None
    try:
        kept.store(0)
    except OSError as error:
        raise UsageError(f"{path}: the token can't be kept there ({error.strerror or error})") from None
    return Kept(kept.token, 0, kept.path)


def _read(path: Path) -> Kept:
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise UsageError(f"{path}: is no file; give one that holds a token, or a name that is free")
    if os.name == "posix" and stat.S_IMODE(state.st_mode) & 0o077:
        raise UsageError(
            f"{path}: others may read it, and so open the explorer; `chmod 600` it, or delete it for a new token"
        )
    try:
        found = read_json(path)
        token, port = found["token"], found["port"]
        known = bool(SAFE.fullmatch(token)) and type(port) is int and 0 <= port <= 65_535
    except (TypeError, KeyError, RunDamaged):
        known = False
    if not known:
        raise UsageError(f"{path}: holds no token of the explorer; delete it for a new one")
    return Kept(token, port, path)

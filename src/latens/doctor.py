"""What `latens doctor` says: versions, device, kernels, cache, and what each extra lacks."""

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from latens import __version__
from latens.files import cache_folder

__all__ = ["examine", "missing_of_extras"]

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "openTSNE", "pillow", "matplotlib", "safetensors", "starlette")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")


def examine() -> dict[str, Any]:
    """Facts about this machine and what is installed.

    Returns:
        `versions` by package, "" for what is not installed; `system`; `device`: what `--device auto` takes; `kernels`: whether
        the kernels in C were built; `cache`: its folder, size in bytes, free bytes and whether it can be written; `extras`: for
        each the packages that are missing; `problems`: sentences on what should be mended.
    """
    from latens.device import choose_device, describe_device
    from latens.native import library

    versions = {"latens": __version__, "python": platform.python_version()}
    versions |= {name: _version(name) for name in PACKAGES}
    cache = _cache()
    built = library() is not None
    problems = []
    if not built:
        problems.append("the kernels were not built: latens is slower; install it where there is gcc or clang")
    if not cache["writable"]:
        problems.append(f"the cache {cache['folder']} can't be written; set LATENS_CACHE to another folder")
    return {
        "versions": versions,
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "interpreter": sys.executable,
        "device": describe_device(choose_device("auto")),
        "kernels": built,
        "cache": cache,
        "extras": missing_of_extras(),
        "problems": problems,
    }


def missing_of_extras() -> dict[str, list[str]]:
    """Of each extra the packages that are not installed; empty where latens itself is not installed as a package."""
    try:
        required = importlib.metadata.requires("latens") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    found: dict[str, list[str]] = {}
    for requirement in required:
        extra, name = EXTRA.search(requirement), NAME.match(requirement)
        if extra is None or name is None or extra[1] == "dev":
            continue
        missing = found.setdefault(extra[1], [])
        if not _version(name[0]):
            missing.append(name[0])
    return found


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _cache() -> dict[str, Any]:
    folder = cache_folder()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return {
        "folder": str(folder),
        "bytes": sum(file.stat().st_size for file in _files(folder)),
        "free": shutil.disk_usage(there).free,
        "writable": os.access(there, os.W_OK),
    }


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()] if folder.is_dir() else []

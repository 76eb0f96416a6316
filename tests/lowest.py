"""Print the lowest versions that pyproject.toml allows of what the core and its tests need: python tests/lowest.py > FILE"""

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
# Lowest versions of the other extras exclude each other, and no core test uses them.
EXTRAS = ("dicom", "fits", "heif", "notebook", "parquet")
LOWEST = re.compile(r"^([A-Za-z0-9._-]+)>=([0-9.]+)$")


def lowest() -> list[str]:
    """`name==version` of each dependency and of the extras that the core's tests use.

    Raises:
        ValueError: a requirement has no lowest version, so nobody knows what it works with.
    """
    project = tomllib.loads(PROJECT.read_text())["project"]
    extras = [project["optional-dependencies"][name] for name in EXTRAS]
    wanted = {text for group in (project["dependencies"], *extras) for text in group}
    matches = {text: LOWEST.match(text) for text in wanted}
    if unbounded := sorted(text for text, match in matches.items() if match is None):
        raise ValueError(f"no lowest version: {', '.join(unbounded)}")
    return sorted(f"{match[1]}=={match[2]}" for match in matches.values() if match)


if __name__ == "__main__":
    print("\n".join(lowest()))

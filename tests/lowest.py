"""Print the lowest version of each requirement that pyproject.toml allows, for pip: python tests/lowest.py > FILE"""

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
LOWEST = re.compile(r"^([A-Za-z0-9._-]+)>=([0-9.]+)$")


def lowest() -> list[str]:
    """`name==version` of each dependency and of each extra that users install.

    Raises:
        ValueError: a requirement has no lowest version, so nobody knows what it works with.
    """
    project = tomllib.loads(PROJECT.read_text())["project"]
    extras = {name: wanted for name, wanted in project["optional-dependencies"].items() if name != "dev"}
    wanted = {text for group in (project["dependencies"], *extras.values()) for text in group}
    matches = {text: LOWEST.match(text) for text in wanted}
    if unbounded := sorted(text for text, match in matches.items() if match is None):
        raise ValueError(f"no lowest version: {', '.join(unbounded)}")
    return sorted(f"{match[1]}=={match[2]}" for match in matches.values() if match)


if __name__ == "__main__":
    print("\n".join(lowest()))

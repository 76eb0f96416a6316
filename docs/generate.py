"""Write docs/cli.md from the parser: python docs/generate.py; a test holds that the file is what this would write."""

import argparse
import os
from pathlib import Path

from latens.cli import parser

HEAD = """# Command line

Written from the parser by `make docs`. Every command takes `--json`. Bad input gets one line on stderr and exit code 2.
"""


def reference() -> str:
    """The text of docs/cli.md."""
    os.environ["COLUMNS"] = "100"  # argparse wraps to the terminal's width
    top = parser()
    sections = [HEAD]
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                sections.append(f"## latens {name}\n\n```\n{command.format_help().rstrip()}\n```\n")
    return "\n".join(sections)


if __name__ == "__main__":
    (Path(__file__).parent / "cli.md").write_text(reference(), encoding="utf-8")

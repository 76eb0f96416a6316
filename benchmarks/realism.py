"""Which features tell blurred and cross-faded images from real ones, on several real sets; and the scale of KID's share.

    python benchmarks/realism.py [NAME ...] [--photographs FOLDER] [--json FILE]

Of each set of sets.py a part of the images is for training and the rest for testing. Printed is the share of train images that
count as real by the balls around test images (precision), of the same images blurred by a sixteenth of their width, and of
cross-fades of two: for the features by which sets are compared, and for the image statistics of latens.features.statistics.
Then the share of the kernel distance of bad images (`kid_share`) that real images get, and images which are a little blurred, by
a 64th of their width, where the former features have a scale for it: up to 0.5 is called good, up to 0.75 fair.
"""

import argparse
import os
from typing import Any

from scipy.ndimage import gaussian_filter

import latens
from common import Unavailable, machine, machine_line, say, set_up_threads, write_json
from latens.features import features_for
from latens.features.statistics import ImageStatistics
from latens.images.pixels import to_floats
from latens.metrics.kernel import kernel_sums
from latens.metrics.planted import planted_features
from latens.metrics.references import References, prepare_references
from sets import KNOWN, images_of

MOST = 4_000  # images of a set


def measured(images: latens.Dataset) -> dict[str, Any]:
    """Shares by both kinds of features."""
    train, test = images.train.inputs[:MOST], images.test.inputs[:MOST]
    row: dict[str, Any] = {"train": len(train), "test": len(test)}
    usual, statistics = features_for(images), ImageStatistics(train)
    found: dict[str, References] = {}
    for name, features in (("features", usual), ("statistics", statistics)):
        planted = planted_features(train, features)
        found[name] = prepare_references(features(test), features(train), features=name, planted=planted)
        scores = {one.name: one.value for one in found[name].scores.scores}
        row[name] = [scores[f"precision_{kind}"] for kind in ("real", "blurred", "faded")]
        row[f"{name} see"] = found[name].seen
        row[f"{name} tell by KID"] = found[name].tells
    if found["features"].tells:
        width = train.shape[3] / 64
        soft = usual(gaussian_filter(to_floats(train[:1_000]), (0, 0, width, width), mode="nearest"))
        sums = kernel_sums(soft), kernel_sums(soft, found["features"].test)
        row["share of soft images"] = found["features"].share_of_planted(*sums)[0]
        row["share of real images"] = found["features"].real["kid_share"]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all by default: {', '.join(KNOWN)}")
    parser.add_argument("--photographs", metavar="FOLDER", help="colour photographs")
    parser.add_argument("--threads", type=int, metavar="N")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    set_up_threads(args.threads)
    if args.photographs:
        os.environ["LATENS_PHOTOGRAPHS"] = args.photographs
    rows = {}
    for name in args.names or KNOWN:
        try:
            rows[name] = measured(images_of(name))
        except Unavailable as error:
            say(f"{name}: skipped: {error}")
            continue
        say(f"{name}: {rows[name]}")
    what = machine()
    print(machine_line(what))
    print(
        "| set | train, test | features: real, blurred, faded | statistics: real, blurred, faded | KID share: real, soft |"
    )
    print("|---|---:|---:|---:|---:|")
    for name, row in rows.items():
        shares = [", ".join(f"{value:.2f}" for value in row[kind]) for kind in ("features", "statistics")]
        kid = [row.get(f"share of {kind} images") for kind in ("real", "soft")]
        told = "not told" if kid[0] is None else ", ".join(f"{value:.2f}" for value in kid)
        print(f"| {KNOWN[name].title} | {row['train']:,}, {row['test']:,} | {shares[0]} | {shares[1]} | {told} |")
    write_json(args.json, {"machine": what, "rows": rows})


if __name__ == "__main__":
    main()

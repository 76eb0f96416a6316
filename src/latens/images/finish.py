"""The last step of every source: an assembled plan becomes the `Dataset`."""

import hashlib
from dataclasses import replace

from latens.errors import ImagesDamaged
from latens.images.assemble import Assembled, refused_line
from latens.images.contract import Dataset
from latens.images.pixels import checked_show
from latens.images.plan import Options, Plan
from latens.images.unseen import is_for_detection, keep_some_unseen

__all__ = ["finish"]


def finish(plan: Plan, assembled: Assembled, options: Options) -> Dataset:
    """The data set of a plan.

    Raises:
        ImagesDamaged: files had to be left out and `strict` was asked for.
        UsageError: the rule for showing names a channel that isn't there.
    """
    if options.strict and assembled.refused:
        line = refused_line(assembled.refused, assembled.num_files).replace(" and were left out", "")
        raise ImagesDamaged(f"{plan.source}: {line}; repair or remove them, or leave out strict")
    if options.rules > 1 and is_for_detection(assembled.train, assembled.test):
        train, test, notes = keep_some_unseen(assembled.train, assembled.test)
        assembled = replace(assembled, train=train, test=test, notes=assembled.notes + notes)
    fingerprint = hashlib.sha256((assembled.train.fingerprint + assembled.test.fingerprint).encode()).hexdigest()
    # A number or range that was chosen is kept, so that the same images and later ones are read by it.
    kept = dict(options.asked) if plan.white is None else {**options.asked, "white": plan.white}
    found = assembled.train.format
    if not found.is_plain:
        kept["value_range"] = [list(pair) for pair in found.value_range]
        if plan.white is None:
            kept.pop("white", None)  # it became the range
    dataset = Dataset(
        plan.name, plan.source, assembled.train, assembled.test, assembled.notes, kept, fingerprint, options.rules
    )
    show = checked_show(options.show, found.channel_names)
    return dataset.shown_by(show) if show else dataset

"""Rows of metrics.json as they were before scores were records (format 1): their words are taken apart here, and only here."""

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["group_and_subject", "record_of_format_1"]

SAMPLER = "generation: "
COMPONENTS = re.compile(r"\bPCA with (\d+) components\b")
KINDS = {
    "the commonest class": "chance",
    "one group": "chance",
    "chance": "chance",
    "points at random": "chance",
    "train images": "real images",
    "test images": "real images",
}
NEAR_ZERO, NEITHER = ("three_sample",), ("floor", "kid_floor", "pca_mse", "zero_fraction")


def group_and_subject(group: str) -> tuple[str, str]:
    """The group and the subject that a group of format 1 stands for.

    >>> group_and_subject("generation: mixture"), group_and_subject("map")
    (('generation', 'mixture'), ('map', 'tsne'))
    """
    if group.startswith(SAMPLER):
        return "generation", group.removeprefix(SAMPLER)
    return group, "tsne" if group == "map" else ""


def record_of_format_1(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of format 1 as `Score.as_json` gives it today.

    Args:
        row: name and value, and as far as it has them group, unit, better, baseline, baseline_name, protocol, low and high.
    """
    group, subject = group_and_subject(row.get("group", ""))
    name, unit, baseline = row["name"], row.get("unit", ""), row.get("baseline")
    beside = row.get("baseline_name", "")
    direction = "zero" if name in NEAR_ZERO else "none" if name in NEITHER else row.get("better", "higher")
    kind = "" if baseline is None else KINDS.get(beside, "method")
    protocol = _protocol(row.get("protocol", ""))
    if unit.startswith("of "):  # of active_units and effective_rank
        baseline, kind, beside, unit = float(unit.removeprefix("of ")), "maximum", "latent units", ""
        protocol["settings"] = {**protocol.get("settings", {}), "latent_dim": int(baseline)}
    return {
        "group": group,
        "subject": subject,
        "name": name,
        "value": row["value"],
        "unit": unit,
        "direction": direction,
        "protocol": protocol,
        "baseline": baseline,
        "baseline_kind": kind,
        "baseline_name": beside,
        "low": _end(row.get("low")),
        "high": row.get("high"),
    }


def _protocol(text: str) -> dict[str, Any]:
    """The seed and the components of PCA as fields, all else as the sentence that it was."""
    what, _, last = text.rpartition("; ")
    found: dict[str, Any] = {"what": text}
    if last.startswith("seed ") and last.removeprefix("seed ").isdigit():
        found = {"what": what, "seed": int(last.removeprefix("seed "))}
    components = COMPONENTS.search(found["what"])
    if components:
        found["what"] = COMPONENTS.sub("PCA", found["what"])
        found["settings"] = {"components": int(components[1])}
    return found


def _end(low: float | None) -> float | None:
    """The lower end of an interval; ends of shares that are 0 were stored with their rounding (8.7e-19)."""
    return 0.0 if low is not None and 0 < low < 1e-15 else low

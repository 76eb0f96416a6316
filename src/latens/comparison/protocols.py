"""Scores of different protocols are not compared: this is where that is refused."""

import re
from collections.abc import Iterable

from latens.comparison.rows import Row, column_of
from latens.errors import ProtocolsDiffer

__all__ = ["check_data", "check_protocols", "essence"]

# What differs on purpose between runs on the same work: the seed, and numbers that follow the latent dimension.
_ON_PURPOSE = ((re.compile(r"\bseed \d+\b"), "seed S"), (re.compile(r"\b\d+ components\b"), "D components"))


def essence(protocol: str) -> str:
    """A protocol's text without what differs on purpose from run to run: the seed, and PCA's or a mixture's components.

    >>> essence("PCA with 64 components; 10,000 test images; seed 3")
    'PCA with D components; 10,000 test images; seed S'
    """
    for pattern, stands_for in _ON_PURPOSE:
        protocol = pattern.sub(stands_for, protocol)
    return protocol


def check_data(rows: Iterable[Row]) -> None:
    """See that data sets of one name are one data set.

    Raises:
        ProtocolsDiffer: two runs' data share the name, and their fingerprints differ.
    """
    first: dict[str, Row] = {}
    for row in rows:
        other = first.setdefault(row.data, row)
        if other.fingerprint != row.fingerprint:
            raise ProtocolsDiffer(
                f"{other.path} and {row.path} were trained on different images, both named {row.data!r} (fingerprints"
                f" {other.fingerprint[:12]} and {row.fingerprint[:12]}); compare runs of the same images"
            )


def check_protocols(rows: Iterable[Row]) -> None:
    """See that each score was measured in one way on all runs of one data set.

    Raises:
        ProtocolsDiffer: a score has two protocols, the seed aside.
    """
    first: dict[tuple[str, str], tuple[str, Row]] = {}
    for row in rows:
        for score in row.scores:
            protocol, other = first.setdefault((row.data, column_of(score)), (score["protocol"], row))
            if essence(protocol) != essence(score["protocol"]):
                raise ProtocolsDiffer(
                    f"{column_of(score)} was measured in two ways: on {other.path} by {protocol!r}, on {row.path} by"
                    f" {score['protocol']!r}; score both alike by `latens score`, or leave one out"
                )

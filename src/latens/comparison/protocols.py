"""Scores of different protocols are not compared: this is where that is refused."""

from collections.abc import Iterable

from latens.comparison.rows import Row
from latens.errors import ProtocolsDiffer
from latens.metrics import Protocol

__all__ = ["check_data", "check_protocols"]


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
        ProtocolsDiffer: a score has two protocols, see `Protocol.comparable`.
    """
    first: dict[tuple[str, str], tuple[Protocol, Row]] = {}
    for row in rows:
        for score in row.scores:
            protocol, other = first.setdefault((row.data, score.column), (score.protocol, row))
            if protocol.comparable != score.protocol.comparable:
                raise ProtocolsDiffer(
                    f"{score.column} was measured in two ways: on {other.path} by {str(protocol)!r}, on {row.path} by"
                    f" {str(score.protocol)!r}; score both in the same way by `latens score`, or leave one out"
                )

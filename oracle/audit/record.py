"""
What an audit remembers of one round for those who want to look at it or have it explained.

A record holds the facts as logged and the amounts as the core computes them from those facts; that
both agree, the audit has compared. It is made when a round ends, so that nothing of a round has to
be kept by an audit that nobody looks into.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from oracle.core.consensus import pivot
from oracle.core.facts import Commit, Draw, Opening, RoundKey
from oracle.core.judged import Items, judged_items
from oracle.core.settlement import Settlement
from oracle.core.units import ScoreMatrix, ScoreVector, unpack


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """
    A round up to its end, or up to the last log of one that still runs.

    `phase` is open, drawn, settled or cancelled. `trusts` are those of the included nodes right
    before and after the settlement, in TRUST_ONE, and `slashes` what absent nodes lost, wei.
    `revealed` is the bitmap of the seats revealed on chain, `ended_in` the transaction that settled
    or cancelled the round, in the second `ended_at`.
    """

    key: RoundKey
    phase: str
    opening: Opening
    uri: str
    opened_in: bytes
    draw: Draw | None
    commits: tuple[Commit, ...]
    revealed: int
    settlement: Settlement | None
    settler: str | None
    ended_at: int | None
    ended_in: bytes | None
    trusts: Mapping[int, tuple[int, int]]
    slashes: Mapping[int, int]
    digest: bytes

    @property
    def domain(self) -> str:
        """The task domain, for people."""
        return domain_name(self.opening.terms.domain)


@dataclass(frozen=True, slots=True)
class Scored:
    """
    A settled round's scores, unpacked: (seats, items) of the included seats, ascending.

    `consensus` and `pivot`, what the seats are judged by, are (items,); all are uint16 in ONE.
    `judged` are the items by which they are judged.
    """

    scores: ScoreMatrix
    consensus: ScoreVector
    pivot: ScoreVector
    judged: Items


def scored(settlement: Settlement) -> Scored:
    """Return the scores of a settlement, the consensus, the pivot, and the judged items."""
    opening, panel = settlement.facts.opening, settlement.facts.draw.panel
    scores = np.stack([unpack(reveal.scores, opening.items) for reveal in settlement.reveals])
    trusts = np.array([panel[reveal.seat].trust for reveal in settlement.reveals], dtype=np.uint32)
    consensus = unpack(settlement.consensus, opening.items)
    middle = pivot(opening.terms.rule, scores, trusts, consensus)
    judged = judged_items(opening.items, [reveal.salt for reveal in settlement.reveals])
    return Scored(scores, consensus, middle, judged)


@dataclass(slots=True)
class Notes:
    """What a record says of a round that nothing else of an audit needs to remember."""

    uri: str
    opened_in: bytes
    trusts: dict[int, tuple[int, int]] = field(default_factory=dict)
    slashes: dict[int, int] = field(default_factory=dict)


class Records:
    """
    The rounds of an audit as they end, then those that still run; or `only` the one of that id.

    An audit that starts again, because the chain was reorganised under it, begins anew here too.
    """

    def __init__(self, only: int | None = None) -> None:
        self._only = only
        self._found: list[RoundRecord] = []

    def begin(self) -> None:
        """Forget what an abandoned attempt recorded."""
        self._found.clear()

    def add(self, record: RoundRecord) -> None:
        """Keep a round, if it is one that is wanted."""
        if self._only in (None, record.key.round_id):
            self._found.append(record)

    def __iter__(self) -> Iterator[RoundRecord]:
        return iter(self._found)


def domain_name(domain: bytes) -> str:
    """Return a domain as people read it; what is not printable ASCII is escaped."""
    text = domain.rstrip(b"\0").decode("ascii", "backslashreplace")
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)

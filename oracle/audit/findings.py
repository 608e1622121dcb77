"""
What the audit compared and what was not as it should be.

Every comparison goes through `Findings`, so that an audit that found nothing can say how much it
looked at. This module decides how a mismatch reads; what is to be expected, its callers know.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from oracle.core.phases import Verdict

NOTHING = "nothing"
_LONGEST_HEX = 40  # bytes
_ENDS = 8  # bytes shown of each end of a longer value


@dataclass(frozen=True, slots=True)
class Where:
    """What a comparison is about; the transaction is that of the log in question."""

    transaction: bytes | None = None
    round: int | None = None
    seat: int | None = None
    node: int | None = None


@dataclass(frozen=True, slots=True)
class Mismatch:
    """
    One thing that is not what it has to be.

    `field` is in the words of the contracts: `RewardCredited.amount`, `nodeOf.stake`. `transaction`
    is that of the log that is wrong, or after which another one is missing; a field read from
    storage has none.
    """

    round: int | None
    seat: int | None
    node: int | None
    field: str
    expected: str
    found: str
    transaction: str | None

    def __str__(self) -> str:
        places = {"round": self.round, "seat": self.seat, "node": self.node}
        where = ", ".join(f"{name} {value}" for name, value in places.items() if value is not None)
        start = f"{where}: {self.field}" if where else self.field
        end = "" if self.transaction is None else f" in transaction {self.transaction}"
        return f"{start} is {self.found} instead of {self.expected}{end}."


class Findings:
    """The mismatches so far, in the order in which they were met, and the number of comparisons."""

    def __init__(self) -> None:
        self.mismatches: list[Mismatch] = []
        self.comparisons = 0

    def expect(self, where: Where, field: str, expected: Any, found: Any) -> bool:
        """Note a mismatch unless `found` equals `expected`; return whether it does."""
        self.comparisons += 1
        if found == expected:
            return True
        self.mismatches.append(
            Mismatch(
                where.round,
                where.seat,
                where.node,
                field,
                readable(expected),
                readable(found),
                None if where.transaction is None else readable(where.transaction),
            )
        )
        return False

    def allow(self, where: Where, field: str, verdict: Verdict) -> bool:
        """Note a mismatch unless the protocol allows what a log says; return whether it does."""
        return self.expect(where, field, "allowed", verdict.reason or "allowed")


def readable(value: Any) -> str:
    """Return a value as a report shows it: bytes in hex, long ones by their ends, enums by name."""
    if value is None:
        return NOTHING
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, dict):
        return ", ".join(f"{key} {readable(each)}" for key, each in value.items())
    if isinstance(value, bytes):
        if len(value) <= _LONGEST_HEX:
            return "0x" + value.hex()
        return f"0x{value[:_ENDS].hex()}…{value[-_ENDS:].hex()} ({len(value)} bytes)"
    return str(value)

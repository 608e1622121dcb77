"""
The units of the protocol, its limits, its one rounding, and packed vectors of scores.

Decides what counts as a score: an integer in [0, ONE], two bytes. Everything else in `core` builds
on it. Section 1 of docs/protocol.md; twin of `Units.sol`.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

ONE = 10_000
"""One, for scores, costs, latencies and shares."""
TRUST_ONE = 1_000_000
"""One, for trust: where every node starts in every domain."""
WEIGHT_UNIT = 1_000
"""Trust that weighs one in a consensus; the least trust that a seat can have."""

MAX_RATE = 100 * ONE
"""The most that the rates of trust may be: products with them stay below 2⁶³."""

MIN_SEATS = 3
MAX_SEATS = 31
MAX_BATCHES = 32
MAX_ITEMS = 4096
MAX_JUDGED = 128
"""The most items of a round that its seats are judged by; of a larger round, a sample."""
MAX_ROUND_BYTES = 122_880
"""What scores and bounds of one settlement may take: `items * (2 * panel size + 4)` bytes."""

ScoreVector = NDArray[np.uint16]
"""Scores or consensus, (..., items) in [0, ONE]."""
ScoreMatrix = NDArray[np.uint16]
"""Scores, (..., seats, items) in [0, ONE]; axes before those are rounds."""
SeatVector = NDArray[np.uint16]
"""One number a seat, such as its deviation, (..., seats) in [0, ONE]."""
TrustVector = NDArray[np.uint32]
"""Trusts, (..., seats) in TRUST_ONE."""

_PACKED = np.dtype(">u2")

Number = TypeVar("Number", int, NDArray[np.integer[Any]])


class ScoreAboveOne(ValueError):
    """Raised when a score exceeds ONE."""

    def __init__(self, score: int) -> None:
        self.score = score
        super().__init__(f"score {score} exceeds {ONE}")


class WrongLength(ValueError):
    """Raised when packed scores are not as many bytes as the round needs."""

    def __init__(self, length: int, expected: int) -> None:
        self.length, self.expected = length, expected
        super().__init__(f"packed scores have {length} bytes instead of {expected}")


def round_half_up(numerator: Number, denominator: Number | int) -> Number:
    """
    Return `⌊(2a + b) / 2b⌋` for `a ≥ 0`, `b > 0`: the nearest integer, halves upwards.

    The type of an array has to hold `2a + b`.
    """
    return (2 * numerator + denominator) // (2 * denominator)


def check_scores(scores: NDArray[np.uint16]) -> None:
    """Raise `ScoreAboveOne` with the highest score if it exceeds ONE; any shape, uint16 alone."""
    if scores.dtype != np.uint16:
        raise TypeError(f"scores are {scores.dtype} instead of uint16")
    if scores.size and (highest := int(scores.max())) > ONE:
        raise ScoreAboveOne(highest)


def pack(values: NDArray[np.uint16]) -> bytes:
    """Return big-endian `uint16` values in C order, two bytes each: item 0 first."""
    return values.astype(_PACKED).tobytes()


def unpack(packed: bytes, items: int) -> ScoreVector:
    """
    Return the (items,) scores that `pack` made these bytes of.

    Raises `WrongLength` if they are not `2 * items` bytes and `ScoreAboveOne` if they are no
    scores.
    """
    if len(packed) != 2 * items:
        raise WrongLength(len(packed), 2 * items)
    scores = np.frombuffer(packed, dtype=_PACKED).astype(np.uint16)
    check_scores(scores)
    return scores

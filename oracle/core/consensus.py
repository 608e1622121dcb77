"""
The five rules: how the scores of an item become its consensus, and how far each seat is from it.

Everything is vectorised over items and over any leading axes, which are rounds, and worked through
in blocks that stay in the cache: seats are rows, and each step is one operation on whole rows.
Section 4 of docs/protocol.md; `Consensus.sol` checks what this module computes.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oracle.core.judged import Items
from oracle.core.networks import select
from oracle.core.units import (
    MAX_SEATS,
    ONE,
    TRUST_ONE,
    WEIGHT_UNIT,
    ScoreMatrix,
    ScoreVector,
    SeatVector,
    TrustVector,
    check_scores,
    pack,
    round_half_up,
)

_BLOCK = 1 << 15
"""Items that are worked on at once: few enough for the cache, enough to make calls cheap."""
_ADDENDS = (1 << 16) // ONE
"""Scores that add up in sixteen bits, which are added twice as fast as wider numbers."""
_WEIGHT_BITS = 10
_WEIGHT_MASK = (1 << _WEIGHT_BITS) - 1
"""Weights are at most TRUST_ONE / WEIGHT_UNIT = 1000, so that a score and a weight fit 32 bits."""


class Rule(IntEnum):
    """How the scores of one item become its consensus; numbered as on chain."""

    MEAN = 0
    MEDIAN = 1
    TRIMMED_MEAN = 2
    TRUST_WEIGHTED_MEAN = 3
    TRUST_WEIGHTED_MEDIAN = 4

    @property
    def weighs(self) -> bool:
        """Whether the rule weighs seats by their trust; only then trust moves."""
        return self in (Rule.TRUST_WEIGHTED_MEAN, Rule.TRUST_WEIGHTED_MEDIAN)


def trim_count(rule: Rule, seats: int, trim: int = 0) -> int:
    """Return g, how many of the `seats` scores the rule drops at each end; `trim` is in ONE."""
    middle = (seats - 1) // 2
    if rule is Rule.MEDIAN:
        return middle
    return min(seats * trim // ONE, middle) if rule is Rule.TRIMMED_MEAN else 0


def aggregate(rule: Rule, scores: ScoreMatrix, trusts: TrustVector, trim: int = 0) -> ScoreVector:
    """
    Return the consensus, (..., items) uint16 in [0, ONE].

    `scores` is (..., seats, items) uint16; `trusts`, in TRUST_ONE, is (..., seats) or broadcasts to
    that, and matters to the weighted rules alone, where a seat weighs `⌊trust / WEIGHT_UNIT⌋`;
    `trim` is in ONE and matters to TRIMMED_MEAN alone. Means are rounded half up. Raises
    `ScoreAboveOne`, and `ValueError` for shapes that do not fit or trusts that cannot be.
    """
    check_scores(scores)
    if rule is Rule.TRUST_WEIGHTED_MEAN:
        return _weighted_mean(scores, trusts)
    if rule is Rule.TRUST_WEIGHTED_MEDIAN:
        return _weighted_median(scores, trusts)
    return trimmed_mean(scores, trim_count(rule, scores.shape[-2], trim))


def trimmed_mean(scores: ScoreMatrix, g: int) -> ScoreVector:
    """
    Return the mean of each item's scores without the g lowest and the g highest, half up.

    `scores` is (..., seats, items) uint16, the result (..., items). Assumes `2g < seats`.
    """
    seats = scores.shape[-2]
    kept = range(g, seats - g)
    result = _empty(scores)
    for block in _blocks(scores, result):
        rows = block.rows()
        if len(kept) == 1:
            block.write(select(rows.copy(), kept)[0])
            continue
        if g == 1:  # two extremes are found faster than all between them
            first = rows[0] - rows.min(axis=0)
            last = ONE - rows.max(axis=0)
            total = _total([first, *rows[1:], last])
            total -= ONE
        else:
            total = _total(select(rows.copy(), kept))
        block.write(round_half_up(total, len(kept)))
    return result


def bounds(scores: ScoreMatrix, g: int) -> tuple[ScoreVector, ScoreVector]:
    """
    Return the least and the greatest score kept, `s(g+1)` and `s(seats−g)`, each (..., items).

    `scores` is (..., seats, items) uint16. Assumes `2g < seats`.
    """
    seats = scores.shape[-2]
    low, high = _empty(scores), _empty(scores)
    wanted = [range(g, g + 1), range(seats - g - 1, seats - g)]
    for below, above in zip(_blocks(scores, low), _blocks(scores, high), strict=True):
        if 2 * g + 1 == seats:
            lo = hi = select(below.rows().copy(), wanted[0])[0]
        else:
            lo, hi = select(below.rows().copy(), *wanted)
        below.write(lo)
        above.write(hi)
    return low, high


def submission(
    rule: Rule,
    scores: ScoreMatrix,
    trusts: TrustVector,
    trim: int = 0,
    judged: Items | None = None,
) -> bytes:
    """
    Return what `settle` takes as `consensus` for one round's (seats, items) scores.

    It is the packed consensus; or, for MEDIAN and TRIMMED_MEAN where more than one score is kept,
    the packed least and then greatest scores kept; or, for TRUST_WEIGHTED_MEAN, the packed pivot of
    the `judged` items, by default of all: the contract computes the mean itself. Other arguments
    and errors as for `aggregate`.
    """
    seats = scores.shape[-2]
    g = trim_count(rule, seats, trim)
    if rule in (Rule.MEDIAN, Rule.TRIMMED_MEAN) and seats - 2 * g > 1:
        check_scores(scores)
        low, high = bounds(scores, g)
        return pack(low) + pack(high)
    if rule is Rule.TRUST_WEIGHTED_MEAN:
        check_scores(scores)
        return pack(_weighted_median(scores if judged is None else scores[..., judged], trusts))
    return pack(aggregate(rule, scores, trusts, trim))


def pivot(
    rule: Rule, scores: ScoreMatrix, trusts: TrustVector, consensus: ScoreVector
) -> ScoreVector:
    """
    Return what the seats are judged by, (..., items) uint16: half of the weight on either side.

    It is the TRUST_WEIGHTED_MEDIAN of `scores`, (..., seats, items), where the rule weighs by
    `trusts`, and the rule's own `consensus`, (..., items), where it does not. A mean follows the
    seats that stray farthest, so it is no yardstick for them.
    """
    if rule is Rule.TRUST_WEIGHTED_MEAN:
        return _weighted_median(scores, trusts)
    return consensus


def deviations(scores: ScoreMatrix, pivot: ScoreVector) -> SeatVector:
    """
    Return each seat's `⌊Σ_t |s_t − p_t| / J⌋`, (..., seats) uint16 in [0, ONE].

    `scores` is (..., seats, J) and `pivot` (..., J), both uint16, of the J judged items.
    """
    result = np.empty(scores.shape[:-1], dtype=np.uint16)
    middle = pivot[..., np.newaxis, :]
    step = max(1, _BLOCK // max(1, pivot.size))
    for first in range(0, scores.shape[-2], step):
        rows = scores[..., first : first + step, :]
        distance = np.maximum(rows, middle)
        distance -= np.minimum(rows, middle)
        total = distance.sum(axis=-1, dtype=np.int64)
        result[..., first : first + step] = total // scores.shape[-1]
    return result


def _weighted_mean(scores: ScoreMatrix, trusts: TrustVector) -> ScoreVector:
    """`round(Σ ω·s / Σ ω)`: what is divided is at most 31 · 1000 · 20 001 < 2³²."""
    result = _empty(scores)
    weights = _weights(scores, trusts)
    for block in _blocks(scores, result):
        weight = weights[block.rounds]
        total = np.zeros(block.result.shape, dtype=np.uint32)
        for seat in range(scores.shape[-2]):
            total += block.scores[:, seat] * weight[:, seat, np.newaxis]
        block.write(round_half_up(total, weight.sum(axis=1, keepdims=True, dtype=np.uint32)))
    return result


def _weighted_median(scores: ScoreMatrix, trusts: TrustVector) -> ScoreVector:
    """Of the sorted scores, the last one that less than half of the weight comes before."""
    seats = scores.shape[-2]
    result = _empty(scores)
    weights = _weights(scores, trusts)
    for block in _blocks(scores, result):
        shape = block.result.shape
        weight = weights[block.rounds]
        total = weight.sum(axis=1, keepdims=True, dtype=np.uint32)
        keys: NDArray[np.uint32] = block.rows().astype(np.uint32)
        keys <<= _WEIGHT_BITS
        keys.reshape(seats, *shape)[...] |= weight.T[:, :, np.newaxis]
        below = np.zeros(shape, dtype=np.uint32)
        for row in select(keys, *(range(i, i + 1) for i in range(seats))):
            key = row.reshape(shape)
            score = key >> _WEIGHT_BITS
            np.copyto(block.result, score, where=2 * below < total, casting="unsafe")
            below += key & _WEIGHT_MASK
    return result


def _total(rows: list[NDArray[np.uint16]]) -> NDArray[np.uint32]:
    """The sum of one row or more."""
    parts = []
    for i in range(0, len(rows), _ADDENDS):
        part = rows[i].copy()
        for row in rows[i + 1 : i + _ADDENDS]:
            part += row
        parts.append(part)
    total: NDArray[np.uint32] = parts[0].astype(np.uint32)
    for part in parts[1:]:
        total += part
    return total


class _Block(NamedTuple):
    """A part of all rounds that is worked on at once, and the place for its result."""

    rounds: slice
    scores: NDArray[np.uint16]  # (rounds, seats, items)
    result: NDArray[np.uint16]  # (rounds, items)

    def rows(self) -> NDArray[np.uint16]:
        """One row a seat, (seats, rounds · items): to be read, for it may be `scores` itself."""
        return self.scores.transpose(1, 0, 2).reshape(self.scores.shape[1], -1)

    def write(self, values: NDArray[np.integer[Any]]) -> None:
        np.copyto(self.result, values.reshape(self.result.shape), casting="unsafe")


def _blocks(scores: ScoreMatrix, result: ScoreVector) -> Iterator[_Block]:
    seats, items = scores.shape[-2:]
    rounds = scores.reshape(-1, seats, items)
    results = result.reshape(-1, items)
    step = max(1, _BLOCK // items)
    for i in range(0, len(rounds), step):
        for j in range(0, items, _BLOCK):
            part = slice(i, i + step)
            yield _Block(part, rounds[part, :, j : j + _BLOCK], results[part, j : j + _BLOCK])


def _empty(scores: ScoreMatrix) -> ScoreVector:
    seats, items = scores.shape[-2:]
    if not 1 <= seats <= MAX_SEATS or not items:
        raise ValueError(f"scores of shape {scores.shape} are not those of 1 to {MAX_SEATS} seats")
    return np.empty((*scores.shape[:-2], items), dtype=np.uint16)


def _weights(scores: ScoreMatrix, trusts: TrustVector) -> NDArray[np.uint32]:
    """What the seats weigh, (rounds, seats), 1 to 1000 each."""
    if trusts.size and not WEIGHT_UNIT <= trusts.min() <= trusts.max() <= TRUST_ONE:
        raise ValueError(
            f"trusts from {trusts.min()} to {trusts.max()} are not in {WEIGHT_UNIT} to {TRUST_ONE}"
        )
    weights = (trusts // WEIGHT_UNIT).astype(np.uint32)
    return np.broadcast_to(weights, scores.shape[:-1]).reshape(-1, scores.shape[-2])

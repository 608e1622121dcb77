"""
Which pairs to compare so that a few order statistics of many short columns come out.

A network sorts every column by the same exchanges, so that each is one `minimum` and one `maximum`
over whole rows, whatever the data. The networks are Batcher's merge exchange (Knuth, The Art of
Computer Programming 3, 5.2.2 M), which exists for any number of rows, pruned to the outputs asked
for. This module decides the exchanges and applies them; it does not know what a score is.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", np.uint16, np.uint32)


class Exchange(NamedTuple):
    """Puts the lesser of two rows at `low` and the greater at `high`, where they are needed."""

    low: int
    high: int
    keep_low: bool
    keep_high: bool


@cache
def network(rows: int, groups: tuple[range, ...]) -> tuple[Exchange, ...]:
    """
    Return the exchanges after which each group of rows holds what sorting would put there.

    Within a group the order is left open, so that the last exchanges can be saved where only a sum
    is wanted; rows of no group hold leftovers. Assumes disjoint groups of rows below `rows`.
    """
    # A row belongs to a group, going backwards, until an exchange is kept that touches it.
    group_of: dict[int, int | None] = {row: i for i, group in enumerate(groups) for row in group}
    kept = []
    for low, high in reversed(list(_merge_exchange(rows))):
        if low not in group_of and high not in group_of:
            continue
        group = group_of.get(low)
        if group is not None and group == group_of.get(high):
            continue
        kept.append(Exchange(low, high, low in group_of, high in group_of))
        group_of[low] = group_of[high] = None
    return tuple(reversed(kept))


def select(rows: NDArray[Number], *groups: range) -> list[NDArray[Number]]:
    """
    Return the order statistics of each column that the groups name, group after group.

    `rows` is (rows, columns) and is overwritten. Order statistic 0 is the least; order within a
    group is open.
    """
    lanes = list(rows)
    spare = np.empty_like(lanes[0])
    for low, high, keep_low, keep_high in network(len(lanes), groups):
        a, b = lanes[low], lanes[high]
        if keep_low and keep_high:
            np.minimum(a, b, out=spare)
            np.maximum(a, b, out=b)
            lanes[low], spare = spare, a
        elif keep_low:
            np.minimum(a, b, out=a)
        else:
            np.maximum(a, b, out=b)
    return [lanes[row] for group in groups for row in group]


def _merge_exchange(rows: int) -> Iterator[tuple[int, int]]:
    """Yield the pairs (low, high) of the whole sorting network."""
    top = 1 << max(0, (rows - 1).bit_length() - 1)
    p = top
    while p and rows > 1:
        q, r, d = top, 0, p
        while True:
            for i in range(rows - d):
                if i & p == r:
                    yield i, i + d
            if q == p:
                break
            d, q, r = q - p, q >> 1, p
        p >>= 1

"""
Which items of a round its seats are judged by: all of a small round, a sample of a large one.

Evidence of a seat is complete long before a large round ends, so deviations are taken over 128
items at most. The sample depends on the salts of the included seats, which are bound by their
commitments and secret until nobody can commit any more: who writes a row cannot know which of its
scores will be looked at. This module decides the items, not what they say of a seat. Section 4 of
docs/protocol.md; twin of `Judged.sol`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from oracle.core.keccak import keccak
from oracle.core.units import MAX_JUDGED

GROUP = 16
"""Items that are neighbours in a sample: as many as a word of the EVM holds scores."""
GROUPS = MAX_JUDGED // GROUP

Items = NDArray[np.intp]
"""Indices of items."""


def judged_count(items: int) -> int:
    """Return how many items the seats of a round of `items` are judged by."""
    return min(items, MAX_JUDGED)


def judged_items(items: int, salts: Iterable[bytes]) -> Items:
    """
    Return the judged items of a round of `items`, in the order in which they are looked at.

    `salts` are those of the included seats, 32 bytes each, ascending seats. A round of at most
    MAX_JUDGED items is judged whole. A larger one consists of `⌈items / 16⌉` groups of sixteen, the
    last of which ends with the round and so may overlap the one before it; eight of them, evenly
    spread, are judged, and each is as likely as any other.
    """
    if items <= MAX_JUDGED:
        return np.arange(items)
    groups = -(-items // GROUP)
    start = int.from_bytes(keccak(b"".join(salts))) % groups
    chosen = (start + np.arange(GROUPS) * groups // GROUPS) % groups
    firsts = np.minimum(GROUP * chosen, items - GROUP)
    return (firsts[:, np.newaxis] + np.arange(GROUP)).ravel()

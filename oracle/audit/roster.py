"""
The list of active evaluators with its past, so that any draw can be repeated.

A node that joins is appended, one that leaves gives its place to the last. Who joins and leaves
when, the ledger decides. Section 2 of docs/protocol.md; twin of `_list` and `_unlist` of
`NodeRegistry.sol`.
"""

from __future__ import annotations

from bisect import bisect_right


class Roster:
    """Node ids by place; `block` never decreases from one change to the next."""

    def __init__(self) -> None:
        self._length = _Past()
        self._places: list[_Past] = []
        self._place_of: dict[int, int] = {}

    def join(self, node_id: int, block: int) -> None:
        """Append a node that is not on the list."""
        place = len(self._place_of)
        if place == len(self._places):
            self._places.append(_Past())
        self._places[place].set(block, node_id)
        self._place_of[node_id] = place
        self._length.set(block, place + 1)

    def leave(self, node_id: int, block: int) -> None:
        """Take a node off the list, if it is on it: the last one takes its place."""
        place = self._place_of.pop(node_id, None)
        if place is None:
            return
        last = len(self._place_of)
        self._length.set(block, last)
        if place != last:
            moved = self._places[last].latest
            self._places[place].set(block, moved)
            self._place_of[moved] = place

    def position(self, node_id: int) -> int:
        """Return the one-based place of a node, 0 if it is not on the list."""
        return self._place_of.get(node_id, -1) + 1

    def length_at(self, block: int) -> int:
        """Return how many evaluators were active at the end of a block."""
        return self._length.at(block)

    def node_at(self, place: int, block: int) -> int:
        """Return the evaluator at a zero-based place at the end of a block that had that place."""
        return self._places[place].at(block)


class _Past:
    """A number with its values at the ends of blocks, 0 before the first."""

    def __init__(self) -> None:
        self._blocks: list[int] = []
        self._values: list[int] = []

    def set(self, block: int, value: int) -> None:
        if self._blocks and self._blocks[-1] == block:
            self._values[-1] = value
        else:
            self._blocks.append(block)
            self._values.append(value)

    @property
    def latest(self) -> int:
        return self._values[-1]

    def at(self, block: int) -> int:
        index = bisect_right(self._blocks, block)
        return self._values[index - 1] if index else 0

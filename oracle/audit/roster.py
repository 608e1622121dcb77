"""
The list of active evaluators with its past, so that any draw can be repeated.

A node that joins is appended, one that leaves gives its place to the last. Who joins and leaves
when, the ledger decides. Section 2 of docs/protocol.md; twin of `_list` and `_unlist` of
`NodeRegistry.sol`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import overload


class Roster:
    """Node ids by place; `block` never decreases from one change to the next."""

    def __init__(self) -> None:
        self._length = _Past()
        self._places: list[_Past] = []
        self._place_of: dict[int, int] = {}
        self._nodes: list[int] = []
        self._changed_at = 0

    def join(self, node_id: int, block: int) -> None:
        """Append a node that is not on the list."""
        place = len(self._place_of)
        if place == len(self._places):
            self._places.append(_Past())
        self._places[place].set(block, node_id)
        self._place_of[node_id] = place
        self._length.set(block, place + 1)
        self._nodes.append(node_id)
        self._changed_at = block

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
            self._nodes[place] = moved
        self._nodes.pop()
        self._changed_at = block

    def position(self, node_id: int) -> int:
        """Return the one-based place of a node, 0 if it is not on the list."""
        return self._place_of.get(node_id, -1) + 1

    def nodes_at(self, block: int) -> Sequence[int]:
        """Return the evaluators that were active at the end of a block, by place, for now."""
        if self._changed_at <= block:
            return self._nodes
        return _NodesAt(self._places, self._length.at(block), block)


class _NodesAt(Sequence[int]):
    """The list as it was; only the places that are asked for are looked up."""

    def __init__(self, places: list[_Past], length: int, block: int) -> None:
        self._places, self._length, self._block = places, length, block

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> list[int]: ...
    def __getitem__(self, place: int | slice) -> int | list[int]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(self._length))]
        return self._places[place].at(self._block)


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

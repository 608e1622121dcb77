"""
Which nodes a key acts for.

An operator can be replaced at any time, so what the registry said is trusted for a while only. What
a key committed to, it also reveals, whoever operates the node by then: that is for the caller.
"""

from __future__ import annotations

from oracle.chain.follower import View

BLOCKS = 20
"""How long an answer of the registry is good for."""


class Ownership:
    """The nodes whose operator is `address`; only `only`, if given, and no other."""

    def __init__(self, address: str, only: int | None = None) -> None:
        self._address = address
        self._only = only
        self._known: dict[int, tuple[int, bool]] = {}

    def acts_for(self, view: View, node_id: int) -> bool:
        """Say whether the key operates a registered node, as of a block that is not long ago."""
        if self._only not in (None, node_id):
            return False
        head = view.head.number
        asked_at, answer = self._known.get(node_id, (-BLOCKS, False))
        if not 0 <= head - asked_at < BLOCKS:
            answer = view.state().node(node_id).operator == self._address
            self._known[node_id] = (head, answer)
        return answer

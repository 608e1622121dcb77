"""
The chain as of one block, for good.

This module decides what the logs say of a round. A view reads nothing by itself: it holds the logs
that `follower` collected, and names its block by hash in whatever is asked of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from oracle.chain.block_store import Block
from oracle.chain.deployment import Deployment
from oracle.chain.logs import Event
from oracle.chain.rounds import RoundHistory, history_of
from oracle.chain.state import State
from oracle.core.facts import Phase, RoundKey, RoundState

if TYPE_CHECKING:
    from web3 import Web3

ENDS = frozenset({"RoundSettled", "RoundCancelled"})
"""The events that end a round."""


class View:
    """
    The chain as of the block `head`, for good: a later view is another object.

    `finalized` is the number of the last block that cannot be undone any more; `running` are the
    ids of the rounds that are open or drawn and have not ended, ascending; `rounds` is how many
    were ever opened. `pin` names `head` in a request: its hash (EIP-1898), or its number where the
    node knows no better.
    """

    __slots__ = ("_blocks", "_deployment", "_events", "_web3", "finalized", "head", "pin", "rounds")

    def __init__(
        self,
        web3: Web3,
        deployment: Deployment,
        blocks: Mapping[int, Block],
        events: Mapping[int, tuple[Event, ...]],
        *,
        rounds: int,
        pin: Any,
    ) -> None:
        self.finalized: int = min(blocks)
        self.head: Block = blocks[max(blocks)]
        self.rounds = rounds
        self.pin = pin
        self._web3 = web3
        self._deployment = deployment
        self._blocks = blocks
        self._events = events

    @property
    def running(self) -> tuple[int, ...]:
        return tuple(
            round_id
            for round_id, events in sorted(self._events.items())
            if not any(event.name in ENDS for event in events)
        )

    def state(self) -> State:
        """Return both contracts at `head`."""
        return State(self._web3, self._deployment, self.head.number, pin=self.pin)

    def round(self, round_id: int) -> RoundState:
        """Return where a round stands, from the logs alone: what `state().round` answers."""
        if round_id not in self._events:
            was_opened = 1 <= round_id <= self.rounds
            return RoundState(Phase.CLOSED if was_opened else Phase.NONE, 0, 0, 0, 0, 0, 0)
        history = self.history(round_id)
        if history.end is not None:
            return RoundState(Phase.CLOSED, 0, 0, 0, 0, 0, 0)
        return RoundState(
            Phase.OPEN if history.draw is None else Phase.DRAWN,
            history.opening.draw_block,
            0 if history.draw is None else history.draw.drawn_at,
            history.opening.items,
            history.opening.terms.panel_size,
            sum(1 << commit.seat for commit in history.commits),
            sum(1 << reveal.seat for reveal in history.reveals),
        )

    def history(self, round_id: int) -> RoundHistory:
        """
        Return a round as its logs tell it.

        Raises `LogMissing` for one that was never opened, or ended and is final: those are dropped.
        """
        key = RoundKey(self._deployment.chain_id, self._deployment.rounds.address, round_id)
        return history_of(key, self._events.get(round_id, ()))

    def hash_of(self, number: int) -> bytes | None:
        """Return the hash of a block from `finalized` to `head`, `None` for one outside."""
        block = self._blocks.get(number)
        return None if block is None else block.hash

"""
The chain, block by block: what has to be read anew, and what a reorganisation takes back.

This module decides which block is the head and what of the logs still holds. Rows are keyed by
block hash and linked by parents, so that after any reorganisation the view is the one of a fresh
start. It reads only; what a round needs next, its callers decide from the view. The store is a
cache: without it everything is read again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oracle.chain.deployment import Deployment
from oracle.chain.rounds import RoundHistory
from oracle.chain.state import State
from oracle.core.facts import RoundState

if TYPE_CHECKING:
    from web3 import Web3

FINALITY = 64
"""Blocks above one that make it final, unless told otherwise."""
FILE = "chain.sqlite"
"""The name of the store in a data directory."""


class ReorganisedPastFinality(Exception):
    """A block that was final is no longer on the chain: what was done on it may be undone."""

    def __init__(self, number: int, known: bytes, found: bytes) -> None:
        super().__init__(
            f"Block {number} was final as 0x{known.hex()}, but the chain now has "
            f"0x{found.hex()}: it was reorganised deeper than its finality, or reset."
        )
        self.number = number


@dataclass(frozen=True, slots=True)
class Block:
    """A block's place in the chain; `timestamp` is in seconds."""

    number: int
    hash: bytes
    parent: bytes
    timestamp: int


class View:
    """
    The chain as of the block `head`, for good: a later view is another object.

    `finalized` is the number of the last block that cannot be undone any more; `running` are the
    ids of the rounds that are open or drawn and have not ended, ascending; `rounds` is how many
    were ever opened.
    """

    head: Block
    finalized: int
    running: tuple[int, ...]
    rounds: int

    @property
    def pin(self) -> Any:
        """What names `head` in a request: its hash (EIP-1898), or its number for an old node."""
        raise NotImplementedError

    def state(self) -> State:
        """Return both contracts at `head`."""
        raise NotImplementedError

    def round(self, round_id: int) -> RoundState:
        """Return where a round stands, from the logs alone: what `state().round` answers."""
        raise NotImplementedError

    def history(self, round_id: int) -> RoundHistory:
        """
        Return a round as its logs tell it.

        Raises `LogMissing` for one that was never opened, or ended and is final: those are dropped.
        """
        raise NotImplementedError

    def hash_of(self, number: int) -> bytes | None:
        """Return the hash of a block from `finalized` to `head`, `None` for one outside."""
        raise NotImplementedError


class Follower:
    """
    Follow one deployment on one chain. Not safe for threads; views are.

    `store` is a file, or `None` to remember nothing; `finality` counts blocks.
    """

    def __init__(
        self,
        web3: Web3,
        deployment: Deployment,
        store: Path | None = None,
        *,
        finality: int = FINALITY,
    ) -> None:
        raise NotImplementedError

    def advance(self) -> View:
        """
        Read what is new, undo what a reorganisation took, and return the chain as it is now.

        The same view as before if there is no new block. A node that merely lags changes nothing.
        Raises `ReorganisedPastFinality`, `NodeBehind`, `LogsUnavailable`, `RpcUnreachable`; after
        any but the first, calling again is safe.
        """
        raise NotImplementedError

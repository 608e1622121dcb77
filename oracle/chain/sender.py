"""
One stream of transactions for one key: each purpose is served once, whatever goes wrong.

This module decides when something is signed, sent, sent again, paid more for or given up. What is
signed is in the journal before any node sees it, so that after a crash the same bytes are sent and
never others; what a reorganisation threw out is sent again while it still makes sense, and its
nonce is filled by a transfer of nothing otherwise. The chain decides what happened, not a node's
reply: a time-out is no failure.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oracle.chain.calls import Call
from oracle.chain.journal import Entry, Journal

if TYPE_CHECKING:
    from web3 import Web3

    from oracle.chain.errors import RevertDecoder
    from oracle.chain.follower import View
    from oracle.chain.keys import Signer


class FeeTooHigh(Exception):
    """The chain asks for more than the hard cap; nothing was signed. Later it may not."""

    def __init__(self, purpose: str, asked: int, cap: int) -> None:
        super().__init__(
            f"{purpose!r} waits: a unit of gas costs {asked} wei, and at most {cap} is allowed."
        )
        self.asked = asked
        self.cap = cap


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """
    What may be paid for gas: `max_fee_per_gas` is a hard cap, in wei a unit.

    A transaction that is not mined after `patience` seconds is paid `bump_percent` more for, which
    is at least the 10 that mempools ask for.
    """

    max_fee_per_gas: int
    bump_percent: int = 15
    patience: float = 30.0


class Sender:
    """
    Send the transactions of one key to one chain.

    Everything is safe to repeat. Several senders of one key share the nonces if they share the
    journal; one with another journal is noticed and gone around.
    """

    address: str

    def __init__(
        self,
        web3: Web3,
        signer: Signer,
        journal: Journal,
        reverts: RevertDecoder,
        fees: FeePolicy,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        raise NotImplementedError

    def send(self, purpose: str, call: Call, *, max_fee_per_gas: int | None = None) -> Entry:
        """
        Simulate, sign, journal and send `call`, unless `purpose` ("settle 12") is served already.

        What is pending, mined or final is not sent again, but a higher `max_fee_per_gas` than
        before raises its cap; what failed, was replaced or cancelled is. The entry that comes back
        may be one that no node has seen yet: `advance` sees to it. Raises `Reverted`, `Unfunded`,
        `FeeTooHigh`, `RpcUnreachable`, and then nothing was signed.
        """
        raise NotImplementedError

    def find(self, purpose: str) -> Entry | None:
        """Return the newest entry of a purpose."""
        raise NotImplementedError

    def advance(self, view: View) -> tuple[Entry, ...]:
        """
        Learn what the chain did up to `view`, and do what that asks for; call it once a tick.

        Sends the same bytes again of what a reorganisation, a node or a restart lost, pays more for
        what waits too long, fills nonces that nobody else fills. Returns the entries whose status
        or reason changed. Raises `RpcUnreachable`.
        """
        raise NotImplementedError

    def bump(self, purpose: str) -> Entry:
        """Pay more for a pending purpose now, within its cap; raise `NotPending`, `FeeTooHigh`."""
        raise NotImplementedError

    def cancel(self, purpose: str) -> Entry:
        """Outbid a pending purpose by a transfer of nothing; raise `NotPending`, `FeeTooHigh`."""
        raise NotImplementedError

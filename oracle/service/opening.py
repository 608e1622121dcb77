"""
Open a round once, whatever goes wrong on the way.

This module decides whether a round over a workload is opened at all: not if the chain has one of
this requester over the same workload, unless another is wanted. What is sent is named by the
workload and by how many such rounds there were, and journalled before; so whoever repeats this
after a crash or a time-out waits for what was sent instead of paying twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hexbytes import HexBytes

from deploy.artifacts import load
from oracle.chain import calls
from oracle.chain.deployment import Deployment
from oracle.chain.errors import Reverted
from oracle.chain.follower import View
from oracle.chain.journal import Entry, Status
from oracle.chain.logs import EventDecoder, read_logs
from oracle.chain.transactions import Unconfirmed
from oracle.core.facts import Batch, Terms

if TYPE_CHECKING:
    from web3 import Web3

PAUSE = 0.5  # seconds between two looks


class Following(Protocol):
    """What looks at the chain: `oracle.chain.follower.Follower`."""

    def advance(self) -> View: ...


class Sending(Protocol):
    """What sends for one key: `oracle.chain.sender.Sender`."""

    address: str

    def send(self, purpose: str, call: calls.Call) -> Entry: ...
    def find(self, purpose: str) -> Entry | None: ...
    def advance(self, view: View) -> tuple[Entry, ...]: ...


@dataclass(frozen=True, slots=True)
class Opened:
    """A round over the workload, and whether it was opened just now."""

    round_id: int
    is_new: bool


class Opener:
    """
    Opens rounds for the key of `sender`.

    `confirmations` counts blocks, the transaction's own included; `timeout` and `pause` are in
    seconds. A time-out raises `Unconfirmed`, and repeating goes on waiting.
    """

    def __init__(
        self,
        web3: Web3,
        deployment: Deployment,
        *,
        follower: Following,
        sender: Sending,
        confirmations: int = 1,
        timeout: float = 180.0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._web3 = web3
        self._deployment = deployment
        self._follower = follower
        self._sender = sender
        self._confirmations = confirmations
        self._timeout = timeout
        self._pause = pause

    def open(
        self,
        terms: Terms,
        batches: Sequence[Batch],
        signatures: Sequence[bytes],
        uri: str,
        *,
        again: bool = False,
    ) -> Opened:
        """
        Return the round over the workload of `terms`, opened if there is none or `again` is said.

        Raises what `Sender.send` raises, `Reverted` if the chain refused, `Unconfirmed`.
        """
        before = self.rounds_over(terms.workload_hash)
        if before and not again:
            return Opened(before[-1], is_new=False)
        name = f"{terms.workload_hash.hex()} {len(before) + 1}"
        if self._sender.find(f"open {name}") is None:
            self._approve(terms.deposit, name)
        call = calls.rounds(
            self._deployment,
            "open",
            terms.as_tuple(),
            [batch.as_tuple() for batch in batches],
            list(signatures),
            uri,
        )
        self._served(f"open {name}", call)
        return Opened(self.rounds_over(terms.workload_hash)[-1], is_new=True)

    def rounds_over(self, workload_hash: bytes) -> list[int]:
        """Return this requester's rounds over a workload, oldest first, as the chain has them."""
        decoder = EventDecoder(load("QualityRounds").abi)
        [topic] = (topic for topic, name in decoder.names.items() if name == "RoundOpened")
        requester = bytes.fromhex(self._sender.address[2:]).rjust(32, b"\0")
        logs = read_logs(
            self._web3,
            [self._deployment.rounds.address],
            self._deployment.start_block,
            self._web3.eth.block_number,
            topics=[topic],
            indexed=[[], [requester]],
        )
        events = (event for log in logs if (event := decoder.decode(log)) is not None)
        return [
            int(event.args["roundId"])
            for event in events
            if event.args["terms"]["workloadHash"] == workload_hash
        ]

    def _approve(self, deposit: int, name: str) -> None:
        """Let the contract take the deposit, to the wei, if it may not yet."""
        attempt = 1
        while self._allowance() < deposit:
            purpose = f"approve {name} {attempt}"
            known = self._sender.find(purpose)
            if known is not None and known.status in (Status.MINED, Status.FINAL):
                attempt += 1  # that one was spent on something else
                continue
            spender = self._deployment.rounds.address
            call = calls.token(self._deployment, "approve", spender, deposit)
            self._served(purpose, call)

    def _allowance(self) -> int:
        owner, spender = self._sender.address, self._deployment.rounds.address
        call = calls.token(self._deployment, "allowance", owner, spender)
        to = self._web3.to_checksum_address(call.to)
        return int.from_bytes(self._web3.eth.call({"to": to, "data": HexBytes(call.data)}))

    def _served(self, purpose: str, call: calls.Call) -> None:
        """Send a call unless it was, and return once it is confirmed."""
        entry = self._sender.send(purpose, call)
        waited = 0.0
        while True:
            view = self._follower.advance()
            self._sender.advance(view)
            entry = self._sender.find(purpose) or entry
            if entry.status is Status.FINAL:
                return
            if entry.status is Status.MINED and entry.block is not None:
                if view.head.number >= entry.block + self._confirmations - 1:
                    return
            elif entry.status is not Status.PENDING:
                raise Reverted("", {}, entry.reason or f"It was {entry.status}: try again.")
            if waited >= self._timeout:
                raise Unconfirmed(entry.hash, self._timeout)
            self._pause(PAUSE)
            waited += PAUSE

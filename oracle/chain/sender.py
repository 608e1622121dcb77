"""
One stream of transactions for one key: each purpose is served once, whatever goes wrong.

This module decides when something is signed, sent, sent again, paid more for or given up. What is
signed is in the journal before any node sees it, so that after a crash the same bytes are sent and
never others; what a reorganisation threw out is sent again while it still makes sense, and its
nonce is filled by a transfer of nothing otherwise. The chain decides what happened (`outcomes`),
not a node's reply: a time-out is no failure.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eth_utils import to_checksum_address
from hexbytes import HexBytes
from web3.exceptions import Web3RPCError
from web3.types import TxParams

from oracle.chain.batches import Refusal, ask
from oracle.chain.calls import Call
from oracle.chain.errors import RevertDecoder, Reverted
from oracle.chain.fees import FeePolicy, Fees, FeeTooHigh, Market
from oracle.chain.journal import Entry, Journal, Status, Version
from oracle.chain.keys import Signer
from oracle.chain.outcomes import Outcomes
from oracle.chain.rpc import RpcUnreachable
from oracle.chain.transactions import KNOWN_ALREADY, Unfunded, gas_needed, simulate

if TYPE_CHECKING:
    from web3 import Web3

    from oracle.chain.follower import View

__all__ = ["FeePolicy", "FeeTooHigh", "NotPending", "Sender"]

TRANSFER_GAS = 21_000
HASTE = 2
"""
Blocks that a transaction which a node knows is left alone for.

Before, a call cannot tell whether it makes sense: the pending block may hold it, and the latest one
may be a block too early for it.
"""


class NotPending(Exception):
    """There is nothing to pay more for or to cancel: the purpose has no pending transaction."""

    def __init__(self, purpose: str, status: Status | None) -> None:
        state = "was never sent" if status is None else f"is {status}"
        super().__init__(f"{purpose!r} {state}, not pending.")


class Sender:
    """
    Send the transactions of one key to one chain.

    Everything is safe to repeat. Several senders of one key share the nonces if they share the
    journal; one with another journal is noticed and gone around. It signs for the chain `chain_id`,
    by default the one that the node says it is on.
    """

    def __init__(
        self,
        web3: Web3,
        signer: Signer,
        journal: Journal,
        reverts: RevertDecoder,
        fees: FeePolicy,
        *,
        chain_id: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.address = signer.address
        self._web3 = web3
        self._signer = signer
        self._journal = journal
        self._reverts = reverts
        self._policy = fees
        self._clock = clock
        self._chain_id = web3.eth.chain_id if chain_id is None else chain_id
        self._since: dict[bytes, int] = {}
        """At which block each newest pending transaction was first attended to."""

    def send(self, purpose: str, call: Call, *, max_fee_per_gas: int | None = None) -> Entry:
        """
        Simulate, sign, journal and send `call`, unless `purpose` ("settle 12") is served already.

        What is pending, mined or final is not sent again, but a higher `max_fee_per_gas` than
        before raises its cap; what failed, was replaced or cancelled is. The entry that comes back
        may be one that no node has seen yet: `advance` sees to it. Raises `Reverted`, `Unfunded`,
        `FeeTooHigh`, `RpcUnreachable`, and then nothing was signed.
        """
        cap = self._policy.max_fee_per_gas if max_fee_per_gas is None else max_fee_per_gas
        known = self.find(purpose)
        if known is not None and known.status.serves:
            return self._journal.raise_cap(known, cap)
        gas = gas_needed(self._web3, self._transaction(call), self._reverts)
        offer = Market.now(self._web3).offer(purpose, cap)
        self._require_funds(gas * offer.fee)
        entry, new = self._journal.reserve(
            self._chain_id,
            self.address,
            purpose,
            call,
            gas=gas,
            max_fee_per_gas=cap,
            from_nonce=self._next_nonce(),
            sign=lambda nonce: self._sign(call, nonce, gas, offer),
        )
        return self._broadcast(entry) if new else entry

    def find(self, purpose: str) -> Entry | None:
        """Return the newest entry of a purpose."""
        return self._journal.find(self._chain_id, self.address, purpose)

    def unsettled(self) -> list[Entry]:
        """Return the entries that may still change, by nonce."""
        return self._journal.unsettled(self._chain_id, self.address)

    def advance(self, view: View) -> tuple[Entry, ...]:
        """
        Learn what the chain did up to `view`, and do what that asks for; call it once a tick.

        Sends the same bytes again of what a reorganisation, a node or a restart lost, pays more for
        what waits too long, gives up what makes no sense any more, fills nonces that nobody else
        fills. Returns the entries whose status or reason changed. Raises `RpcUnreachable`; what was
        learnt before is in the journal, where `find` finds it.
        """
        before = self.unsettled()
        outcomes = Outcomes(self._web3, self._journal, self._reverts, view)
        count = outcomes.nonce(self.address)
        after = outcomes.judge(before, count)
        pending = [each for each in after if each.status is Status.PENDING]
        head = view.head.number
        self._since = {each.hash: self._since.get(each.hash, head) for each in pending}
        acted = {each.entry.key: self._attend(each, head) for each in self._waiting(pending, count)}
        self._fill_gaps(after, count)
        now = [acted.get(each.key, each) for each in after]
        return tuple(
            new
            for old, new in zip(before, now, strict=True)
            if (old.status, old.reason) != (new.status, new.reason)
        )

    def bump(self, purpose: str) -> Entry:
        """Pay more for a pending purpose now, within its cap; raise `NotPending`, `FeeTooHigh`."""
        entry = self._pending(purpose)
        return self._outbid(entry, cancels=entry.cancelling)

    def cancel(self, purpose: str) -> Entry:
        """Outbid a pending purpose by a transfer of nothing; raise `NotPending`, `FeeTooHigh`."""
        entry = self._pending(purpose)
        return entry if entry.cancelling else self._outbid(entry, cancels=True)

    # What is pending

    def _pending(self, purpose: str) -> Entry:
        entry = self.find(purpose)
        if entry is None or entry.status is not Status.PENDING:
            raise NotPending(purpose, None if entry is None else entry.status)
        return entry

    def _waiting(self, pending: Sequence[Entry], count: int) -> list[_Waiting]:
        """Return what is pending with what the node knows of it; `count` is the chain's nonce."""
        answers = ask(
            self._web3,
            [("eth_getTransactionByHash", ["0x" + each.hash.hex()]) for each in pending],
        )
        return [
            _Waiting(entry, entry.nonce == count, isinstance(answer, dict))
            for entry, answer in zip(pending, answers, strict=True)
        ]

    def _attend(self, waiting: _Waiting, head: int) -> Entry:
        """Do what a pending entry needs now."""
        entry = waiting.entry
        impatient = self._clock() - entry.newest.signed_at >= self._policy.patience
        if waiting.known and (not waiting.first or head < self._since[entry.hash] + HASTE):
            return self._note(entry, "")
        if not entry.cancelling and (self._is_displaced(entry) or self._fails_now(entry)):
            # Only the first in line is judged on the state that it will meet.
            return self._give_up(entry) if waiting.first else entry
        if impatient and waiting.first:
            return self._renew(entry, waiting.known)
        return self._note(entry, "") if waiting.known else self._broadcast(entry)

    def _give_up(self, entry: Entry) -> Entry:
        try:
            return self._outbid(entry, cancels=True)
        except FeeTooHigh as error:
            return self._note(entry, str(error))

    def _renew(self, entry: Entry, known: bool) -> Entry:
        try:
            return self._outbid(entry, cancels=entry.cancelling)
        except FeeTooHigh as error:
            return self._note(entry, str(error)) if known else self._broadcast(entry, str(error))

    def _is_displaced(self, entry: Entry) -> bool:
        """Return whether a later transaction serves the purpose, sent when this one was lost."""
        newest = self.find(entry.purpose)
        return newest is not None and newest.key != entry.key and newest.status.serves

    def _fails_now(self, entry: Entry) -> bool:
        """
        Return whether the call would revert both on the latest block and in the next one.

        The next one may hold this very transaction, and the latest may be a block too early.
        """
        for block in ("pending", "latest"):
            try:
                simulate(self._web3, self._transaction(entry.call), self._reverts, block)
                return False
            except Reverted:
                continue
            except Web3RPCError:  # the node cannot tell
                return False
        return True

    def _fill_gaps(self, entries: Sequence[Entry], count: int) -> None:
        """Fill each nonce below a pending one that neither the journal nor a mempool holds."""
        held = {each.nonce for each in entries}
        last = max((each.nonce for each in entries if each.status is Status.PENDING), default=count)
        gaps = [nonce for nonce in range(count, last) if nonce not in held]
        if not gaps or gaps[0] < self._next_nonce():
            return
        for nonce in gaps:
            self._fill(nonce)

    def _fill(self, nonce: int) -> None:
        purpose, nothing = f"fill nonce {nonce}", Call(self.address, b"")
        cap = self._policy.max_fee_per_gas
        try:
            offer = Market.now(self._web3).offer(purpose, cap)
        except FeeTooHigh:  # until later
            return
        entry, new = self._journal.reserve(
            self._chain_id,
            self.address,
            purpose,
            nothing,
            gas=TRANSFER_GAS,
            max_fee_per_gas=cap,
            from_nonce=nonce,
            sign=lambda nonce: self._sign(nothing, nonce, TRANSFER_GAS, offer, cancels=True),
            exactly=True,
        )
        if new:
            self._broadcast(entry)

    # Signing and sending

    def _outbid(self, entry: Entry, *, cancels: bool) -> Entry:
        """Sign, journal and send what replaces an entry's newest transaction."""
        old = Fees(entry.newest.fee_per_gas, entry.newest.tip_per_gas)
        market = Market.now(self._web3)
        offer = market.outbid(entry.purpose, old, entry.max_fee_per_gas, self._policy.bump_percent)
        call, gas = (Call(self.address, b""), TRANSFER_GAS) if cancels else (entry.call, entry.gas)
        version = self._sign(call, entry.nonce, gas, offer, cancels=cancels)
        entry, new = self._journal.outbid(entry, version)
        return self._broadcast(entry) if new else entry

    def _sign(
        self, call: Call, nonce: int, gas: int, offer: Fees, *, cancels: bool = False
    ) -> Version:
        signed = self._signer.sign_transaction(
            {
                "chainId": self._chain_id,
                "nonce": nonce,
                "to": to_checksum_address(call.to),
                "data": call.data,
                "value": 0,
                "gas": gas,
                "maxFeePerGas": offer.fee,
                "maxPriorityFeePerGas": offer.tip,
            }
        )
        return Version(
            bytes(signed.hash),
            bytes(signed.raw_transaction),
            offer.fee,
            offer.tip,
            cancels,
            self._clock(),
        )

    def _broadcast(self, entry: Entry, reason: str = "") -> Entry:
        """Give the newest bytes to the node, once; what it says is noted and decides nothing."""
        try:
            [answer] = ask(
                self._web3, [("eth_sendRawTransaction", ["0x" + entry.newest.raw.hex()])]
            )
        except RpcUnreachable as error:
            return self._note(entry, str(error))
        refused = isinstance(answer, Refusal) and not any(
            known in answer.lower() for known in KNOWN_ALREADY
        )
        return self._note(entry, f"The node refuses it: {answer}." if refused else reason)

    def _note(self, entry: Entry, reason: str) -> Entry:
        if entry.reason == reason:
            return entry
        return self._journal.learn(entry, entry.status, entry.block, reason)

    def _transaction(self, call: Call) -> TxParams:
        return {
            "from": to_checksum_address(self.address),
            "to": to_checksum_address(call.to),
            "data": HexBytes(call.data),
        }

    def _next_nonce(self) -> int:
        """Return the nonce after all that the node has seen of this key, by whomever it is."""
        return self._web3.eth.get_transaction_count(to_checksum_address(self.address), "pending")

    def _require_funds(self, needed: int) -> None:
        balance = self._web3.eth.get_balance(to_checksum_address(self.address))
        if balance < needed:
            raise Unfunded(self.address, balance, needed)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A pending entry, whether it is the next of its sender, and whether the node knows it."""

    entry: Entry
    first: bool
    known: bool

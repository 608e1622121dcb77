"""
What became of the transactions of a journal, as of one block.

This module decides what a receipt, or the lack of one, means: mined, final, failed, cancelled,
replaced, or pending once more. It sends nothing. A receipt counts only in a block of the view, so
that a node on another branch, ahead or behind, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from eth_utils import to_checksum_address
from hexbytes import HexBytes
from web3.exceptions import Web3Exception

from oracle.chain.batches import Refusal, ask
from oracle.chain.errors import RevertDecoder, Reverted
from oracle.chain.journal import Entry, Journal, Status
from oracle.chain.rpc import RpcUnreachable
from oracle.chain.transactions import simulate

if TYPE_CHECKING:
    from web3 import Web3

    from oracle.chain.follower import View

Receipt = dict[str, Any]


class Outcomes:
    """Judge entries as of `view` and write what was learnt into `journal`."""

    def __init__(self, web3: Web3, journal: Journal, reverts: RevertDecoder, view: View) -> None:
        self._web3 = web3
        self._journal = journal
        self._reverts = reverts
        self._view = view

    def nonce(self, sender: str, block: Any = None) -> int:
        """Return the next nonce of `sender` at a block, by default the head of the view."""
        [answer] = ask(
            self._web3,
            [("eth_getTransactionCount", [sender, self._view.pin if block is None else block])],
        )
        if isinstance(answer, Refusal):
            raise RpcUnreachable(str(self._web3.provider), f"it refuses a nonce: {answer}")
        return int(answer, 16)

    def judge(self, entries: Sequence[Entry], count: int) -> list[Entry]:
        """Return each entry as it is now; `count` is the nonce of their sender."""
        wanted = [
            ("eth_getTransactionReceipt", ["0x" + hash_.hex()])
            for entry in entries
            for hash_ in entry.hashes
        ]
        answers = ask(self._web3, wanted)
        return [self._judge(entry, answers, count) for entry in entries]

    def _judge(self, entry: Entry, answers: Iterator[Any], count: int) -> Entry:
        receipts = [next(answers) for _ in entry.versions]
        for version, receipt in zip(entry.versions, receipts, strict=True):
            if isinstance(receipt, Refusal):
                return entry
            if receipt is not None:
                return self._mined(entry, receipt, cancels=version.cancels)
        if count > entry.nonce:
            return self._taken(entry)
        if entry.status is Status.PENDING:
            return entry
        return self._journal.learn(
            entry, Status.PENDING, reason="A reorganisation took back the block that it was in."
        )

    def _mined(self, entry: Entry, receipt: Receipt, *, cancels: bool) -> Entry:
        number = int(receipt["blockNumber"], 16)
        if number > self._view.head.number or not self._holds(number, receipt["blockHash"]):
            return entry
        settled = number <= self._view.finalized
        if cancels:
            status, reason = Status.CANCELLED, ""
        elif int(receipt["status"], 16) == 0:
            status, reason = Status.FAILED, entry.reason
            if entry.status is not Status.FAILED or entry.block != number:
                reason = self._why(entry, number)
        else:
            status, reason = Status.FINAL if settled else Status.MINED, ""
        return self._learn(entry, status, number, reason, settled)

    def _holds(self, number: int, block_hash: str) -> bool:
        known = self._view.hash_of(number)
        if known is None:
            [block] = ask(self._web3, [("eth_getBlockByNumber", [hex(number), False])])
            return isinstance(block, dict) and bool(block["hash"] == block_hash)
        return "0x" + known.hex() == block_hash.lower()

    def _taken(self, entry: Entry) -> Entry:
        """Find who took the nonce: it may be one of ours, whose receipt the node has not yet."""
        final = self._view.finalized
        if self._count_at(entry, final) > entry.nonce:
            reason = f"Another transaction took nonce {entry.nonce}."
            return self._learn(entry, Status.REPLACED, None, reason, True)
        low, high = final, self._view.head.number
        while high - low > 1:
            middle = (low + high) // 2
            if self._count_at(entry, middle) > entry.nonce:
                high = middle
            else:
                low = middle
        [block] = ask(self._web3, [("eth_getBlockByNumber", [hex(high), True])])
        if not isinstance(block, dict) or not self._holds(high, block["hash"]):
            return entry
        for sent in block["transactions"]:
            is_it = int(sent["nonce"], 16) == entry.nonce
            if is_it and to_checksum_address(sent["from"]) == entry.sender:
                if HexBytes(sent["hash"]) in entry.hashes:
                    return entry
                reason = f"Transaction {sent['hash']} took nonce {entry.nonce}."
                return self._learn(entry, Status.REPLACED, high, reason, False)
        return entry

    def _count_at(self, entry: Entry, number: int) -> int:
        return self.nonce(entry.sender, hex(number))

    def _why(self, entry: Entry, number: int) -> str:
        """Return why a mined call failed, by repeating it on the state before its block."""
        try:
            simulate(
                self._web3,
                {
                    "from": to_checksum_address(entry.sender),
                    "to": to_checksum_address(entry.call.to),
                    "data": HexBytes(entry.call.data),
                },
                self._reverts,
                number - 1,
            )
        except Reverted as reverted:
            return str(reverted)
        except Web3Exception:  # an old state may be forgotten
            return "It failed in its block, and the node cannot say why."
        return "It failed in its block; a repetition before it does not."

    def _learn(
        self, entry: Entry, status: Status, block: int | None, reason: str, settled: bool
    ) -> Entry:
        if (entry.status, entry.block, entry.reason) == (status, block, reason) and not settled:
            return entry
        return self._journal.learn(entry, status, block, reason, settled=settled)

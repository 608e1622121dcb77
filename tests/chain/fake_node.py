"""
A node of a made-up chain: blocks, a mempool, forks, and every way to be of no help.

The chain knows one kind of call: 32 bytes that succeed once, whoever sends them, and revert from
then on. Of everything else it does what the modules under test ask for, and nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils import keccak, to_checksum_address
from hexbytes import HexBytes
from web3 import Web3
from web3.providers import BaseProvider
from web3.types import RPCEndpoint, RPCResponse

from oracle.chain.block_store import Block
from oracle.chain.rpc import RpcUnreachable

CHAIN_ID = 31_337
GAS = 50_000
BALANCE = 10**24


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction on the wire."""

    hash: bytes
    sender: str
    nonce: int
    to: str
    data: bytes
    fee: int
    tip: int


@dataclass(frozen=True, slots=True)
class FakeBlock:
    header: Block
    sent: tuple[tuple[Sent, bool], ...] = ()


def read(raw: bytes) -> Sent:
    """Return what signed bytes say, by way of another decoder than the one that made them."""
    fields = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
    return Sent(
        bytes(keccak(raw)),
        Account.recover_transaction(raw),
        fields["nonce"],
        to_checksum_address(fields["to"]),
        bytes(fields["data"]),
        fields["maxFeePerGas"],
        fields["maxPriorityFeePerGas"],
    )


class FakeNode(BaseProvider):
    """
    A chain and its only node. `base_fee` is what a unit of gas costs.

    `silent` refuses every answer; `deaf` takes a transaction and never answers; `losing` answers
    and throws it away.
    """

    def __init__(self) -> None:
        super().__init__()
        self.blocks = [FakeBlock(Block(0, keccak(b"genesis"), bytes(32), 0))]
        self.mempool: dict[tuple[str, int], Sent] = {}
        self.base_fee = 10**9
        self.silent = self.deaf = self.losing = False
        self.received: list[Sent] = []
        self._salt = 0

    @property
    def web3(self) -> Web3:
        return Web3(self)

    # The chain

    @property
    def head(self) -> Block:
        return self.blocks[-1].header

    def nonce(self, sender: str, number: int | None = None) -> int:
        last = self.head.number if number is None else number
        return sum(
            sent.sender == sender for block in self.blocks[: last + 1] for sent, _ in block.sent
        )

    def done(self, number: int | None = None) -> list[bytes]:
        """Return the calls that succeeded, in their order."""
        last = self.head.number if number is None else number
        return [
            sent.data
            for block in self.blocks[: last + 1]
            for sent, ok in block.sent
            if ok and sent.data
        ]

    def mine(self, *, empty: bool = False) -> None:
        """Add a block with all that can be in it."""
        chosen: list[tuple[Sent, bool]] = []
        nonces: dict[str, int] = {}
        done = set(self.done())
        for (sender, nonce), sent in sorted(self.mempool.items(), key=lambda each: each[0][1]):
            expected = nonces.setdefault(sender, self.nonce(sender))
            if empty or nonce != expected or sent.fee < self.base_fee:
                continue
            succeeds = sent.data not in done
            if sent.data and succeeds:
                done.add(sent.data)
            chosen.append((sent, succeeds))
            nonces[sender] += 1
        self._salt += 1
        parent = self.head
        hash_ = keccak(b"%d %d" % (parent.number + 1, self._salt))
        header = Block(parent.number + 1, hash_, parent.hash, parent.timestamp + 12)
        self.blocks.append(FakeBlock(header, tuple(chosen)))
        self._evict()

    def reorganise(self, depth: int, *, keep: bool) -> None:
        """Put empty blocks in the place of the last `depth`, and one more."""
        kept = max(1, len(self.blocks) - depth)
        orphans = [sent for block in self.blocks[kept:] for sent, _ in block.sent]
        depth = len(self.blocks) - kept
        del self.blocks[kept:]
        if keep:
            for sent in orphans:
                self.mempool.setdefault((sent.sender, sent.nonce), sent)
        for _ in range(depth + 1):
            self.mine(empty=True)

    def forget(self) -> None:
        """Lose the mempool, as a restart does."""
        self.mempool.clear()

    def accept(self, sent: Sent) -> None:
        """Take a transaction into the mempool as other nodes do; raise `ValueError`."""
        if sent.nonce < self.nonce(sent.sender):
            raise ValueError("nonce too low")
        there = self.mempool.get((sent.sender, sent.nonce))
        if there is not None and there.hash == sent.hash:
            raise ValueError("already known")
        if there is not None and (sent.fee * 10 < there.fee * 11 or sent.tip * 10 < there.tip * 11):
            raise ValueError("replacement transaction underpriced")
        self.mempool[sent.sender, sent.nonce] = sent

    def _evict(self) -> None:
        for sender, nonce in list(self.mempool):
            if nonce < self.nonce(sender):
                del self.mempool[sender, nonce]

    # The node

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        if self.silent:
            raise RpcUnreachable("http://fake", "it is silent")
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": 1}
        try:
            answer["result"] = getattr(self, "_" + method)(*params)
        except _Reverts:
            answer["error"] = {"code": 3, "message": "execution reverted", "data": "0x"}
        except ValueError as error:
            answer["error"] = {"code": -32000, "message": str(error)}
        return answer  # type: ignore[return-value]

    def make_batch_request(self, batch_requests: list[tuple[RPCEndpoint, Any]]) -> Any:
        return [self.make_request(method, params) for method, params in batch_requests]

    def _number(self, block: Any) -> int:
        if isinstance(block, dict):
            for each in self.blocks:
                if "0x" + each.header.hash.hex() == block["blockHash"]:
                    return each.header.number
            raise ValueError("block not found")
        if block in ("latest", "pending"):
            return self.head.number
        return int(block, 16)

    def _eth_chainId(self) -> str:
        return hex(CHAIN_ID)

    def _eth_getBalance(self, account: str, block: Any) -> str:
        return hex(BALANCE)

    def _eth_maxPriorityFeePerGas(self) -> str:
        return hex(10**8)

    def _eth_getTransactionCount(self, account: str, block: Any) -> str:
        count = self.nonce(account, self._number(block))
        if block == "pending":
            while (account, count) in self.mempool:
                count += 1
        return hex(count)

    def _eth_getBlockByNumber(self, block: Any, full: bool) -> Any:
        number = self._number(block)
        if number > self.head.number:
            return None
        found = self.blocks[number]
        return {
            "number": hex(number),
            "hash": "0x" + found.header.hash.hex(),
            "parentHash": "0x" + found.header.parent.hex(),
            "timestamp": hex(found.header.timestamp),
            "baseFeePerGas": hex(self.base_fee),
            "transactions": [
                {"hash": "0x" + sent.hash.hex(), "from": sent.sender, "nonce": hex(sent.nonce)}
                for sent, _ in found.sent
            ],
        }

    def _eth_call(self, call: Any, block: Any) -> str:
        data = bytes(HexBytes(call.get("data", "0x")))
        done = self.done(self._number(block))
        if block == "pending":
            done += [sent.data for sent in self.mempool.values()]
        if data in done:
            raise _Reverts
        return "0x"

    def _eth_estimateGas(self, call: Any, block: Any) -> str:
        self._eth_call(call, block)
        return hex(GAS)

    def _eth_sendRawTransaction(self, raw: str) -> str:
        sent = read(bytes.fromhex(raw[2:]))
        self.received.append(sent)
        if not self.losing:
            self.accept(sent)
        if self.deaf:
            raise RpcUnreachable("http://fake", "no reply")
        return "0x" + sent.hash.hex()

    def _eth_getTransactionByHash(self, wanted: str) -> Any:
        for sent in [*self.mempool.values(), *(s for b in self.blocks for s, _ in b.sent)]:
            if "0x" + sent.hash.hex() == wanted:
                return {"hash": wanted}
        return None

    def _eth_getTransactionReceipt(self, wanted: str) -> Any:
        for block in self.blocks:
            for sent, succeeded in block.sent:
                if "0x" + sent.hash.hex() == wanted:
                    return {
                        "blockNumber": hex(block.header.number),
                        "blockHash": "0x" + block.header.hash.hex(),
                        "status": hex(succeeded),
                    }
        return None


class _Reverts(Exception):
    pass


@dataclass(frozen=True, slots=True)
class FakeView:
    """What a sender asks of a view."""

    head: Block
    finalized: int
    hashes: dict[int, bytes] = field(repr=False)

    @property
    def pin(self) -> Any:
        return {"blockHash": "0x" + self.head.hash.hex()}

    def hash_of(self, number: int) -> bytes | None:
        return self.hashes.get(number)


def view_of(node: FakeNode, finality: int = 64) -> Any:
    finalized = max(0, node.head.number - finality)
    hashes = {each.header.number: each.header.hash for each in node.blocks[finalized:]}
    return FakeView(node.head, finalized, hashes)

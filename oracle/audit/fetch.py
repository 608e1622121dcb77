"""
Read every log of a deployment from a node, and notice when the node does not tell all.

The logs of a range of blocks, and the range's last block, are asked for in one batch: a machine
that does not know the block is behind, and its empty answer is worth nothing. Each log has to be of
the block and of the transaction that the chain has there, so that logs of an abandoned branch are
asked for again. Ranges are halved until the node neither refuses them nor cuts them off. What is
missing in spite of all that, the digests and counts that the contracts keep reveal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from oracle.chain.batches import Refusal, Request, ask
from oracle.chain.deployment import Deployment
from oracle.chain.log_table import LogTable, Raw, build
from oracle.chain.logs import TRUNCATED_AT, WIDEST_RANGE, Log, LogsUnavailable, NodeBehind
from oracle.core.keccak import keccak
from oracle.core.words import word

if TYPE_CHECKING:
    from web3 import Web3

ATTEMPTS = 6
FIRST_PAUSE = 0.25  # seconds, doubled after each attempt
TRANSFER = keccak(b"Transfer(address,address,uint256)")


class BranchAbandoned(Exception):
    """The chain was reorganised below a block that was read: all that follows it is void."""

    def __init__(self, block: int) -> None:
        super().__init__(f"The chain was reorganised at block {block} while it was read.")
        self.block = block


class NodeInconsistent(Exception):
    """A node's answers contradict each other, again and again."""

    def __init__(self, first: int, last: int, reason: str) -> None:
        super().__init__(f"The node contradicts itself in blocks {first} to {last}: {reason}.")


@dataclass(frozen=True, slots=True)
class Header:
    """The hash and the second of a block; `transactions` are their hashes, `None` if unknown."""

    block_hash: bytes
    timestamp: int
    transactions: frozenset[bytes] | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """All logs of blocks `first` to `last`, read when the last one had this hash."""

    first: int
    last: int
    last_hash: bytes
    table: LogTable


class _Again(Exception):
    """The answers do not fit each other now and may do so later."""


class Fetcher:
    """Reads the logs of both contracts, and of the token's transfers from or to them."""

    def __init__(
        self,
        web3: Web3,
        deployment: Deployment,
        *,
        widest: int = WIDEST_RANGE,
        truncated_at: int = TRUNCATED_AT,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._web3 = web3
        self._widest = widest
        self._truncated_at = truncated_at
        self._pause = pause
        contracts = [deployment.registry.address, deployment.rounds.address]
        accounts = ["0x" + word(contract).hex() for contract in contracts]
        transfer = "0x" + TRANSFER.hex()
        token = deployment.token
        self._filters: tuple[dict[str, Any], ...] = (
            {"address": contracts},
            {"address": token, "topics": [transfer, accounts]},
            {"address": token, "topics": [transfer, None, accounts]},
        )

    def header(self, block: int) -> Header:
        """Return the header of one block; raise `NodeBehind` if the node does not know it."""
        return headers(self._web3, [block])[0]

    def chunks(self, first: int, last: int) -> Iterator[Chunk]:
        """
        Yield the chunks of blocks `first` to `last`, both included, in order.

        Raises `NodeBehind`, `LogsUnavailable`, `NodeInconsistent`, `RpcUnreachable`.
        """
        width = self._widest
        while first <= last:
            until = min(first + width - 1, last)
            found = self._patiently(first, until)
            if isinstance(found, Refusal):
                if until == first:
                    raise LogsUnavailable(first, found)
                width = (until - first + 1) // 2
                continue
            yield found
            first = until + 1
            width = min(2 * width, self._widest)

    def _patiently(self, first: int, last: int) -> Chunk | Refusal:
        pause = FIRST_PAUSE
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._read(first, last)
            except (_Again, NodeBehind) as error:
                if attempt == ATTEMPTS:
                    if isinstance(error, NodeBehind):
                        raise
                    raise NodeInconsistent(first, last, str(error)) from None
                self._pause(pause)
                pause *= 2
        raise AssertionError("unreachable")

    def _read(self, first: int, last: int) -> Chunk | Refusal:
        place = {"fromBlock": hex(first), "toBlock": hex(last)}
        requests: list[Request] = [("eth_getLogs", [{**each, **place}]) for each in self._filters]
        requests.append(("eth_getBlockByNumber", [hex(last), False]))
        *answers, end = ask(self._web3, requests)
        found: list[dict[str, Any]] = []
        for answer in answers:
            if isinstance(answer, Refusal):
                return answer
            if not isinstance(answer, list):
                raise _Again("an answer has no logs")
            found += answer
            if last > first and len(answer) >= self._truncated_at:
                return Refusal("as many logs as a node gives at most")
        if not isinstance(end, dict):
            raise NodeBehind(int(self._web3.eth.block_number), last)
        logs = {
            (int(raw["blockNumber"], 16), int(raw["logIndex"], 16)): raw
            # What one contract sends the other is in two answers.
            for raw in found
            if not raw.get("removed")
        }
        places = sorted(logs)
        if places and not first <= places[0][0] <= places[-1][0] <= last:
            raise _Again("logs are of other blocks than those asked for")
        numbers = sorted({number for number, _ in places})
        blocks = dict(zip(numbers, headers(self._web3, numbers), strict=True))
        rows = [_row(logs[at], at, blocks[at[0]]) for at in places]
        return Chunk(first, last, _bytes(end["hash"]), build(rows))


def headers(web3: Web3, blocks: Sequence[int]) -> list[Header]:
    """Return the headers of blocks; raise `NodeBehind` for one that the node does not know."""
    requests: list[Request] = [("eth_getBlockByNumber", [hex(block), False]) for block in blocks]
    found = []
    for block, answer in zip(blocks, ask(web3, requests), strict=True):
        if not isinstance(answer, dict):
            raise NodeBehind(int(web3.eth.block_number), block)
        transactions = frozenset(map(_bytes, answer["transactions"]))
        found.append(Header(_bytes(answer["hash"]), int(answer["timestamp"], 16), transactions))
    return found


def flattened(chunks: Iterator[Chunk]) -> Iterator[Log]:
    """Yield the logs of chunks, one by one."""
    for chunk in chunks:
        yield from chunk.table.logs()


def _row(raw: dict[str, Any], place: tuple[int, int], header: Header) -> Raw:
    transaction = _bytes(raw["transactionHash"])
    if _bytes(raw["blockHash"]) != header.block_hash:
        raise _Again(f"a log of block {place[0]} has another hash than the block")
    if header.transactions is not None and transaction not in header.transactions:
        raise _Again(f"a log of block {place[0]} is of no transaction of the block")
    return (
        place[0],
        header.block_hash,
        header.timestamp,
        place[1],
        _bytes(raw["address"]),
        transaction,
        tuple(map(_bytes, raw["topics"])),
        _bytes(raw["data"]),
    )


def _bytes(text: Any) -> bytes:
    return bytes.fromhex(text[2:]) if isinstance(text, str) else bytes(text)

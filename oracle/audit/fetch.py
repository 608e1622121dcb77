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

import numpy as np

from oracle.chain.batches import Refusal, Request, ask
from oracle.chain.deployment import Deployment
from oracle.chain.log_table import Bytes, LogTable
from oracle.chain.logs import TRUNCATED_AT, WIDEST_RANGE, Log, LogsUnavailable, NodeBehind
from oracle.core.keccak import keccak
from oracle.core.words import word

if TYPE_CHECKING:
    from web3 import Web3

ATTEMPTS = 6
HANDY = 8_192
"""Logs that a chunk should have: ranges grow, at most twofold, and shrink towards that."""
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
            width = min(width * HANDY // max(len(found.table), HANDY // 2) or 1, self._widest)

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
        blocks = dict(zip(numbers, _blocks(self._web3, numbers), strict=True))
        return Chunk(first, last, _bytes(end["hash"]), _table(places, logs, blocks))


def _table(
    places: list[tuple[int, int]],
    logs: dict[tuple[int, int], dict[str, Any]],
    blocks: dict[int, dict[str, Any]],
) -> LogTable:
    """Return the table of some logs by their places, once they are found to be of their blocks."""
    mined = {number: set(block["transactions"]) for number, block in blocks.items()}
    rows = [logs[place] for place in places]
    for (number, _), raw in zip(places, rows, strict=True):
        if raw["blockHash"] != blocks[number]["hash"]:
            raise _Again(f"a log of block {number} has another hash than the block")
        if raw["transactionHash"] not in mined[number]:
            raise _Again(f"a log of block {number} is of no transaction of the block")
    addresses = [raw["address"] for raw in rows]
    contracts = sorted({_bytes(each) for each in set(addresses)})
    contract_of = {each: contracts.index(_bytes(each)) for each in set(addresses)}
    block_of = {number: row for row, number in enumerate(blocks)}
    topics = [raw["topics"] for raw in rows]
    data = [raw["data"][2:] for raw in rows]
    return LogTable(
        number=np.array(list(blocks), dtype=np.uint64),
        time=np.array([int(each["timestamp"], 16) for each in blocks.values()], dtype=np.uint64),
        block=np.array([block_of[number] for number, _ in places], dtype=np.uint32),
        index=np.array([index for _, index in places], dtype=np.uint32),
        size=np.array(list(map(len, data)), dtype=np.uint32) // 2,
        contract=np.array([contract_of[each] for each in addresses], dtype=np.uint8),
        topic_count=np.array(list(map(len, topics)), dtype=np.uint8),
        block_hash=_rows([each["hash"] for each in blocks.values()], 32),
        address=np.frombuffer(b"".join(contracts), dtype=np.uint8).reshape(-1, 20),
        transaction=_rows([raw["transactionHash"] for raw in rows], 32),
        topics=_rows([topic for each in topics for topic in each], 32),
        data=np.frombuffer(bytes.fromhex("".join(data)), dtype=np.uint8),
    )


def _rows(texts: list[str], width: int) -> Bytes:
    """Return hex texts as rows of bytes, all of this width."""
    if any(len(text) != 2 * width + 2 for text in texts):
        raise _Again("a hash is of another length")
    packed = bytes.fromhex("".join([text[2:] for text in texts]))
    return np.frombuffer(packed, dtype=np.uint8).reshape(-1, width)


def _blocks(web3: Web3, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Return blocks as the node has them; raise `NodeBehind` for one that it does not know."""
    requests: list[Request] = [("eth_getBlockByNumber", [hex(each), False]) for each in numbers]
    found = []
    for number, answer in zip(numbers, ask(web3, requests), strict=True):
        if not isinstance(answer, dict):
            raise NodeBehind(int(web3.eth.block_number), number)
        found.append(answer)
    return found


def headers(web3: Web3, blocks: Sequence[int]) -> list[Header]:
    """Return the headers of blocks; raise `NodeBehind` for one that the node does not know."""
    return [
        Header(
            _bytes(block["hash"]),
            int(block["timestamp"], 16),
            frozenset(map(_bytes, block["transactions"])),
        )
        for block in _blocks(web3, blocks)
    ]


def flattened(chunks: Iterator[Chunk]) -> Iterator[Log]:
    """Yield the logs of chunks, one by one."""
    for chunk in chunks:
        yield from chunk.table.logs()


def _bytes(text: Any) -> bytes:
    return bytes.fromhex(text[2:]) if isinstance(text, str) else bytes(text)

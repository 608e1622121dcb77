"""
Logs in columns: what a million of them are read, kept and compared as.

A table holds the logs of a range of blocks in chain order, with the header of every block that has
one. It decides the form, in memory and as bytes that are the same wherever they are made, and gives
no meaning to any log. A log in a table is of the block that the table has: whoever fills it checks.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle.chain.logs import Log
from oracle.core.words import account

Bytes = NDArray[np.uint8]

MOST_TOPICS = 4
_MAGIC = b"poqlogs1"
_COLUMNS: tuple[tuple[str, str, int], ...] = (
    # The widest numbers come first, so that all are aligned.
    ("number", "<u8", 0),
    ("time", "<u8", 0),
    ("block", "<u4", 0),
    ("index", "<u4", 0),
    ("size", "<u4", 0),
    ("contract", "u1", 0),
    ("topic_count", "u1", 0),
    ("block_hash", "u1", 32),
    ("address", "u1", 20),
    ("transaction", "u1", 32),
    ("topics", "u1", 32),
    ("data", "u1", 0),
)


class NotATable(ValueError):
    """Bytes are not those of a table of logs."""


@dataclass(frozen=True, slots=True, eq=False)
class LogTable:
    """
    B blocks with N logs of A contracts.

    `number`, `time` (seconds), `block_hash` are (B,), (B,) and (B, 32), ascending; `address` is
    (A, 20). Of each log, (N,): `block` and `contract` are rows of those, `index` is its place in
    the block, `transaction` (N, 32) its hash, `topic_count` how many of `topics`, (all, 32), are
    its own, and `size` how many bytes of `data`, (all,).
    """

    number: NDArray[np.uint64]
    block_hash: Bytes
    time: NDArray[np.uint64]
    address: Bytes
    block: NDArray[np.uint32]
    index: NDArray[np.uint32]
    contract: Bytes
    transaction: Bytes
    topic_count: Bytes
    topics: Bytes
    size: NDArray[np.uint32]
    data: Bytes

    def __len__(self) -> int:
        return len(self.block)

    def logs(self) -> Iterator[Log]:
        """Yield every log."""
        return self.logs_at(range(len(self)))

    def logs_at(self, rows: Iterable[int]) -> Iterator[Log]:
        """Yield the logs of some rows."""
        addresses = [account(row.tobytes()) for row in self.address]
        hashes = self.block_hash.tobytes()
        numbers, blocks, indices = self.number.tolist(), self.block.tolist(), self.index.tolist()
        contracts = self.contract.tolist()
        topics, data = starts(self.topic_count).tolist(), starts(self.size).tolist()
        transactions, words, content = (
            column.tobytes() for column in (self.transaction, self.topics, self.data)
        )
        for row in rows:
            block = blocks[row]
            yield Log(
                addresses[contracts[row]],
                tuple(words[32 * i : 32 * i + 32] for i in range(topics[row], topics[row + 1])),
                content[data[row] : data[row + 1]],
                numbers[block],
                hashes[32 * block : 32 * block + 32],
                transactions[32 * row : 32 * row + 32],
                indices[row],
            )

    def part(self, first: int, last: int) -> LogTable:
        """Return the logs of rows `first` to before `last`, with their blocks and contracts."""
        topics, bytes_ = starts(self.topic_count), starts(self.size)
        rows = slice(first, last)
        blocks, block = np.unique(self.block[rows], return_inverse=True)
        contracts, contract = np.unique(self.contract[rows], return_inverse=True)
        return LogTable(
            number=self.number[blocks],
            block_hash=self.block_hash[blocks],
            time=self.time[blocks],
            address=self.address[contracts],
            block=block.astype(np.uint32),
            index=self.index[rows],
            contract=contract.astype(np.uint8),
            transaction=self.transaction[rows],
            topic_count=self.topic_count[rows],
            topics=self.topics[topics[first] : topics[last]],
            size=self.size[rows],
            data=self.data[bytes_[first] : bytes_[last]],
        )

    def to_bytes(self) -> bytes:
        """Return the table as bytes: a header of lengths, then the columns as they are."""
        columns = [
            np.ascontiguousarray(getattr(self, name), dtype=kind) for name, kind, _ in _COLUMNS
        ]
        lengths = struct.pack(f"<{len(columns)}Q", *map(len, columns))
        return b"".join([_MAGIC, lengths, *(column.tobytes() for column in columns)])

    @classmethod
    def from_bytes(cls, content: bytes) -> LogTable:
        """Return the table that `to_bytes` made these bytes of, a view of them, or `NotATable`."""
        start = len(_MAGIC) + 8 * len(_COLUMNS)
        if content[: len(_MAGIC)] != _MAGIC or len(content) < start:
            raise NotATable("it does not begin as a table of logs does")
        lengths = struct.unpack_from(f"<{len(_COLUMNS)}Q", content, len(_MAGIC))
        columns: dict[str, NDArray[Any]] = {}
        for (name, kind, width), length in zip(_COLUMNS, lengths, strict=True):
            count = length * (width or 1)
            end = start + count * np.dtype(kind).itemsize
            if end > len(content):
                raise NotATable("it ends too early")
            column = np.frombuffer(content, dtype=kind, count=count, offset=start)
            columns[name] = column.reshape(length, width) if width else column
            start = end
        if start != len(content):
            raise NotATable("it has more than its columns")
        table = cls(**columns)
        table._check()
        return table

    def _check(self) -> None:
        logs, blocks = len(self.block), len(self.number)
        whole = (
            len(self.block_hash) == len(self.time) == blocks
            and len(self.index) == len(self.contract) == len(self.transaction) == logs
            and len(self.topic_count) == len(self.size) == logs
            and int(self.topic_count.sum(dtype=np.int64)) == len(self.topics)
            and int(self.size.sum(dtype=np.int64)) == len(self.data)
            and (not logs or int(self.block.max()) < blocks)
            and (not logs or int(self.contract.max()) < len(self.address))
            and (not logs or int(self.topic_count.max()) <= MOST_TOPICS)
        )
        if not whole:
            raise NotATable("its columns do not fit each other")


def join(tables: Sequence[LogTable]) -> LogTable:
    """Return one table of the logs of several, each of which follows the one before."""
    number = np.concatenate([table.number for table in tables])
    address = np.concatenate([table.address for table in tables])
    numbers, first, block_of = np.unique(number, return_index=True, return_inverse=True)
    addresses, contract_of = np.unique(address, axis=0, return_inverse=True)
    blocks, contracts = (
        np.concatenate([[0], np.cumsum([len(getattr(table, name)) for table in tables])])
        for name in ("number", "address")
    )

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(table, name) for table in tables])

    return LogTable(
        number=numbers,
        block_hash=column("block_hash")[first],
        time=column("time")[first],
        address=addresses,
        block=np.concatenate(
            [block_of[table.block + start] for table, start in zip(tables, blocks, strict=False)]
        ).astype(np.uint32),
        index=column("index"),
        contract=np.concatenate(
            [
                contract_of.reshape(-1)[table.contract + start]
                for table, start in zip(tables, contracts, strict=False)
            ]
        ).astype(np.uint8),
        transaction=column("transaction"),
        topic_count=column("topic_count"),
        topics=column("topics"),
        size=column("size"),
        data=column("data"),
    )


def rechunked(tables: Iterable[LogTable], size: int) -> Iterator[LogTable]:
    """Yield the same logs in tables of `size`, the last one shorter, whatever they come in."""
    waiting: list[LogTable] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) < size:
            continue
        whole = join(waiting)
        full = len(whole) - len(whole) % size
        yield from (whole.part(first, first + size) for first in range(0, full, size))
        waiting = [whole.part(full, len(whole))]
    if waiting and len(whole := join(waiting)):
        yield whole.part(0, len(whole))


def table_of(logs: Sequence[Log], times: dict[int, int]) -> LogTable:
    """Return the table of logs in chain order; `times` are the seconds of their blocks."""
    return build(
        [
            (
                log.block_number,
                log.block_hash,
                times[log.block_number],
                log.log_index,
                bytes.fromhex(log.address[2:]),
                log.transaction_hash,
                log.topics,
                log.data,
            )
            for log in logs
        ]
    )


Raw = tuple[int, bytes, int, int, bytes, bytes, Sequence[bytes], bytes]
"""Block number, hash and second; index in the block, address, transaction, topics, data."""


def build(rows: Sequence[Raw]) -> LogTable:
    """Return the table of logs in chain order."""
    numbers, hashes, times, indices, addresses, transactions, topics, data = (
        zip(*rows, strict=True) if rows else ((),) * 8
    )
    headers = {
        number: (block_hash, time)
        for number, block_hash, time in zip(numbers, hashes, times, strict=True)
    }
    block_of = {number: row for row, number in enumerate(headers)}
    contracts = sorted(set(addresses))
    contract_of = {contract: row for row, contract in enumerate(contracts)}
    return LogTable(
        number=np.array(list(headers), dtype=np.uint64),
        block_hash=_rows(block_hash for block_hash, _ in headers.values()),
        time=np.array([time for _, time in headers.values()], dtype=np.uint64),
        address=_bytes(contracts, 20),
        block=np.array([block_of[number] for number in numbers], dtype=np.uint32),
        index=np.array(indices, dtype=np.uint32),
        contract=np.array([contract_of[each] for each in addresses], dtype=np.uint8),
        transaction=_rows(transactions),
        topic_count=np.array(list(map(len, topics)), dtype=np.uint8),
        topics=_rows(chain.from_iterable(topics)),
        size=np.array(list(map(len, data)), dtype=np.uint32),
        data=np.frombuffer(b"".join(data), dtype=np.uint8),
    )


def starts(lengths: NDArray[Any]) -> NDArray[np.int64]:
    """Return where parts of these lengths begin, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _rows(words: Iterable[bytes]) -> Bytes:
    return _bytes(words, 32)


def _bytes(parts: Iterable[bytes], width: int) -> Bytes:
    return np.frombuffer(b"".join(parts), dtype=np.uint8).reshape(-1, width)

"""
Which blocks the logs are of, and when those were.

Logs carry hashes and times of their own, and the chain has those of its blocks: this module holds
the two against each other. Without a chain at hand it knows only what the logs say, and that time
does not run backwards.
"""

from __future__ import annotations

from oracle.audit.findings import Findings, Where
from oracle.audit.reader import Reader
from oracle.chain.logs import Log


class Clock:
    """The seconds of blocks, from the chain if there is a `reader`, otherwise from the logs."""

    def __init__(self, findings: Findings, reader: Reader | None) -> None:
        self._findings = findings
        self._reader = reader
        self._block: int | None = None
        self._block_hash = b""
        self._transactions: frozenset[bytes] | None = None
        self._time: int | None = None
        self._latest = 0

    def enter(self, where: Where, log: Log) -> None:
        """Compare the block and the transaction that a log claims to be of with the chain's."""
        if log.block_number != self._block:
            self._block, self._block_hash = log.block_number, log.block_hash
            self._time = None
            if self._reader is not None:
                header = self._reader.header(log.block_number)
                self._block_hash, self._transactions = header.block_hash, header.transactions
                self._time = self._latest = header.timestamp
        self._findings.expect(where, "blockHash", self._block_hash, log.block_hash)
        if self._transactions is not None:
            mined = log.transaction_hash in self._transactions
            self._findings.expect(where, "transactionHash is of the block", True, mined)

    def at(self, block: int, block_hash: bytes, time: int) -> None:
        """Be in a block that was compared already."""
        self._block, self._block_hash, self._transactions = block, block_hash, None
        self._time = self._latest = time

    def check(self, where: Where, field: str, time: int) -> None:
        """Compare the time that a log of the current block states with what is known of it."""
        if self._time is not None:
            self._findings.expect(where, field, self._time, time)
        elif self._findings.expect(where, field, max(time, self._latest), time):
            self._time = self._latest = time

    @property
    def time(self) -> int | None:
        """The second of the current block, `None` as long as nothing says it."""
        return self._time

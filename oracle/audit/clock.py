"""
When the blocks were that the logs name.

Logs carry times of their own, and the chain stamps its blocks: this module holds the two against
each other. Without a chain at hand it knows only what the logs say, and that time does not run
backwards.
"""

from __future__ import annotations

from oracle.audit.findings import Findings, Where
from oracle.audit.reader import Reader


class Clock:
    """The seconds of blocks, from the chain if there is a `reader`, otherwise from the logs."""

    def __init__(self, findings: Findings, reader: Reader | None) -> None:
        self._findings = findings
        self._reader = reader
        self._times: dict[int, int] = {}
        self._latest = 0

    def enter(self, where: Where, block: int, block_hash: bytes) -> None:
        """Note that the logs reach a block, and compare its hash with the chain's."""
        if self._reader is not None:
            header = self._reader.header(block)
            self._findings.expect(where, "blockHash", header.block_hash, block_hash)
            self._times[block] = self._latest = header.timestamp

    def check(self, where: Where, field: str, block: int, time: int) -> None:
        """Compare the time that a log of a block states with what is known of the block."""
        if (known := self._times.get(block)) is not None:
            self._findings.expect(where, field, known, time)
        elif self._findings.expect(where, field, max(time, self._latest), time):
            self._times[block] = self._latest = time

    def time(self, block: int) -> int | None:
        """Return the second of a block, `None` as long as nothing says it."""
        return self._times.get(block)

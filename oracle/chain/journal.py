"""
The journal of transactions: what was signed, written down before it was sent.

This module decides what is durable and when: SQLite with a write-ahead log, synced to the disk at
each commit, and one row a nonce, so that no nonce is given twice and none is left out whichever
thread or process asks. It keeps bytes and what is known of them; what to do about them, `sender`
decides. It holds nothing secret: signed transactions are published anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

FILE = "transactions.sqlite"
"""The name of the journal in a data directory."""


class Status(StrEnum):
    """
    What became of a purpose at its nonce.

    PENDING is signed and not in a block. MINED is in a block that may still be undone, FINAL in one
    that may not. FAILED is mined and reverted; REPLACED lost its nonce to a transaction that this
    journal does not know; CANCELLED lost it to a transfer of nothing to oneself. After the last
    three the purpose may be sent again.
    """

    PENDING = "pending"
    MINED = "mined"
    FINAL = "final"
    FAILED = "failed"
    REPLACED = "replaced"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Entry:
    """
    A purpose, the nonce it was given, and the hash of each transaction signed for it, oldest first.

    `max_fee_per_gas` is the hard cap and `fee_per_gas` what the newest transaction offers, both in
    wei a unit of gas; `created_at` and `signed_at` are seconds of this machine's clock, of the
    first and the newest transaction; `block` is the number of the one that it is in. `reason` is a
    sentence: why it failed, or what it waits for. `cancelling` means that the newest transaction is
    the transfer to oneself.
    """

    purpose: str
    chain_id: int
    sender: str
    nonce: int
    hashes: tuple[bytes, ...]
    status: Status
    max_fee_per_gas: int
    fee_per_gas: int
    created_at: float
    signed_at: float
    block: int | None = None
    reason: str = ""
    cancelling: bool = False

    @property
    def hash(self) -> bytes:
        """The hash of the newest transaction."""
        return self.hashes[-1]


class Journal:
    """The entries at `path`, safe for threads and processes; without a path they are forgotten."""

    def __init__(self, path: Path | None = None) -> None:
        raise NotImplementedError

    def find(self, chain_id: int, sender: str, purpose: str) -> Entry | None:
        """Return the newest entry of a purpose."""
        raise NotImplementedError

    def entries(self, chain_id: int | None = None, sender: str | None = None) -> list[Entry]:
        """Return all entries, or those of one chain or sender, oldest first."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the file."""
        raise NotImplementedError

"""
What is known of a transaction that was signed: its purpose, its nonce, and what became of it.

This module holds and decides nothing; `journal` keeps entries and `outcomes` judges them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from oracle.chain.calls import Call


class Status(StrEnum):
    """
    What became of a purpose at its nonce.

    PENDING is signed and not in a block. MINED is in a block that may still be undone, FINAL in one
    that may not. FAILED is mined and reverted; REPLACED lost its nonce to a transaction that this
    journal does not know; CANCELLED lost it to a transfer of nothing to oneself. After the last
    three the purpose may be sent again. Until its block is final, a reorganisation may make any of
    them PENDING once more.
    """

    PENDING = "pending"
    MINED = "mined"
    FINAL = "final"
    FAILED = "failed"
    REPLACED = "replaced"
    CANCELLED = "cancelled"

    @property
    def serves(self) -> bool:
        """Whether the purpose is served, or will be: it is not to be sent again."""
        return self in {Status.PENDING, Status.MINED, Status.FINAL}


@dataclass(frozen=True, slots=True)
class Version:
    """
    One of the transactions signed for an entry, all of the same nonce; a block has one at most.

    Fees are wei a unit of gas, `signed_at` is in seconds. One that `cancels` is a transfer of
    nothing to oneself. `raw` is forgotten once the entry is settled.
    """

    hash: bytes
    raw: bytes = field(repr=False)
    fee_per_gas: int
    tip_per_gas: int
    cancels: bool
    signed_at: float


@dataclass(frozen=True, slots=True)
class Entry:
    """
    A purpose, the nonce it was given, and the transactions signed for it, oldest first.

    `call` and `gas` are what is signed, `max_fee_per_gas` is the hard cap in wei a unit of gas;
    `created_at` is in seconds of this machine's clock; `block` is the number of the one that a
    transaction of the nonce is in. `reason` is a sentence: why it failed, or what it waits for.
    `settled` means that nothing can change it any more.
    """

    key: int
    purpose: str
    chain_id: int
    sender: str
    nonce: int
    call: Call = field(repr=False)
    gas: int
    status: Status
    max_fee_per_gas: int
    created_at: float
    versions: tuple[Version, ...]
    block: int | None = None
    reason: str = ""
    settled: bool = False

    @property
    def newest(self) -> Version:
        """The transaction that outbids the others."""
        return self.versions[-1]

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The hashes of the transactions, oldest first."""
        return tuple(version.hash for version in self.versions)

    @property
    def hash(self) -> bytes:
        """The hash of the newest transaction."""
        return self.newest.hash

    @property
    def cancelling(self) -> bool:
        """Whether the newest transaction is the transfer to oneself."""
        return self.newest.cancels

"""
The facts of nodes and rounds, as the contracts name and order them, and nothing computed.

Each `Struct` mirrors one of `contracts/interfaces/` field by field. Accounts are EIP-55 strings,
hashes and packed data are bytes, money is wei, and scores stay packed until something is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from eth_utils.address import to_checksum_address

from oracle.core.consensus import Rule
from oracle.core.structs import Struct
from oracle.core.units import WrongLength

_PANEL_ENTRY = 28


class Role(IntEnum):
    """What a node does, for life."""

    NONE = 0
    EVALUATOR = 1
    INFERENCE = 2


class Conduct(IntEnum):
    """How a seat of a finished round behaved."""

    PRESENT = 0
    NOT_COMMITTED = 1
    NOT_REVEALED = 2


class Phase(IntEnum):
    """Where a round stands."""

    NONE = 0
    OPEN = 1
    DRAWN = 2
    CLOSED = 3


@dataclass(frozen=True, slots=True)
class Terms(Struct):
    """What the requester fixes when opening a round."""

    domain: bytes
    rule: Rule
    trim: int
    panel_size: int
    quorum: int
    oracle: str
    workload_hash: bytes
    inference_budget: int
    evaluator_budget: int
    settlement_fee: int

    @property
    def deposit(self) -> int:
        """What the round escrows, and pays out to the last wei."""
        return self.inference_budget + self.evaluator_budget + self.settlement_fee


@dataclass(frozen=True, slots=True)
class Batch(Struct):
    """The outputs of one inference node: consecutive items of the round."""

    node_id: int
    owner: str
    items: int
    cost: int
    outputs_hash: bytes


@dataclass(frozen=True, slots=True)
class Opening(Struct):
    """Everything that opening a round fixed: the preimage of its first digest."""

    requester: str
    draw_block: int
    terms: Terms
    batches: tuple[Batch, ...]
    uri_hash: bytes

    @property
    def items(self) -> int:
        """T, the number of items of all batches."""
        return sum(batch.items for batch in self.batches)


@dataclass(frozen=True, slots=True)
class RoundKey:
    """Which round of which contract on which chain; every hash of a round is bound to it."""

    chain_id: int
    contract: str
    round_id: int


@dataclass(frozen=True, slots=True)
class Seat(Struct):
    """A seat of a panel as drawn; its trust is that in the round's domain at the draw."""

    node_id: int
    owner: str
    trust: int


@dataclass(frozen=True, slots=True)
class Draw:
    """A draw as `PanelDrawn` logs it."""

    drawn_at: int
    seed: bytes
    panel: tuple[Seat, ...]


@dataclass(frozen=True, slots=True)
class Commit:
    """A commitment as `ScoresCommitted` logs it."""

    seat: int
    committed_at: int
    commitment: bytes


@dataclass(frozen=True, slots=True)
class DrawnRound:
    """A running round from its logs; `revealed` is the bitmap of the seats revealed on chain."""

    key: RoundKey
    opening: Opening
    draw: Draw
    commits: tuple[Commit, ...]
    revealed: int

    @property
    def committed(self) -> int:
        """The bitmap of the seats that committed."""
        return sum(1 << commit.seat for commit in self.commits)


@dataclass(frozen=True, slots=True)
class RoundState:
    """What the contract keeps of a running round: its phase, then the fields of `stateOf`."""

    phase: Phase
    draw_block: int
    drawn_at: int
    items: int
    panel_size: int
    committed: int
    revealed: int


@dataclass(frozen=True, slots=True)
class Reveal:
    """What a seat committed to; `scores` is packed."""

    seat: int
    salt: bytes
    scores: bytes


@dataclass(frozen=True, slots=True)
class History(Struct):
    """A round's log up to the closing of its commits, to be checked against its digest."""

    opening: Opening
    seed: bytes
    panel: bytes
    commits: bytes
    commitments: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Reveals(Struct):
    """The revealed seats of a settlement: a bitmap, and salts and rows of ascending seats."""

    seats: int
    salts: tuple[bytes, ...]
    scores: bytes


@dataclass(frozen=True, slots=True)
class CommitProof(Struct):
    """Shows that a commitment is part of the round's digest."""

    committed_at: int
    digest_before: bytes
    steps_after: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Outcome(Struct):
    """What the rounds contract reports of one seat of a finished round."""

    node_id: int
    conduct: Conduct
    disagreement: int


def pack_panel(panel: tuple[Seat, ...]) -> bytes:
    """Return the seats as `PanelDrawn` logs them: node id, owner and trust, 28 bytes a seat."""
    return b"".join(
        seat.node_id.to_bytes(4) + bytes.fromhex(seat.owner[2:]) + seat.trust.to_bytes(4)
        for seat in panel
    )


def unpack_panel(packed: bytes) -> tuple[Seat, ...]:
    """Return the seats that `pack_panel` made these bytes of, or raise `WrongLength`."""
    if len(packed) % _PANEL_ENTRY:
        raise WrongLength(len(packed), len(packed) // _PANEL_ENTRY * _PANEL_ENTRY)
    entries = [packed[i : i + _PANEL_ENTRY] for i in range(0, len(packed), _PANEL_ENTRY)]
    return tuple(
        Seat(
            int.from_bytes(entry[:4]),
            to_checksum_address(entry[4:24]),
            int.from_bytes(entry[24:]),
        )
        for entry in entries
    )


def pack_commits(commits: tuple[Commit, ...]) -> bytes:
    """Return seats and times as `History.commits` holds them, 6 bytes a commit, in that order."""
    return b"".join(commit.seat.to_bytes(1) + commit.committed_at.to_bytes(5) for commit in commits)

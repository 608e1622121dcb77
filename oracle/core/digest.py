"""
The digest of a round's log: its one lasting word of storage, recomputed from the facts.

A chain of hashes: the opening first, then a step for each later log that is one. An equal digest
proves that no log of the round is missing, altered or out of order. Section 7 of docs/protocol.md;
twin of the `DIGEST` part of `QualityRounds.sol`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from oracle.core.facts import Commit, Draw, Opening, RoundKey, pack_panel
from oracle.core.words import word

PANEL_DRAWN = keccak(text="PanelDrawn(uint256,uint256,bytes32,bytes)")
SCORES_COMMITTED = keccak(text="ScoresCommitted(uint256,uint256,uint32,uint256,bytes32)")
ROUND_SETTLED = keccak(
    text="RoundSettled(uint256,address,uint256,uint256,bytes32[],bytes,bytes,bytes,uint256)"
)
ROUND_CANCELLED = keccak(text="RoundCancelled(uint256,address,uint256,uint256)")

_TERMS = "(bytes32,uint8,uint16,uint8,uint8,address,bytes32,uint128,uint128,uint128)"
_BATCH = "(uint32,address,uint16,uint16,bytes32)"
_OPENING = f"(address,uint64,{_TERMS},{_BATCH}[],bytes32)"


def opening_digest(key: RoundKey, opening: Opening) -> bytes:
    """Return digest₀, `H(chainId, contract, roundId, opening)`."""
    return keccak(
        encode(
            ["uint256", "address", "uint256", _OPENING],
            [key.chain_id, key.contract, key.round_id, opening.as_tuple()],
        )
    )


def fold(digest: bytes, step: bytes) -> bytes:
    """Return `keccak(digest ‖ step)`, the digest after one more step."""
    return keccak(digest + step)


def drawn_step(draw: Draw) -> bytes:
    """Return the step of `PanelDrawn`."""
    panel = keccak(pack_panel(draw.panel))
    return keccak(PANEL_DRAWN + word(draw.drawn_at) + draw.seed + panel)


def commit_step(commit: Commit) -> bytes:
    """Return the step of `ScoresCommitted`."""
    return keccak(
        SCORES_COMMITTED + word(commit.seat) + word(commit.committed_at) + commit.commitment
    )


def settled_step(
    *,
    settler: str,
    settled_at: int,
    seats: int,
    revealed: int,
    scores: bytes,
    consensus: bytes,
    deviations: bytes,
    rewards: Sequence[int],
    refund: int,
) -> bytes:
    """
    Return the step of `RoundSettled`.

    `seats` and `revealed` are the bitmaps of the seats included and of those revealed on chain;
    `scores`, `consensus` and `deviations` are packed as in the event; `rewards` are wei, of the
    included seats in ascending order, then of the batches.
    """
    return keccak(
        ROUND_SETTLED
        + word(settler)
        + word(settled_at)
        + word(seats)
        + word(revealed)
        + keccak(scores)
        + keccak(consensus)
        + keccak(deviations)
        + keccak(b"".join(map(word, rewards)))
        + word(refund)
    )


def cancelled_step(*, cancelled_at: int, revealed: int, refund: int) -> bytes:
    """Return the step of `RoundCancelled`; `revealed` as in `settled_step`."""
    return keccak(ROUND_CANCELLED + word(cancelled_at) + word(revealed) + word(refund))


def replay(key: RoundKey, opening: Opening, draw: Draw, commits: Iterable[Commit]) -> bytes:
    """Return the digest of a drawn round after its commits, in the order of the log."""
    drawn = fold(opening_digest(key, opening), drawn_step(draw))
    return reduce(fold, map(commit_step, commits), drawn)

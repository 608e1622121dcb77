"""
The digest of a round's log: its one lasting word of storage, recomputed from the facts.

A chain of hashes: the opening first, then a step for each later log that is one. An equal digest
proves that no log of the round is missing, altered or out of order. Section 7 of docs/protocol.md;
twin of the `DIGEST` part of `QualityRounds.sol`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

from oracle.core.facts import Commit, Draw, Opening, RoundKey, pack_panel
from oracle.core.keccak import keccak
from oracle.core.words import word

PANEL_DRAWN = keccak(b"PanelDrawn(uint256,uint256,bytes32,bytes)")
SCORES_COMMITTED = keccak(b"ScoresCommitted(uint256,uint256,uint32,uint256,bytes32)")
ROUND_SETTLED = keccak(
    b"RoundSettled(uint256,address,uint256,uint256,bytes32[],bytes,bytes,bytes,uint256)"
)
ROUND_CANCELLED = keccak(b"RoundCancelled(uint256,address,uint256,uint256)")

_OPENING_AT = word(4 * 32)
"""Where the opening begins in the preimage of digest₀: after four words."""
_BATCHES_AT = word(14 * 32)
"""Where the batches begin in an opening: after its head of fourteen words."""


def opening_digest(key: RoundKey, opening: Opening) -> bytes:
    """Return digest₀, `H(chainId, contract, roundId, opening)`."""
    terms = opening.terms
    words = (
        word(opening.requester)
        + word(opening.draw_block)
        + terms.domain
        + word(terms.rule)
        + word(terms.trim)
        + word(terms.panel_size)
        + word(terms.quorum)
        + word(terms.oracle)
        + terms.workload_hash
        + word(terms.inference_budget)
        + word(terms.evaluator_budget)
        + word(terms.settlement_fee)
        + _BATCHES_AT
        + opening.uri_hash
        + word(len(opening.batches))
    )
    for batch in opening.batches:
        words += (
            word(batch.node_id)
            + word(batch.owner)
            + word(batch.items)
            + word(batch.cost)
            + batch.outputs_hash
        )
    return opening_hash(key, words)


def opening_hash(key: RoundKey, words: bytes) -> bytes:
    """Return digest₀ for an opening that is encoded already."""
    start = word(key.chain_id) + word(key.contract) + word(key.round_id)
    return keccak(start + _OPENING_AT + words)


def fold(digest: bytes, step: bytes) -> bytes:
    """Return `keccak(digest ‖ step)`, the digest after one more step."""
    return keccak(digest + step)


def drawn_step(draw: Draw) -> bytes:
    """Return the step of `PanelDrawn`."""
    return panel_step(draw.drawn_at, draw.seed, pack_panel(draw.panel))


def panel_step(drawn_at: int, seed: bytes, panel: bytes) -> bytes:
    """Return the step of `PanelDrawn` with a packed panel."""
    return keccak(PANEL_DRAWN + word(drawn_at) + seed + keccak(panel))


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
        + keccak(b"".join([amount.to_bytes(32) for amount in rewards]))
        + word(refund)
    )


def cancelled_step(*, cancelled_at: int, revealed: int, refund: int) -> bytes:
    """Return the step of `RoundCancelled`; `revealed` as in `settled_step`."""
    return keccak(ROUND_CANCELLED + word(cancelled_at) + word(revealed) + word(refund))


def replay(key: RoundKey, opening: Opening, draw: Draw, commits: Iterable[Commit]) -> bytes:
    """Return the digest of a drawn round after its commits, in the order of the log."""
    drawn = fold(opening_digest(key, opening), drawn_step(draw))
    return reduce(fold, map(commit_step, commits), drawn)

"""Rounds to test with: consistent facts of any size, built from scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from oracle.core.commitment import commitment, derive_salt
from oracle.core.consensus import Rule
from oracle.core.facts import (
    Batch,
    Commit,
    Draw,
    DrawnRound,
    Opening,
    Reveal,
    RoundKey,
    Seat,
    Terms,
)
from oracle.core.parameters import RoundsParameters, TrustParameters
from oracle.core.phases import NOBODY
from oracle.core.units import TRUST_ONE, ScoreMatrix, pack

DRAWN_AT = 1_700_000_000
PARAMETERS = RoundsParameters(
    draw_delay=2,
    commit_window=600,
    reveal_window=300,
    settle_window=900,
    least_evaluator_pay=1,
    quality_weight=10_000,
    cost_weight=2_000,
    closeness_scale=5_000,
)
TRUST = TrustParameters(
    gain=5_000,
    loss=20_000,
    tolerance=200,
    spread=15_000,
    evidence=20,
    floor=100_000,
    cap=TRUST_ONE,
)


def account(name: str) -> str:
    return to_checksum_address(keccak(text=name)[:20])


KEY = RoundKey(chain_id=31_337, contract=account("rounds"), round_id=7)


def node_id(seat: int) -> int:
    return 100 + seat


def salt_of(seat: int) -> bytes:
    return derive_salt(keccak(text=f"secret {seat}"), KEY, node_id(seat))


def reveal_of(seat: int, scores: ScoreMatrix) -> Reveal:
    """What the seat with this row of `scores` committed to."""
    return Reveal(seat, salt_of(seat), pack(scores[seat]))


def opening_of(
    *,
    rule: Rule = Rule.MEDIAN,
    trim: int = 0,
    seats: int = 5,
    quorum: int = 3,
    sizes: Sequence[int] = (3, 2),
    costs: Sequence[int] = (2_000, 0),
) -> Opening:
    return Opening(
        requester=account("requester"),
        draw_block=1_000,
        terms=Terms(
            domain=b"qa".ljust(32, b"\0"),
            rule=rule,
            trim=trim,
            panel_size=seats,
            quorum=quorum,
            oracle=NOBODY,
            workload_hash=keccak(text="workload"),
            inference_budget=10**24 + 1,
            evaluator_budget=10**23 + 3,
            settlement_fee=10**18,
        ),
        batches=tuple(
            Batch(i + 1, account(f"owner of {i + 1}"), size, cost, keccak(text=f"outputs {i}"))
            for i, (size, cost) in enumerate(zip(sizes, costs, strict=True))
        ),
        uri_hash=keccak(text="https://example.org/workload.jsonl"),
    )


def drawn_round(
    scores: ScoreMatrix,
    opening: Opening,
    *,
    order: Sequence[int] | None = None,
    trusts: Sequence[int] | None = None,
    revealed: int = 0,
) -> DrawnRound:
    """A round whose seats in `order`, all by default, committed to their rows of `scores`."""
    seats = opening.terms.panel_size
    panel = tuple(
        Seat(node_id(seat), account(f"evaluator {seat}"), (trusts or [TRUST_ONE] * seats)[seat])
        for seat in range(seats)
    )
    facts = DrawnRound(KEY, opening, Draw(DRAWN_AT, keccak(text="seed"), panel), (), revealed)
    commits = (
        Commit(
            seat,
            DRAWN_AT + 10 * (i + 1),
            commitment(KEY, node_id(seat), salt_of(seat), pack(scores[seat])),
        )
        for i, seat in enumerate(range(seats) if order is None else order)
    )
    return replace(facts, commits=tuple(commits))


def some_scores(seats: int = 5, items: int = 5, seed: int = 0) -> ScoreMatrix:
    return np.random.default_rng(seed).integers(0, 10_001, (seats, items), dtype=np.uint16)

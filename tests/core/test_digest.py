from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from oracle.core.consensus import Rule
from oracle.core.digest import opening_digest, replay
from oracle.core.facts import Commit, DrawnRound, Reveal, pack_panel
from oracle.core.settlement import Settlement, settle
from oracle.core.units import pack
from tests.core.rounds import (
    DRAWN_AT,
    KEY,
    PARAMETERS,
    account,
    drawn_round,
    opening_of,
    reveal_of,
    some_scores,
)

TERMS = "(bytes32,uint8,uint16,uint8,uint8,address,bytes32,uint128,uint128,uint128)"
OPENING = f"(address,uint64,{TERMS},(uint32,address,uint16,uint16,bytes32)[],bytes32)"
SCORES = some_scores()
FACTS = drawn_round(SCORES, opening_of(), order=[2, 0, 4, 1])


def hashed(types: list[str], values: list[Any]) -> bytes:
    return keccak(encode(types, values))


def folded(digest: bytes, step: bytes) -> bytes:
    return hashed(["bytes32", "bytes32"], [digest, step])


def expected_replay(facts: DrawnRound) -> bytes:
    """Section 7 as it reads, through an ABI encoder."""
    digest = hashed(
        ["uint256", "address", "uint256", OPENING],
        [KEY.chain_id, KEY.contract, KEY.round_id, facts.opening.as_tuple()],
    )
    drawn = keccak(text="PanelDrawn(uint256,uint256,bytes32,bytes)")
    step = [drawn, facts.draw.drawn_at, facts.draw.seed, keccak(pack_panel(facts.draw.panel))]
    digest = folded(digest, hashed(["bytes32", "uint256", "bytes32", "bytes32"], step))
    committed = keccak(text="ScoresCommitted(uint256,uint256,uint32,uint256,bytes32)")
    for commit in facts.commits:
        step = [committed, commit.seat, commit.committed_at, commit.commitment]
        digest = folded(digest, hashed(["bytes32", "uint256", "uint256", "bytes32"], step))
    return digest


def settled(revealed: int = 0) -> Settlement:
    facts = replace(FACTS, revealed=revealed)
    return settle(facts, PARAMETERS, [reveal_of(seat, SCORES) for seat in (4, 0, 1)])


def digest_of(facts: DrawnRound) -> bytes:
    return replay(facts.key, facts.opening, facts.draw, facts.commits)


@pytest.mark.parametrize("field", ["chain_id", "contract", "round_id"])
def test_a_digest_is_bound_to_its_round(field: str) -> None:
    other = account("another") if field == "contract" else 8
    key = replace(KEY, **{field: other})  # type: ignore[arg-type]
    assert opening_digest(key, FACTS.opening) != opening_digest(KEY, FACTS.opening)


def altered_rounds() -> list[DrawnRound]:
    opening, draw, commits = FACTS.opening, FACTS.draw, FACTS.commits
    terms = replace(opening.terms, rule=Rule.MEAN)
    batch = replace(opening.batches[1], cost=1)
    seat = replace(draw.panel[3], trust=1)
    late = replace(commits[1], committed_at=DRAWN_AT + 21)
    other = Commit(commits[1].seat, commits[1].committed_at, keccak(b""))
    return [
        replace(FACTS, opening=replace(opening, terms=terms)),
        replace(FACTS, opening=replace(opening, batches=(opening.batches[0], batch))),
        replace(FACTS, opening=replace(opening, batches=opening.batches[::-1])),
        replace(FACTS, opening=replace(opening, draw_block=1)),
        replace(FACTS, draw=replace(draw, seed=keccak(b""))),
        replace(FACTS, draw=replace(draw, drawn_at=1)),
        replace(FACTS, draw=replace(draw, panel=(*draw.panel[:3], seat, draw.panel[4]))),
        replace(FACTS, commits=commits[:-1]),
        replace(FACTS, commits=commits[::-1]),
        replace(FACTS, commits=(commits[0], late, *commits[2:])),
        replace(FACTS, commits=(commits[0], other, *commits[2:])),
    ]


@pytest.mark.parametrize("altered", altered_rounds())
def test_a_log_that_is_altered_missing_or_out_of_order_is_noticed(altered: DrawnRound) -> None:
    assert digest_of(altered) != digest_of(FACTS)


def test_the_digest_of_a_running_round_is_that_of_the_page() -> None:
    assert digest_of(FACTS) == expected_replay(FACTS)


def test_the_digest_of_a_settled_round_is_that_of_the_page() -> None:
    settlement = settled(revealed=0b10000)
    topic = "RoundSettled(uint256,address,uint256,uint256,bytes32[],bytes,bytes,bytes,uint256)"
    amounts = [*settlement.seat_rewards, *settlement.batch_rewards]
    step = hashed(
        ["bytes32", "address", *["uint256"] * 3, *["bytes32"] * 4, "uint256"],
        [
            keccak(text=topic),
            account("settler"),
            DRAWN_AT + 900,
            0b10011,
            0b10000,
            keccak(pack(SCORES[[0, 1, 4]])),
            keccak(settlement.consensus),
            keccak(np.array(settlement.deviations, dtype=">u2").tobytes()),
            keccak(encode(["uint256"] * len(amounts), amounts)),
            settlement.refund,
        ],
    )
    facts = settlement.facts
    expected = folded(expected_replay(facts), step)
    assert settlement.digest(account("settler"), DRAWN_AT + 900) == expected


def test_the_digest_of_a_settlement_does_not_depend_on_the_order_of_reveals() -> None:
    reveals: list[Reveal] = [reveal_of(seat, SCORES) for seat in (1, 4, 0)]
    assert settle(FACTS, PARAMETERS, reveals) == settled()
    assert settled(0b10000).digest(account("s"), 1) != settled().digest(account("s"), 1)

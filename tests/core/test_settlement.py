from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.core.consensus import Rule, aggregate, submission
from oracle.core.facts import Conduct, Role
from oracle.core.history import history
from oracle.core.reveals import CommitmentMismatch, RepeatedSeat
from oracle.core.settlement import Payment, QuorumMissing, SeatMissing, Settlement, settle
from oracle.core.units import TRUST_ONE, WEIGHT_UNIT, pack
from tests.core import naive
from tests.core.rounds import (
    DRAWN_AT,
    PARAMETERS,
    TRUST,
    account,
    drawn_round,
    node_id,
    opening_of,
    reveal_of,
    some_scores,
)

SCORES = some_scores()
FACTS = drawn_round(SCORES, opening_of(), order=[2, 0, 4, 1])


def test_a_seat_revealed_on_chain_cannot_be_left_out() -> None:
    with pytest.raises(SeatMissing, match="seat 4 revealed on chain and is left out"):
        settle(
            replace(FACTS, revealed=0b10001),
            PARAMETERS,
            [reveal_of(seat, SCORES) for seat in (0, 1, 2)],
        )


def test_fewer_seats_than_the_quorum_cannot_settle() -> None:
    with pytest.raises(QuorumMissing, match="2 seats are revealed and the quorum is 3"):
        settle(FACTS, PARAMETERS, [reveal_of(seat, SCORES) for seat in (0, 1)])


def test_no_reveals_are_no_quorum() -> None:
    with pytest.raises(QuorumMissing):
        settle(FACTS, PARAMETERS, [])


def test_one_forged_reveal_stops_the_settlement_and_is_named() -> None:
    reveals = [reveal_of(seat, SCORES) for seat in (0, 1, 2)]
    with pytest.raises(CommitmentMismatch, match="seat 1"):
        settle(FACTS, PARAMETERS, [reveals[0], replace(reveals[1], salt=bytes(32)), reveals[2]])


def test_a_seat_cannot_be_counted_twice() -> None:
    with pytest.raises(RepeatedSeat, match="seat 1"):
        settle(FACTS, PARAMETERS, [reveal_of(seat, SCORES) for seat in (0, 1, 2, 1)])


@st.composite
def settlements(draw: st.DrawFn) -> tuple[Settlement, Random]:
    seats = draw(st.integers(3, 31))
    quorum = draw(st.integers(seats // 2 + 1, seats))
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=5))
    rule = draw(st.sampled_from(Rule))
    opening = opening_of(
        rule=rule,
        trim=draw(st.integers(0, 4_999)) if rule is Rule.TRIMMED_MEAN else 0,
        seats=seats,
        quorum=quorum,
        sizes=sizes,
        costs=draw(st.lists(st.integers(0, 10_000), min_size=len(sizes), max_size=len(sizes))),
    )
    order = draw(st.permutations(range(seats)))[: draw(st.integers(quorum, seats))]
    included = order[: draw(st.integers(quorum, len(order)))]
    scores = some_scores(seats, sum(sizes), seed=draw(st.integers(0, 2**32)))
    trusts = draw(st.lists(st.integers(WEIGHT_UNIT, TRUST_ONE), min_size=seats, max_size=seats))
    facts = drawn_round(scores, opening, order=order, trusts=trusts)
    random = draw(st.randoms(use_true_random=False))
    return settle(facts, PARAMETERS, [reveal_of(seat, scores) for seat in included]), random


@settings(max_examples=60)
@given(settlements())
def test_a_settlement_pays_the_deposit_exactly_and_what_the_page_says(
    drawn: tuple[Settlement, Random],
) -> None:
    settlement, _ = drawn
    opening, terms = settlement.facts.opening, settlement.facts.opening.terms
    rows = {reveal.seat: np.frombuffer(reveal.scores, ">u2") for reveal in settlement.reveals}
    trusts = [settlement.facts.draw.panel[seat].trust for seat in rows]
    items = list(zip(*(row.tolist() for row in rows.values()), strict=True))
    agreed = [naive.consensus(terms.rule, item, trusts, terms.trim) for item in items]
    assert settlement.consensus == np.array(agreed, dtype=">u2").tobytes()

    at = {commit.seat: commit.committed_at - DRAWN_AT for commit in settlement.facts.commits}
    pivots = [naive.pivot(terms.rule, item, trusts, terms.trim) for item in items]
    distances = [naive.deviation(row.tolist(), pivots) for row in rows.values()]
    assert settlement.deviations == tuple(distances)
    disagreed = [naive.disagreement(row.tolist(), pivots) for row in rows.values()]
    assert settlement.disagreements == tuple(disagreed)
    assert settlement.seat_rewards == tuple(
        naive.seat_reward(PARAMETERS, terms.evaluator_budget, terms.panel_size, d, at[seat])
        for seat, d in zip(rows, distances, strict=True)
    )
    start, expected = 0, []
    for batch in opening.batches:
        part = agreed[start : start + batch.items]
        start += batch.items
        budget = terms.inference_budget
        expected.append(naive.batch_reward(PARAMETERS, budget, len(agreed), batch.cost, part))
    assert settlement.batch_rewards == tuple(expected)

    paid = sum(settlement.seat_rewards) + sum(settlement.batch_rewards)
    assert paid + settlement.fee + settlement.refund == terms.deposit
    assert settlement.refund >= 0


@settings(max_examples=30)
@given(settlements())
def test_the_order_of_reveals_does_not_matter(drawn: tuple[Settlement, Random]) -> None:
    settlement, random = drawn
    shuffled = list(settlement.reveals)
    random.shuffle(shuffled)
    assert settle(settlement.facts, PARAMETERS, shuffled) == settlement


@settings(max_examples=30)
@given(settlements())
def test_every_seat_is_present_or_absent_in_its_way(drawn: tuple[Settlement, Random]) -> None:
    settlement, _ = drawn
    included = {reveal.seat for reveal in settlement.reveals}
    committed = {commit.seat for commit in settlement.facts.commits}
    assert [outcome.node_id for outcome in settlement.outcomes] == [
        node_id(seat) for seat in range(settlement.facts.opening.terms.panel_size)
    ]
    for seat, outcome in enumerate(settlement.outcomes):
        if seat in included:
            assert outcome.conduct is Conduct.PRESENT
        else:
            absent = Conduct.NOT_REVEALED if seat in committed else Conduct.NOT_COMMITTED
            assert (outcome.conduct, outcome.disagreement) == (absent, 0)
    present = [o.disagreement for o in settlement.outcomes if o.conduct is Conduct.PRESENT]
    assert tuple(present) == settlement.disagreements


def test_the_arguments_are_those_of_the_call() -> None:
    settlement = settle(FACTS, PARAMETERS, [reveal_of(seat, SCORES) for seat in (4, 0, 1, 2)])
    round_id, past, reveals, agreed = settlement.arguments()
    assert (round_id, past) == (7, history(FACTS, 0b10111).as_tuple())
    salts = tuple(reveal_of(seat, SCORES).salt for seat in (0, 1, 2, 4))
    assert reveals == (0b10111, salts, pack(SCORES[[0, 1, 2, 4]]))
    trusts = np.full(4, TRUST_ONE, dtype=np.uint32)
    assert agreed == submission(Rule.MEDIAN, SCORES[[0, 1, 2, 4]], trusts)
    assert len(agreed) == 2 * len(settlement.consensus)


def test_only_the_trust_at_the_draw_weighs() -> None:
    trusts = [TRUST_ONE, *[WEIGHT_UNIT] * 4]
    facts = drawn_round(SCORES, opening_of(rule=Rule.TRUST_WEIGHTED_MEDIAN), trusts=trusts)
    settlement = settle(facts, PARAMETERS, [reveal_of(seat, SCORES) for seat in range(5)])
    assert settlement.consensus == pack(SCORES[0])


def test_new_trusts_start_from_the_current_ones_and_skip_the_absent() -> None:
    facts = drawn_round(SCORES, opening_of(rule=Rule.TRUST_WEIGHTED_MEAN))
    settlement = settle(facts, PARAMETERS, [reveal_of(seat, SCORES) for seat in (4, 0, 1)])
    current = {node_id(seat): 900_000 - seat for seat in range(5)}
    tau = naive.tolerance(TRUST, settlement.disagreements)
    expected = {
        node_id(seat): naive.trust(TRUST, 900_000 - seat, f, tau, 5)
        for seat, f in zip((0, 1, 4), settlement.disagreements, strict=True)
    }
    assert list(settlement.new_trusts(TRUST, current).items()) == list(expected.items())


@pytest.mark.parametrize("rule", [rule for rule in Rule if not rule.weighs])
def test_no_trust_moves_where_the_rule_does_not_weigh_by_it(rule: Rule) -> None:
    facts = drawn_round(SCORES, opening_of(rule=rule))
    settlement = settle(facts, PARAMETERS, [reveal_of(seat, SCORES) for seat in range(5)])
    assert settlement.new_trusts(TRUST, {node_id(seat): 900_000 for seat in range(5)}) == {}


def test_payments_name_nodes_and_owners_and_leave_out_zero() -> None:
    scores = np.full((5, 5), 10_000, dtype=np.uint16)
    scores[4] = 0
    opening = opening_of(costs=(10_000, 0))
    opening = replace(opening, terms=replace(opening.terms, inference_budget=0))
    facts = drawn_round(scores, opening)
    settlement = settle(facts, PARAMETERS, [reveal_of(seat, scores) for seat in range(5)])
    assert settlement.seat_rewards[4] == 0
    assert settlement.payments() == tuple(
        Payment(node_id(seat), Role.EVALUATOR, account(f"evaluator {seat}"), amount)
        for seat, amount in enumerate(settlement.seat_rewards[:4])
    )
    richer = replace(settlement, batch_rewards=(0, 5))
    assert richer.payments()[-1] == Payment(2, Role.INFERENCE, account("owner of 2"), 5)
    assert richer.refund == settlement.refund - 5


def test_the_largest_round_settles() -> None:
    seats, items = 13, 4_096
    scores = some_scores(seats, items)
    opening = opening_of(seats=seats, quorum=7, sizes=[128] * 32, costs=[5_000] * 32)
    facts = drawn_round(scores, opening)
    settlement = settle(facts, PARAMETERS, [reveal_of(seat, scores) for seat in range(seats)])
    trusts = np.full(seats, TRUST_ONE, dtype=np.uint32)
    assert settlement.consensus == pack(aggregate(Rule.MEDIAN, scores, trusts))

"""
How far each rounding is from the exact rational, over its whole domain, ends included.

A consensus is off by half a unit at most, upwards if by exactly that. Everything else is off by
less than one: floors are below, and a closeness, which is what a floor leaves of ONE, is above.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from oracle.core.consensus import Rule, aggregate, deviations
from oracle.core.parameters import RoundsParameters, TrustParameters
from oracle.core.rewards import (
    batch_merits,
    batch_rewards,
    closeness,
    latency,
    seat_rewards,
    seat_shares,
)
from oracle.core.settlement import settle
from oracle.core.trust import disagreements, tolerance, updated
from oracle.core.units import (
    MAX_ITEMS,
    MAX_RATE,
    MAX_SEATS,
    ONE,
    TRUST_ONE,
    WEIGHT_UNIT,
    ScoreMatrix,
)
from tests.core.naive import kept
from tests.core.rounds import PARAMETERS, drawn_round, opening_of, reveal_of

HALF = Fraction(1, 2)
MOST_WEI = 2**128 - 1
LONGEST = 2**40 - 1


def up_to(most: int, least: int = 0) -> st.SearchStrategy[int]:
    """Any number, and often one of the ends."""
    return st.sampled_from([least, most]) | st.integers(least, most)


@st.composite
def panels(draw: st.DrawFn, most_items: int = 4) -> tuple[ScoreMatrix, np.ndarray[Any, Any], int]:
    """Scores of 1 to 31 seats, their trusts, and a trim."""
    shape = draw(st.integers(1, MAX_SEATS)), draw(st.integers(1, most_items))
    scores = draw(arrays(np.uint16, shape, elements=up_to(ONE)))
    trusts = draw(arrays(np.uint32, shape[0], elements=up_to(TRUST_ONE, WEIGHT_UNIT)))
    return scores, trusts, draw(up_to(ONE // 2 - 1))


@pytest.mark.parametrize("rule", [rule for rule in Rule if rule is not Rule.TRUST_WEIGHTED_MEDIAN])
@settings(max_examples=100)
@given(panel=panels())
def test_a_consensus_is_off_by_half_a_unit_at_most_and_then_upwards(
    rule: Rule, panel: tuple[ScoreMatrix, np.ndarray[Any, Any], int]
) -> None:
    scores, trusts, trim = panel
    weights = (trusts // WEIGHT_UNIT).tolist()
    for found, item in zip(
        aggregate(rule, scores, trusts, trim).tolist(), scores.T.tolist(), strict=True
    ):
        if rule is Rule.TRUST_WEIGHTED_MEAN:
            weighted = sum(w * s for w, s in zip(weights, item, strict=True))
            exact = Fraction(weighted, sum(weights))
        else:
            middle = kept(rule, item, trim)
            exact = Fraction(sum(middle), len(middle))
        assert -HALF < found - exact <= HALF


@settings(max_examples=100)
@given(panel=panels())
def test_a_weighted_median_is_a_score_of_the_panel(
    panel: tuple[ScoreMatrix, np.ndarray[Any, Any], int],
) -> None:
    scores, trusts, _ = panel
    agreed = aggregate(Rule.TRUST_WEIGHTED_MEDIAN, scores, trusts)
    assert (scores == agreed).any(axis=0).all()


@settings(max_examples=100)
@given(
    pair=st.integers(1, 60).flatmap(lambda n: arrays(np.uint16, (2, n), elements=up_to(ONE))),
)
def test_a_deviation_is_less_than_a_unit_below_the_exact_one(pair: ScoreMatrix) -> None:
    row, middle = pair
    exact = Fraction(sum(abs(a - b) for a, b in pair.T.tolist()), len(middle))
    assert 0 <= exact - deviations(row[np.newaxis], middle).tolist()[0] < 1


@settings(max_examples=200)
@given(pair=st.integers(2, 30).flatmap(lambda n: arrays(np.uint16, (2, n), elements=up_to(ONE))))
def test_a_disagreement_is_less_than_a_unit_below_the_exact_one(pair: ScoreMatrix) -> None:
    row, middle = pair
    others = np.concatenate([middle[len(middle) // 2 :], middle[: len(middle) // 2]])
    d, b = (deviations(row[np.newaxis], pivot).tolist()[0] for pivot in (middle, others))
    exact = min(Fraction(d**3, b**2) if b else Fraction(ONE), Fraction(4 * d), Fraction(ONE))
    assert 0 <= exact - disagreements(row[np.newaxis], middle).tolist()[0] < 1


@settings(max_examples=300)
@given(d=up_to(ONE), scale=up_to(ONE, 1), elapsed=up_to(LONGEST), window=up_to(LONGEST, 1))
def test_closeness_is_less_than_a_unit_above_and_latency_below_the_exact_one(
    d: int, scale: int, elapsed: int, window: int
) -> None:
    p = RoundsParameters(1, window, 1, 1, 0, ONE, ONE, scale)
    close = closeness(p, np.array([d], dtype=np.uint16)).tolist()[0]
    assert 0 <= close - max(Fraction(0), ONE - Fraction(d * ONE, scale)) < 1
    late = latency(p, np.array([elapsed], dtype=np.int64)).tolist()[0]
    assert 0 <= min(Fraction(ONE), Fraction(elapsed * ONE, window)) - late < 1


@settings(max_examples=300)
@given(
    d=up_to(ONE),
    elapsed=up_to(1_200),
    quality=up_to(ONE, 1),
    cost=up_to(ONE),
    scale=up_to(ONE, 1),
)
def test_a_share_is_less_than_a_unit_below_what_closeness_and_latency_give(
    d: int, elapsed: int, quality: int, cost: int, scale: int
) -> None:
    p = RoundsParameters(1, 600, 1, 1, 0, quality, cost, scale)
    deviation, time = np.array([d], dtype=np.uint16), np.array([elapsed], dtype=np.int64)
    share = seat_shares(p, deviation, time).tolist()[0]
    close, late = closeness(p, deviation).tolist()[0], latency(p, time).tolist()[0]
    assert 0 <= max(Fraction(0), Fraction(quality * close - cost * late, ONE)) - share < 1

    # Against what was never rounded: up to a unit more for each of the two, less than one less.
    exact_close = max(Fraction(0), ONE - Fraction(d * ONE, scale))
    exact_late = min(Fraction(ONE), Fraction(elapsed * ONE, 600))
    exact = max(Fraction(0), (quality * exact_close - cost * exact_late) / ONE)
    assert -1 < share - exact < 2


@settings(max_examples=300)
@given(
    w=up_to(TRUST_ONE, WEIGHT_UNIT),
    panel=st.lists(up_to(ONE), min_size=1, max_size=MAX_SEATS),
    rates=st.tuples(*(up_to(MAX_RATE) | up_to(30_000) for _ in range(3))),
    least=up_to(ONE),
    evidence=up_to(2**16 - 1, 1),
    items=up_to(MAX_ITEMS, 1),
)
def test_tolerance_and_trust_are_less_than_a_unit_below_the_exact_ones(
    w: int,
    panel: list[int],
    rates: tuple[int, int, int],
    least: int,
    evidence: int,
    items: int,
) -> None:
    gain, loss, spread = rates
    p = TrustParameters(gain, loss, least, spread, evidence, WEIGHT_UNIT, TRUST_ONE)
    found = np.array(panel, dtype=np.uint16)
    tau = int(tolerance(p, found))
    middle = kept(Rule.MEDIAN, panel, 0)
    median = (2 * sum(middle) + len(middle)) // (2 * len(middle))
    assert 0 <= max(Fraction(least), Fraction(spread * median, ONE)) - tau < 1

    moved = updated(p, np.full(len(panel), w, dtype=np.uint32), found, items).tolist()
    counted = min(items, evidence)
    for f, new in zip(panel, moved, strict=True):
        rate = (gain if f <= tau else loss) * counted // evidence
        exact = w + Fraction(w * rate * (tau - f), ONE**2)
        assert 0 <= min(max(exact, Fraction(WEIGHT_UNIT)), Fraction(TRUST_ONE)) - new < 1


@settings(max_examples=200)
@given(
    budget=up_to(MOST_WEI),
    size=st.integers(3, MAX_SEATS),
    shares=st.lists(up_to(ONE), max_size=MAX_SEATS),
    agreed=st.lists(up_to(ONE), min_size=1, max_size=40),
    cost=up_to(ONE),
)
def test_money_is_less_than_a_wei_below_the_exact_amount(
    budget: int, size: int, shares: list[int], agreed: list[int], cost: int
) -> None:
    paid = seat_rewards(budget, size, np.array(shares, dtype=np.int64))
    for share, amount in zip(shares, paid, strict=True):
        assert 0 <= Fraction(budget * share, size * ONE) - amount < 1

    merits = batch_merits(PARAMETERS, np.array(agreed, dtype=np.uint16), [len(agreed)], [cost])
    (reward,) = batch_rewards(budget, len(agreed), merits)
    quality, price = PARAMETERS.quality_weight, PARAMETERS.cost_weight * cost
    exact = sum(max(Fraction(0), Fraction(quality * c - price, ONE**2)) for c in agreed)
    assert 0 <= budget * exact / len(agreed) - reward < 1


@settings(max_examples=100)
@given(
    scores=arrays(np.uint16, (5, 5), elements=up_to(ONE)),
    rule=st.sampled_from(Rule),
    inference=up_to(MOST_WEI),
    evaluator=up_to(MOST_WEI),
    fee=up_to(MOST_WEI),
    costs=st.tuples(up_to(ONE), up_to(ONE)),
    absent=st.sets(st.integers(0, 4), max_size=2),
)
def test_r10_payouts_fee_and_refund_are_the_deposit(
    scores: ScoreMatrix,
    rule: Rule,
    inference: int,
    evaluator: int,
    fee: int,
    costs: tuple[int, int],
    absent: set[int],
) -> None:
    opening = opening_of(rule=rule, costs=costs)
    terms = replace(
        opening.terms,
        inference_budget=inference,
        evaluator_budget=evaluator,
        settlement_fee=fee,
    )
    opening = replace(opening, terms=terms)
    facts = drawn_round(scores, opening)
    settled = settle(facts, PARAMETERS, [reveal_of(k, scores) for k in range(5) if k not in absent])
    paid = sum(payment.amount for payment in settled.payments())
    assert paid + settled.fee + settled.refund == inference + evaluator + fee
    assert settled.refund >= 0
    assert sum(settled.seat_rewards) <= evaluator
    assert sum(settled.batch_rewards) <= inference

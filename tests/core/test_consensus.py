from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from oracle.core import consensus as module
from oracle.core.consensus import (
    Rule,
    aggregate,
    bounds,
    deviations,
    pivot,
    submission,
    trim_count,
    trimmed_mean,
)
from oracle.core.units import (
    MAX_SEATS,
    ONE,
    TRUST_ONE,
    WEIGHT_UNIT,
    ScoreAboveOne,
    ScoreMatrix,
    TrustVector,
)
from tests.core import naive

RULES = list(Rule)
Panel = tuple[ScoreMatrix, TrustVector, int]


@st.composite
def panels(draw: st.DrawFn) -> Panel:
    """Scores of 1 to 31 seats, with ties or without, their trusts, and a trim."""
    seats, items = draw(st.integers(1, MAX_SEATS)), draw(st.integers(1, 20))
    most = draw(st.sampled_from([0, 1, 3, ONE]))
    least = draw(st.sampled_from([0, most]))
    scores = draw(arrays(np.uint16, (seats, items), elements=st.integers(least, most)))
    trusts = st.one_of(
        st.integers(WEIGHT_UNIT, TRUST_ONE), st.sampled_from([WEIGHT_UNIT, TRUST_ONE])
    )
    weights = draw(arrays(np.uint32, seats, elements=trusts))
    return scores, weights, draw(st.integers(0, ONE // 2 - 1))


def by_item(rule: Rule, scores: ScoreMatrix, trusts: TrustVector, trim: int) -> list[int]:
    return [naive.consensus(rule, item, trusts.tolist(), trim) for item in scores.T.tolist()]


def unpacked(packed: bytes, items: int) -> list[Sequence[int]]:
    """What is submitted for each item: [c] or [lo, hi]."""
    rows: list[list[int]] = np.frombuffer(packed, dtype=">u2").reshape(-1, items).T.tolist()
    return [row for row in rows]


@pytest.mark.parametrize("rule", RULES)
def test_a_score_above_one_is_refused(rule: Rule) -> None:
    scores = np.full((4, 2), ONE + 1, dtype=np.uint16)
    trusts = np.full(4, TRUST_ONE, dtype=np.uint32)
    with pytest.raises(ScoreAboveOne):
        aggregate(rule, scores, trusts)
    with pytest.raises(ScoreAboveOne):
        submission(rule, scores, trusts)


@pytest.mark.parametrize("rule", [Rule.TRUST_WEIGHTED_MEAN, Rule.TRUST_WEIGHTED_MEDIAN])
@pytest.mark.parametrize("trust", [0, WEIGHT_UNIT - 1, TRUST_ONE + 1])
def test_a_trust_that_no_seat_can_have_is_refused(rule: Rule, trust: int) -> None:
    trusts = np.array([[WEIGHT_UNIT, TRUST_ONE, trust]], dtype=np.uint32)
    with pytest.raises(ValueError, match="are not in 1000 to 1000000"):
        aggregate(rule, np.zeros((1, 3, 4), dtype=np.uint16), trusts)


@pytest.mark.parametrize("shape", [(0, 3), (32, 3), (3, 0)])
@pytest.mark.parametrize("rule", RULES)
def test_panels_that_no_round_has_are_refused(rule: Rule, shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="1 to 31 seats"):
        aggregate(rule, np.zeros(shape, np.uint16), np.full(shape[0], TRUST_ONE, np.uint32))


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=60)
@given(panel=panels())
def test_the_consensus_is_the_exact_one_of_each_item(rule: Rule, panel: Panel) -> None:
    scores, trusts, trim = panel
    assert aggregate(rule, scores, trusts, trim).tolist() == by_item(rule, scores, trusts, trim)


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=40)
@given(panel=panels())
def test_the_chain_accepts_the_submission_and_no_other(rule: Rule, panel: Panel) -> None:
    scores, trusts, trim = panel
    weights, items = trusts.tolist(), scores.shape[1]
    submitted = unpacked(submission(rule, scores, trusts, trim), items)
    for item, values in zip(scores.T.tolist(), submitted, strict=True):
        assert naive.chain_accepts(rule, item, weights, trim, values)
        for place in range(len(values)):
            for step in (-1, 1):
                other = list(values)
                other[place] += step
                assert not naive.chain_accepts(rule, item, weights, trim, other)


@settings(max_examples=60)
@given(panel=panels())
def test_clamping_to_the_bounds_gives_the_trimmed_sum(panel: Panel) -> None:
    scores, _, trim = panel
    seats = len(scores)
    g = trim_count(Rule.TRIMMED_MEAN, seats, trim)
    low, high = (bound.astype(np.int64) for bound in bounds(scores, g))
    clamped = np.clip(scores, low, high).sum(axis=0) - g * (low + high)
    assert clamped.tolist() == np.sort(scores, axis=0)[g : seats - g].sum(axis=0).tolist()


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=30)
@given(panel=panels(), order=st.randoms(use_true_random=False))
def test_the_order_of_seats_does_not_matter(rule: Rule, panel: Panel, order: Random) -> None:
    scores, trusts, trim = panel
    seats = list(range(len(scores)))
    order.shuffle(seats)
    expected = submission(rule, scores, trusts, trim)
    assert submission(rule, scores[seats], trusts[seats], trim) == expected


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("score", [0, 1, ONE])
@pytest.mark.parametrize("seats", [2, 3, 30, 31])
def test_a_unanimous_panel_is_its_own_consensus(rule: Rule, score: int, seats: int) -> None:
    scores = np.full((seats, 17), score, dtype=np.uint16)
    trusts = np.arange(1, seats + 1, dtype=np.uint32) * WEIGHT_UNIT
    assert aggregate(rule, scores, trusts, 1000).tolist() == [score] * 17


@pytest.mark.parametrize(
    ("rule", "agreed"), [(Rule.TRUST_WEIGHTED_MEAN, 33), (Rule.TRUST_WEIGHTED_MEDIAN, 0)]
)
def test_trust_weighs_in_whole_thousandths(rule: Rule, agreed: int) -> None:
    scores = np.array([[0], [0], [100]], dtype=np.uint16)
    trusts = np.array([1_000, 1_000, 1_999], dtype=np.uint32)
    assert aggregate(rule, scores, trusts).tolist() == [agreed]
    heavier = np.array([1_000, 1_000, 3_000], dtype=np.uint32)
    assert aggregate(rule, scores, heavier).tolist() == [agreed + 27 if agreed else 100]


def test_half_the_trust_is_enough_for_a_weighted_median() -> None:
    scores = np.array([[10], [20], [30]], dtype=np.uint16)
    assert aggregate(
        Rule.TRUST_WEIGHTED_MEDIAN, scores, np.array([5000, 2000, 3000], dtype=np.uint32)
    ).tolist() == [10]
    assert aggregate(
        Rule.TRUST_WEIGHTED_MEDIAN, scores, np.array([5000, 2000, 4000], dtype=np.uint32)
    ).tolist() == [20]


def test_the_trim_never_drops_the_middle() -> None:
    assert [trim_count(Rule.TRIMMED_MEAN, n, 4999) for n in (2, 3, 4, 30, 31)] == [0, 1, 1, 14, 15]
    assert [trim_count(Rule.TRIMMED_MEAN, 9, trim) for trim in (0, 1111, 1112)] == [0, 0, 1]
    assert [trim_count(Rule.MEDIAN, n) for n in (1, 2, 3, 4, 31)] == [0, 0, 1, 1, 15]
    for rule in (Rule.MEAN, Rule.TRUST_WEIGHTED_MEAN, Rule.TRUST_WEIGHTED_MEDIAN):
        assert trim_count(rule, 31, 4999) == 0


def test_an_odd_median_is_submitted_alone_and_an_even_one_as_bounds() -> None:
    trusts = np.full(4, TRUST_ONE, dtype=np.uint32)
    scores = np.array([[1, 2], [3, 4], [6, 7], [8, 9]], dtype=np.uint16)
    assert submission(Rule.MEDIAN, scores[:3], trusts[:3]) == bytes([0, 3, 0, 4])
    assert submission(Rule.MEDIAN, scores, trusts) == bytes([0, 3, 0, 4, 0, 6, 0, 7])
    assert aggregate(Rule.MEDIAN, scores, trusts).tolist() == [5, 6]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (300, 5, 7), (3, 5, 1), (2, 5, 130)])
def test_leading_axes_are_rounds_of_their_own(
    rule: Rule, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK", 64)
    rng = np.random.default_rng(0)
    scores = rng.integers(0, ONE + 1, shape, dtype=np.uint16)
    trusts = rng.integers(WEIGHT_UNIT, TRUST_ONE + 1, shape[:-1], dtype=np.uint32)
    together = aggregate(rule, scores, trusts, 2500)
    low, high = bounds(scores, 1)
    assert together.shape == low.shape == high.shape == (*shape[:-2], shape[-1])
    distances = deviations(scores, together)
    for index in np.ndindex(shape[:-2]):
        alone = by_item(rule, scores[index], trusts[index], 2500)
        assert together[index].tolist() == alone
        ordered = np.sort(scores[index], axis=0)
        assert np.array_equal(low[index], ordered[1])
        assert np.array_equal(high[index], ordered[-2])
        expected = [naive.deviation(row, alone) for row in scores[index].tolist()]
        assert distances[index].tolist() == expected


def test_one_panel_of_trusts_serves_all_rounds() -> None:
    rng = np.random.default_rng(1)
    scores = rng.integers(0, ONE + 1, (6, 5, 3), dtype=np.uint16)
    trusts = rng.integers(WEIGHT_UNIT, TRUST_ONE, 5, dtype=np.uint32)
    together = aggregate(Rule.TRUST_WEIGHTED_MEAN, scores, trusts)
    assert together.tolist() == [by_item(Rule.TRUST_WEIGHTED_MEAN, s, trusts, 0) for s in scores]


def test_the_scores_are_not_changed() -> None:
    scores = np.random.default_rng(2).integers(0, ONE + 1, (7, 30), dtype=np.uint16)
    before = scores.copy()
    for rule in RULES:
        submission(rule, scores, np.full(7, TRUST_ONE, dtype=np.uint32), 2000)
    trimmed_mean(scores, 2)
    assert np.array_equal(scores, before)


@settings(max_examples=40)
@given(panel=panels())
@pytest.mark.parametrize("rule", RULES)
def test_the_pivot_has_half_of_the_weight_on_either_side_where_the_rule_weighs(
    rule: Rule, panel: Panel
) -> None:
    scores, trusts, trim = panel
    agreed = aggregate(rule, scores, trusts, trim)
    middle = pivot(rule, scores, trusts, agreed)
    expected = [naive.pivot(rule, item, trusts.tolist(), trim) for item in scores.T.tolist()]
    assert middle.tolist() == expected


@settings(max_examples=40)
@given(panel=panels())
def test_a_deviation_is_the_floored_mean_distance(panel: Panel) -> None:
    scores, trusts, _ = panel
    agreed = aggregate(Rule.TRUST_WEIGHTED_MEDIAN, scores, trusts)
    expected = [naive.deviation(row, agreed.tolist()) for row in scores.tolist()]
    assert deviations(scores, agreed).tolist() == expected


def test_the_widest_deviation_of_the_longest_round_is_one() -> None:
    scores = np.zeros((1, 4096), dtype=np.uint16)
    assert deviations(scores, np.full(4096, ONE, dtype=np.uint16)).tolist() == [ONE]


@pytest.mark.parametrize("rule", RULES)
def test_the_memory_taken_stays_below_four_times_the_input(rule: Rule) -> None:
    scores = np.random.default_rng(3).integers(0, ONE + 1, (9, 300_000), dtype=np.uint16)
    trusts = np.full(9, TRUST_ONE, dtype=np.uint32)
    tracemalloc.start()
    try:
        aggregate(rule, scores, trusts, 1000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * scores.nbytes


def test_rules_are_numbered_as_on_chain() -> None:
    assert [rule.value for rule in RULES] == [0, 1, 2, 3, 4]

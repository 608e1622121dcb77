from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.core.parameters import TrustParameters
from oracle.core.trust import disagreements, tolerance, updated
from oracle.core.units import MAX_RATE, ONE, TRUST_ONE, WEIGHT_UNIT
from tests.core import naive
from tests.core.rounds import TRUST

RATES = st.one_of(st.integers(0, 30_000), st.integers(0, MAX_RATE), st.just(MAX_RATE))

parameters = st.builds(
    TrustParameters,
    gain=RATES,
    loss=RATES,
    tolerance=st.integers(0, ONE),
    spread=RATES,
    evidence=st.integers(1, 2**16 - 1),
    floor=st.integers(WEIGHT_UNIT, TRUST_ONE),
    cap=st.just(TRUST_ONE),
)
seats = st.lists(
    st.tuples(st.integers(1, TRUST_ONE), st.one_of(st.integers(0, ONE), st.integers(0, 300))),
    min_size=1,
    max_size=31,
)


rows = st.integers(1, 40).flatmap(
    lambda items: st.lists(
        st.lists(st.integers(0, ONE), min_size=items, max_size=items), min_size=2, max_size=5
    )
)


@settings(max_examples=300)
@given(rows=rows)
def test_disagreements_are_the_exact_ones(rows: list[list[int]]) -> None:
    pivot, *said = rows
    found = disagreements(np.array(said, dtype=np.uint16), np.array(pivot, dtype=np.uint16))
    assert found.dtype == np.uint16
    assert found.tolist() == [naive.disagreement(row, pivot) for row in said]


@settings(max_examples=100)
@given(pivot=st.lists(st.integers(0, ONE), min_size=1, max_size=40), said=st.integers(0, ONE))
def test_a_constant_disagrees_by_its_deviation(pivot: list[int], said: int) -> None:
    row = [said] * len(pivot)
    scores, middle = np.array([row], dtype=np.uint16), np.array(pivot, dtype=np.uint16)
    assert disagreements(scores, middle).tolist() == [naive.deviation(row, pivot)]


def test_what_follows_the_items_disagrees_less_than_its_deviation_and_what_inverts_them_more() -> (
    None
):
    pivot = np.array([2_000, 8_000] * 5, dtype=np.uint16)
    follower, lazy, contrary = pivot // 2 + 1_500, np.full(10, 5_000), ONE - pivot
    scores = np.array([follower, lazy, contrary], dtype=np.uint16)
    # d = 1 500, 3 000, 6 000; b = 4 500, 3 000, 0
    assert disagreements(scores, pivot).tolist() == [166, 3_000, ONE]


def test_one_item_has_no_other_to_compare_with() -> None:
    scores = np.array([[0], [4_000], [ONE]], dtype=np.uint16)
    assert disagreements(scores, np.array([4_000], dtype=np.uint16)).tolist() == [4_000, 0, 6_000]


@settings(max_examples=300)
@given(p=parameters, panel=seats, items=st.integers(1, 4096))
def test_new_trusts_are_the_exact_ones_for_all_parameters(
    p: TrustParameters, panel: list[tuple[int, int]], items: int
) -> None:
    trusts, distances = (list(column) for column in zip(*panel, strict=True))
    tau = naive.tolerance(p, distances)
    observed = np.array(distances, dtype=np.uint16)
    assert tolerance(p, observed).tolist() == tau
    moved = updated(p, np.array(trusts, dtype=np.uint32), observed, items)
    assert moved.dtype == np.uint32
    assert moved.tolist() == [naive.trust(p, w, d, tau, items) for w, d in panel]


@settings(max_examples=100)
@given(p=parameters, panel=seats, items=st.integers(1, 4096))
def test_trust_stays_in_its_bounds(
    p: TrustParameters, panel: list[tuple[int, int]], items: int
) -> None:
    trusts, distances = zip(*panel, strict=True)
    start = np.maximum(np.array(trusts, dtype=np.uint32), p.floor).astype(np.uint32)
    moved = updated(p, start, np.array(distances, dtype=np.uint16), items)
    assert p.floor <= moved.min() <= moved.max() <= p.cap


def test_a_panel_that_agrees_gains_and_one_that_stands_apart_loses() -> None:
    start = np.full(5, 500_000, dtype=np.uint32)
    moved = updated(TRUST, start, np.array([100, 100, 100, 100, 5000], dtype=np.uint16), 20)
    assert moved.tolist() == [502_500] * 4 + [100_000]


def test_a_loss_of_a_fraction_costs_a_whole_unit_and_a_gain_of_a_fraction_nothing() -> None:
    p = TrustParameters(1, 1, 1, 0, 1, 1, TRUST_ONE)
    moved = updated(p, np.full(2, 10, dtype=np.uint32), np.array([0, 2], dtype=np.uint16), 1)
    assert moved.tolist() == [10, 9]


def test_little_evidence_moves_trust_less() -> None:
    start, distances = np.full(1, 500_000, dtype=np.uint32), np.zeros(1, dtype=np.uint16)
    gains = [int(updated(TRUST, start, distances, items)[0]) - 500_000 for items in (1, 10, 20, 99)]
    assert gains == [250, 2_500, 5_000, 5_000]


@pytest.mark.parametrize("d", [0, 2_500, 5_000, 7_501, 10_000])
def test_the_rule_of_the_paper_is_a_choice_of_parameters(d: int) -> None:
    p = TrustParameters(3_000, 3_000, 5_000, 0, 1, 1, TRUST_ONE)
    moved = updated(p, np.full(1, 400_000, dtype=np.uint32), np.full(1, d, dtype=np.uint16), 1)
    assert moved.tolist() == [400_000 + 400_000 * 3_000 * (5_000 - d) // ONE**2]


@pytest.mark.parametrize(
    "p", [TRUST, TrustParameters(MAX_RATE, MAX_RATE, 0, MAX_RATE, 9, 1_007, TRUST_ONE)]
)
def test_leading_axes_are_rounds_of_their_own(p: TrustParameters) -> None:
    rng = np.random.default_rng(0)
    trusts = rng.integers(1, TRUST_ONE + 1, (4, 3, 6), dtype=np.uint32)
    distances = rng.integers(0, 400, (4, 3, 6), dtype=np.uint16)
    together = updated(p, trusts, distances, 8)
    for index in np.ndindex(4, 3):
        assert np.array_equal(together[index], updated(p, trusts[index], distances[index], 8))


def test_disagreements_of_leading_axes_are_those_of_rounds_of_their_own() -> None:
    rng = np.random.default_rng(1)
    scores = rng.integers(0, ONE + 1, (4, 3, 6, 9), dtype=np.uint16)
    pivots = rng.integers(0, ONE + 1, (4, 3, 9), dtype=np.uint16)
    together = disagreements(scores, pivots)
    for index in np.ndindex(4, 3):
        assert np.array_equal(together[index], disagreements(scores[index], pivots[index]))

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.core.parameters import RoundsParameters
from oracle.core.rewards import batch_merits, batch_rewards, seat_rewards, seat_shares
from oracle.core.units import ONE
from tests.core import naive
from tests.core.rounds import PARAMETERS

WEI = st.one_of(st.integers(0, 2**128 - 1), st.just(2**128 - 1))

parameters = st.builds(
    RoundsParameters,
    draw_delay=st.just(1),
    commit_window=st.one_of(st.integers(1, 10_000), st.integers(1, 2**40 - 1)),
    reveal_window=st.just(1),
    settle_window=st.just(1),
    least_evaluator_pay=st.just(0),
    quality_weight=st.integers(1, ONE),
    cost_weight=st.integers(0, ONE),
    closeness_scale=st.integers(1, ONE),
)
batches = st.lists(
    st.tuples(st.lists(st.integers(0, ONE), min_size=1, max_size=5), st.integers(0, ONE)),
    min_size=1,
    max_size=32,
)


@pytest.mark.parametrize("sizes", [[], [1, 1], [3, 1], [0, 3]])
def test_batches_that_do_not_cover_the_items_are_refused(sizes: list[int]) -> None:
    with pytest.raises(ValueError, match="do not cover 3 items"):
        batch_merits(PARAMETERS, np.zeros(3, dtype=np.uint16), sizes, [0] * len(sizes))


@settings(max_examples=200)
@given(
    p=parameters,
    budget=WEI,
    panel=st.lists(st.tuples(st.integers(0, ONE), st.integers(0, 2**40 - 1)), max_size=31),
    absent=st.integers(1, 5),
)
def test_seats_earn_the_exact_amounts_within_the_budget(
    p: RoundsParameters, budget: int, panel: list[tuple[int, int]], absent: int
) -> None:
    size = len(panel) + absent
    shares = seat_shares(
        p,
        np.array([d for d, _ in panel], dtype=np.uint16),
        np.array([elapsed for _, elapsed in panel], dtype=np.int64),
    )
    paid = seat_rewards(budget, size, shares)
    assert list(paid) == [naive.seat_reward(p, budget, size, d, e) for d, e in panel]
    assert sum(paid) <= budget


@settings(max_examples=200)
@given(p=parameters, budget=WEI, rows=batches)
def test_batches_earn_the_exact_amounts_within_the_budget(
    p: RoundsParameters, budget: int, rows: list[tuple[list[int], int]]
) -> None:
    agreed = np.array([c for row, _ in rows for c in row], dtype=np.uint16)
    merits = batch_merits(p, agreed, [len(row) for row, _ in rows], [cost for _, cost in rows])
    paid = batch_rewards(budget, agreed.size, merits)
    assert list(paid) == [naive.batch_reward(p, budget, agreed.size, c, row) for row, c in rows]
    assert sum(paid) <= budget


def test_an_item_below_its_cost_takes_nothing_from_the_others() -> None:
    p = RoundsParameters(1, 600, 1, 1, 0, ONE, ONE, ONE)
    agreed = np.array([9_000, 1_000], dtype=np.uint16)
    assert batch_merits(p, agreed, [2], [5_000]).tolist() == [4_000 * ONE]


def test_a_perfect_seat_at_once_earns_its_whole_share_and_a_far_one_nothing() -> None:
    p = RoundsParameters(1, 600, 1, 1, 0, ONE, 0, 5_000)
    shares = seat_shares(p, np.array([0, 2_500, 5_000], dtype=np.uint16), np.zeros(3, np.int64))
    assert shares.tolist() == [ONE, ONE // 2, 0]
    assert seat_rewards(10, 3, shares) == (3, 1, 0)


def test_latency_is_whole_when_the_window_is_over() -> None:
    p = RoundsParameters(1, 600, 1, 1, 0, ONE, ONE, ONE)
    elapsed = np.array([0, 1, 599, 600, 9_999], dtype=np.int64)
    assert seat_shares(p, np.zeros(5, np.uint16), elapsed).tolist() == [ONE, 9_984, 17, 0, 0]


def test_leading_axes_are_rounds_of_their_own() -> None:
    rng = np.random.default_rng(0)
    agreed = rng.integers(0, ONE + 1, (4, 3, 10), dtype=np.uint16)
    together = batch_merits(PARAMETERS, agreed, [4, 1, 5], [100, 9_000, 0])
    for index in np.ndindex(4, 3):
        alone = batch_merits(PARAMETERS, agreed[index], [4, 1, 5], [100, 9_000, 0])
        assert np.array_equal(together[index], alone)

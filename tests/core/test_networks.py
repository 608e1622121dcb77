from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from oracle.core.networks import network, select


def zeros_and_ones(rows: int) -> NDArray[np.uint16]:
    """Every column of 0 and 1: what sorts these sorts everything (the 0-1 principle)."""
    return np.array(list(product((0, 1), repeat=rows)), dtype=np.uint16).T.copy()


def random_columns(rows: int) -> NDArray[np.uint16]:
    """Columns of few and of many different values, so that ties are frequent and are not."""
    rng = np.random.default_rng(rows)
    few, many = rng.integers(0, 4, (rows, 300)), rng.integers(0, 2**16, (rows, 300))
    return np.concatenate((few, many), axis=1).astype(np.uint16)


def each(rows: int) -> list[range]:
    return [range(i, i + 1) for i in range(rows)]


@pytest.mark.parametrize("rows", range(1, 13))
def test_a_network_sorts_all_zeros_and_ones(rows: int) -> None:
    columns = zeros_and_ones(rows)
    assert np.array_equal(np.sort(columns, axis=0), select(columns.copy(), *each(rows)))


@pytest.mark.parametrize("rows", range(1, 10))
def test_a_pruned_network_selects_from_all_zeros_and_ones(rows: int) -> None:
    columns = zeros_and_ones(rows)
    ordered = np.sort(columns, axis=0)
    for first in range(rows):
        for last in range(first, rows):
            group = range(first, last + 1)
            chosen = select(columns.copy(), group)
            assert np.array_equal(np.sort(chosen, axis=0), ordered[first : last + 1])
            if first < last:
                ends = select(columns.copy(), range(first, first + 1), range(last, last + 1))
                assert np.array_equal(ends, ordered[[first, last]])


@pytest.mark.parametrize("rows", range(13, 32))
def test_a_network_sorts_and_selects_from_random_columns_up_to_31(rows: int) -> None:
    columns = random_columns(rows)
    ordered = np.sort(columns, axis=0)
    assert np.array_equal(select(columns.copy(), *each(rows)), ordered)
    for g in range((rows - 1) // 2 + 1):
        chosen = select(columns.copy(), range(g, rows - g))
        assert np.array_equal(np.sort(chosen, axis=0), ordered[g : rows - g])
        if 2 * g + 1 < rows:
            ends = select(columns.copy(), range(g, g + 1), range(rows - g - 1, rows - g))
            assert np.array_equal(ends, ordered[[g, rows - g - 1]])


def test_keys_wider_than_scores_are_sorted_too() -> None:
    keys = np.random.default_rng(0).integers(0, 2**32, (31, 50), dtype=np.uint32)
    assert np.array_equal(select(keys.copy(), *each(31)), np.sort(keys, axis=0))


def test_keeping_every_row_in_any_order_takes_no_exchange() -> None:
    assert network(31, (range(31),)) == ()


def test_pruning_saves_exchanges() -> None:
    assert len(network(9, (range(4, 5),))) < len(network(9, tuple(each(9)))) == 26

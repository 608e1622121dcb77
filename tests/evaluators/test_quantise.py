"""Where floats become integers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.evaluators.quantise import QuantiseError, quantise


def test_nan_is_refused_with_its_position() -> None:
    with pytest.raises(QuantiseError, match="value 1 of 3 is NaN"):
        quantise(np.array([0.5, np.nan, np.nan]))


@pytest.mark.parametrize(
    ("value", "score"),
    [
        (-math.inf, 0),
        (-0.1, 0),
        (-0.0, 0),
        (0.00004, 0),
        (0.00005, 1),  # half up
        (0.5, 5000),
        (0.99994, 9999),
        (0.99995, 10_000),
        (1.0, 10_000),
        (1.7, 10_000),
        (math.inf, 10_000),
    ],
)
def test_a_value_is_clipped_and_rounded_half_up(value: float, score: int) -> None:
    (quantised,) = quantise(np.array([value]))
    assert quantised == score
    assert quantised.dtype == np.uint16


@given(st.lists(st.floats(0, 1), min_size=1))
def test_scores_are_within_half_a_unit_and_keep_the_order(values: list[float]) -> None:
    scores = quantise(np.array(sorted(values)))
    assert (np.diff(scores.astype(int)) >= 0).all()
    for value, score in zip(sorted(values), scores, strict=True):
        assert abs(Fraction(int(score)) - 10_000 * Fraction(value)) <= Fraction(1, 2) + Fraction(
            1, 10**8
        )

"""The length prior."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oracle.evaluators.length import LengthPrior
from oracle.evaluators.workload import Item


def test_the_prior_peaks_at_the_usual_length_and_falls_on_both_sides(
    pair: Callable[[str, str], Item],
) -> None:
    items = [pair("word " * words, "") for words in (0, 1, 4, 8, 16, 60, 600)]
    scores = LengthPrior(8).score(items)
    assert scores[3] == 1
    assert scores[0] < scores[1] < scores[2] < scores[3] > scores[4] > scores[5] > scores[6] > 0


def test_twice_as_long_costs_by_the_squared_logarithm(
    pair: Callable[[str, str], Item],
) -> None:
    # (1 + 17) / (1 + 8) = 2: exp(-ln(2)^2 / 2)
    assert LengthPrior(8).score([pair("word " * 17, "")]) == pytest.approx([0.7864], abs=1e-4)

"""Consensus and deviations on lanes, against contracts that take one score after the other."""

from __future__ import annotations

import numpy as np
import pytest

from oracle.core.consensus import Rule, submission
from oracle.core.units import MAX_SEATS, ONE, WEIGHT_UNIT, pack
from tests.contracts.harness import Harness

FEW, MANY = 60, 100_000
MOST_ITEMS = 70


def fuzz(rule: Rule, cases: int) -> None:
    """Compare random panels: any size, tails of every length, levels few enough for ties."""
    lanes, plain = Harness("ConsensusHarness"), Harness("PlainSettlement")
    rng = np.random.default_rng(rule)
    for _ in range(cases):
        seats, items = int(rng.integers(1, MAX_SEATS + 1)), int(rng.integers(1, MOST_ITEMS))
        levels = int(rng.choice([2, 4, ONE + 1]))
        scores = (rng.integers(0, levels, (seats, items)) * (ONE // (levels - 1))).astype(np.uint16)
        weights = rng.integers(1, 1_001, seats)
        trim = int(rng.integers(0, ONE // 2))
        rows = pack(scores)
        trusts = (weights * WEIGHT_UNIT).astype(np.uint32)
        submitted = submission(rule, scores, trusts, trim)
        held = weights.tolist()
        consensus, deviations = plain("evaluate", rule, trim, rows, items, held)
        assert lanes("verified", rule, trim, rows, items, held, submitted, [])[0] == consensus
        assert lanes("deviations", rows, items, seats, consensus, [])[0] == deviations


@pytest.mark.parametrize("rule", list(Rule))
def test_lanes_agree_with_one_score_after_the_other(rule: Rule) -> None:
    fuzz(rule, FEW)


@pytest.mark.reliability
@pytest.mark.parametrize("rule", list(Rule))
def test_lanes_agree_with_one_score_after_the_other_a_hundred_thousand_times(rule: Rule) -> None:
    fuzz(rule, MANY)

"""The loop that the sweep is measured against does the same arithmetic, or it would be no peer."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.sweep_speed import TRIM, TRUST, _consensus, _moved
from oracle.core import trust
from oracle.core.consensus import Rule, aggregate
from oracle.core.units import ONE, TRUST_ONE


@pytest.mark.parametrize("rule", Rule)
def test_the_loop_aggregates_and_moves_trust_as_the_core_does(rule: Rule) -> None:
    rng = np.random.default_rng(rule)
    for _ in range(300):
        seats = int(rng.integers(3, 12))
        said = rng.integers(0, ONE + 1, seats)
        trusts = rng.integers(TRUST.floor, TRUST_ONE + 1, seats)
        scores, weights = said.astype(np.uint16)[:, np.newaxis], trusts.astype(np.uint32)
        assert _consensus(rule, said, trusts) == aggregate(rule, scores, weights, TRIM)[0]
        moved = trust.updated(TRUST, weights, said.astype(np.uint16), 1)
        assert _moved(trusts, said).tolist() == moved.tolist()

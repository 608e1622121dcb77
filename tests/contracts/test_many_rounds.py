"""
The libraries and the core on random rounds in great numbers: the same bits, all five rules.

`test_differential.py` plays fewer rounds whole, with commitments, time and money.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from oracle.core.consensus import Rule
from tests.contracts.harness import Harness, Reverted
from tests.contracts.many_rounds import ROUNDS_A_LOT, Lot, random_lot

SEED = 20_261
FEW, MANY = 6_000, 1_000_000
REPORTED = 50_000
"""Rounds after which a long run says how far it is."""


@pytest.fixture(scope="module")
def harness() -> Harness:
    return Harness("RoundsHarness")


def compare(harness: Harness, lot: Lot, rng: np.random.Generator) -> None:
    """Settle all rounds of a lot, then again with one wrong number in one of them."""
    submissions = lot.submissions()
    found = harness("settle", *lot.arguments(submissions))
    expected = lot.settled()
    for i in range(lot.count):
        assert found[i] == expected[i], (lot.rule, lot.scores[i], lot.trusts[i])

    wrong = submissions.astype(np.int64)
    at = rng.integers(wrong.shape[0]), rng.integers(wrong.shape[1])
    wrong[at] += 1 if wrong[at] == 0 else rng.choice([-1, 1])
    with pytest.raises(Reverted) as refused:
        harness("settle", *lot.arguments(wrong))
    assert refused.value.name == "WrongConsensus"


def replay(harness: Harness, rounds: int, seed: int) -> Counter[Rule]:
    """Compare this many random rounds; return how many there were of each rule."""
    rng = np.random.default_rng(seed)
    done: Counter[Rule] = Counter()
    while (left := rounds - done.total()) > 0:
        lot = random_lot(rng, min(left, ROUNDS_A_LOT))
        compare(harness, lot, rng)
        done[lot.rule] += lot.count
        if done.total() // REPORTED > (done.total() - lot.count) // REPORTED:
            print(f"{done.total()} rounds agree (seed {seed})", flush=True)
    return done


def test_r09_random_rounds_settle_to_the_same_bits(harness: Harness) -> None:
    done = replay(harness, FEW, SEED)
    assert done.total() == FEW
    assert set(done) == set(Rule)


@pytest.mark.reliability
def test_r09_a_million_random_rounds_settle_to_the_same_bits(
    harness: Harness, record_property: Callable[[str, object], None]
) -> None:
    done = replay(harness, MANY, SEED + 1)
    assert set(done) == set(Rule)
    record_property(
        "figure",
        {
            "name": "random rounds settled by Solidity and Python to the same bits",
            "value": str(done.total()),
            "goal": "1000000",
            "seed": SEED + 1,
        },
    )

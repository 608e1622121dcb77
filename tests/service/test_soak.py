"""A network that runs for long neither slows down nor swells."""

from __future__ import annotations

import statistics
import time
from typing import Any

import pytest

from tests.service.processes import Network
from tests.service.stage import Stage

SHORT_ROUNDS = 12
SHORT_WARM_UP = 4
SHORT_GROWTH = 0.20
ROUNDS = 1000
WARM_UP = 200
"""Rounds after which caches, pools and arenas have the size that they keep."""
GROWTH = 0.05
AT_ONCE = 10
SAMPLES = 20
"""Of memory, over the last rounds of the warm-up and of the run: one may hit an answer in the
making."""
SECONDS = 3600


def _soak(stage: Stage, rounds: int, warm_up: int) -> tuple[float, float]:
    """Let so many rounds end; return what the oracle held at the end of the warm-up and at last."""
    network = Network(stage)
    sizes: dict[int, int] = {}
    opened = 0
    with network.running():
        oracle = network.oracles[0]
        deadline = time.monotonic() + SECONDS
        while (ended := stage.ended()) < rounds:
            if opened < rounds and opened - ended < AT_ONCE // 2:
                count = min(AT_ONCE, rounds - opened)
                stage.open(count)
                opened += count
            sizes[ended] = oracle.resident_bytes()
            assert not any(each.revive() for each in network.processes), network.last_words()
            assert time.monotonic() < deadline, network.last_words()
            time.sleep(0.1)
        sizes[rounds] = oracle.resident_bytes()
        for each in network.processes:
            assert each.stop() == 0
    assert [line for each in network.processes for line in each.noise()] == []
    return _held(sizes, warm_up), _held(sizes, rounds)


def _held(sizes: dict[int, int], rounds: int) -> float:
    """Return the median of the samples that were taken last before so many rounds had ended."""
    taken = [size for ended, size in sorted(sizes.items()) if ended <= rounds]
    return statistics.median(taken[-SAMPLES:])


def _check(stage: Stage, rounds: int, warm_up: int, most: float, record_property: Any) -> None:
    before, after = _soak(stage, rounds, warm_up)
    outcome = stage.outcome()
    assert (outcome.settled, outcome.cancelled, outcome.unended) == (rounds, 0, 0)
    assert outcome.mismatches == ()
    assert stage.gaps() == {}
    growth = after / before - 1
    for name, value, goal in (
        (f"growth of the oracle's memory from round {warm_up} to {rounds}, %", growth, 100 * most),
        (f"the oracle's memory after {rounds} rounds, MiB", after, "none set"),
    ):
        shown = f"{100 * growth:.1f}" if value is growth else f"{after / 2**20:.0f}"
        record_property("figure", {"name": name, "value": shown, "goal": f"{goal}"})
    assert growth < most


def test_memory_does_not_swell_in_a_few_rounds(stage: Stage, record_property: Any) -> None:
    _check(stage, SHORT_ROUNDS, SHORT_WARM_UP, SHORT_GROWTH, record_property)


@pytest.mark.reliability
def test_memory_does_not_swell_in_a_thousand_rounds(stage: Stage, record_property: Any) -> None:
    _check(stage, ROUNDS, WARM_UP, GROWTH, record_property)

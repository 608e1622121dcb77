"""A node that fails in every known way, often, delays rounds and never makes one end wrongly."""

from __future__ import annotations

import time
from typing import Any

import pytest

from oracle.chain import rpc
from tests.service.cast import Cast
from tests.service.faults import FAULTS, Proxy, before
from tests.service.stage import Stage

SEED = 4
RATE = 0.3
SHORT_ROUNDS = 3
ROUNDS = 200
AT_ONCE = 10
KINDS = 15
TIME_OUT = 0.4
"""Seconds that a client waits for an answer; the proxy holds some back for longer."""
SECONDS = 3600
FIRST_PAUSE = 0.02  # seconds; the pauses of a test may be short


def _weather(stage: Stage, proxy: Proxy, rounds: int) -> Cast:
    """Let so many rounds end while the node fails."""
    cast = Cast(stage, url=proxy.url, time_out=TIME_OUT)
    opened = 0
    try:
        proxy.rate = RATE
        deadline = time.monotonic() + SECONDS
        with cast.running():
            while (ended := stage.ended()) < rounds:
                if opened < rounds and opened - ended < AT_ONCE // 2:
                    count = min(AT_ONCE, rounds - opened)
                    stage.open(count)
                    opened += count
                told = f"{ended} of {rounds} ended: {[dict(part.errors) for part in cast.parts]}"
                assert time.monotonic() < deadline, told
                stage.anvil.mine()
                time.sleep(0.2)
            proxy.rate = 0.0
        cast.tick()
        cast.finish(SECONDS)
    finally:
        cast.close()
    return cast


def _check(stage: Stage, proxy: Proxy, rounds: int, record_property: Any) -> None:
    outcome = stage.outcome()
    assert (outcome.settled, outcome.cancelled, outcome.unended) == (rounds, 0, 0)
    assert set(outcome.settlements.values()) == {1}
    assert outcome.mismatches == ()
    assert stage.gaps() == {}
    kinds, broken = len(proxy.broken), sum(proxy.broken.values())
    record_property(
        "figure",
        {
            "name": f"wrong payouts over {rounds} rounds, {kinds} kinds of RPC fault at 30 %",
            "value": len(outcome.mismatches),
            "goal": 0,
            "seed": SEED,
        },
    )
    record_property(
        "figure",
        {
            "name": f"requests that were broken over {rounds} rounds, of {broken + proxy.passed:,}",
            "value": broken,
            "goal": "none set",
            "seed": SEED,
        },
    )
    record_property(
        "figure",
        {
            "name": f"transactions that reverted over {rounds} rounds with RPC faults",
            "value": sum(outcome.failed.values()),
            "goal": "none set",
            "seed": SEED,
        },
    )


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "FIRST_PAUSE", FIRST_PAUSE)


def test_rounds_settle_rightly_on_a_node_that_fails(stage: Stage, record_property: Any) -> None:
    with before(stage.anvil.url, SEED, time_out=2 * TIME_OUT) as proxy:
        _weather(stage, proxy, SHORT_ROUNDS)
        assert len(proxy.broken) >= KINDS
        _check(stage, proxy, SHORT_ROUNDS, record_property)


@pytest.mark.reliability
def test_two_hundred_rounds_settle_rightly_on_a_node_that_fails(
    stage: Stage, record_property: Any
) -> None:
    print("seed", SEED)
    with before(stage.anvil.url, SEED, time_out=2 * TIME_OUT) as proxy:
        _weather(stage, proxy, ROUNDS)
        assert set(proxy.broken) == {fault.__name__ for fault in FAULTS}
        _check(stage, proxy, ROUNDS, record_property)

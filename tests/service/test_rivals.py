"""Several oracles at once, with a key each or all with one, settle every round once."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.service.cast import Cast
from tests.service.stage import Stage

SHORT_ROUNDS = 3
ROUNDS = 100
AT_ONCE = 10
SECONDS = 1200
RIVALS = {"two keys": (0, 1), "one key": (0, 0)}


def _race(stage: Stage, settlers: tuple[int, ...], rounds: int) -> None:
    """Let the oracles serve so many rounds, with blocks that come while both are at work."""
    cast = Cast(stage, settlers=settlers)
    stage.anvil.automine(False)
    opened = 0
    deadline = time.monotonic() + SECONDS
    try:
        with cast.running():
            while (ended := stage.ended()) < rounds:
                if opened < rounds and opened - ended < AT_ONCE // 2:
                    count = min(AT_ONCE, rounds - opened)
                    stage.open(count)
                    opened += count
                told = f"{ended} of {rounds} ended: {[dict(part.errors) for part in cast.parts]}"
                assert time.monotonic() < deadline, told
                stage.anvil.mine()
                time.sleep(0.1)
        cast.tick()
        cast.finish(SECONDS)
    finally:
        cast.close()


def _check(stage: Stage, settlers: str, rounds: int, record_property: Any) -> None:
    outcome = stage.outcome()
    assert (outcome.settled, outcome.cancelled, outcome.unended) == (rounds, 0, 0)
    assert set(outcome.settlements.values()) == {1}
    assert outcome.mismatches == ()
    assert stage.gaps() == {}
    double = sum(outcome.settlements.values()) - rounds
    name = f"of {rounds} rounds that two oracles with {settlers} served"
    for what, value, goal in (
        ("lost settlements", outcome.unended + outcome.cancelled, "0"),
        ("double settlements", double, "0"),
        ("transactions that came too late and reverted", sum(outcome.failed.values()), "none set"),
    ):
        record_property("figure", {"name": f"{what} {name}", "value": value, "goal": goal})


@pytest.mark.parametrize("settlers", RIVALS)
def test_two_oracles_settle_each_round_once(
    stage: Stage, settlers: str, record_property: Any
) -> None:
    _race(stage, RIVALS[settlers], SHORT_ROUNDS)
    _check(stage, settlers, SHORT_ROUNDS, record_property)


@pytest.mark.reliability
@pytest.mark.parametrize("settlers", RIVALS)
def test_two_oracles_settle_each_of_a_hundred_rounds_once(
    stage: Stage, settlers: str, record_property: Any
) -> None:
    _race(stage, RIVALS[settlers], ROUNDS)
    _check(stage, settlers, ROUNDS, record_property)

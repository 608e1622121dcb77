"""Processes that are killed again and again, at random moments, neither lose nor repeat a thing."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from oracle.chain.follower import FINALITY
from oracle.chain.journal import FILE, Journal
from tests.service.processes import Network
from tests.service.stage import Stage

SEED = 20261127
SHORT_KILLS = 4
KILLS = 200
ROUNDS_AT_ONCE = 3
LONGEST_LIFE = 1.5
"""Seconds that a process lives at most, from when it serves until it is killed."""
SECONDS = 600


def _storm(stage: Stage, kills: int, seed: int) -> tuple[Network, int]:
    """Kill so many processes of a network that always has rounds to serve; let all of them end."""
    chance = random.Random(seed)
    network = Network(stage, settlers=("settler-1", "settler-2"))
    opened = 0
    # Blocks come on their own, so that what was sent may be in none when its sender dies.
    stage.anvil.ask("evm_setIntervalMining", 1)
    with network.running():
        for _ in range(kills):
            if opened - stage.ended() < ROUNDS_AT_ONCE:
                stage.open()
                opened += 1
            victim = chance.choice(network.processes)
            _wait_until_up(network, victim.is_up)
            time.sleep(chance.uniform(0, LONGEST_LIFE))
            victim.kill()
            victim.start()
        network.wait_for_ends(opened, SECONDS)
        stage.anvil.mine(FINALITY + 1)
        _wait_until_up(network, lambda: _unsettled(stage, network) == 0)
        for each in network.processes:
            assert each.stop() == 0
    return network, opened


def _wait_until_up(network: Network, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not ready():
        assert time.monotonic() < deadline, network.last_words()
        network.revive()
        time.sleep(0.05)


def _unsettled(stage: Stage, network: Network) -> int:
    """Count what the services' journals still wait for."""
    chain_id, accounts = stage.deployment.chain_id, _accounts(stage)
    count = 0
    for each in network.processes:
        journal = Journal(stage.directory / each.name / FILE)
        count += sum(len(journal.unsettled(chain_id, address)) for address in accounts)
        journal.close()
    return count


def _accounts(stage: Stage) -> list[str]:
    operators = [each.operator.address for each in stage.evaluators]
    return [*(account.address for account in stage.settlers), *operators]


def _check(stage: Stage, network: Network, rounds: int) -> dict[str, str]:
    outcome = stage.outcome()
    assert (outcome.settled, outcome.cancelled, outcome.unended) == (rounds, 0, 0)
    assert set(outcome.settlements.values()) == {1}
    assert outcome.mismatches == ()
    assert stage.gaps() == {}
    assert [line for each in network.processes for line in each.noise()] == []
    return {
        "rounds": str(rounds),
        "lost": str(outcome.unended + outcome.cancelled),
        "double": str(sum(n - 1 for n in outcome.settlements.values())),
        "reverted": str(sum(outcome.failed.values())),
    }


def _record(record_property: Any, kills: int, found: dict[str, str]) -> None:
    seed = {"seed": SEED}
    record_property(
        "figure", {"name": "kills of a running network", "value": kills, "goal": KILLS, **seed}
    )
    for name in ("lost", "double"):
        record_property(
            "figure",
            {
                "name": f"{name} settlements of {found['rounds']} rounds over {kills} kills",
                "value": found[name],
                "goal": 0,
                **seed,
            },
        )
    record_property(
        "figure",
        {
            "name": f"transactions that reverted, of {found['rounds']} rounds over {kills} kills",
            "value": found["reverted"],
            "goal": "none set",
            **seed,
        },
    )


def test_a_few_kills_lose_nothing_and_repeat_nothing(stage: Stage, record_property: Any) -> None:
    network, rounds = _storm(stage, SHORT_KILLS, SEED)
    _record(record_property, SHORT_KILLS, _check(stage, network, rounds))


@pytest.mark.reliability
def test_two_hundred_kills_lose_nothing_and_repeat_nothing(
    stage: Stage, record_property: Any
) -> None:
    print("seed", SEED)
    network, rounds = _storm(stage, KILLS, SEED)
    _record(record_property, KILLS, _check(stage, network, rounds))

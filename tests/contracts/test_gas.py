"""R13: the largest rounds fit a block, whatever ends them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from eth_utils import keccak

from oracle.core.cancellation import cancel
from oracle.core.consensus import Rule
from oracle.core.facts import DrawnRound, Phase, Role
from oracle.core.phases import cancellable_at, reveals_close_at
from oracle.core.units import MAX_BATCHES, MAX_ITEMS, MAX_ROUND_BYTES, MAX_SEATS, ONE, ScoreMatrix
from tests.contracts.bare_network import BareNetwork, account
from tests.contracts.parameters import ROUNDS
from tests.contracts.rounds import (
    SETTLER,
    committed,
    drawn,
    opened,
    reverts,
    settled,
    staffed,
)

MOST_GAS = 15_000_000
COLD = 300 * 22_100
"""What `Contract.gas` may lack: ending a round touches fewer words than these, seven for each of 31
slashed seats, two for each of those present, one a batch, and ten of the round's own."""
LARGEST = {31: 1_861, 13: 4_096}
"""Items by seats: most seats, and most items with as many seats as they leave room for."""


@pytest.fixture(scope="module")
def crowd() -> BareNetwork:
    """Return a network in which every seat and every batch has an owner of its own."""
    network = staffed(evaluators=MAX_SEATS)
    for i in range(MAX_BATCHES - 2):
        owner = account(f"writer {i}").address
        network.fund(owner)
        network.join(Role.INFERENCE, owner)
    return network


def largest(crowd: BareNetwork, seats: int, **changes: Any) -> DrawnRound:
    """Draw a round with the most items and batches that a panel of this size can have."""
    items = LARGEST[seats]
    assert items * (2 * seats + 4) <= MAX_ROUND_BYTES
    assert items == MAX_ITEMS or (items + 1) * (2 * seats + 4) > MAX_ROUND_BYTES
    sizes = [items // MAX_BATCHES] * (MAX_BATCHES - 1)
    sizes.append(items - sum(sizes))
    domain = keccak(text=f"{seats} {changes}")  # where no trust has ever moved: the dearest
    budget = 10**20
    return drawn(crowd, sizes, panel_size=seats, domain=domain, evaluator_budget=budget, **changes)


def noisy(facts: DrawnRound) -> ScoreMatrix:
    """Return scores around a good half of ONE, few of whose bytes are zero."""
    shape = len(facts.draw.panel), facts.opening.items
    return np.random.default_rng(len(facts.draw.panel)).integers(
        ONE // 2, ONE, shape, dtype=np.uint16
    )


@pytest.mark.parametrize("seats", LARGEST)
@pytest.mark.parametrize("rule", Rule)
def test_r13_the_largest_rounds_settle_within_the_gas(
    crowd: BareNetwork, rule: Rule, seats: int
) -> None:
    facts = largest(crowd, seats, rule=rule, trim=1_500 if rule is Rule.TRIMMED_MEAN else 0)
    facts, reveals = committed(crowd, facts, rows=noisy(facts))
    result = settled(crowd, facts, reveals.values())
    assert MOST_GAS / 4 < crowd.rounds.gas < MOST_GAS - COLD
    assert all(result.seat_rewards)
    assert all(result.batch_rewards)
    assert crowd.digest(facts.key.round_id) == result.digest(SETTLER, crowd.now)


@pytest.mark.parametrize("seats", LARGEST)
@pytest.mark.parametrize("withheld", [True, False])
def test_r13_the_largest_rounds_are_cancelled_within_the_gas(
    crowd: BareNetwork, withheld: bool, seats: int
) -> None:
    crowd.top_up()
    facts = largest(crowd, seats, rule=Rule.MEAN, quorum=seats // 2 + 1)
    voters = seats if withheld else seats // 2
    facts, _ = committed(crowd, facts, range(voters), noisy(facts))
    crowd.pass_time_to(cancellable_at(ROUNDS, facts.draw.drawn_at))
    crowd.rounds("cancel", *cancel(facts).arguments)
    assert crowd.rounds.gas < MOST_GAS - COLD
    assert crowd.rounds("phaseOf", facts.key.round_id) == Phase.CLOSED


@pytest.mark.parametrize("seats", LARGEST)
def test_r13_the_largest_rounds_with_as_many_absent_as_possible_settle_within_the_gas(
    crowd: BareNetwork, seats: int
) -> None:
    crowd.top_up()
    facts = largest(crowd, seats, rule=Rule.TRUST_WEIGHTED_MEDIAN)
    facts, reveals = committed(crowd, facts, rows=noisy(facts))
    crowd.pass_time_to(reveals_close_at(ROUNDS, facts.draw.drawn_at))
    settled(crowd, facts, [reveals[i] for i in range(seats // 2 + 1)])
    assert crowd.rounds.gas < MOST_GAS - COLD


def test_r13_the_largest_reveal_costs_little_more_than_its_bytes(crowd: BareNetwork) -> None:
    facts = largest(crowd, 13)
    facts, reveals = committed(crowd, facts, rows=noisy(facts))
    crowd.reveal_on_chain(facts, reveals[12])
    assert crowd.rounds.gas < MOST_GAS / 10


def test_r13_nothing_larger_can_be_opened(crowd: BareNetwork) -> None:
    for seats, items in LARGEST.items():
        with reverts("RoundTooLarge", items=items + 1, panelSize=seats):
            opened(crowd, (items + 1,), panel_size=seats)
    with reverts("InvalidBatchCount", count=MAX_BATCHES + 1):
        opened(crowd, [1] * (MAX_BATCHES + 1))
    with reverts("InvalidPanelSize", panelSize=MAX_SEATS + 1):
        opened(crowd, panel_size=MAX_SEATS + 1)

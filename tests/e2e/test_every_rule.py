"""Rounds of every rule on the in-process chain: the contract and the core end on the same bits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from oracle.chain.errors import Reverted
from oracle.core.consensus import Rule
from oracle.core.facts import Role
from oracle.core.units import MAX_SEATS, ONE, ScoreMatrix, unpack
from oracle.demo.network import Network

ITEMS = 35
"""Two whole words of scores and a tail."""
MOST = 7


@pytest.fixture(scope="module")
def staffed() -> Network:
    network = Network()
    for _ in range(MOST):
        network.join(Role.EVALUATOR)
    network.join(Role.INFERENCE)
    return network


@pytest.fixture
def network(staffed: Network) -> Iterator[Network]:
    snapshot = staffed.devnet.snapshot()
    yield staffed
    staffed.devnet.revert(snapshot)


def scores_of(kind: str, seats: int) -> ScoreMatrix:
    """Return seats × items scores in [0, ONE]."""
    rng = np.random.default_rng(seats)
    if kind == "ties":
        return rng.choice(np.array([0, 1, ONE - 1, ONE], dtype=np.uint16), (seats, ITEMS))
    return rng.integers(0, ONE, (seats, ITEMS), dtype=np.uint16, endpoint=True)


@pytest.mark.parametrize("kind", ["random", "ties"])
@pytest.mark.parametrize("seats", [4, MOST])
@pytest.mark.parametrize("rule", Rule)
def test_r09_r15_a_round_ends_as_the_core_says_and_one_unit_off_reverts(
    network: Network, rule: Rule, seats: int, kind: str
) -> None:
    batch = network.batch(network.parties[MOST + 1], ITEMS, cost=1_234)
    trim = 2_500 if rule is Rule.TRIMMED_MEAN else 0
    round_id = network.open(network.terms(rule=rule, trim=trim, panel_size=seats), [batch])
    panel = network.draw(round_id)
    reveals = network.commit_all(round_id, dict(enumerate(scores_of(kind, seats))))
    settlement = network.settlement(round_id, reveals)

    *facts, submission = settlement.arguments()
    values = unpack(submission, len(submission) // 2)
    for item in (0, ITEMS - 1):
        wrong = values.copy()
        wrong[item] ^= 1
        with pytest.raises(Reverted) as refused:
            network.rounds(network.settler, "settle", *facts, wrong.astype(">u2").tobytes())
        assert refused.value.name == "WrongConsensus"
        assert refused.value.arguments == {"firstItem": item // 16 * 16}

    network.rounds(network.settler, "settle", *facts, submission)

    state = network.state()
    assert state.digest(round_id) == settlement.digest(network.settler.address, network.now)
    paid = [state.credit(party.owner.address) for party in panel]
    assert paid == list(settlement.seat_rewards)
    assert state.credit(network.parties[MOST + 1].owner.address) == settlement.batch_rewards[0]
    assert state.credit(network.requester.address) == settlement.refund
    trusts = dict.fromkeys([party.node_id for party in panel], 1_000_000)
    domain = settlement.facts.opening.terms.domain
    moved = settlement.new_trusts(network.deployment.registry_parameters.trust, trusts)
    assert bool(moved) == rule.weighs
    assert trusts | moved == {party.node_id: state.trust(party.node_id, domain) for party in panel}


def test_r09_the_largest_panel_is_settled(network: Network) -> None:
    for _ in range(MAX_SEATS - MOST):
        network.join(Role.EVALUATOR, network.parties[1].owner)
    batch = network.batch(network.parties[MOST + 1], ITEMS)
    terms = network.terms(rule=Rule.MEDIAN, panel_size=MAX_SEATS)
    round_id = network.open(terms, [batch])
    network.draw(round_id)
    reveals = network.commit_all(round_id, dict(enumerate(scores_of("ties", MAX_SEATS))))
    settlement = network.settle(round_id, reveals)
    expected = settlement.digest(network.settler.address, network.now)
    assert network.state().digest(round_id) == expected

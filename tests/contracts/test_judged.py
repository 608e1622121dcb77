"""Seats of a large round are judged by a sample that nobody knows who commits or forges later."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from oracle.core.consensus import Rule, submission
from oracle.core.facts import DrawnRound
from oracle.core.judged import judged_items
from oracle.core.units import MAX_ITEMS, MAX_JUDGED, ONE, unpack
from tests.contracts.bare_network import BareNetwork
from tests.contracts.harness import Harness
from tests.contracts.parameters import REGISTRY
from tests.contracts.rounds import (
    SETTLER,
    committed,
    drawn,
    opinions,
    reverts,
    settled,
    settlement,
    staffed,
)

WEIGHING = [Rule.TRUST_WEIGHTED_MEAN, Rule.TRUST_WEIGHTED_MEDIAN]
DRAWS = 700


def sample(facts: DrawnRound, salts: list[bytes]) -> list[int]:
    items: list[int] = judged_items(facts.opening.items, salts).tolist()
    return items


@pytest.mark.parametrize("rule", list(Rule))
@pytest.mark.parametrize("items", [127, 128, 129, 143, 144, 145, 1_024, MAX_ITEMS])
def test_r09_rounds_around_and_far_above_the_sample_settle_to_the_bits_of_the_core(
    network: BareNetwork, rule: Rule, items: int
) -> None:
    facts = drawn(network, (items - 2, 2), rule=rule, trim=2_000 * (rule is Rule.TRIMMED_MEAN))
    facts, reveals = committed(network, facts)
    trusts = network.trusts(facts.draw.panel, facts.opening.terms.domain)
    result = settled(network, facts, reveals.values())
    assert network.digest(facts.key.round_id) == result.digest(SETTLER, network.now)
    moved = result.new_trusts(REGISTRY.trust, trusts)
    assert network.trusts(facts.draw.panel, facts.opening.terms.domain) == trusts | moved
    length = min(items, MAX_JUDGED) if rule is Rule.TRUST_WEIGHTED_MEAN else items
    assert len(result.submission) % (2 * length) == 0


@pytest.mark.parametrize("items", [129, 144, 400])
def test_every_group_begins_some_sample_on_chain(items: int) -> None:
    harness = Harness("ConsensusHarness")
    starts = set()
    for draw in range(DRAWS):
        salts = [(3 * draw + seat).to_bytes(32) for seat in range(3)]
        firsts = harness("judgedGroups", items, salts)
        assert [i for first in firsts for i in range(first, first + 16)] == judged_items(
            items, salts
        ).tolist()
        starts.add(firsts[0])
    assert starts == {*range(0, items - 15, 16), items - 16}


@pytest.mark.parametrize("rule", WEIGHING)
def test_r09_the_order_in_which_seats_commit_and_reveal_does_not_move_the_sample(
    rule: Rule,
) -> None:
    found = set()
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 1, 3]):
        network = staffed()
        facts, reveals = committed(network, drawn(network, (500,), rule=rule), order)
        result = settled(network, facts, [reveals[seat] for seat in order[::-1]])
        found.add((result.consensus, result.deviations, result.disagreements))
    assert len(found) == 1


def test_r15_the_pivot_of_another_sample_is_refused(network: BareNetwork) -> None:
    facts = drawn(network, (600,), rule=Rule.TRUST_WEIGHTED_MEAN)
    facts, reveals = committed(network, facts)
    result = settlement(network, facts, reveals.values())
    scores = np.stack([unpack(reveal.scores, 600) for reveal in reveals.values()])
    trusts = np.array([seat.trust for seat in facts.draw.panel], dtype=np.uint32)
    right = sample(facts, [reveals[seat].salt for seat in sorted(reveals)])
    others = [np.arange(MAX_JUDGED), np.arange(600 - MAX_JUDGED, 600)]
    others += [judged_items(600, [bytes([draw]) * 32]) for draw in range(20)]
    forged = [other for other in others if other.tolist() != right]
    assert len(forged) > 10
    for other in forged:
        submitted = submission(Rule.TRUST_WEIGHTED_MEAN, scores, trusts, 0, other)
        with reverts("WrongConsensus", firstItem=right[0]):
            network.rounds("settle", *result.arguments()[:-1], submitted, sender=SETTLER)
    everything = submission(Rule.TRUST_WEIGHTED_MEAN, scores, trusts)
    with reverts("WrongLength", length=1_200, expected=2 * MAX_JUDGED):
        network.rounds("settle", *result.arguments()[:-1], everything, sender=SETTLER)
    network.rounds("settle", *result.arguments(), sender=SETTLER)


@pytest.mark.parametrize("rule", WEIGHING)
def test_a_lie_outside_the_sample_moves_the_consensus_and_one_inside_also_the_deviation(
    rule: Rule,
) -> None:
    results = []
    for lie in (None, "outside", "inside"):
        network = staffed()
        facts = drawn(network, (500,), rule=rule)
        rows = opinions(facts)
        salts = [network.reveal_of(facts, seat, rows[seat]).salt for seat in range(len(rows))]
        judged = set(sample(facts, salts))
        about = [i for i in range(500) if (i in judged) == (lie == "inside")]
        if lie is not None:
            rows[2, about] = ONE - rows[2, about]
        facts, reveals = committed(network, facts, rows=rows)
        results.append(settled(network, facts, reveals.values()))
    honest, outside, inside = results
    assert outside.deviations == honest.deviations != inside.deviations
    assert outside.disagreements == honest.disagreements != inside.disagreements
    assert all(a.consensus != b.consensus for a, b in pairwise(results))


def test_leaving_a_seat_out_after_the_deadline_draws_another_sample(network: BareNetwork) -> None:
    facts, reveals = committed(network, drawn(network, (MAX_ITEMS,), rule=Rule.MEAN))
    network.pass_time_to(facts.draw.drawn_at + 10**6)
    salts = [reveals[seat].salt for seat in sorted(reveals)]
    assert sample(facts, salts) != sample(facts, salts[:4])
    result = settled(network, facts, [reveals[seat] for seat in range(4)])
    assert network.digest(facts.key.round_id) == result.digest(SETTLER, network.now)

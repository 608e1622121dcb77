"""Attacks on the draw: to choose the panel by timing, by walking away, by many names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oracle.core.cancellation import cancel
from oracle.core.facts import Opening, Phase, Role
from oracle.core.phases import HASH_HORIZON, commits_close_at
from tests.contracts.bare_network import BareNetwork, account
from tests.contracts.parameters import REGISTRY, ROUNDS
from tests.contracts.rounds import (
    REQUESTER,
    STRANGER,
    batches,
    committed,
    drawn,
    opened,
    owner_of,
    reverts,
    settled,
    staffed,
    terms,
)

ROUNDS_DRAWN = 60
ATTACKERS, HONEST = 4, 8
CYCLES = 120
"""How often somebody joins and leaves to make the list's past long."""


def panel(network: BareNetwork, round_id: int) -> list[int]:
    return [network.rounds("seatOf", round_id, seat) for seat in range(5)]


def test_r06_a_requester_that_sees_its_panel_coming_cannot_walk_away(network: BareNetwork) -> None:
    """
    Once the draw block is mined the requester can compute its panel. It dislikes it, wants its
    deposit back and to open anew. No call of its own ends the round for 256 blocks, anybody else
    may draw meanwhile, and afterwards the round waits for its evaluators.
    """
    round_id, opening = opened(network)
    network.pass_blocks(ROUNDS.draw_delay + 1)
    foreseen = [seat.node_id for seat in network.expected_draw(round_id, opening).panel]
    for blocks in (0, 1, HASH_HORIZON - 2):
        network.pass_blocks(blocks)
        with reverts("DrawPending"):
            network.rounds("cancelUndrawn", round_id, opening.as_tuple(), sender=REQUESTER)
    facts = network.draw(round_id, opening)
    assert panel(network, round_id) == foreseen
    closes_at = commits_close_at(ROUNDS, facts.draw.drawn_at)
    with reverts("CommitsOpen", closesAt=closes_at):
        network.rounds("cancel", *cancel(facts).arguments, sender=REQUESTER)


def test_limit_a_requester_whose_round_nobody_draws_may_try_again(network: BareNetwork) -> None:
    """
    If nobody draws for 256 blocks the requester has its deposit back and may open anew: a new
    panel for the price of gas and an hour. One watching oracle is enough to stop that.
    """
    round_id, opening = opened(network)
    network.pass_blocks(ROUNDS.draw_delay + HASH_HORIZON + 1)
    with reverts("DrawTooLate"):
        network.rounds("draw", round_id, opening.as_tuple())
    network.rounds("cancelUndrawn", round_id, opening.as_tuple(), sender=REQUESTER)
    assert network.rounds("creditOf", REQUESTER) == opening.terms.deposit


@pytest.mark.parametrize("delay", [0, 1, 5])
def test_r06_at_its_opening_no_round_has_a_seed_that_anybody_could_know(delay: int) -> None:
    """
    The attacker opens and draws from one contract call, reverting both until it likes the panel.
    The seed is the hash of a block that is not mined when the round opens, whatever the delay.
    """
    network = staffed(rounds=replace(ROUNDS, draw_delay=delay))
    round_id, opening = opened(network)
    assert opening.draw_block >= network.number
    for _ in range(delay + 1):
        with reverts("DrawTooEarly", drawBlock=opening.draw_block):
            network.rounds("draw", round_id, opening.as_tuple())
        network.pass_blocks(1)
    network.draw(round_id, opening)


@pytest.mark.parametrize("field", ["draw_block", "requester", "uri_hash"])
def test_r06_a_draw_with_another_block_or_owner_is_refused(
    network: BareNetwork, field: str
) -> None:
    """
    The drawer brings the opening as calldata and names a block with a better hash, or batches of
    other owners so that its own evaluators are not passed over. The digest holds all of it.
    """
    round_id, opening = opened(network)
    network.pass_blocks(ROUNDS.draw_delay + 5)
    lies: dict[str, Opening] = {
        "draw_block": replace(opening, draw_block=opening.draw_block + 1),
        "requester": replace(opening, requester=STRANGER),
        "uri_hash": replace(opening, uri_hash=bytes(32)),
    }
    owners = tuple(replace(batch, owner=STRANGER) for batch in opening.batches)
    for lie in (lies[field], replace(opening, batches=owners)):
        with reverts("HistoryMismatch"):
            network.rounds("draw", round_id, lie.as_tuple(), sender=STRANGER)
    assert network.rounds("phaseOf", round_id) == Phase.OPEN


def test_r06_many_names_of_one_owner_get_the_seats_that_their_stakes_pay_for() -> None:
    """
    An attacker splits itself into many owners, or keeps one with many nodes: its part of the seats
    is its part of the stakes, within five standard deviations.
    """
    network = staffed(evaluators=ATTACKERS + HONEST)
    theirs = set(range(1, ATTACKERS + 1))
    seats = sum(
        len(theirs & {seat.node_id for seat in drawn(network).draw.panel})
        for _ in range(ROUNDS_DRAWN)
    )
    share, drawn_seats = ATTACKERS / (ATTACKERS + HONEST), 5 * ROUNDS_DRAWN
    # Without replacement the variance is less than this.
    deviation = (drawn_seats * share * (1 - share)) ** 0.5
    assert abs(seats - drawn_seats * share) < 5 * deviation


def test_r13_a_long_past_of_the_list_makes_draws_hardly_dearer() -> None:
    """
    Somebody joins and leaves again and again, so that the list's history grows and the draw, which
    looks into it, would use more and more gas. Each look is a binary search.
    """
    network = staffed()
    round_id, opening = opened(network)
    network.pass_blocks(ROUNDS.draw_delay + 1)
    network.draw(round_id, opening)
    before = network.rounds.gas
    owner = account("restless").address
    network.fund(owner)
    for _ in range(CYCLES):
        network.pass_blocks(1)
        node_id = network.join(Role.EVALUATOR, owner)
        network.pass_blocks(1)
        network.registry("exit", node_id, sender=owner)
    round_id, opening = opened(network)
    network.pass_blocks(ROUNDS.draw_delay + 1)
    network.draw(round_id, opening)
    assert network.rounds.gas < before * 1.5


def test_r07_a_seat_that_changes_hands_acts_by_its_operator_of_the_moment(
    network: BareNetwork,
) -> None:
    """
    A drawn node's hot key is stolen and its owner rotates it. The thief's key, and the new key of
    any other node, commit nothing for it.
    """
    facts = drawn(network)
    victim = facts.draw.panel[0].node_id
    thief, fresh = network.operator(victim).address, account("fresh").address
    network.registry("rotateOperator", victim, fresh, sender=owner_of(victim))
    for sender in (thief, network.operator(facts.draw.panel[1].node_id).address, STRANGER):
        with reverts("NotOperator", nodeId=victim):
            network.rounds("commit", facts.key.round_id, 0, b"\1" * 32, sender=sender)
    network.rounds("commit", facts.key.round_id, 0, b"\1" * 32, sender=fresh)


def test_limit_a_node_that_lost_its_trust_begins_anew_with_another_stake() -> None:
    """
    Whoever lies until it weighs nothing registers once more and weighs as much as the best. It
    pays with a second stake, and the first is locked until its exit delay is over.
    """
    network = staffed(evaluators=5)
    facts = drawn(network)
    rows = np.full((5, facts.opening.items), 9_000, dtype=np.uint16)
    rows[0] = 0
    facts, reveals = committed(network, facts, rows=rows)
    settled(network, facts, reveals.values())
    liar = facts.draw.panel[0]
    domain = facts.opening.terms.domain
    assert network.registry("trustOf", liar.node_id, domain) < 10**6
    network.registry("exit", liar.node_id, sender=liar.owner)
    again = network.join(Role.EVALUATOR, liar.owner)
    assert network.registry("trustOf", again, domain) == 10**6
    with reverts("ExitDelayed"):
        network.registry("withdrawStake", liar.node_id, sender=liar.owner)


def test_limit_rounds_side_by_side_share_one_stake() -> None:
    """
    An evaluator is silent in many rounds at once. Each slash takes what is left, so all of them
    together take no more than the stake: it bounds what a node can lose, not what it can do.
    """
    registry = replace(
        REGISTRY, no_commit_slash=REGISTRY.stake // 2, no_reveal_slash=REGISTRY.stake
    )
    network = staffed(evaluators=3, registry=registry)
    network.pass_blocks(1)
    rounds = [network.open(terms(panel_size=3), batches(network), REQUESTER) for _ in range(4)]
    network.pass_blocks(ROUNDS.draw_delay + 1)
    all_facts = [network.draw(*each) for each in rounds]
    network.pass_time_to(commits_close_at(ROUNDS, all_facts[-1].draw.drawn_at))
    for facts in all_facts:
        network.rounds("cancel", *cancel(facts).arguments)
    assert network.registry("slashedBalance") == 3 * REGISTRY.stake
    for node_id in (1, 2, 3):
        assert network.registry("nodeOf", node_id)[5] == 0

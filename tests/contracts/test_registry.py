"""R7, R12, R17: ids are for life, stakes cannot flee, and nothing but settling moves trust."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oracle.core.cancellation import cancel
from oracle.core.facts import Conduct, DrawnRound, Role, Seat, pack_panel
from oracle.core.phases import HASH_HORIZON, cancellable_at, reveals_close_at
from oracle.core.units import ONE, TRUST_ONE, ScoreMatrix
from tests.contracts.bare_network import BareNetwork
from tests.contracts.parameters import (
    COMMIT,
    REGISTRY,
    REVEAL,
    ROUNDS,
    SETTLE,
    SINK,
    STAKE,
    TRUST,
)
from tests.contracts.rounds import (
    DOMAIN,
    EVALUATORS,
    REQUESTER,
    SETTLER,
    STRANGER,
    WRITERS,
    close_commits,
    committed,
    drawn,
    opened,
    opinions,
    owner_of,
    reverts,
    settled,
    settlement,
    staffed,
)

NOBODY_COMMITTED = 5 * REGISTRY.no_commit_slash
LEAST_EXIT_DELAY = COMMIT + REVEAL + SETTLE + 60 * (ROUNDS.draw_delay + HASH_HORIZON)


def stake_of(network: BareNetwork, node_id: int) -> int:
    """Return what is left of a node's stake."""
    stake: int = network.registry("nodeOf", node_id)[5]
    return stake


def listed(network: BareNetwork) -> list[int]:
    """Return the evaluators that can be drawn."""
    now = network.number
    population = network.registry("populationAt", now)
    return [network.registry("evaluatorAt", place, now) for place in range(population)]


def cancel_silent(network: BareNetwork, facts: DrawnRound) -> None:
    """Cancel a round that too few committed to."""
    close_commits(network, facts)
    network.rounds("cancel", *cancel(facts).arguments)


# Nodes


def test_r07_ids_of_nodes_are_never_used_again(network: BareNetwork) -> None:
    network.registry("exit", 1, sender=owner_of(1))
    network.pass_blocks(1, REGISTRY.exit_delay)
    network.registry("withdrawStake", 1, sender=owner_of(1))
    again = network.registry("register", Role.EVALUATOR, STRANGER, sender=owner_of(1))
    assert again == EVALUATORS + len(WRITERS) + 1
    assert network.registry("nodeOf", 1)[:2] == (owner_of(1).lower(), Role.EVALUATOR)
    for function in ("exit", "topUp"):
        with reverts("NodeLeft", nodeId=1):
            network.registry(function, 1, sender=owner_of(1))


def test_r07_ids_of_rounds_are_never_used_again(network: BareNetwork) -> None:
    first = drawn(network, panel_size=3)
    cancel_silent(network, first)
    second, reveals = committed(network, drawn(network, panel_size=3))
    settled(network, second, reveals.values())
    third = drawn(network, panel_size=3)
    assert [facts.key.round_id for facts in (first, second, third)] == [1, 2, 3]


def test_r07_nobody_but_the_owner_moves_a_node(network: BareNetwork) -> None:
    operator = network.operator(1).address
    for caller in (STRANGER, operator, owner_of(2)):
        for call in (("rotateOperator", 1, STRANGER), ("exit", 1), ("withdrawStake", 1)):
            with reverts("NotOwner", nodeId=1, caller=caller):
                network.registry(*call, sender=caller)


@pytest.mark.parametrize("node_id", [0, 99, 2**32 - 1])
def test_r07_a_node_that_is_not_there_cannot_be_moved(network: BareNetwork, node_id: int) -> None:
    for call in (
        ("rotateOperator", node_id, STRANGER),
        ("exit", node_id),
        ("withdrawStake", node_id),
        ("topUp", node_id),
    ):
        with reverts("UnknownNode", nodeId=node_id):
            network.registry(*call, sender=STRANGER)


def test_r07_a_node_has_a_role_and_an_operator(network: BareNetwork) -> None:
    network.fund(STRANGER)
    with reverts("InvalidRole"):
        network.registry("register", Role.NONE, STRANGER, sender=STRANGER)
    with reverts("ZeroOperator"):
        network.registry("register", Role.EVALUATOR, "0x" + 40 * "0", sender=STRANGER)


def test_r07_a_node_that_left_stays_away(network: BareNetwork) -> None:
    network.registry("exit", 1, sender=owner_of(1))
    for call in (("exit", 1), ("rotateOperator", 1, STRANGER), ("topUp", 1)):
        with reverts("NodeLeft", nodeId=1):
            network.registry(*call, sender=owner_of(1))


# Leaving


def test_r12_a_stake_stays_until_its_node_has_left_for_long_enough(network: BareNetwork) -> None:
    with reverts("NodeNotLeft", nodeId=1):
        network.registry("withdrawStake", 1, sender=owner_of(1))
    network.registry("exit", 1, sender=owner_of(1))
    exitable_at = network.now + REGISTRY.exit_delay
    network.pass_time_to(exitable_at - 1)
    with reverts("ExitDelayed", nodeId=1, exitableAt=exitable_at):
        network.registry("withdrawStake", 1, sender=owner_of(1))
    network.pass_time_to(exitable_at)
    before = network.token("balanceOf", owner_of(1))
    network.registry("withdrawStake", 1, sender=owner_of(1))
    assert network.token("balanceOf", owner_of(1)) == before + STAKE
    with reverts("NothingDue"):
        network.registry("withdrawStake", 1, sender=owner_of(1))


def test_r12_leaving_cannot_outrun_the_slash_of_the_slowest_round() -> None:
    network = staffed(registry=replace(REGISTRY, exit_delay=LEAST_EXIT_DELAY), evaluators=3)
    round_id, opening = opened(network, panel_size=3)
    network.registry("exit", 1, sender=owner_of(1))
    exitable_at = network.now + LEAST_EXIT_DELAY
    # Blocks of a minute, drawn in the last block that can, ended in the last second.
    blocks = opening.draw_block + HASH_HORIZON - network.number
    network.pass_blocks(blocks, 60 * blocks)
    facts, _ = committed(network, network.draw(round_id, opening), [0, 1, 2])
    network.pass_time_to(cancellable_at(ROUNDS, facts.draw.drawn_at) - 1)
    with reverts("ExitDelayed", nodeId=1, exitableAt=exitable_at):
        network.registry("withdrawStake", 1, sender=owner_of(1))
    network.pass_time_to(cancellable_at(ROUNDS, facts.draw.drawn_at))
    assert network.now == exitable_at
    network.rounds("cancel", *cancel(facts).arguments)
    assert stake_of(network, 1) == STAKE - REGISTRY.no_reveal_slash
    network.registry("withdrawStake", 1, sender=owner_of(1))
    assert stake_of(network, 1) == 0


def test_r12_no_rounds_contract_accepts_a_registry_that_lets_stakes_go_earlier() -> None:
    with reverts("InvalidParameter", name=b"exitDelay".ljust(32, b"\0")):
        BareNetwork(replace(REGISTRY, exit_delay=LEAST_EXIT_DELAY - 1), ROUNDS)


# Slashing


def test_r12_a_silent_seat_loses_less_than_one_that_withholds(network: BareNetwork) -> None:
    facts, reveals = committed(network, drawn(network), [0, 1, 2, 3])
    network.pass_time_to(reveals_close_at(ROUNDS, facts.draw.drawn_at))
    settled(network, facts, [reveals[seat] for seat in (0, 1, 2)])
    ids = [seat.node_id for seat in facts.draw.panel]
    lost = [STAKE - stake_of(network, node_id) for node_id in ids]
    assert lost == [0, 0, 0, REGISTRY.no_reveal_slash, REGISTRY.no_commit_slash]
    assert network.registry("slashedBalance") == sum(lost)


def test_r12_a_slash_takes_no_more_than_there_is_and_never_stops_a_round() -> None:
    greedy = replace(REGISTRY, no_commit_slash=2 * STAKE // 5, no_reveal_slash=STAKE)
    network = staffed(registry=greedy, evaluators=3)
    rounds = [opened(network, panel_size=3) for _ in range(4)]
    network.pass_blocks(ROUNDS.draw_delay + 1)
    drawn_rounds = [network.draw(*each) for each in rounds]
    left = []
    for facts in drawn_rounds:
        cancel_silent(network, facts)
        left.append([stake_of(network, node_id) for node_id in (1, 2, 3)])
    assert left == [[3 * STAKE // 5] * 3, [STAKE // 5] * 3, [0] * 3, [0] * 3]
    assert network.registry("slashedBalance") == 3 * STAKE


def test_r12_a_slash_reaches_a_stake_that_is_leaving(network: BareNetwork) -> None:
    facts = drawn(network)
    leaver = facts.draw.panel[0].node_id
    network.registry("exit", leaver, sender=owner_of(leaver))
    cancel_silent(network, facts)
    network.pass_blocks(1, REGISTRY.exit_delay)
    before = network.token("balanceOf", owner_of(leaver))
    network.registry("withdrawStake", leaver, sender=owner_of(leaver))
    rest = STAKE - REGISTRY.no_commit_slash
    assert network.token("balanceOf", owner_of(leaver)) == before + rest


def test_r12_a_slash_pays_nobody_but_the_sink(network: BareNetwork) -> None:
    facts, reveals = committed(network, drawn(network), [0, 1, 2])
    paid = settlement(network, facts, reveals.values())
    network.pass_time_to(reveals_close_at(ROUNDS, facts.draw.drawn_at))
    settled(network, facts, reveals.values(), settler=SETTLER)
    assert network.rounds("creditOf", SETTLER) == paid.fee
    assert network.rounds("creditOf", REQUESTER) == paid.refund
    network.registry("sweepSlashes", sender=STRANGER)
    assert network.token("balanceOf", SINK) == 2 * REGISTRY.no_commit_slash
    assert network.token("balanceOf", STRANGER) == 0
    with reverts("NothingDue"):
        network.registry("sweepSlashes", sender=STRANGER)


def test_r12_a_slashed_evaluator_is_not_drawn_until_anybody_fills_its_stake(
    network: BareNetwork,
) -> None:
    facts = drawn(network)
    cancel_silent(network, facts)
    slashed = [seat.node_id for seat in facts.draw.panel]
    assert sorted(listed(network)) == sorted(set(range(1, EVALUATORS + 1)) - set(slashed))
    network.pass_blocks(1)
    network.fund(STRANGER)
    network.registry("topUp", slashed[0], sender=STRANGER)
    assert stake_of(network, slashed[0]) == STAKE
    assert listed(network)[-1] == slashed[0]
    with reverts("NothingDue"):
        network.registry("topUp", slashed[0], sender=STRANGER)


def test_r12_filling_the_stake_of_a_node_that_left_is_refused(network: BareNetwork) -> None:
    facts = drawn(network)
    leaver = facts.draw.panel[0].node_id
    network.registry("exit", leaver, sender=owner_of(leaver))
    cancel_silent(network, facts)
    with reverts("NodeLeft", nodeId=leaver):
        network.registry("topUp", leaver, sender=owner_of(leaver))


@pytest.mark.parametrize("conduct", list(Conduct))
def test_r12_nobody_but_the_rounds_contract_reports_an_outcome(
    network: BareNetwork, conduct: Conduct
) -> None:
    panel = pack_panel((Seat(1, owner_of(1), TRUST_ONE),))
    seats = [int(conduct == reported) for reported in Conduct]  # bitmaps of the one seat
    outcome = panel, bytes(2 * seats[0]), *seats
    for caller in (STRANGER, REQUESTER, owner_of(1)):
        with reverts("NotRounds", caller=caller):
            network.registry("concludeRound", 1, DOMAIN, 5, outcome, sender=caller)
    assert stake_of(network, 1) == STAKE
    assert network.registry("trustOf", 1, DOMAIN) == TRUST_ONE


# Trust


def trusts(network: BareNetwork, domain: bytes = DOMAIN) -> dict[int, int]:
    """Return the trust of every node, of inference nodes too."""
    return {node_id: network.registry("trustOf", node_id, domain) for node_id in network.nodes}


def one_liar(facts: DrawnRound, liar: int) -> ScoreMatrix:
    """Return seats × items on which all agree but the seat of node `liar`, if it is seated."""
    rows = np.full_like(opinions(facts), ONE // 4)
    for seat, node in enumerate(facts.draw.panel):
        if node.node_id == liar:
            rows[seat] = ONE
    return rows


def test_r17_nothing_but_a_settlement_moves_trust(network: BareNetwork) -> None:
    unmoved = trusts(network)
    facts, reveals = committed(network, drawn(network), [0, 1, 2, 3])
    close_commits(network, facts)
    facts = network.reveal_on_chain(facts, reveals[0])
    withheld, _ = committed(network, drawn(network), [0, 1, 2])
    network.pass_time_to(cancellable_at(ROUNDS, withheld.draw.drawn_at))
    network.rounds("cancel", *cancel(withheld).arguments)
    assert trusts(network) == unmoved
    settled(network, facts, reveals.values())
    assert trusts(network) != unmoved


def test_r17_a_settlement_moves_the_trust_of_the_seats_it_includes_in_its_domain_alone(
    network: BareNetwork,
) -> None:
    facts, reveals = committed(network, drawn(network), [0, 1, 2, 3])
    network.pass_time_to(reveals_close_at(ROUNDS, facts.draw.drawn_at))
    before, other = trusts(network), DOMAIN[1:] + b"\0"
    ended = settled(network, facts, [reveals[seat] for seat in (0, 1, 2)])
    moved = ended.new_trusts(TRUST, before)
    assert len(moved) == 3
    assert trusts(network) == before | moved
    assert set(trusts(network, other).values()) == {TRUST_ONE}


def test_r17_trust_stays_between_floor_and_cap_however_long_somebody_lies() -> None:
    network = staffed(evaluators=3)
    liar, seen = 2, []
    for _ in range(12):
        facts = drawn(network, panel_size=3)
        facts, reveals = committed(network, facts, rows=one_liar(facts, liar))
        settled(network, facts, reveals.values())
        seen.append(network.registry("trustOf", liar, DOMAIN))
    assert seen == sorted(seen, reverse=True)
    assert seen[-2:] == [TRUST.floor] * 2
    assert trusts(network) == {
        1: TRUST_ONE,
        2: TRUST.floor,
        3: TRUST_ONE,
        4: TRUST_ONE,
        5: TRUST_ONE,
    }


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_r17_rounds_side_by_side_move_trust_one_after_the_other(order: tuple[int, int]) -> None:
    network = staffed(evaluators=3)
    both = [opened(network, panel_size=3) for _ in range(2)]
    network.pass_blocks(ROUNDS.draw_delay + 1)
    facts = [network.draw(*each) for each in both]
    reveals = []
    for i in (0, 1):
        rows = one_liar(facts[i], liar=i + 1)
        facts[i], revealed = committed(network, facts[i], rows=rows)
        reveals.append(revealed)
    expected = trusts(network)
    for i in order:
        ended = settlement(network, facts[i], reveals[i].values())
        expected |= ended.new_trusts(TRUST, expected)
        # Each round weighs with the trusts of its own draw, which the other did not change.
        assert {seat.trust for seat in facts[i].draw.panel} == {TRUST_ONE}
        settled(network, facts[i], reveals[i].values())
        assert trusts(network) == expected
    assert expected[1] < TRUST_ONE and expected[2] < TRUST_ONE

"""The draw, as requesters, owners and callers would steer it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from oracle.core.facts import Batch, Opening, Phase, Role
from oracle.core.panel import SPARE_STEPS, TooFewEvaluators, draw_panel, draw_seed
from oracle.core.phases import HASH_HORIZON
from tests.contracts.bare_network import BareNetwork, account
from tests.contracts.parameters import ROUNDS
from tests.contracts.rounds import (
    EVALUATORS,
    REQUESTER,
    STRANGER,
    WRITERS,
    close_commits,
    committed,
    drawn,
    opened,
    owner_of,
    reverts,
    settled,
    staffed,
    terms,
)


def draw(network: BareNetwork, round_id: int, opening: Opening, sender: str = STRANGER) -> None:
    network.rounds("draw", round_id, opening.as_tuple(), sender=sender)


def seats(network: BareNetwork, round_id: int, size: int = 5) -> list[int]:
    return [network.rounds("seatOf", round_id, seat) for seat in range(size)]


def test_r06_no_panel_is_drawn_before_its_block_is_known(network: BareNetwork) -> None:
    round_id, opening = opened(network)
    assert opening.draw_block == network.number + ROUNDS.draw_delay
    for _ in range(ROUNDS.draw_delay + 1):
        with reverts("DrawTooEarly", drawBlock=opening.draw_block):
            draw(network, round_id, opening)
        network.pass_blocks(1)
    draw(network, round_id, opening)


def test_r06_no_panel_is_drawn_after_its_block_is_forgotten(network: BareNetwork) -> None:
    round_id, opening = opened(network)
    network.pass_blocks(ROUNDS.draw_delay + HASH_HORIZON)
    snapshot = network.evm.snapshot()
    draw(network, round_id, opening)
    network.evm.revert(snapshot)
    network.pass_blocks(1)
    with reverts("DrawTooLate", drawBlock=opening.draw_block):
        draw(network, round_id, opening)


def test_r06_neither_the_caller_nor_the_moment_of_the_draw_changes_the_panel(
    network: BareNetwork,
) -> None:
    round_id, opening = opened(network)
    panels = []
    network.pass_blocks(ROUNDS.draw_delay + 1)
    for caller, blocks in ((REQUESTER, 1), (owner_of(1), 50), (STRANGER, 200)):
        snapshot = network.evm.snapshot()
        draw(network, round_id, opening, caller)
        panels.append(seats(network, round_id))
        network.evm.revert(snapshot)
        network.pass_blocks(blocks)
    assert panels[0] == panels[1] == panels[2]
    assert len(set(panels[0])) == 5


def join(network: BareNetwork) -> None:
    for i in range(5):
        owner = account(f"late {i}").address
        network.fund(owner)
        network.join(Role.EVALUATOR, owner)


def leave(network: BareNetwork) -> None:
    for node_id in (1, 4, EVALUATORS):
        network.registry("exit", node_id, sender=owner_of(node_id))


def leave_and_join(network: BareNetwork) -> None:
    leave(network)
    join(network)


def nothing(network: BareNetwork) -> None:
    """What the others are compared with."""


MOVES = [nothing, join, leave, leave_and_join]


@pytest.mark.parametrize("later", [0, 1, 2, 3])
@pytest.mark.parametrize("move", MOVES)
def test_r06_late_joiners_and_leavers_do_not_change_the_panel(
    network: BareNetwork, move: Callable[[BareNetwork], None], later: int
) -> None:
    round_id, opening = opened(network)
    everybody = list(range(1, EVALUATORS + 1))
    network.pass_blocks(later)
    move(network)
    network.pass_blocks(ROUNDS.draw_delay + 1 - later)
    draw(network, round_id, opening)

    places = expected_places(network, round_id, opening)
    assert seats(network, round_id) == [everybody[place] for place in places]


def test_r06_whoever_joins_in_the_block_of_the_opening_is_too_late(network: BareNetwork) -> None:
    network.pass_blocks(1)
    join(network)
    round_id, opening = network.open(terms(panel_size=9), writers(network), REQUESTER)
    network.pass_blocks(ROUNDS.draw_delay + 1)
    draw(network, round_id, opening)
    assert sorted(seats(network, round_id, 9)) == list(range(1, EVALUATORS + 1))


def writers(network: BareNetwork) -> tuple[Batch, ...]:
    return tuple(network.batch(node_id, 2) for node_id in WRITERS)


def test_r06_slashes_and_top_ups_do_not_change_the_panel(network: BareNetwork) -> None:
    first, reveals = committed(network, drawn(network), range(4))
    slashed = first.draw.panel[4].node_id
    round_id, opening = opened(network)
    before = active(network)
    close_commits(network, first)
    settled(network, first, reveals.values())
    assert slashed not in active(network)
    network.registry("topUp", slashed)
    assert active(network)[-1] == slashed
    network.pass_blocks(ROUNDS.draw_delay)

    draw(network, round_id, opening)
    places = expected_places(network, round_id, opening)
    assert seats(network, round_id) == [before[place] for place in places]
    assert before != active(network)


def active(network: BareNetwork) -> list[int]:
    population = network.registry("populationAt", network.number)
    return [network.registry("evaluatorAt", place, network.number) for place in range(population)]


def expected_places(network: BareNetwork, round_id: int, opening: Opening) -> tuple[int, ...]:
    block_hash = bytes(network.evm.block_hash(opening.draw_block))
    seed = draw_seed(block_hash, network.rounds.address, round_id)
    return draw_panel(seed, EVALUATORS, 5, lambda place: False)


@pytest.mark.parametrize("nodes", [1, 4])
def test_r06_the_evaluators_of_whoever_owns_a_batch_are_passed_over(nodes: int) -> None:
    network = staffed(evaluators=7)
    writer = 8
    own = {network.join(Role.EVALUATOR, owner_of(writer)) for _ in range(nodes)}
    for _ in range(6):
        facts = drawn(network, (1,), panel_size=7)
        assert facts.opening.batches[0].node_id == writer
        drawn_ids = {seat.node_id for seat in facts.draw.panel}
        assert drawn_ids == set(range(1, 8))
        assert not drawn_ids & own


def test_r06_a_panel_of_the_owners_own_evaluators_is_not_filled(network: BareNetwork) -> None:
    for _ in range(5):
        network.join(Role.EVALUATOR, owner_of(WRITERS[0]))
    round_id, opening = opened(network, panel_size=10)
    network.pass_blocks(ROUNDS.draw_delay + 1)
    with reverts("TooFewEvaluators", found=EVALUATORS, panelSize=10):
        draw(network, round_id, opening)


def test_r06_an_owner_with_most_of_the_list_ends_the_draw_without_ending_the_gas() -> None:
    assert SPARE_STEPS < 400
    network = staffed(evaluators=3)
    for _ in range(400):
        network.join(Role.EVALUATOR, owner_of(4))
    round_id, opening = opened(network, (1,), panel_size=3)
    network.pass_blocks(ROUNDS.draw_delay + 1)
    with pytest.raises(TooFewEvaluators) as expected:
        network.expected_draw(round_id, opening)
    with reverts("TooFewEvaluators", found=expected.value.found, panelSize=3):
        draw(network, round_id, opening)
    network.pass_blocks(HASH_HORIZON)
    network.rounds("cancelUndrawn", round_id, opening.as_tuple())


def test_r06_a_round_with_too_few_evaluators_is_cancelled_not_stuck() -> None:
    network = staffed(evaluators=4)
    round_id, opening = opened(network)
    network.pass_blocks(ROUNDS.draw_delay + 1)
    with reverts("TooFewEvaluators", found=4, panelSize=5):
        draw(network, round_id, opening)
    network.pass_blocks(HASH_HORIZON)
    network.rounds("cancelUndrawn", round_id, opening.as_tuple(), sender=STRANGER)
    assert network.rounds("creditOf", REQUESTER) == opening.terms.deposit


@pytest.mark.parametrize("field", ["requester", "draw_block", "terms", "batches", "uri_hash"])
def test_r08_a_draw_with_another_opening_is_refused(network: BareNetwork, field: str) -> None:
    round_id, opening = opened(network)
    network.pass_blocks(ROUNDS.draw_delay + 1)
    lies: dict[str, Any] = {
        "requester": STRANGER,
        "draw_block": opening.draw_block - 1,
        "terms": replace(opening.terms, panel_size=3),
        "batches": opening.batches[:1],
        "uri_hash": bytes(32),
    }
    with reverts("HistoryMismatch", digest=network.digest(round_id)):
        draw(network, round_id, replace(opening, **{field: lies[field]}))


def test_r06_a_panel_is_drawn_once(network: BareNetwork) -> None:
    facts = drawn(network)
    with reverts("WrongPhase", phase=Phase.DRAWN):
        draw(network, facts.key.round_id, facts.opening)
    for unknown in (0, 2, 2**256 - 1):
        with reverts("WrongPhase", roundId=unknown, phase=Phase.NONE):
            draw(network, unknown, facts.opening)


def test_r06_every_evaluator_sits_at_most_once_on_the_largest_panel() -> None:
    network = staffed(evaluators=31)
    facts = drawn(network, panel_size=31)
    assert sorted(seats(network, facts.key.round_id, 31)) == list(range(1, 32))


def test_r06_seats_of_one_seed_differ_between_rounds(network: BareNetwork) -> None:
    """Two rounds with one draw block do not get one panel."""
    network.pass_blocks(1)
    both = [network.open(terms(), writers(network), REQUESTER) for _ in range(6)]
    network.pass_blocks(ROUNDS.draw_delay + 1)
    for round_id, opening in both:
        draw(network, round_id, opening)
    assert len({tuple(seats(network, round_id)) for round_id, _ in both}) == len(both)

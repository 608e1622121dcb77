"""Rounds of the study, played again on the contracts: the same integers."""

from __future__ import annotations

import numpy as np
import pytest

from oracle.core.consensus import Rule
from oracle.core.facts import DrawnRound, Reveal
from oracle.core.panel import draw_panel, draw_seed
from oracle.core.units import ScoreMatrix, unpack
from oracle.study.simulation import Block, Choice, History, Shape, blocks, newcomers, play
from tests.contracts.bare_network import BareNetwork
from tests.contracts.rounds import DOMAIN, committed, drawn, settled, staffed
from tests.study.tables import ALL_ATTACKS, TRUST, made_up

NODES, SEATS, ITEMS = 9, 5, 5
ROUNDS = 24
MOST_WAITED = 5_000
"""Blocks: one draw in 126 seats the nodes that are wanted."""


@pytest.mark.parametrize("overlap", [1, 3])
@pytest.mark.parametrize("rule", Rule)
def test_the_contracts_settle_the_rounds_of_a_study_to_the_same_integers(
    rule: Rule, overlap: int
) -> None:
    table = made_up(NODES)
    fate = History(seed=3, attack="camouflage", ratio=0.4)
    attacks = ALL_ATTACKS | {"camouflage": type(ALL_ATTACKS["camouflage"])(build=6, strike=6)}  # type: ignore[call-arg]
    [block] = blocks(table, [fate], Shape(SEATS, ITEMS, ROUNDS), attacks)
    choice = Choice("any", rule, TRUST, trim=2_500 if rule is Rule.TRIMMED_MEAN else 0)
    outcome = play(choice, block, newcomers(1, NODES), overlap)

    network = staffed(evaluators=NODES)
    for first in range(0, ROUNDS, overlap):
        now = range(first, first + overlap)
        running = [at_chosen_draw(network, block, number, choice) for number in now]
        for number, (facts, reveals) in zip(now, running, strict=True):
            settlement = settled(network, facts, reveals.values())
            agreed = unpack(settlement.consensus, ITEMS)
            assert agreed.tolist() == outcome.consensus[0, number].tolist()
            by_node = dict(zip(block.panels[0, number], outcome.deviations[0, number], strict=True))
            seated = [by_node[seat.node_id - 1] for seat in facts.draw.panel]
            assert list(settlement.deviations) == seated
    if rule.weighs:
        trusts = [network.registry("trustOf", node, DOMAIN) for node in range(1, NODES + 1)]
        assert trusts == outcome.trusts[0].tolist()
        assert len(set(trusts)) > 2


def at_chosen_draw(
    network: BareNetwork, block: Block, number: int, choice: Choice
) -> tuple[DrawnRound, dict[int, Reveal]]:
    """Wait for a block whose hash seats the nodes of the study's round; let all of them commit."""
    panel = block.panels[0, number].tolist()
    wait_for(network, {node + 1 for node in panel})
    facts = drawn(network, rule=choice.rule, trim=choice.trim, panel_size=SEATS)
    rows: ScoreMatrix = np.array(
        [block.scores[0, number, panel.index(seat.node_id - 1)] for seat in facts.draw.panel]
    )
    return committed(network, facts, rows=rows)


def wait_for(network: BareNetwork, wanted: set[int]) -> None:
    """Pass blocks until a round opened in the next one would seat the `wanted` nodes."""
    network.pass_blocks(1)
    at = network.number - 1
    listed = [network.registry("evaluatorAt", place, at) for place in range(NODES)]
    round_id = network.rounds("roundCount") + 1
    for waited in range(MOST_WAITED):
        draw_block = network.number + waited + 1 + network.rounds_parameters.draw_delay
        seed = draw_seed(
            bytes(network.evm.block_hash(draw_block)), network.rounds.address, round_id
        )
        places = draw_panel(seed, NODES, SEATS, lambda place: False)
        if {listed[place] for place in places} == wanted:
            break
    else:
        pytest.fail(f"no draw seats {wanted}")
    network.pass_blocks(waited)

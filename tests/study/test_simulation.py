"""Histories: played together or alone, in blocks or round by round, they come out the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from oracle.core import trust
from oracle.core.consensus import Rule, aggregate, deviations, pivot
from oracle.study.simulation import (
    BLOCK_ROUNDS,
    Block,
    Choice,
    History,
    Shape,
    blocks,
    liar_nodes,
    newcomers,
    play,
)
from tests.study.tables import ALL_ATTACKS, TRUST, made_up

HISTORIES = [History(0), History(1), *(History(0, name, 0.4) for name in ALL_ATTACKS)]
SHAPE = Shape(panel_size=5, items=4, rounds=BLOCK_ROUNDS + 30)


def all_blocks(histories: Sequence[History] = HISTORIES, shape: Shape = SHAPE) -> Iterator[Block]:
    return blocks(made_up(), histories, shape, ALL_ATTACKS)


def test_a_panel_larger_than_the_network_is_refused() -> None:
    with pytest.raises(ValueError, match="9 nodes cannot fill 10 seats"):
        next(all_blocks(shape=Shape(10, 1, 1)))


def test_a_panel_has_no_node_twice_and_every_node_is_drawn() -> None:
    for block in all_blocks():
        ordered = np.sort(block.panels, axis=-1)
        assert (np.diff(ordered, axis=-1) > 0).all()
        assert set(block.panels[0].ravel().tolist()) == set(range(9))


def test_honest_seats_say_what_the_table_says() -> None:
    table = made_up()
    for block in all_blocks():
        honest = table.scores[block.panels[..., np.newaxis], block.items[:, :, np.newaxis]]
        same = (block.scores == honest).all(axis=-1)
        assert (same | block.liars).all()
        assert not block.liars[0].any()


def test_the_liars_of_a_lower_ratio_lie_at_a_higher_and_in_every_attack() -> None:
    few, many = (liar_nodes(12, History(4, "boost", ratio)) for ratio in (0.2, 0.4))
    assert (few.sum(), many.sum()) == (2, 5)
    assert (many | ~few).all()
    assert (liar_nodes(12, History(4, "noise", 0.4)) == many).all()
    assert (liar_nodes(12, History(5, "noise", 0.4)) != many).any()


def test_a_history_does_not_depend_on_who_is_played_beside_it() -> None:
    together = list(all_blocks())
    for i, history in enumerate(HISTORIES):
        for alone, among in zip(all_blocks([history]), together, strict=True):
            assert (alone.scores[0] == among.scores[i]).all()
            assert (alone.panels[0] == among.panels[i]).all()


def test_a_longer_history_begins_the_same_way() -> None:
    short = next(all_blocks(shape=Shape(5, 4, 20)))
    long = next(all_blocks())
    assert short.scores.shape[1] == 20
    assert (short.scores == long.scores[:, :20]).all()


@pytest.mark.parametrize("by_deviation", [False, True])
@pytest.mark.parametrize("overlap", [1, 7])
@pytest.mark.parametrize("rule", Rule)
def test_histories_played_together_are_rounds_settled_one_by_one(
    rule: Rule, overlap: int, by_deviation: bool
) -> None:
    choice = Choice("any", rule, TRUST, trim=2_500, by_deviation=by_deviation)
    trusts = newcomers(len(HISTORIES), 9)
    expected = trusts.copy()
    for block in all_blocks():
        outcome = play(choice, block, trusts, overlap)
        for i in range(len(HISTORIES)):
            for at in range(block.panels.shape[1]):
                if at % overlap == 0:
                    drawn = expected[i].copy()
                panel, scores = block.panels[i, at], block.scores[i, at]
                agreed = aggregate(rule, scores, drawn[panel], choice.trim)
                middle = agreed if by_deviation else pivot(rule, scores, drawn[panel], agreed)
                distances = deviations(scores, middle)
                assert (outcome.consensus[i, at] == agreed).all()
                assert (outcome.deviations[i, at] == distances).all()
                if rule.weighs:
                    judged = distances if by_deviation else trust.disagreements(scores, middle)
                    expected[i][panel] = trust.updated(TRUST, expected[i][panel], judged, 4)
        assert (outcome.trusts == expected).all()
        trusts = outcome.trusts

from __future__ import annotations

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from oracle.core.cancellation import cancel, cancel_undrawn
from oracle.core.digest import fold, opening_digest, replay
from oracle.core.facts import Conduct, Outcome
from oracle.core.history import history
from tests.core.rounds import DRAWN_AT, KEY, drawn_round, node_id, opening_of, some_scores

OPENING = opening_of()
SCORES = some_scores()


def absent(*seats: int, conduct: Conduct) -> list[Outcome]:
    return [Outcome(node_id(seat), conduct, 0) for seat in seats]


def cancelled(revealed: int) -> bytes:
    topic = keccak(text="RoundCancelled(uint256,address,uint256,uint256)")
    values = [topic, DRAWN_AT + 9_999, revealed, OPENING.terms.deposit]
    return keccak(encode(["bytes32", "uint256", "uint256", "uint256"], values))


def test_where_too_few_committed_those_who_did_are_not_slashed() -> None:
    facts = drawn_round(SCORES, OPENING, order=[3, 1])
    expected = absent(0, 2, 4, conduct=Conduct.NOT_COMMITTED)
    assert list(cancel(facts).outcomes) == expected


def test_where_enough_committed_those_who_revealed_on_chain_are_not_slashed() -> None:
    facts = drawn_round(SCORES, OPENING, order=[3, 1, 0], revealed=0b01000)
    expected = [
        *absent(0, 1, conduct=Conduct.NOT_REVEALED),
        *absent(2, conduct=Conduct.NOT_COMMITTED),
        *absent(4, conduct=Conduct.NOT_COMMITTED),
    ]
    assert list(cancel(facts).outcomes) == expected


@pytest.mark.parametrize("order", [[], [3, 1], [3, 1, 0, 2, 4]])
def test_a_cancelled_round_returns_the_whole_deposit_and_leaves_its_digest(
    order: list[int],
) -> None:
    facts = drawn_round(SCORES, OPENING, order=order, revealed=0b01010 if order else 0)
    cancellation = cancel(facts)
    assert cancellation.refund == OPENING.terms.deposit
    assert cancellation.arguments == (7, history(facts).as_tuple())
    before = replay(KEY, OPENING, facts.draw, facts.commits)
    expected = fold(before, cancelled(facts.revealed))
    assert cancellation.digest(DRAWN_AT + 9_999) == expected


def test_a_round_that_was_not_drawn_slashes_nobody() -> None:
    cancellation = cancel_undrawn(KEY, OPENING)
    assert (cancellation.outcomes, cancellation.refund) == ((), OPENING.terms.deposit)
    assert cancellation.arguments == (7, OPENING.as_tuple())
    expected = fold(opening_digest(KEY, OPENING), cancelled(0))
    assert cancellation.digest(DRAWN_AT + 9_999) == expected

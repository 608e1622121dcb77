from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oracle.core.reveals import (
    CommitmentMismatch,
    InvalidScores,
    NotCommitted,
    RepeatedSeat,
    UnknownSeat,
    ascending,
    check_reveal,
)
from oracle.core.units import ScoreAboveOne, WrongLength
from tests.core.rounds import drawn_round, opening_of, reveal_of, some_scores

SCORES = some_scores()
SCORES[4, 2] = 10_001
FACTS = drawn_round(SCORES, opening_of(), order=[2, 0, 4, 1])


@pytest.mark.parametrize("seat", [-1, 5, 255])
def test_a_seat_that_the_panel_does_not_have_is_refused(seat: int) -> None:
    with pytest.raises(UnknownSeat, match=f"seat {seat} is not one of the panel's 5"):
        check_reveal(FACTS, replace(reveal_of(0, SCORES), seat=seat))


def test_a_seat_that_did_not_commit_is_refused() -> None:
    with pytest.raises(NotCommitted, match="seat 3 did not commit"):
        check_reveal(FACTS, reveal_of(3, SCORES))


@pytest.mark.parametrize("length", [0, 8, 9, 11, 12])
def test_scores_of_the_wrong_length_are_refused(length: int) -> None:
    with pytest.raises(InvalidScores, match=f"seat 0 .* {length} bytes instead of 10") as refusal:
        check_reveal(FACTS, replace(reveal_of(0, SCORES), scores=bytes(length)))
    assert isinstance(refusal.value.__cause__, WrongLength)


def test_other_scores_another_salt_and_another_seat_are_not_what_was_committed() -> None:
    honest = reveal_of(0, SCORES)
    for forged in (
        replace(honest, scores=bytes(10)),
        replace(honest, salt=bytes(32)),
        replace(honest, seat=1),
    ):
        with pytest.raises(CommitmentMismatch, match=f"seat {forged.seat} reveals 0x") as refusal:
            check_reveal(FACTS, forged)
        assert refusal.value.seat == forged.seat


def test_a_seat_that_committed_to_a_score_above_one_is_refused() -> None:
    with pytest.raises(InvalidScores, match=r"seat 4 .* score 10001 exceeds 10000") as refusal:
        check_reveal(FACTS, reveal_of(4, SCORES))
    assert isinstance(refusal.value.__cause__, ScoreAboveOne)


def test_a_repeated_seat_is_refused() -> None:
    with pytest.raises(RepeatedSeat, match="seat 2 is revealed twice"):
        ascending([reveal_of(seat, SCORES) for seat in (2, 0, 2)])


@pytest.mark.parametrize("seat", [0, 1, 2])
def test_what_a_seat_committed_to_is_returned(seat: int) -> None:
    assert np.array_equal(check_reveal(FACTS, reveal_of(seat, SCORES)), SCORES[seat])


def test_reveals_are_put_in_ascending_order() -> None:
    ordered = ascending(reveal_of(seat, SCORES) for seat in (2, 0, 1))
    assert [reveal.seat for reveal in ordered] == [0, 1, 2]

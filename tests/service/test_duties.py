"""What the oracle has to do for a round, and what not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from oracle.core.facts import Phase, Reveal
from oracle.core.phases import cancellable_at, reveals_close_at
from oracle.service.board import RunningRound
from oracle.service.duties import Cancel, CancelUndrawn, Draw, Duty, Moment, Settle, duty
from tests.core.rounds import DRAWN_AT, PARAMETERS, account, reveal_of
from tests.service.rounds import COMMITS_CLOSE, SCORES, facts_of, opened, running, undrawn

SETTLER, ANOTHER = account("settler"), account("another oracle")
REVEALS_CLOSE = reveals_close_at(PARAMETERS, DRAWN_AT)
CANCELLABLE = cancellable_at(PARAMETERS, DRAWN_AT)
EVERY_SEAT = (0, 1, 2, 3, 4)


def reveals(*seats: int) -> tuple[Reveal, ...]:
    return tuple(reveal_of(seat, SCORES) for seat in seats)


def due(
    found: RunningRound, handed_over: tuple[Reveal, ...] = (), *, block: int = 1_500, now: int = 0
) -> Duty | None:
    return duty(
        found.state,
        found.history,
        handed_over,
        PARAMETERS,
        settler=SETTLER,
        moment=Moment(block, now),
    )


@pytest.mark.parametrize(
    ("block", "expected"),
    [(1_000, None), (1_001, Draw()), (1_256, Draw()), (1_257, CancelUndrawn())],
)
def test_a_round_is_drawn_as_soon_as_it_can_be_and_cancelled_when_it_cannot(
    block: int, expected: Duty | None
) -> None:
    assert due(undrawn(facts_of()), block=block) == expected


def test_another_oracles_round_is_left_to_it_until_the_reveal_deadline() -> None:
    others = opened(undrawn(facts_of()), oracle=ANOTHER)
    assert due(others, block=1_001) is None
    assert due(others, block=1_257) == CancelUndrawn()
    others = opened(running(facts_of(*EVERY_SEAT)), oracle=ANOTHER)
    everything = reveals(*EVERY_SEAT)
    assert due(others, everything, now=REVEALS_CLOSE - 1) is None
    assert due(others, everything, now=REVEALS_CLOSE) == Settle(everything)


def test_an_own_round_is_drawn_and_settled() -> None:
    own = opened(undrawn(facts_of()), oracle=SETTLER)
    assert due(own, block=1_001) == Draw()
    everything = reveals(*EVERY_SEAT)
    own = opened(running(facts_of(*EVERY_SEAT)), oracle=SETTLER)
    assert due(own, everything, now=DRAWN_AT) == Settle(everything)


def test_nothing_is_settled_while_anyone_may_still_commit() -> None:
    """R2."""
    found = running(facts_of(0, 1, 2, 3))
    assert due(found, reveals(0, 1, 2, 3), now=COMMITS_CLOSE - 1) is None
    assert due(found, reveals(0, 1, 2, 3), now=COMMITS_CLOSE) == Settle(reveals(0, 1, 2, 3))


def test_before_the_deadline_every_committed_seat_is_waited_for() -> None:
    found = running(facts_of(*EVERY_SEAT))
    assert due(found, reveals(0, 1, 2, 3), now=REVEALS_CLOSE - 1) is None
    assert due(found, reveals(0, 1, 2, 3), now=REVEALS_CLOSE) == Settle(reveals(0, 1, 2, 3))


def test_without_a_quorum_nothing_is_settled_and_the_round_is_cancelled_in_time() -> None:
    found = running(facts_of(*EVERY_SEAT))
    assert due(found, reveals(0, 1), now=REVEALS_CLOSE) is None
    assert due(found, reveals(0, 1), now=CANCELLABLE - 1) is None
    assert due(found, reveals(0, 1), now=CANCELLABLE) == Cancel()


def test_a_round_with_a_quorum_is_settled_however_late() -> None:
    found = running(facts_of(*EVERY_SEAT))
    assert due(found, reveals(0, 1, 2), now=10 * CANCELLABLE) == Settle(reveals(0, 1, 2))


def test_too_few_commits_cancel_a_round_as_soon_as_they_are_closed() -> None:
    found = running(facts_of(0, 1))
    assert due(found, now=COMMITS_CLOSE - 1) is None
    assert due(found, reveals(0, 1), now=COMMITS_CLOSE) == Cancel()


def test_seats_revealed_on_chain_are_included() -> None:
    facts = facts_of(*EVERY_SEAT, revealed=0b10000)
    found = running(facts)
    found = replace(found, history=replace(found.history, reveals=reveals(4)))
    assert due(found, reveals(2, 0, 1, 3), now=DRAWN_AT) == Settle(reveals(*EVERY_SEAT))


def test_a_seat_revealed_in_both_ways_is_included_once() -> None:
    found = running(facts_of(*EVERY_SEAT, revealed=0b1))
    found = replace(found, history=replace(found.history, reveals=reveals(0)))
    assert due(found, reveals(*EVERY_SEAT), now=DRAWN_AT) == Settle(reveals(*EVERY_SEAT))


def test_a_reveal_that_opens_no_commitment_is_as_good_as_none() -> None:
    found = running(facts_of(*EVERY_SEAT))
    stale = replace(reveals(4)[0], salt=bytes(32))
    unknown = replace(stale, seat=9)
    held = (*reveals(0, 1, 2, 3), stale, unknown)
    assert due(found, held, now=REVEALS_CLOSE - 1) is None
    assert due(found, held, now=REVEALS_CLOSE) == Settle(reveals(0, 1, 2, 3))


@pytest.mark.parametrize("phase", [Phase.NONE, Phase.CLOSED])
def test_nothing_is_due_for_a_round_that_does_not_run(phase: Phase) -> None:
    found = running(facts_of(*EVERY_SEAT))
    ended = replace(found, state=replace(found.state, phase=phase))
    assert due(ended, reveals(*EVERY_SEAT), now=CANCELLABLE) is None

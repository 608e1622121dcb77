from __future__ import annotations

from dataclasses import replace

import pytest

from oracle.core.facts import Phase, RoundState
from oracle.core.phases import (
    Verdict,
    may_cancel,
    may_cancel_undrawn,
    may_commit,
    may_draw,
    may_reveal,
    may_settle,
)
from tests.core.rounds import DRAWN_AT, PARAMETERS, account, opening_of

OPEN = RoundState(Phase.OPEN, 1_003, 0, 5, 5, 0, 0)
DRAWN = replace(OPEN, phase=Phase.DRAWN, drawn_at=DRAWN_AT)
COMMITS_CLOSE = DRAWN_AT + 600
DEADLINE = DRAWN_AT + 900
ABANDONED = DRAWN_AT + 1_800
FAR = DRAWN_AT + 1_000_000
ORACLE, STRANGER = account("oracle"), account("stranger")
TERMS = replace(opening_of().terms, oracle=ORACLE)


def with_seats(committed: int, revealed: int = 0) -> RoundState:
    return replace(DRAWN, committed=committed, revealed=revealed)


def settle_verdict(
    state: RoundState, included: int, now: int, settler: str = ORACLE, oracle: str = ORACLE
) -> Verdict:
    terms = replace(TERMS, oracle=oracle)
    return may_settle(state, terms, PARAMETERS, included=included, settler=settler, now=now)


@pytest.mark.parametrize("phase", [Phase.NONE, Phase.DRAWN, Phase.CLOSED])
def test_only_an_open_round_is_drawn_or_cancelled_as_undrawn(phase: Phase) -> None:
    state = replace(OPEN, phase=phase)
    reason = f"the round is {phase.name.lower()}, not open"
    assert may_draw(state, 1_004) == Verdict(False, reason)
    assert may_cancel_undrawn(state, 1_260) == Verdict(False, reason)


@pytest.mark.parametrize("phase", [Phase.NONE, Phase.OPEN, Phase.CLOSED])
def test_only_a_drawn_round_goes_on(phase: Phase) -> None:
    state = replace(with_seats(0b11111), phase=phase)
    expected = Verdict(False, f"the round is {phase.name.lower()}, not drawn")
    assert may_commit(state, PARAMETERS, 0, DRAWN_AT) == expected
    assert may_reveal(state, PARAMETERS, 0, DRAWN_AT) == expected
    assert settle_verdict(state, 0b11111, DEADLINE) == expected
    assert may_cancel(state, 3, PARAMETERS, ABANDONED) == expected


@pytest.mark.parametrize(
    ("block", "drawable", "opens_at"),
    [
        (3, False, 1_004),
        (1_003, False, 1_004),
        (1_004, True, None),
        (1_100, True, None),
        (1_259, True, None),
        (1_260, False, None),
        (5_000, False, None),
    ],
)
def test_a_round_is_drawn_while_the_hash_of_its_block_is_known(
    block: int, drawable: bool, opens_at: int | None
) -> None:
    verdict = may_draw(OPEN, block)
    assert (verdict.allowed, verdict.opens_at) == (drawable, opens_at)
    undrawn = may_cancel_undrawn(OPEN, block)
    assert undrawn.allowed == (block > 1_259)
    assert undrawn.opens_at == (None if block > 1_259 else 1_260)


def test_nobody_commits_twice_or_late_or_from_outside() -> None:
    state = with_seats(0b00001)
    assert may_commit(state, PARAMETERS, 0, DRAWN_AT).reason == "seat 0 committed already"
    assert may_commit(state, PARAMETERS, 5, DRAWN_AT).reason == "seat 5 is not one of the panel's 5"
    assert not may_commit(state, PARAMETERS, -1, DRAWN_AT).allowed
    for now in (COMMITS_CLOSE, FAR):
        late = may_commit(state, PARAMETERS, 1, now)
        assert late == Verdict(False, f"commits closed at {COMMITS_CLOSE}")


@pytest.mark.parametrize("seat", range(5))
def test_a_seat_is_judged_by_its_own_bit(seat: int) -> None:
    committed, revealed = 0b10110, 0b10010
    state = with_seats(committed, revealed)
    may = may_commit(state, PARAMETERS, seat, DRAWN_AT)
    assert may.allowed == (seat in (0, 3))
    may = may_reveal(state, PARAMETERS, seat, COMMITS_CLOSE)
    assert may.allowed == (seat == 2)
    reason = "is revealed already" if seat in (1, 4) else "did not commit"
    assert may.allowed or may.reason == f"seat {seat} {reason}"


@pytest.mark.parametrize("now", [DRAWN_AT, COMMITS_CLOSE - 1])
def test_a_seat_commits_while_the_window_lasts(now: int) -> None:
    assert may_commit(with_seats(0b00001), PARAMETERS, 1, now).allowed


def test_nobody_reveals_twice_or_late_or_without_a_commitment() -> None:
    state = with_seats(0b00111, revealed=0b00001)
    cases = {
        (0, COMMITS_CLOSE): "seat 0 is revealed already",
        (3, COMMITS_CLOSE): "seat 3 did not commit",
        (9, COMMITS_CLOSE): "seat 9 is not one of the panel's 5",
        (1, DEADLINE): f"reveals closed at {DEADLINE}",
        (1, FAR): f"reveals closed at {DEADLINE}",
    }
    for (seat, now), reason in cases.items():
        assert may_reveal(state, PARAMETERS, seat, now) == Verdict(False, reason)


def test_nobody_reveals_while_anybody_may_commit() -> None:
    early = may_reveal(with_seats(0b01111), PARAMETERS, 1, COMMITS_CLOSE - 1)
    assert (early.allowed, early.opens_at) == (False, COMMITS_CLOSE)
    assert may_reveal(with_seats(0b11111), PARAMETERS, 1, DRAWN_AT).allowed
    assert may_reveal(with_seats(0b01111), PARAMETERS, 1, COMMITS_CLOSE).allowed
    assert may_reveal(with_seats(0b01111), PARAMETERS, 1, DEADLINE - 1).allowed


@pytest.mark.parametrize("now", [COMMITS_CLOSE, DEADLINE, FAR])
@pytest.mark.parametrize(
    ("included", "reason"),
    [
        (0b11111, "seat 4 did not commit"),
        (0b00111, "seat 3 revealed on chain and is left out"),
        (0b01001, "2 seats are no quorum of 3"),
    ],
)
def test_a_settlement_needs_the_right_seats_at_any_time(
    now: int, included: int, reason: str
) -> None:
    state = with_seats(0b01111, revealed=0b01000)
    assert settle_verdict(state, included, now) == Verdict(False, reason)


def test_only_the_named_oracle_settles_before_the_deadline() -> None:
    state = with_seats(0b11111)
    refusal = settle_verdict(state, 0b11111, DEADLINE - 1, settler=STRANGER)
    reason = f"only the oracle {ORACLE} settles before {DEADLINE}"
    assert refusal == Verdict(False, reason, DEADLINE)
    for now in (DEADLINE, FAR):
        assert settle_verdict(state, 0b11111, now, settler=STRANGER).allowed
    nobody = "0x" + "00" * 20
    assert settle_verdict(state, 0b11111, DRAWN_AT, settler=STRANGER, oracle=nobody).allowed


def test_before_the_deadline_every_committed_seat_is_waited_for() -> None:
    refusal = settle_verdict(with_seats(0b01111), 0b00111, DEADLINE - 1)
    reason = f"seat 3 may reveal until {DEADLINE}"
    assert refusal == Verdict(False, reason, DEADLINE)
    assert settle_verdict(with_seats(0b01111), 0b00111, DEADLINE).allowed


def test_a_settlement_waits_for_the_commits_to_close() -> None:
    early = settle_verdict(with_seats(0b01111), 0b01111, COMMITS_CLOSE - 1)
    assert (early.allowed, early.opens_at) == (False, COMMITS_CLOSE)
    assert settle_verdict(with_seats(0b01111), 0b01111, COMMITS_CLOSE).allowed
    assert settle_verdict(with_seats(0b11111), 0b11111, DRAWN_AT).allowed


def test_a_round_that_can_be_settled_is_not_cancelled() -> None:
    revealed = may_cancel(with_seats(0b11111, revealed=0b00111), 3, PARAMETERS, ABANDONED)
    assert revealed == Verdict(False, "3 seats revealed on chain: the round can be settled")
    more = may_cancel(with_seats(0b11111, revealed=0b01111), 3, PARAMETERS, ABANDONED)
    assert more.reason == "4 seats revealed on chain: the round can be settled"
    for committed in (0b00111, 0b01111):
        for now in (COMMITS_CLOSE, ABANDONED - 1):
            waiting = may_cancel(with_seats(committed, revealed=0b00011), 3, PARAMETERS, now)
            assert (waiting.allowed, waiting.opens_at) == (False, ABANDONED)


def test_commits_of_a_large_panel_are_closed_once_all_are_there() -> None:
    everybody = (1 << 31) - 1
    state = replace(with_seats(everybody), panel_size=31)
    assert settle_verdict(state, everybody, DRAWN_AT).allowed
    most = replace(state, committed=everybody >> 1)
    assert settle_verdict(most, everybody >> 1, DRAWN_AT).opens_at == COMMITS_CLOSE


def test_a_round_without_quorum_is_cancelled_when_its_time_has_come() -> None:
    for now in (ABANDONED, FAR):
        assert may_cancel(with_seats(0b00111, revealed=0b00011), 3, PARAMETERS, now).allowed
    early = may_cancel(with_seats(0b00011), 3, PARAMETERS, COMMITS_CLOSE - 1)
    assert (early.allowed, early.opens_at) == (False, COMMITS_CLOSE)
    for now in (COMMITS_CLOSE, FAR):
        assert may_cancel(with_seats(0b00011), 3, PARAMETERS, now).allowed

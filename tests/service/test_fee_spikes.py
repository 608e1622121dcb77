"""When gas costs twenty times as much from one block to the next, rounds settle all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.service.anvil import BASE_FEE
from tests.service.cast import Cast
from tests.service.stage import Stage

SPIKE = 20
ROUNDS = 2
SECONDS = 120
PATIENCE = 0.3
"""Seconds that a transaction waits before more is paid for it."""


@contextmanager
def _cast(stage: Stage, **options: Any) -> Iterator[Cast]:
    cast = Cast(stage, patience=PATIENCE, **options)
    try:
        yield cast
    finally:
        cast.close()


def _spike(cast: Cast, fee: int, *, until: Any) -> None:
    """Keep the base fee where it is put, block for block."""

    def done() -> bool:
        cast.stage.anvil.base_fee(fee)
        return bool(until())

    cast.until(done, SECONDS, mine=True)


def _offers(cast: Cast) -> list[list[int]]:
    """Return what was offered for a unit of gas, of each entry of every journal."""
    return [
        [version.fee_per_gas for version in entry.versions]
        for part in cast.parts
        for entry in cast.journals[part.name].entries()
    ]


def test_what_waits_is_paid_more_for_until_it_is_mined(stage: Stage, record_property: Any) -> None:
    with _cast(stage, max_fee=1000 * BASE_FEE) as cast:
        stage.open(ROUNDS)
        stage.mined()
        stage.anvil.automine(False)
        cast.tick()  # draws are offered at the old fee
        assert any(offer[-1] < SPIKE * BASE_FEE for offer in _offers(cast))
        _spike(cast, SPIKE * BASE_FEE, until=lambda: stage.ended() == ROUNDS)
        offers = _offers(cast)
        assert any(len(offer) > 1 for offer in offers)
        assert all(offer == sorted(offer) for offer in offers)
        cast.finish(SECONDS)
    outcome = stage.outcome()
    assert (outcome.settled, outcome.unended, outcome.mismatches) == (ROUNDS, 0, ())
    assert stage.gaps() == {}
    record_property(
        "figure",
        {
            "name": f"rounds lost of {ROUNDS} when the base fee rose by {SPIKE} in their middle",
            "value": outcome.unended + outcome.cancelled,
            "goal": 0,
        },
    )


def test_nothing_is_ever_offered_above_the_cap_and_all_goes_on_when_fees_fall(
    stage: Stage,
) -> None:
    cap = SPIKE * BASE_FEE // 2
    with _cast(stage, max_fee=cap) as cast:
        stage.open(ROUNDS)
        stage.mined()
        stage.anvil.automine(False)
        cast.tick()
        blocks = iter(range(10))
        _spike(cast, SPIKE * BASE_FEE, until=lambda: next(blocks, None) is None)
        assert stage.ended() == 0
        _spike(cast, BASE_FEE, until=lambda: stage.ended() == ROUNDS)
        assert all(fee <= cap for offer in _offers(cast) for fee in offer)
        cast.finish(SECONDS)
    assert stage.outcome().settled == ROUNDS
    assert stage.gaps() == {}

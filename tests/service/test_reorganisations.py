"""
A reorganisation of any depth in any phase leaves no trace: every round settles once all the same,
and what the services know is what a fresh start would read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest

from oracle.chain.follower import FINALITY, Follower, View
from tests.service.cast import Cast, Part
from tests.service.stage import Stage

SEATS = 3
SECONDS = 240
AT_ONCE = 4
"""Depths on one chain: after a thousand blocks anvil goes back to a state without contracts."""
SHORT = (("open", 3), ("drawn", 1), ("committing", 7), ("committed", 20), ("settled", FINALITY))
"""A reorganisation in each phase, the deepest that finality allows last."""


def _committed(view: View, round_id: int) -> int:
    return view.round(round_id).committed.bit_count()


PHASES: dict[str, Callable[[View, int], bool]] = {
    "open": lambda view, round_id: True,
    "drawn": lambda view, round_id: view.history(round_id).draw is not None,
    "committing": lambda view, round_id: 0 < _committed(view, round_id) < SEATS,
    "committed": lambda view, round_id: _committed(view, round_id) == SEATS,
    "settled": lambda view, round_id: False,
}
"""Whether a round that has not ended is as far as a reorganisation is to find it."""


@pytest.fixture
def cast(stage: Stage) -> Iterator[Cast]:
    stage.anvil.mine(FINALITY + 1)  # registrations are final
    cast = Cast(stage)
    yield cast
    cast.close()


def _play(cast: Cast, storms: Iterable[tuple[str, int]]) -> int:
    """Open a round for each storm, let it reach the phase, reorganise, and let it end."""
    stage, rounds = cast.stage, 0
    for phase, depth in storms:
        rounds += 1
        stage.open()
        stage.mined()
        watcher = Follower(stage.web3, stage.deployment, None)
        # One part after the other, so that a phase is not passed between two looks.
        parts: Iterator[Part] = iter(())
        while not _reached(watcher.advance(), phase, rounds):
            part = next(parts, None)
            if part is None:
                stage.anvil.mine()
                parts = iter(cast.parts)
            else:
                part.tick()
        stage.anvil.reorganise(depth)
        stage.send_again()
        cast.until(lambda wanted=rounds: stage.ended() == wanted, SECONDS, mine=True)  # type: ignore[misc]
    return rounds


def _reached(view: View, phase: str, round_id: int) -> bool:
    if view.rounds < round_id:
        return False
    return round_id not in view.running or PHASES[phase](view, round_id)


def _same(known: View, fresh: View) -> None:
    assert known.head == fresh.head
    assert (known.finalized, known.rounds, known.running) == (
        fresh.finalized,
        fresh.rounds,
        fresh.running,
    )
    for round_id in range(1, fresh.rounds + 1):
        assert known.round(round_id) == fresh.round(round_id)
    for round_id in fresh.running:
        assert known.history(round_id) == fresh.history(round_id)


def _check(cast: Cast, rounds: int) -> None:
    stage = cast.stage
    for part in cast.parts:
        part.tick()
        _same(
            cast.followers[part.name].advance(),
            Follower(stage.web3, stage.deployment, None).advance(),
        )
    cast.finish(SECONDS)
    outcome = stage.outcome()
    assert (outcome.settled, outcome.cancelled, outcome.unended) == (rounds, 0, 0)
    assert set(outcome.settlements.values()) == {1}
    assert outcome.mismatches == ()
    assert stage.gaps() == {}


def test_a_reorganisation_in_each_phase_leaves_no_trace(
    cast: Cast, record_property: Callable[[str, object], None]
) -> None:
    _check(cast, _play(cast, SHORT))
    record_property(
        "figure",
        {
            "name": "reorganisations, one in each phase, that left no trace",
            "value": str(len(SHORT)),
            "goal": str(len(SHORT)),
        },
    )


@pytest.mark.reliability
@pytest.mark.parametrize("first", range(1, FINALITY + 1, AT_ONCE))
@pytest.mark.parametrize("phase", PHASES)
def test_a_reorganisation_of_every_depth_leaves_no_trace(
    cast: Cast, phase: str, first: int, record_property: Callable[[str, object], None]
) -> None:
    depths = range(first, first + AT_ONCE)
    _check(cast, _play(cast, [(phase, depth) for depth in depths]))
    record_property(
        "figure",
        {
            "name": f"reorganisations of depth {depths[0]} to {depths[-1]} of a round that is "
            f"{phase}, without a trace",
            "value": len(depths),
            "goal": AT_ONCE,
        },
    )

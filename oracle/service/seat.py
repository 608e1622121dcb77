"""
What an evaluator has to do for one of its seats now.

This module decides from facts alone: where the round stands, what its logs say, and what time it
is. A seat commits as soon as it can, since its latency is its cost; it opens its commitment to the
oracles once nobody can commit any more; and it reveals on chain if it is still in no settlement
when the reveal deadline is near, because after that a settlement may leave it out.
"""

from __future__ import annotations

from enum import Enum

from oracle.chain.rounds import RoundHistory
from oracle.core.facts import Commit, RoundState
from oracle.core.parameters import RoundsParameters
from oracle.core.phases import commits_closed, may_commit, may_reveal, reveals_close_at


class Step(Enum):
    """What comes next for a seat; DELIVER goes on until the round ends, also beside a reveal."""

    COMMIT = "commit"
    MISSED = "missed"
    WAIT = "wait"
    DELIVER = "deliver"
    REVEAL = "reveal"


def next_step(
    state: RoundState,
    parameters: RoundsParameters,
    seat: int,
    *,
    now: int,
    margin: int,
) -> Step:
    """
    Return what a seat of a drawn round has to do in a block of the second `now`.

    `margin` is how many seconds before the reveal deadline it reveals on chain.
    """
    if not state.committed >> seat & 1:
        return Step.COMMIT if may_commit(state, parameters, seat, now).allowed else Step.MISSED
    if not commits_closed(state, parameters, now):
        return Step.WAIT
    is_near = now >= reveals_close_at(parameters, state.drawn_at) - margin
    if is_near and may_reveal(state, parameters, seat, now).allowed:
        return Step.REVEAL
    return Step.DELIVER


def commit_of(history: RoundHistory, seat: int) -> Commit | None:
    """Return a seat's commitment as the logs have it."""
    return next((commit for commit in history.commits if commit.seat == seat), None)

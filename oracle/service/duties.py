"""
What the oracle has to do for a round now, if anything.

This module decides between drawing, settling and cancelling from facts alone: where the round
stands, what its logs say, which reveals are at hand, what time it is; and it computes the call that
each is. It sends nothing, and what it names may have been done by somebody else meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from oracle.chain import calls
from oracle.chain.deployment import Deployment
from oracle.chain.rounds import RoundHistory
from oracle.core.cancellation import cancel, cancel_undrawn
from oracle.core.facts import DrawnRound, Phase, Reveal, RoundState
from oracle.core.parameters import RoundsParameters
from oracle.core.phases import (
    NOBODY,
    commits_closed,
    may_cancel,
    may_cancel_undrawn,
    may_draw,
    may_settle,
)
from oracle.core.reveals import RevealRefused, check_reveal
from oracle.core.settlement import settle


@dataclass(frozen=True, slots=True)
class Draw:
    """Draw the panel."""


@dataclass(frozen=True, slots=True)
class Settle:
    """Settle with these reveals, by ascending seat; those on chain are among them."""

    reveals: tuple[Reveal, ...]


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel a drawn round that cannot be settled any more."""


@dataclass(frozen=True, slots=True)
class CancelUndrawn:
    """Cancel a round that nobody drew in time."""


Duty = Draw | Settle | Cancel | CancelUndrawn


@dataclass(frozen=True, slots=True)
class Moment:
    """Number and second of the block that a transaction sent now would be in, as far as known."""

    block: int
    now: int


def duty(
    state: RoundState,
    history: RoundHistory,
    handed_over: Iterable[Reveal],
    parameters: RoundsParameters,
    *,
    settler: str,
    moment: Moment,
) -> Duty | None:
    """
    Return what `settler` has to do for a round, or `None`.

    A round whose terms name another oracle is left to it until anybody may settle: drawing it is
    part of its work. Of `handed_over`, only what opens its seat's commitment counts.
    """
    terms = history.opening.terms
    if state.phase is Phase.OPEN:
        if terms.oracle in (NOBODY, settler) and may_draw(state, moment.block).allowed:
            return Draw()
        return CancelUndrawn() if may_cancel_undrawn(state, moment.block).allowed else None
    if state.phase is not Phase.DRAWN or not commits_closed(state, parameters, moment.now):
        return None
    included = usable(history.drawn(), (*history.reveals, *handed_over))
    allowed = may_settle(
        state,
        terms,
        parameters,
        included=sum(1 << reveal.seat for reveal in included),
        settler=settler,
        now=moment.now,
    ).allowed
    if allowed:
        return Settle(included)
    return Cancel() if may_cancel(state, terms.quorum, parameters, moment.now).allowed else None


def call_of(due: Duty, history: RoundHistory, deployment: Deployment) -> calls.Call:
    """Return the call that a duty is, computed anew from the round's facts."""
    round_id = history.key.round_id
    match due:
        case Draw():
            return calls.rounds(deployment, "draw", round_id, history.opening.as_tuple())
        case CancelUndrawn():
            undrawn = cancel_undrawn(history.key, history.opening)
            return calls.rounds(deployment, "cancelUndrawn", *undrawn.arguments)
        case Cancel():
            return calls.rounds(deployment, "cancel", *cancel(history.drawn()).arguments)
        case Settle(reveals):
            settlement = settle(history.drawn(), deployment.rounds_parameters, reveals)
            return calls.rounds(deployment, "settle", *settlement.arguments())


def usable(facts: DrawnRound, reveals: Iterable[Reveal]) -> tuple[Reveal, ...]:
    """Return the first reveal of each seat that a settlement can include, by ascending seat."""
    found: dict[int, Reveal] = {}
    for reveal in reveals:
        if reveal.seat not in found and _opens(facts, reveal):
            found[reveal.seat] = reveal
    return tuple(found[seat] for seat in sorted(found))


def _opens(facts: DrawnRound, reveal: Reveal) -> bool:
    try:
        check_reveal(facts, reveal)
    except RevealRefused:
        return False
    return True

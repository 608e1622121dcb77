"""
What may be done with a round now, why not, and from when.

The answers are those of the contract for a transaction in the block with this number or of this
timestamp, given the state before it; the caller brings both, since core has no clock. Section 3 of
docs/protocol.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from oracle.core.facts import Phase, RoundState, Terms
from oracle.core.parameters import RoundsParameters

HASH_HORIZON = 256
"""Blocks whose hash the chain remembers."""
NOBODY = "0x" + 40 * "0"


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    Whether a call is allowed now, and otherwise why not.

    `opens_at` is when it will be allowed if nothing else happens, `None` if it will not: a block
    for draws and undrawn rounds, a second of chain time for the rest.
    """

    allowed: bool
    reason: str = ""
    opens_at: int | None = None


_ALLOWED = Verdict(True)


def commits_close_at(parameters: RoundsParameters, drawn_at: int) -> int:
    """Return the second from which no seat can commit."""
    return drawn_at + parameters.commit_window


def reveals_close_at(parameters: RoundsParameters, drawn_at: int) -> int:
    """Return the reveal deadline: no reveal on chain from then on, and anybody may settle."""
    return commits_close_at(parameters, drawn_at) + parameters.reveal_window


def cancellable_at(parameters: RoundsParameters, drawn_at: int) -> int:
    """Return the second from which a round with commits but no quorum on chain may be cancelled."""
    return reveals_close_at(parameters, drawn_at) + parameters.settle_window


def commits_closed(state: RoundState, parameters: RoundsParameters, now: int) -> bool:
    """Say whether nobody can commit to a drawn round in a block of this second or a later one."""
    every_seat = (1 << state.panel_size) - 1
    return now >= commits_close_at(parameters, state.drawn_at) or state.committed == every_seat


def may_draw(state: RoundState, block: int) -> Verdict:
    """Say whether the panel can be drawn in a block of this number."""
    if state.phase is not Phase.OPEN:
        return _wrong_phase(state, Phase.OPEN)
    if block <= state.draw_block:
        return _refused(f"block {state.draw_block} has no hash yet", state.draw_block + 1)
    if block > state.draw_block + HASH_HORIZON:
        return _refused(f"the hash of block {state.draw_block} is forgotten")
    return _ALLOWED


def may_cancel_undrawn(state: RoundState, block: int) -> Verdict:
    """Say whether a round that nobody drew can be cancelled in a block of this number."""
    if state.phase is not Phase.OPEN:
        return _wrong_phase(state, Phase.OPEN)
    last = state.draw_block + HASH_HORIZON
    if block <= last:
        return _refused(f"the panel can be drawn up to block {last}", last + 1)
    return _ALLOWED


def may_commit(state: RoundState, parameters: RoundsParameters, seat: int, now: int) -> Verdict:
    """Say whether the operator of a seat's node can commit at `now`."""
    if (obstacle := _seat_obstacle(state, seat)) is not None:
        return obstacle
    closes_at = commits_close_at(parameters, state.drawn_at)
    if now >= closes_at:
        return _refused(f"commits closed at {closes_at}")
    if state.committed >> seat & 1:
        return _refused(f"seat {seat} committed already")
    return _ALLOWED


def may_reveal(state: RoundState, parameters: RoundsParameters, seat: int, now: int) -> Verdict:
    """Say whether a seat can be revealed on chain at `now`."""
    if (obstacle := _seat_obstacle(state, seat)) is not None:
        return obstacle
    deadline = reveals_close_at(parameters, state.drawn_at)
    if now >= deadline:
        return _refused(f"reveals closed at {deadline}")
    if not state.committed >> seat & 1:
        return _refused(f"seat {seat} did not commit")
    if state.revealed >> seat & 1:
        return _refused(f"seat {seat} is revealed already")
    return _commits_open(state, parameters, now) or _ALLOWED


def may_settle(
    state: RoundState,
    terms: Terms,
    parameters: RoundsParameters,
    *,
    included: int,
    settler: str,
    now: int,
) -> Verdict:
    """Say whether `settler` can settle at `now` with the seats of the bitmap `included`."""
    if state.phase is not Phase.DRAWN:
        return _wrong_phase(state, Phase.DRAWN)
    if strangers := included & ~state.committed:
        return _refused(f"seat {_lowest(strangers)} did not commit")
    if missing := state.revealed & ~included:
        return _refused(f"seat {_lowest(missing)} revealed on chain and is left out")
    if included.bit_count() < terms.quorum:
        return _refused(f"{included.bit_count()} seats are no quorum of {terms.quorum}")
    deadline = reveals_close_at(parameters, state.drawn_at)
    if now >= deadline:
        return _ALLOWED
    if terms.oracle not in (NOBODY, settler):
        return _refused(f"only the oracle {terms.oracle} settles before {deadline}", deadline)
    if missing := state.committed & ~included:
        return _refused(f"seat {_lowest(missing)} may reveal until {deadline}", deadline)
    return _commits_open(state, parameters, now) or _ALLOWED


def may_cancel(state: RoundState, quorum: int, parameters: RoundsParameters, now: int) -> Verdict:
    """Say whether a drawn round can be cancelled at `now`."""
    if state.phase is not Phase.DRAWN:
        return _wrong_phase(state, Phase.DRAWN)
    committed, revealed = state.committed.bit_count(), state.revealed.bit_count()
    if revealed >= quorum:
        return _refused(f"{revealed} seats revealed on chain: the round can be settled")
    at = cancellable_at(parameters, state.drawn_at)
    if committed >= quorum and now < at:
        return _refused(f"{committed} seats committed: the round can be settled until {at}", at)
    return _commits_open(state, parameters, now) or _ALLOWED


def _seat_obstacle(state: RoundState, seat: int) -> Verdict | None:
    if state.phase is not Phase.DRAWN:
        return _wrong_phase(state, Phase.DRAWN)
    if not 0 <= seat < state.panel_size:
        return _refused(f"seat {seat} is not one of the panel's {state.panel_size}")
    return None


def _commits_open(state: RoundState, parameters: RoundsParameters, now: int) -> Verdict | None:
    if commits_closed(state, parameters, now):
        return None
    closes_at = commits_close_at(parameters, state.drawn_at)
    return _refused(f"commits are open until {closes_at}", closes_at)


def _wrong_phase(state: RoundState, needed: Phase) -> Verdict:
    return _refused(f"the round is {state.phase.name.lower()}, not {needed.name.lower()}")


def _refused(reason: str, opens_at: int | None = None) -> Verdict:
    return Verdict(False, reason, opens_at)


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1

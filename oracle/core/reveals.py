"""
Whether a reveal may be part of a settlement.

A reveal proves itself: it hashes to what its seat committed to, or it is refused. Each refusal is
a class of its own and names the seat. This module checks; it does not decide which seats a
settlement needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from oracle.core.commitment import commitment
from oracle.core.facts import DrawnRound, Reveal
from oracle.core.units import ScoreAboveOne, ScoreVector, WrongLength, unpack


class RevealRefused(ValueError):
    """Raised when a reveal cannot be part of its round's settlement; says of which seat and why."""

    def __init__(self, seat: int, reason: str) -> None:
        self.seat = seat
        super().__init__(f"seat {seat} {reason}")


class UnknownSeat(RevealRefused):
    """Raised when the panel has no such seat."""


class NotCommitted(RevealRefused):
    """Raised when the seat did not commit."""


class RepeatedSeat(RevealRefused):
    """Raised when a seat is revealed twice in one settlement."""


class CommitmentMismatch(RevealRefused):
    """Raised when salt and scores are not what the seat committed to."""


class InvalidScores(RevealRefused):
    """Raised when the scores are too many, too few or above ONE; the cause says which."""


def check_reveal(facts: DrawnRound, reveal: Reveal) -> ScoreVector:
    """
    Return the (items,) scores of a reveal that its round's settlement can include.

    Raises the `RevealRefused` that applies first: `UnknownSeat`, `NotCommitted`, `InvalidScores`
    for a wrong length, `CommitmentMismatch`, `InvalidScores` for a score above ONE. The last comes
    from the seat's own commitment, so that it can never be settled.
    """
    seat = reveal.seat
    panel = facts.draw.panel
    if not 0 <= seat < len(panel):
        raise UnknownSeat(seat, f"is not one of the panel's {len(panel)}")
    committed = {commit.seat: commit.commitment for commit in facts.commits}
    if seat not in committed:
        raise NotCommitted(seat, "did not commit")
    expected = 2 * facts.opening.items
    if len(reveal.scores) != expected:
        wrong = WrongLength(len(reveal.scores), expected)
        raise InvalidScores(seat, f"reveals no row of the round: {wrong}") from wrong
    revealed = commitment(facts.key, panel[seat].node_id, reveal.salt, reveal.scores)
    if revealed != committed[seat]:
        raise CommitmentMismatch(
            seat, f"reveals 0x{revealed.hex()} but committed to 0x{committed[seat].hex()}"
        )
    try:
        return unpack(reveal.scores, facts.opening.items)
    except ScoreAboveOne as above:
        raise InvalidScores(seat, f"committed to what is no score: {above}") from above


def ascending(reveals: Iterable[Reveal]) -> tuple[Reveal, ...]:
    """Return the reveals by ascending seat, or raise `RepeatedSeat`."""
    ordered = tuple(sorted(reveals, key=lambda reveal: reveal.seat))
    for reveal, following in pairwise(ordered):
        if reveal.seat == following.seat:
            raise RepeatedSeat(reveal.seat, "is revealed twice")
    return ordered

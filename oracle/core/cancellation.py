"""
What cancelling a round returns and whom it reports.

The whole deposit returns to the requester. Whether the round may be cancelled at some time is for
`phases` to say. Sections 3 and 7 of docs/protocol.md; twin of `QualityRounds.cancel` and
`cancelUndrawn`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oracle.core.digest import cancelled_step, fold, opening_digest, replay
from oracle.core.facts import DrawnRound, Opening, Outcome, RoundKey
from oracle.core.history import history
from oracle.core.settlement import absence


@dataclass(frozen=True, slots=True)
class Cancellation:
    """
    A cancelled round: `refund` in wei, and the `outcomes` of the seats that are to be slashed.

    `arguments` are those of the call, plain tuples; `before` is the digest until then and
    `revealed` the bitmap of the seats revealed on chain.
    """

    refund: int
    outcomes: tuple[Outcome, ...]
    arguments: tuple[Any, ...]
    before: bytes
    revealed: int

    def digest(self, cancelled_at: int) -> bytes:
        """Return the round's final digest if it is cancelled in that second."""
        step = cancelled_step(cancelled_at=cancelled_at, revealed=self.revealed, refund=self.refund)
        return fold(self.before, step)


def cancel(facts: DrawnRound) -> Cancellation:
    """
    Return the cancellation of a drawn round.

    Where enough seats committed, those are slashed that did not reveal on chain; where too few
    did, those that did not commit.
    """
    opening = facts.opening
    enough = facts.committed.bit_count() >= opening.terms.quorum
    excused = facts.revealed if enough else facts.committed
    return Cancellation(
        refund=opening.terms.deposit,
        outcomes=tuple(
            Outcome(node.node_id, absence(facts, seat), 0)
            for seat, node in enumerate(facts.draw.panel)
            if not excused >> seat & 1
        ),
        arguments=(facts.key.round_id, history(facts).as_tuple()),
        before=replay(facts.key, opening, facts.draw, facts.commits),
        revealed=facts.revealed,
    )


def cancel_undrawn(key: RoundKey, opening: Opening) -> Cancellation:
    """Return the cancellation of a round that was not drawn in time: nobody is slashed."""
    return Cancellation(
        refund=opening.terms.deposit,
        outcomes=(),
        arguments=(key.round_id, opening.as_tuple()),
        before=opening_digest(key, opening),
        revealed=0,
    )

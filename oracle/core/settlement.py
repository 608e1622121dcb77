"""
Everything that settling a round computes, pays and reports, from its facts and its reveals.

`settle` decides the amounts; `Settlement` gives them in the forms that the contract takes and logs
them. Whether the round may be settled at some time and by whom is for `phases` to say. Sections 4
to 7 of docs/protocol.md; twin of `QualityRounds.settle`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from oracle.core import rewards, trust
from oracle.core.consensus import aggregate, deviations, pivot, submission
from oracle.core.digest import fold, replay, settled_step
from oracle.core.facts import Conduct, DrawnRound, Outcome, Reveal, Reveals, Role
from oracle.core.history import history
from oracle.core.judged import judged_count, judged_items
from oracle.core.parameters import RoundsParameters, TrustParameters
from oracle.core.reveals import ascending, check_reveal
from oracle.core.units import pack


class SeatMissing(ValueError):
    """Raised when a seat that revealed on chain is left out of a settlement."""

    def __init__(self, seat: int) -> None:
        self.seat = seat
        super().__init__(f"seat {seat} revealed on chain and is left out")


class QuorumMissing(ValueError):
    """Raised when fewer seats than the quorum are revealed."""

    def __init__(self, revealed: int, quorum: int) -> None:
        self.revealed, self.quorum = revealed, quorum
        super().__init__(f"{revealed} seats are revealed and the quorum is {quorum}")


@dataclass(frozen=True, slots=True)
class Payment:
    """What a node earns in a round, as `RewardCredited` logs it."""

    node_id: int
    role: Role
    account: str
    amount: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """
    A settled round.

    `reveals`, `deviations`, `disagreements` (both in ONE) and `seat_rewards` (wei) are those of the
    included seats, ascending; `outcomes` are those of all seats. `submission` is what the contract
    checks `consensus` by; both are packed.
    """

    facts: DrawnRound
    reveals: tuple[Reveal, ...]
    submission: bytes
    consensus: bytes
    deviations: tuple[int, ...]
    disagreements: tuple[int, ...]
    seat_rewards: tuple[int, ...]
    batch_rewards: tuple[int, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def seats(self) -> int:
        """The bitmap of the included seats."""
        return sum(1 << reveal.seat for reveal in self.reveals)

    @property
    def fee(self) -> int:
        """What the settler earns, wei."""
        return self.facts.opening.terms.settlement_fee

    @property
    def refund(self) -> int:
        """What the requester gets back, wei: all that is not paid."""
        paid = sum(self.seat_rewards) + sum(self.batch_rewards) + self.fee
        return self.facts.opening.terms.deposit - paid

    def payments(self) -> tuple[Payment, ...]:
        """Return the rewards that are not zero, in the order of their logs."""
        panel = [self.facts.draw.panel[reveal.seat] for reveal in self.reveals]
        seats = zip(panel, self.seat_rewards, strict=True)
        batches = zip(self.facts.opening.batches, self.batch_rewards, strict=True)
        return tuple(
            Payment(node.node_id, role, node.owner, amount)
            for role, paid in ((Role.EVALUATOR, seats), (Role.INFERENCE, batches))
            for node, amount in paid
            if amount
        )

    def digest(self, settler: str, settled_at: int) -> bytes:
        """Return the round's final digest if `settler` settles it in that second."""
        facts = self.facts
        return fold(
            replay(facts.key, facts.opening, facts.draw, facts.commits),
            settled_step(
                settler=settler,
                settled_at=settled_at,
                seats=self.seats,
                revealed=facts.revealed,
                scores=self._rows(),
                consensus=self.consensus,
                deviations=pack(np.array(self.deviations, dtype=np.uint16)),
                rewards=self.seat_rewards + self.batch_rewards,
                refund=self.refund,
            ),
        )

    def arguments(self) -> tuple[Any, ...]:
        """Return what `settle` takes: round id, `History`, `Reveals`, consensus; plain tuples."""
        salts = tuple(reveal.salt for reveal in self.reveals)
        return (
            self.facts.key.round_id,
            history(self.facts, self.seats).as_tuple(),
            Reveals(self.seats, salts, self._rows()).as_tuple(),
            self.submission,
        )

    def new_trusts(self, parameters: TrustParameters, current: Mapping[int, int]) -> dict[int, int]:
        """
        Return the trust of each included node by id, ascending seats, as `TrustUpdated` logs it.

        It is empty where the rule does not weigh by trust, which then does not move.

        `current` is the trust by node id, in TRUST_ONE, in the round's domain right before.
        """
        if not self.facts.opening.terms.rule.weighs:
            return {}
        ids = [self.facts.draw.panel[reveal.seat].node_id for reveal in self.reveals]
        moved = trust.updated(
            parameters,
            np.array([current[node_id] for node_id in ids], dtype=np.uint32),
            np.array(self.disagreements, dtype=np.uint16),
            judged_count(self.facts.opening.items),
        )
        return dict(zip(ids, moved.tolist(), strict=True))

    def _rows(self) -> bytes:
        return b"".join(reveal.scores for reveal in self.reveals)


def settle(
    facts: DrawnRound, parameters: RoundsParameters, reveals: Iterable[Reveal]
) -> Settlement:
    """
    Return the settlement of a round with these reveals, in any order.

    Raises a `RevealRefused`, `SeatMissing` if a seat revealed on chain is left out, or
    `QuorumMissing`.
    """
    included = ascending(reveals)
    rows = [check_reveal(facts, reveal) for reveal in included]
    seats = [reveal.seat for reveal in included]
    opening, terms = facts.opening, facts.opening.terms
    for seat in range(terms.panel_size):
        if facts.revealed >> seat & 1 and seat not in seats:
            raise SeatMissing(seat)
    if len(seats) < terms.quorum:
        raise QuorumMissing(len(seats), terms.quorum)

    scores = np.stack(rows)
    trusts = np.array([facts.draw.panel[seat].trust for seat in seats], dtype=np.uint32)
    agreed = aggregate(terms.rule, scores, trusts, terms.trim)
    judged = judged_items(opening.items, [reveal.salt for reveal in included])
    seen = scores[:, judged]
    middle = pivot(terms.rule, seen, trusts, agreed[judged])
    distances = deviations(seen, middle)
    disagreements = trust.disagreements(seen, middle).tolist()
    committed_at = {commit.seat: commit.committed_at for commit in facts.commits}
    elapsed = np.array([committed_at[seat] - facts.draw.drawn_at for seat in seats], dtype=np.int64)
    shares = rewards.seat_shares(parameters, distances, elapsed)
    merits = rewards.batch_merits(
        parameters,
        agreed,
        [batch.items for batch in opening.batches],
        [batch.cost for batch in opening.batches],
    )
    return Settlement(
        facts=facts,
        reveals=included,
        submission=submission(terms.rule, scores, trusts, terms.trim, judged),
        consensus=pack(agreed),
        deviations=tuple(distances.tolist()),
        disagreements=tuple(disagreements),
        seat_rewards=rewards.seat_rewards(terms.evaluator_budget, terms.panel_size, shares),
        batch_rewards=rewards.batch_rewards(terms.inference_budget, opening.items, merits),
        outcomes=_outcomes(facts, dict(zip(seats, disagreements, strict=True))),
    )


def absence(facts: DrawnRound, seat: int) -> Conduct:
    """Return how a seat that is in no settlement behaved."""
    return Conduct.NOT_REVEALED if facts.committed >> seat & 1 else Conduct.NOT_COMMITTED


def _outcomes(facts: DrawnRound, present: Mapping[int, int]) -> tuple[Outcome, ...]:
    return tuple(
        Outcome(node.node_id, Conduct.PRESENT, present[seat])
        if seat in present
        else Outcome(node.node_id, absence(facts, seat), 0)
        for seat, node in enumerate(facts.draw.panel)
    )

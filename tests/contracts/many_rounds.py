"""
Random rounds by the hundred: everything that settling one computes, as the core and as chain say.

The rounds of a `Lot` share a shape, so the core works on all of them at once and one call of
`RoundsHarness` does too. Scores are opinions of a truth with errors of every size, levels coarse
enough for ties, single liars, panels that all say nothing or all say ONE; trusts and times often
lie at the ends of what they can be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle.core import rewards, trust
from oracle.core.consensus import Rule, aggregate, deviations, pivot, submission
from oracle.core.judged import judged_count, judged_items
from oracle.core.parameters import RoundsParameters, TrustParameters
from oracle.core.units import (
    MAX_BATCHES,
    MAX_ITEMS,
    MAX_RATE,
    MAX_ROUND_BYTES,
    MAX_SEATS,
    MIN_SEATS,
    ONE,
    TRUST_ONE,
    WEIGHT_UNIT,
    ScoreMatrix,
    TrustVector,
    pack,
)
from tests.contracts.parameters import ROUNDS, TRUST

ROUNDS_A_LOT = 250
SCORES_A_LOT = 150_000
"""Scores of a lot at most, so that large rounds come in small lots."""


@dataclass(frozen=True, slots=True)
class Lot:
    """Rounds of one shape; the first axis of every array is the round."""

    rule: Rule
    trim: int
    panel_size: int
    sizes: tuple[int, ...]
    evaluator_budget: int
    inference_budget: int
    rounds: RoundsParameters
    trust: TrustParameters
    scores: ScoreMatrix
    trusts: TrustVector
    current: TrustVector
    elapsed: NDArray[np.int64]
    costs: NDArray[np.int64]
    salts: tuple[bytes, ...]
    """Of the revealed seats, the same in all rounds: so are the items that seats are judged by."""

    @property
    def count(self) -> int:
        """How many rounds there are."""
        return len(self.scores)

    def submissions(self) -> NDArray[np.uint16]:
        """Return what settles each round, (rounds, values)."""
        items = self.scores.shape[-1]
        judged = judged_items(items, self.salts)
        packed = submission(self.rule, self.scores, self.trusts, self.trim, judged)
        width = judged.size if self.rule is Rule.TRUST_WEIGHTED_MEAN else items
        parts = np.frombuffer(packed, dtype=">u2").reshape(-1, self.count, width)
        return parts.transpose(1, 0, 2).reshape(self.count, -1).astype(np.uint16)

    def arguments(self, submissions: NDArray[np.integer[Any]]) -> tuple[Any, ...]:
        """Return what `RoundsHarness.settle` takes."""
        shape = (
            self.rule,
            self.trim,
            self.scores.shape[1],
            self.panel_size,
            self.sizes,
            self.salts,
            self.evaluator_budget,
            self.inference_budget,
            self.rounds.as_tuple(),
            self.trust.as_tuple(),
        )
        times = self.elapsed.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 3:]
        rounds = (
            pack(self.scores),
            self.trusts.astype(">u4").tobytes(),
            self.current.astype(">u4").tobytes(),
            times.tobytes(),
            self.costs.astype(">u2").tobytes(),
            submissions.astype(">u2").tobytes(),
        )
        return shape, rounds, self.count

    def settled(self) -> list[bytes]:
        """Return what the core computes of each round, packed as the harness packs it."""
        agreed = aggregate(self.rule, self.scores, self.trusts, self.trim)
        items = self.scores.shape[-1]
        judged = judged_items(items, self.salts)
        seen = self.scores[..., judged]
        middle = pivot(self.rule, seen, self.trusts, agreed[..., judged])
        distances = deviations(seen, middle)
        disagreed = trust.disagreements(seen, middle)
        moved = trust.updated(self.trust, self.current, disagreed, judged_count(items))
        shares = rewards.seat_shares(self.rounds, distances, self.elapsed)
        merits = rewards.batch_merits(self.rounds, agreed, self.sizes, self.costs)
        results = []
        for i in range(self.count):
            seats = rewards.seat_rewards(self.evaluator_budget, self.panel_size, shares[i])
            batches = rewards.batch_rewards(self.inference_budget, items, merits[i])
            numbers = (pack(part[i]) for part in (agreed, middle, distances, disagreed))
            money = b"".join(amount.to_bytes(16) for amount in seats + batches)
            results.append(b"".join(numbers) + moved[i].astype(">u4").tobytes() + money)
        return results


def random_lot(rng: np.random.Generator, most: int = ROUNDS_A_LOT) -> Lot:
    """Return at most `most` rounds of a random shape."""
    rule = Rule(int(rng.integers(len(Rule))))
    size = int(rng.integers(MIN_SEATS, MAX_SEATS + 1))
    quorum = size // 2 + 1
    seats = size if rng.random() < 0.5 else int(rng.integers(quorum, size + 1))
    items = _items(rng, size)
    count = max(1, min(most, SCORES_A_LOT // (seats * items)))
    odd = rng.random() < 0.5
    trusts, current = (_trusts(rng, (count, seats)) for _ in range(2))
    window = ROUNDS.commit_window
    sizes = _sizes(rng, items)
    return Lot(
        rule=rule,
        trim=int(rng.integers(ONE // 2)) if rule is Rule.TRIMMED_MEAN else 0,
        panel_size=size,
        sizes=sizes,
        evaluator_budget=_money(rng),
        inference_budget=_money(rng),
        rounds=_rounds_parameters(rng) if odd else ROUNDS,
        trust=_trust_parameters(rng) if odd else TRUST,
        scores=_scores(rng, count, seats, items),
        trusts=trusts,
        current=current,
        elapsed=_often(rng, [0, 1, window - 1, window, 2**40 - 1], 2 * window, (count, seats)),
        costs=_often(rng, [0, 1, ONE], ONE + 1, (count, len(sizes))),
        salts=tuple(rng.bytes(32) for _ in range(seats)),
    )


def _items(rng: np.random.Generator, size: int) -> int:
    """Return 1 to 40 items mostly, else any number that a round of this panel may have."""
    if rng.random() < 0.97:
        return int(rng.integers(1, 41))
    return int(rng.integers(41, min(MAX_ITEMS, MAX_ROUND_BYTES // (2 * size + 4)) + 1))


def _sizes(rng: np.random.Generator, items: int) -> tuple[int, ...]:
    """Return the items of each batch."""
    batches = int(rng.integers(1, min(items, MAX_BATCHES) + 1))
    cuts = np.sort(rng.choice(np.arange(1, items), batches - 1, replace=False))
    return tuple(np.diff([0, *cuts.tolist(), items]).tolist())


def _scores(rng: np.random.Generator, count: int, seats: int, items: int) -> ScoreMatrix:
    """Return scores that often lie, agree, tie or stand at the ends."""
    truth = _often(rng, [0, ONE], ONE + 1, (count, 1, items))
    errors = rng.choice([0, 1, 50, 800, ONE], (count, seats, 1))
    scores = (truth + rng.integers(-errors, errors + 1, (count, seats, items))).clip(0, ONE)
    step = rng.choice([1, 1, 1, 2_500, 5_000, ONE], (count, 1, 1))
    scores = scores // step * step
    lies = np.stack([np.zeros_like(truth), np.full_like(truth, ONE), ONE - truth])[:, :, 0]
    liars = rng.random(count) < 0.25
    scores[liars, 0] = lies[rng.integers(3, size=count), np.arange(count)][liars]
    fate = rng.random(count)
    scores[fate < 0.03] = 0
    scores[fate > 0.97] = ONE
    result: ScoreMatrix = scores.astype(np.uint16)
    return result


def _trusts(rng: np.random.Generator, shape: tuple[int, ...]) -> TrustVector:
    ends = [WEIGHT_UNIT, WEIGHT_UNIT + 999, TRUST.floor, TRUST_ONE - 1, TRUST_ONE]
    uniform = rng.integers(WEIGHT_UNIT, TRUST_ONE + 1, shape)
    return np.where(rng.random(shape) < 0.5, rng.choice(ends, shape), uniform).astype(np.uint32)


def _often(
    rng: np.random.Generator, ends: list[int], limit: int, shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """Return numbers below `limit`, one in four of them of `ends`."""
    uniform = rng.integers(0, limit, shape)
    return np.where(rng.random(shape) < 0.25, rng.choice(ends, shape), uniform)


def _money(rng: np.random.Generator) -> int:
    """Return a budget of up to 128 bits, all lengths alike, or often the most there can be."""
    most = 2**128 - 1
    return most if rng.random() < 0.2 else int.from_bytes(rng.bytes(16)) >> int(rng.integers(129))


def _rounds_parameters(rng: np.random.Generator) -> RoundsParameters:
    return RoundsParameters(
        draw_delay=1,
        commit_window=int(rng.choice([1, 600, 86_400, 2**40 - 1])),
        reveal_window=1,
        settle_window=1,
        least_evaluator_pay=0,
        quality_weight=int(rng.integers(1, ONE + 1)),
        cost_weight=int(rng.integers(0, ONE + 1)),
        closeness_scale=int(rng.integers(1, ONE + 1)),
    )


def _trust_parameters(rng: np.random.Generator) -> TrustParameters:
    gain, loss, spread = rng.choice([0, 1, 5_000, 30_000, MAX_RATE], 3).tolist()
    return TrustParameters(
        gain=gain,
        loss=loss,
        tolerance=int(rng.choice([0, 200, 5_000, ONE])),
        spread=spread,
        evidence=int(rng.choice([1, 7, 20, 2**16 - 1])),
        floor=int(rng.integers(WEIGHT_UNIT, TRUST_ONE + 1)),
        cap=TRUST_ONE,
    )

"""
What the peers have in common: truth is a weighted mean, weights follow from distances to truth.

Each is told apart by how it turns distances into weights, which is a `Weigh`. Offline, `fit` sees
all items at once. Online, `observe` takes one round after the other: a round's truth follows from
that round and from distances of the past, never from what comes later. Floats are allowed here:
nothing of this settles a round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Answers = NDArray[np.float64]
"""Scores, (evaluators, items); NaN where an evaluator was not seated or gave none."""
Weights = NDArray[np.float64]
"""One weight an evaluator, (evaluators,), not negative."""
Weigh = Callable[[NDArray[np.float64], NDArray[np.float64]], Weights]
"""From each evaluator's sum of squared distances and number of answers to its weight."""

MOST_STEPS = 100
TOLERANCE = 1e-9
"""Weights that move less than this, relative to the largest, have converged."""
_EQUAL = 1e-12
"""Answers that differ by no more than this differ by rounding."""
CAP = 5.0
"""The most that a weight may be, relative to the median weight of the same panel."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The truth of each item, (items,), and the evaluators' weights, NaN where they gave none."""

    truth: NDArray[np.float64]
    weights: Weights


class TruthInference:
    """
    Truth and weights in turn, until they agree.

    Distances are measured in the standard deviation of an item's answers, as CRH and GTM do.
    `prior` is the weight, in these units, of an item's plain mean beside its evaluators. `cap`
    bounds weights relative to their median, since on dense data CATD and the Gaussian model give
    all weight to one evaluator; `inf` leaves them as published. `decay`, in (0, 1], is what remains
    of the past's distances and counts after each round.
    """

    def __init__(
        self,
        weigh: Weigh,
        *,
        prior: float = 0.0,
        cap: float = CAP,
        decay: float = 1.0,
        steps: int = MOST_STEPS,
    ) -> None:
        self._weigh, self._prior, self._cap = weigh, prior, cap
        self._decay, self._steps = decay, steps
        self._losses: NDArray[np.float64] | None = None
        self._counts: NDArray[np.float64] | None = None

    def fit(self, answers: Answers) -> Estimate:
        """Return the estimate from all answers, whatever was observed before."""
        nothing = np.zeros(len(answers))
        estimate, _, _ = self._alternate(answers, nothing, nothing)
        return estimate

    def observe(self, answers: Answers) -> Estimate:
        """
        Return the estimate of the next round, and remember its distances.

        `answers` has a row for every evaluator of the population, NaN for those without a seat.
        Raises `ValueError` if an item has no answer, as `fit` does, or if the population changed.
        """
        if self._losses is None or self._counts is None:
            self._losses = np.zeros(len(answers))
            self._counts = np.zeros(len(answers))
        if len(answers) != len(self._losses):
            raise ValueError(f"{len(answers)} evaluators after rounds of {len(self._losses)}")
        estimate, losses, counts = self._alternate(answers, self._losses, self._counts)
        self._losses, self._counts = losses * self._decay, counts * self._decay
        return estimate

    def _alternate(
        self, answers: Answers, past: NDArray[np.float64], counted: NDArray[np.float64]
    ) -> tuple[Estimate, NDArray[np.float64], NDArray[np.float64]]:
        given = ~np.isnan(answers)
        if answers.ndim != 2 or not given.size or not given.any(axis=0).all():
            raise ValueError(f"answers of shape {answers.shape} leave an item without any")
        seated = given.any(axis=1)
        rows, present = answers[seated], given[seated]
        centre = np.nanmean(rows, axis=0)
        spread = np.nanstd(rows, axis=0)
        spread[spread <= _EQUAL * (1 + np.abs(centre))] = 1.0
        distances = np.where(present, (rows - centre) / spread, 0.0)
        counts = counted[seated] + present.sum(axis=1)

        weights = np.ones(len(rows))
        if counted[seated].any():
            weights = self._first(past[seated], counted[seated])
        for _ in range(self._steps):
            truth = _weighted(distances, present, weights, self._prior)
            squares = np.where(present, (distances - truth) ** 2, 0.0)
            losses = past[seated] + squares.sum(axis=1)
            before, weights = weights, self._capped(losses, counts)
            if np.abs(weights - before).max() <= TOLERANCE * weights.max():
                break
        truth = _weighted(distances, present, weights, self._prior)

        everyone = np.full(len(answers), np.nan)
        everyone[seated] = weights
        all_losses, all_counts = past.copy(), counted.copy()
        all_losses[seated], all_counts[seated] = losses, counts
        return Estimate(centre + spread * truth, everyone), all_losses, all_counts

    def _first(self, past: NDArray[np.float64], counted: NDArray[np.float64]) -> Weights:
        """Weights of the past alone; whoever has none starts at the median of the others."""
        known = counted > 0
        weights = np.empty(len(past))
        weights[known] = self._capped(past[known], counted[known])
        weights[~known] = np.median(weights[known])
        return weights

    def _capped(self, losses: NDArray[np.float64], counts: NDArray[np.float64]) -> Weights:
        floor = max(float(losses.max()), 1.0) * np.finfo(np.float64).eps
        weights = self._weigh(np.maximum(losses, floor), counts)
        middle = float(np.median(weights))
        if middle > 0:
            weights = np.minimum(weights, self._cap * middle)
        return weights if weights.any() else np.ones(len(weights))


def _weighted(
    distances: NDArray[np.float64], present: NDArray[np.bool_], weights: Weights, prior: float
) -> NDArray[np.float64]:
    """The weighted mean of each item, (items,), drawn to its plain mean by `prior`."""
    total = prior + weights @ present
    # Where all who answered an item weigh nothing, its plain mean stays.
    total[total == 0] = np.inf
    truth: NDArray[np.float64] = (weights @ distances) / total
    return truth

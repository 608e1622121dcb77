"""
The paper's own rule, as it is published: `w·(1 + λ(½ − d))`, in floats.

"Adaptive and Robust Cost-Aware Proof of Quality for Decentralized LLM Inference Networks" (arXiv
2601.21189). Weights move after each round, so there is no offline version. The same rule in the
protocol's integers is a choice of parameters of `oracle.core.trust`.
"""

from __future__ import annotations

import numpy as np

from oracle.study.baselines.inference import Answers, Estimate, Weights

LEAST, MOST = 0.1, 10.0


class PaperRule:
    """
    Weights that all start at 1 and stay in [`least`, `most`].

    `rate` is λ. Scores are in [0, 1].
    """

    def __init__(self, rate: float, *, least: float = LEAST, most: float = MOST) -> None:
        self._rate, self._least, self._most = rate, least, most
        self._weights: Weights | None = None

    def observe(self, answers: Answers) -> Estimate:
        """
        Return the next round's weighted mean and the weights it was taken with, then move them.

        `answers` is (evaluators, items), with NaN for whoever is not seated. Raises `ValueError` if
        an item has no answer.
        """
        if self._weights is None:
            self._weights = np.ones(len(answers))
        given = ~np.isnan(answers)
        if len(answers) != len(self._weights) or not given.any(axis=0).all():
            raise ValueError(
                f"answers of shape {answers.shape} are of others, or leave an item out"
            )
        seated, weights = given.any(axis=1), self._weights
        truth = (weights @ np.where(given, answers, 0.0)) / (weights @ given)
        estimate = Estimate(truth, np.where(seated, weights, np.nan))

        deviation = np.nanmean(np.abs(answers[seated] - truth), axis=1)
        moved = weights[seated] * (1 + self._rate * (0.5 - deviation))
        self._weights = weights.copy()
        self._weights[seated] = np.clip(moved, self._least, self._most)
        return estimate

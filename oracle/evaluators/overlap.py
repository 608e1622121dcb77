"""
Evaluators from the overlap metrics of summarisation and translation, computed by their libraries.

ROUGE-L is the longest common subsequence of words (package `rouge-score`, the authors' port of the
original), chrF the F-score of character n-grams (package `sacrebleu`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oracle.evaluators.workload import Item


class RougeL:
    """F-measure of the longest common subsequence of output and reference, without stemming."""

    name = "rouge-l"
    needs_reference = True

    def score(self, items: Sequence[Item]) -> NDArray[np.float64]:
        """Return ROUGE-L per item."""
        from rouge_score.rouge_scorer import RougeScorer

        scorer = RougeScorer(["rougeL"])
        return np.array(
            [scorer.score(item.reference or "", item.output)["rougeL"].fmeasure for item in items],
            dtype=np.float64,
        )


class Chrf:
    """chrF with sacrebleu's defaults: character n-grams up to 6, recall weighted twice."""

    name = "chrf"
    needs_reference = True

    def score(self, items: Sequence[Item]) -> NDArray[np.float64]:
        """Return chrF per item, over 100."""
        from sacrebleu.metrics.chrf import CHRF

        metric = CHRF()
        scores = [
            metric.sentence_score(item.output, [item.reference or ""]).score for item in items
        ]
        return np.minimum(np.array(scores, dtype=np.float64) / 100, 1.0)

"""
CATD: an evaluator weighs as much as the upper bound of its variance allows.

Li, Li, Gao, Su, Zhao, Demirbas, Fan and Han, "A confidence-aware approach for truth discovery on
long-tail data", PVLDB 8(4), 2015: `w_k = χ²(α/2, n_k) / Σ d²`. Who answered little has a wide
interval, and weighs less than its few distances alone would say.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from oracle.study.baselines.inference import TruthInference, Weights

SIGNIFICANCE = 0.05
"""α, as published."""


def catd(significance: float = SIGNIFICANCE, **options: Any) -> TruthInference:
    """Return CATD with intervals of `1 − significance`; `options` are those of `TruthInference`."""

    def weigh(losses: NDArray[np.float64], counts: NDArray[np.float64]) -> Weights:
        weights: Weights = chi2.ppf(significance / 2, counts) / losses
        return weights

    return TruthInference(weigh, **options)

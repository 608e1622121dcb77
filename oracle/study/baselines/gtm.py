"""
GTM, the Gaussian truth model: an evaluator has a variance of its own, and weighs its inverse.

Zhao and Han, "A probabilistic model for estimating real-valued truth from conflicting sources", QDB
2012. Truth is normal around an item's mean, variances are inverse gamma; both are maximised in
turn: `1/σ² = (2(α + 1) + n) / (2β + Σ d²)`. Their removal of outliers beforehand is left out:
scores are bounded, and liars are not to be taken out by hand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle.study.baselines.inference import TruthInference, Weights

SHAPE, SCALE = 10.0, 10.0
"""α and β of the variances' prior, as published."""
PRIOR = 1.0
"""1/σ₀² of the truth's prior, as published: one standard deviation of an item's answers."""


def gtm(
    shape: float = SHAPE, scale: float = SCALE, prior: float = PRIOR, **options: Any
) -> TruthInference:
    """Return the Gaussian truth model; `options` are those of `TruthInference`."""

    def weigh(losses: NDArray[np.float64], counts: NDArray[np.float64]) -> Weights:
        weights: Weights = (2 * (shape + 1) + counts) / (2 * scale + losses)
        return weights

    return TruthInference(weigh, prior=prior, **options)

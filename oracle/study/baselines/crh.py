"""
CRH and PM: an evaluator weighs minus the logarithm of its part of all distance.

Li, Li, Gao, Zhao, Fan and Han, "Resolving conflicts in heterogeneous data by truth discovery and
source reliability estimation", SIGMOD 2014. CRH divides by the sum of all distances. The variant
that divides by the largest gives the worst evaluator no weight at all, and is what surveys of
crowdsourcing call PM. Observed round by round it is their incremental version.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle.study.baselines.inference import TruthInference, Weights


def crh(**options: Any) -> TruthInference:
    """Return CRH; `options` are those of `TruthInference`."""
    return TruthInference(_by_sum, **options)


def pm(**options: Any) -> TruthInference:
    """Return PM; `options` are those of `TruthInference`."""
    return TruthInference(_by_largest, **options)


def _by_sum(losses: NDArray[np.float64], counts: NDArray[np.float64]) -> Weights:
    """`−log(d_k / Σ d)`, d the mean squared distance, so that who answers less loses nothing."""
    means = losses / counts
    weights: Weights = -np.log(means / means.sum())
    return weights


def _by_largest(losses: NDArray[np.float64], counts: NDArray[np.float64]) -> Weights:
    """`−log(d_k / max d)`."""
    means = losses / counts
    weights: Weights = -np.log(means / means.max())
    return weights

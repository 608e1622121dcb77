"""
How a settlement moves the trust of the seats it includes.

Vectorised over rounds: a panel is the last axis. Section 5 of docs/protocol.md; twin of
`Trust.sol`. This module decides the new trust; which trust is current, only the registry knows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oracle.core.consensus import Rule, trim_count, trimmed_mean
from oracle.core.parameters import TrustParameters
from oracle.core.units import ONE, SeatVector, TrustVector


def tolerance(parameters: TrustParameters, deviations: SeatVector) -> NDArray[np.int64]:
    """
    Return τ, `max(τ_min, ⌊ρ · median_d / ONE⌋)`, in ONE: (...,) for deviations (..., seats).

    `median_d` is the MEDIAN rule over the deviations, which are uint16, of the revealed seats.
    """
    g = trim_count(Rule.MEDIAN, deviations.shape[-1])
    median = trimmed_mean(deviations[..., np.newaxis], g)[..., 0].astype(np.int64)
    return np.maximum(parameters.tolerance, parameters.spread * median // ONE)


def updated(
    parameters: TrustParameters, trusts: TrustVector, deviations: SeatVector, items: int
) -> TrustVector:
    """
    Return the trusts after a round of `items`, (..., seats) uint32 within the parameters' bounds.

    `trusts`, in TRUST_ONE, and `deviations`, in ONE, are those of the revealed seats, (..., seats),
    the trusts current when the round settles. Gains are floored, losses ceiled. Assumes rates of
    at most MAX_RATE, as the registry's constructor does: products stay below 2⁶³.
    """
    tau = tolerance(parameters, deviations)[..., np.newaxis]
    evidence = min(items, parameters.evidence)
    gain = parameters.gain * evidence // parameters.evidence
    loss = parameters.loss * evidence // parameters.evidence

    trust = trusts.astype(np.int64)
    slack = tau - deviations
    raised = np.minimum(parameters.cap, trust + trust * gain * np.maximum(slack, 0) // ONE**2)
    lost = -(trust * loss * np.minimum(slack, 0) // ONE**2)
    lowered = np.maximum(parameters.floor, trust - lost)
    result: TrustVector = np.where(slack >= 0, raised, lowered).astype(np.uint32)
    return result

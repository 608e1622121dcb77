"""
How a settlement moves the trust of the seats it includes.

Vectorised over rounds: a panel is the last axis. Section 5 of docs/protocol.md; twin of
`Trust.sol`. This module decides the new trust; which trust is current, only the registry knows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oracle.core.consensus import Rule, deviations, trim_count, trimmed_mean
from oracle.core.parameters import TrustParameters
from oracle.core.units import ONE, ScoreMatrix, ScoreVector, SeatVector, TrustVector

MOST_CONTRARY = 2
"""Further than this many times from its own item than from others counts no more: f ≤ 4d."""


def disagreements(scores: ScoreMatrix, pivot: ScoreVector) -> SeatVector:
    """
    Return f, how much each seat disagrees with its panel, (..., seats) uint16 in [0, ONE].

    `scores` is (..., seats, J) and `pivot` (..., J), both uint16, of the J judged items. With d the
    seat's deviation from the pivot and b its deviation from the pivot of other items, half of the
    judged ones further on, it is `min(⌊d³ / b²⌋, 4d, ONE)`: d where the scores say nothing of the
    items, less where they follow them, more where they go against them. One item has no other: f
    is d.
    """
    d = deviations(scores, pivot).astype(np.int64)
    others = np.roll(pivot, -(scores.shape[-1] // 2), axis=-1)
    b = deviations(scores, others).astype(np.int64)
    most = np.minimum(MOST_CONTRARY**2 * d, ONE)
    result = np.where(b > 0, np.minimum(d**3 // np.maximum(b * b, 1), most), most)
    return result.astype(np.uint16)


def tolerance(parameters: TrustParameters, disagreements: SeatVector) -> NDArray[np.int64]:
    """
    Return τ, `max(τ_min, ⌊ρ · median_f / ONE⌋)`, in ONE: (...,) for disagreements (..., seats).

    `median_f` is the MEDIAN rule over the disagreements, which are uint16, of the revealed seats.
    """
    g = trim_count(Rule.MEDIAN, disagreements.shape[-1])
    median = trimmed_mean(disagreements[..., np.newaxis], g)[..., 0].astype(np.int64)
    return np.maximum(parameters.tolerance, parameters.spread * median // ONE)


def updated(
    parameters: TrustParameters, trusts: TrustVector, disagreements: SeatVector, items: int
) -> TrustVector:
    """
    Return the trusts after a round, (..., seats) uint32 within the parameters' bounds.

    `items` are how many the seats were judged by: see `judged_count`. `trusts`, in TRUST_ONE, and
    `disagreements`, in ONE, are those of the revealed seats, both (..., seats), the trusts current
    when the round settles. Gains are floored, losses ceiled.
    Assumes rates of at most MAX_RATE, as the registry's constructor does: products stay below 2⁶³.
    """
    tau = tolerance(parameters, disagreements)[..., np.newaxis]
    evidence = min(items, parameters.evidence)
    gain = parameters.gain * evidence // parameters.evidence
    loss = parameters.loss * evidence // parameters.evidence

    trust = trusts.astype(np.int64)
    slack = tau - disagreements
    raised = np.minimum(parameters.cap, trust + trust * gain * np.maximum(slack, 0) // ONE**2)
    lost = -(trust * loss * np.minimum(slack, 0) // ONE**2)
    lowered = np.maximum(parameters.floor, trust - lost)
    result: TrustVector = np.where(slack >= 0, raised, lowered).astype(np.uint32)
    return result

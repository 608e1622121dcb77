"""
What seats and batches earn: α·quality − β·cost, never below zero.

Shares and merits are vectorised; amounts are Python integers, since money exceeds 64 bits, and
floored. Section 6 of docs/protocol.md; twin of `Rewards.sol`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oracle.core.parameters import RoundsParameters
from oracle.core.units import ONE, ScoreVector, SeatVector


def seat_shares(
    parameters: RoundsParameters, deviations: SeatVector, elapsed: NDArray[np.int64]
) -> NDArray[np.int64]:
    """
    Return r of each seat, `⌊max(0, α·q − β·L) / ONE⌋`, in [0, ONE], of the arguments' shape.

    `deviations` is in ONE; `elapsed`, seconds from the draw to the commit, is not negative.
    """
    worth = parameters.quality_weight * closeness(parameters, deviations)
    earned = worth - parameters.cost_weight * latency(parameters, elapsed)
    shares: NDArray[np.int64] = np.maximum(0, earned) // ONE
    return shares


def closeness(parameters: RoundsParameters, deviations: SeatVector) -> NDArray[np.int64]:
    """Return `q = max(0, ONE − ⌊d·ONE/δ⌋)` of each deviation d, in [0, ONE], of its shape."""
    distance = deviations.astype(np.int64) * ONE // parameters.closeness_scale
    return np.maximum(0, ONE - distance)


def latency(parameters: RoundsParameters, elapsed: NDArray[np.int64]) -> NDArray[np.int64]:
    """
    Return `L = min(ONE, ⌊elapsed·ONE/window⌋)`, in [0, ONE], of the argument's shape.

    `elapsed`, seconds from the draw to the commit, is not negative.
    """
    return np.minimum(ONE, elapsed * ONE // parameters.commit_window)


def seat_rewards(budget: int, panel_size: int, shares: NDArray[np.int64]) -> tuple[int, ...]:
    """
    Return `⌊budget · r / (K·ONE)⌋` wei for each share r, (seats,), of one round's revealed seats.

    K is the panel size, absent seats included, so that nobody gains from another's absence.
    """
    return tuple(budget * share // (panel_size * ONE) for share in shares.tolist())


def batch_merits(
    parameters: RoundsParameters,
    consensus: ScoreVector,
    sizes: Sequence[int],
    costs: Sequence[int] | NDArray[np.int64],
) -> NDArray[np.int64]:
    """
    Return `Σ_{t∈b} max(0, α·c_t − β·C)` of each batch, in ONE², (..., batches).

    `consensus` is (..., items); the batches cover the items in order, `sizes` items each, at least
    one, with `costs` in ONE, (batches,) or (..., batches). Raises `ValueError` if the sizes do not
    add up to the items.
    """
    if sum(sizes) != consensus.shape[-1] or min(sizes, default=0) < 1:
        raise ValueError(f"batches of {list(sizes)} do not cover {consensus.shape[-1]} items")
    paid = np.repeat(np.asarray(costs, np.int64), sizes, axis=-1) * parameters.cost_weight
    merits = np.maximum(0, parameters.quality_weight * consensus.astype(np.int64) - paid)
    starts = np.cumsum([0, *sizes[:-1]])
    result: NDArray[np.int64] = np.add.reduceat(merits, starts, axis=-1)
    return result


def batch_rewards(budget: int, items: int, merits: NDArray[np.int64]) -> tuple[int, ...]:
    """Return `⌊budget · merit / (T·ONE²)⌋` wei for each merit, (batches,), of one round."""
    return tuple(budget * merit // (items * ONE * ONE) for merit in merits.tolist())

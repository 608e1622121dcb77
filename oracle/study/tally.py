"""
How well consensus tracks the reference, from sums that are exact, so that no order of work shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import nan, sqrt

import numpy as np
from numpy.typing import NDArray

from oracle.core.units import ONE, ScoreVector


class Tally:
    """The moments of pairs of consensus and reference for each history, gathered by and by."""

    def __init__(self, histories: int) -> None:
        self._pairs = 0
        self._sums = np.zeros((6, histories), dtype=np.int64)

    def add(self, consensus: ScoreVector, reference: ScoreVector) -> None:
        """Take in pairs, both (histories, …) in ONE. Sums stay below 2⁶³ for 9·10¹⁰ pairs."""
        c = consensus.reshape(len(consensus), -1).astype(np.int64)
        r = reference.reshape(len(reference), -1).astype(np.int64)
        distance = np.abs(c - r)
        self._pairs += c.shape[1]
        self._sums += (
            c.sum(axis=1),
            r.sum(axis=1),
            np.einsum("ij,ij->i", c, c),
            np.einsum("ij,ij->i", r, r),
            np.einsum("ij,ij->i", c, r),
            distance.sum(axis=1),
        )

    def measures(self) -> Mapping[str, list[float]]:
        """Return `pearson`, NaN where either never varies, `mae`, `rmse`, `bias`; in [−1, 1]."""
        rows = self._sums.T.tolist()
        n = self._pairs
        return {
            "pearson": [_pearson(n, *row[:5]) for row in rows],
            "mae": [row[5] / (n * ONE) for row in rows],
            "rmse": [sqrt((row[2] - 2 * row[4] + row[3]) / n) / ONE for row in rows],
            "bias": [(row[0] - row[1]) / (n * ONE) for row in rows],
        }


class Mean:
    """Means of integers over the seats that a mask selects, one for each history."""

    def __init__(self, histories: int) -> None:
        self._total = np.zeros(histories, dtype=np.int64)
        self._count = np.zeros(histories, dtype=np.int64)

    def add(self, values: NDArray[np.integer], mask: NDArray[np.bool_]) -> None:
        """Take in values and which of them count, both (histories, …)."""
        flat = mask.reshape(len(mask), -1)
        chosen = values.reshape(len(values), -1) * flat
        self._total += chosen.sum(axis=1, dtype=np.int64)
        self._count += np.count_nonzero(flat, axis=1)

    def values(self, one: int) -> list[float]:
        """Return the means in units of `one`, NaN where nothing counted."""
        pairs = zip(self._total.tolist(), self._count.tolist(), strict=True)
        return [total / (count * one) if count else nan for total, count in pairs]


def _pearson(n: int, c: int, r: int, cc: int, rr: int, cr: int) -> float:
    square = (n * cc - c * c) * (n * rr - r * r)
    return (n * cr - c * r) / sqrt(square) if square > 0 else nan

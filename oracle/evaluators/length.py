"""
An evaluator that looks at nothing but the length of the output: the cheapest one there is.

It stands for evaluators that are easy to run and easy to please. It is reference-free and knows
what length is usual in a domain; it cannot tell a right answer from a wrong one of equal length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from oracle.evaluators.workload import Item

USUAL_WORDS: Mapping[str, int] = MappingProxyType({"qa": 8, "summarization": 25})
"""A phrase to a short sentence; one full sentence. Set by what the tasks ask for, not fitted."""


class LengthPrior:
    """A bell over the logarithm of the number of words, 1 at the domain's usual length."""

    name = "length"
    needs_reference = False

    def __init__(self, usual_words: int) -> None:
        self._usual = usual_words

    def score(self, items: Sequence[Item]) -> NDArray[np.float64]:
        """Return `exp(-ln²((1 + words) / (1 + usual)) / 2)`: about 0.8 at twice the usual."""
        words = np.array([len(item.output.split()) for item in items], dtype=np.float64)
        return np.exp(-0.5 * np.log((1 + words) / (1 + self._usual)) ** 2)

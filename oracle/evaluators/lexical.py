"""
Evaluators that count the words an output shares with the reference.

Words are what SQuAD's evaluation script makes of a text: lower case, no punctuation, no articles,
split at white space. Both lean on the reference alone and know nothing of meaning.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oracle.evaluators.workload import Item

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


class TokenF1:
    """Harmonic mean of the shared words' share of the output and of the reference."""

    name = "token-f1"
    needs_reference = True

    def score(self, items: Sequence[Item]) -> NDArray[np.float64]:
        """Return SQuAD's F1 per item: 1 if neither text has words, 0 if only one has."""
        return np.array([_f1(*_words_of(item)) for item in items], dtype=np.float64)


class TokenRecall:
    """Share of the reference's words that the output has; forgives long answers."""

    name = "token-recall"
    needs_reference = True

    def score(self, items: Sequence[Item]) -> NDArray[np.float64]:
        """Return the recall per item: 1 if the reference has no words."""
        return np.array([_recall(*_words_of(item)) for item in items], dtype=np.float64)


def squad_words(text: str) -> list[str]:
    """Return the words that SQuAD's evaluation script compares."""
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def _words_of(item: Item) -> tuple[Counter[str], Counter[str]]:
    return Counter(squad_words(item.output)), Counter(squad_words(item.reference or ""))


def _f1(output: Counter[str], reference: Counter[str]) -> float:
    if not output or not reference:
        return float(output == reference)
    return 2 * (output & reference).total() / (output.total() + reference.total())


def _recall(output: Counter[str], reference: Counter[str]) -> float:
    return (output & reference).total() / reference.total() if reference else 1.0

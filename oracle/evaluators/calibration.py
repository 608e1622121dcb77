"""
A monotone map from an evaluator's own scale to the scale of judged quality, one per domain.

Raw scales differ so much between evaluators that no robust aggregate works across them, so each
evaluator node calibrates itself before it quantises. The map is fitted on items with labels and
kept as a file that says where it came from. It preserves order: it can shrink an evaluator that
knows little towards the mean label, and make a misleading one flat, but never turn it round.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle.core import json_text
from oracle.evaluators.workload import Workload

FORMAT = "poq-calibration/1"
MIN_ITEMS = 20
MIN_BIN = 5
"""Fewest items that a knot rests on; equal raw scores always share one."""

_HASH = re.compile(r"[0-9a-f]{64}")


class CalibrationError(ValueError):
    """Raised when a calibration cannot be fitted, read, or used for what it is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """
    A fitted map, linear between its knots and flat beyond them, and its provenance.

    `raw` (strictly increasing) and `calibrated` (non-decreasing) are the knots, all in [0, 1].
    `workload` is the SHA-256 (hex) of the labelled workload, `items` the number fitted on, and the
    errors are mean absolute differences from the labels on those very items. Raises
    `CalibrationError` on anything else.
    """

    evaluator: str
    domain: str
    workload: str
    items: int
    error_before: float
    error_after: float
    raw: tuple[float, ...]
    calibrated: tuple[float, ...]

    def __post_init__(self) -> None:
        for knots in (self.raw, self.calibrated):
            if not knots or not all(0 <= knot <= 1 for knot in knots):
                raise CalibrationError(f"knots {knots} are not all in [0, 1], or there are none")
        if len(self.raw) != len(self.calibrated):
            raise CalibrationError(
                f"{len(self.raw)} raw and {len(self.calibrated)} calibrated knots"
            )
        if any(b <= a for a, b in zip(self.raw, self.raw[1:], strict=False)):
            raise CalibrationError(f"raw knots {self.raw} do not increase")
        if any(b < a for a, b in zip(self.calibrated, self.calibrated[1:], strict=False)):
            raise CalibrationError(f"calibrated knots {self.calibrated} decrease")
        if not _HASH.fullmatch(self.workload):
            raise CalibrationError(f"workload {self.workload!r} is not a SHA-256 in hex")
        if self.items < 1:
            raise CalibrationError(f"fitted on {self.items} items")
        if not (0 <= self.error_before <= 1 and 0 <= self.error_after <= 1):
            raise CalibrationError(
                f"errors {self.error_before} and {self.error_after} are not in [0, 1]"
            )

    def check_fits(self, evaluator: str, domain: str) -> None:
        """Raise `CalibrationError` unless fitted for this evaluator in this domain."""
        if (evaluator, domain) != (self.evaluator, self.domain):
            raise CalibrationError(
                f"calibration is for {self.evaluator} in {self.domain}, not {evaluator} in {domain}"
            )

    def apply(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the calibrated scores, float64 of the same shape in [0, 1]; NaN stays NaN."""
        return np.interp(raw, self.raw, self.calibrated)


def fit(evaluator: str, workload: Workload, raw: NDArray[np.float64]) -> Calibration:
    """
    Fit an evaluator's raw scores, float64 of shape (items,), to the labels of its workload.

    Isotonic least squares (pool adjacent violators) over bins of at least `MIN_BIN` items in order
    of raw score; each pooled block becomes one knot at its centre. Items without a label are
    passed over. Raises `CalibrationError` with fewer than `MIN_ITEMS` labels.
    """
    pairs = sorted(
        (float(score), item.label)
        for score, item in zip(raw, workload.items, strict=True)
        if item.label is not None
    )
    scores, labels = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    raw_knots, calibrated_knots = monotone_map(scores, labels)
    after = np.interp(scores, raw_knots, calibrated_knots)
    return Calibration(
        evaluator=evaluator,
        domain=workload.domain,
        workload=workload.hash.hex(),
        items=len(pairs),
        error_before=float(np.abs(scores - labels).mean()),
        error_after=float(np.abs(after - labels).mean()),
        raw=tuple(raw_knots.tolist()),
        calibrated=tuple(calibrated_knots.tolist()),
    )


def monotone_map(
    scores: NDArray[np.float64], labels: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Return the raw and the calibrated knots, float64, that fit (items,) scores to their labels.

    See `fit`, which adds the provenance. Raises `CalibrationError` with fewer than `MIN_ITEMS`.
    """
    from scipy.optimize import isotonic_regression

    if len(scores) < MIN_ITEMS:
        raise CalibrationError(f"{len(scores)} labelled items, at least {MIN_ITEMS} are needed")
    order = np.lexsort((labels, scores))
    scores, labels = scores[order], labels[order]
    starts = _bin_starts(scores)
    sizes = np.diff(np.append(starts, len(scores)))
    fitted = isotonic_regression(np.add.reduceat(labels, starts) / sizes, weights=sizes)

    blocks = starts[fitted.blocks[:-1]]
    block_sizes = np.diff(np.append(blocks, len(scores)))
    return (
        np.add.reduceat(scores, blocks) / block_sizes,
        np.clip(fitted.x[fitted.blocks[:-1]], 0.0, 1.0),
    )


def save(calibration: Calibration, path: Path) -> None:
    """Write the calibration as canonical JSON: sorted keys, shortest exact floats, one line."""
    row = {"format": FORMAT, **asdict(calibration)}
    text = json.dumps(row, sort_keys=True, separators=(",", ":"), allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def load(path: Path) -> Calibration:
    """Read a calibration that `save` wrote; raises `CalibrationError` if it is anything else."""
    try:
        row = json_text.parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CalibrationError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise CalibrationError(f"{path} is not JSON") from error
    if not isinstance(row, dict) or row.pop("format", None) != FORMAT:
        raise CalibrationError(f"{path} is not of format {FORMAT}")
    expected = {field.name for field in fields(Calibration)}
    if row.keys() != expected:
        raise CalibrationError(
            f"{path} has fields {sorted(row)} and format, expected {sorted(expected)}"
        )
    try:
        return Calibration(
            evaluator=_text(row["evaluator"]),
            domain=_text(row["domain"]),
            workload=_text(row["workload"]),
            items=_count(row["items"]),
            error_before=_number(row["error_before"]),
            error_after=_number(row["error_after"]),
            raw=_knots(row["raw"]),
            calibrated=_knots(row["calibrated"]),
        )
    except (TypeError, OverflowError) as error:
        raise CalibrationError(f"{path}: {error}") from error


def _bin_starts(scores: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return where each bin of the sorted scores starts: no tie is cut, no bin is too small."""
    starts = [0]
    for at in range(1, len(scores)):
        is_new_score = scores[at] != scores[at - 1]
        if is_new_score and at - starts[-1] >= MIN_BIN and len(scores) - at >= MIN_BIN:
            starts.append(at)
    return np.array(starts, dtype=np.intp)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is not a string")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r:.40} is not an integer")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{value!r:.40} is not a number")
    return float(value)


def _knots(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.40} is not a list")
    return tuple(_number(knot) for knot in value)

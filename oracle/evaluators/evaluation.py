"""
What an evaluator is, and the one way to ask it for scores.

Every score passes through `raw_scores`, which decides what an evaluator may see: never a label,
and a reference only if it says that it needs one. An evaluator that returns anything but one
finite number in [0, 1] per item is refused, not repaired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from oracle.evaluators.calibration import Calibration
from oracle.evaluators.quantise import quantise
from oracle.evaluators.workload import Item, Workload


class Evaluator(Protocol):
    """
    Scores outputs.

    `name` is the one in the registry. `score` returns float64 of shape (items,) in [0, 1], higher
    is better; items come without `reference` unless `needs_reference`, and always without `label`.
    """

    @property
    def name(self) -> str: ...

    @property
    def needs_reference(self) -> bool: ...

    def score(self, items: Sequence[Item]) -> NDArray[np.float64]: ...


class EvaluatorError(ValueError):
    """Raised when an evaluator cannot score a workload; names the evaluator and the item."""


def evaluate(
    evaluator: Evaluator, workload: Workload, calibration: Calibration | None = None
) -> NDArray[np.uint16]:
    """
    Return the scores to commit: uint16 of shape (items,) in [0, ONE], half up.

    With a calibration the raw scores pass through it first. Raises `EvaluatorError`, or
    `CalibrationError` if the calibration was fitted for another evaluator or domain.
    """
    if calibration is not None:
        calibration.check_fits(evaluator.name, workload.domain)
    raw = raw_scores(evaluator, workload)
    return quantise(raw if calibration is None else calibration.apply(raw))


def raw_scores(evaluator: Evaluator, workload: Workload) -> NDArray[np.float64]:
    """
    Return the evaluator's own scores, float64 of shape (items,) in [0, 1], as a calibration wants.

    Raises `EvaluatorError` if a reference is missing or the evaluator breaks its protocol.
    """
    if evaluator.needs_reference:
        for item in workload.items:
            if item.reference is None:
                raise EvaluatorError(f"{evaluator.name} needs a reference, {_place(item)} has none")
        visible = [replace(item, label=None) for item in workload.items]
    else:
        visible = [replace(item, label=None, reference=None) for item in workload.items]
    scores = np.asarray(evaluator.score(visible), dtype=np.float64)
    if scores.shape != (len(visible),):
        raise EvaluatorError(
            f"{evaluator.name} returned shape {scores.shape} for {len(visible)} items"
        )
    wrong = ~((scores >= 0) & (scores <= 1))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise EvaluatorError(
            f"{evaluator.name} scored {_place(visible[at])} {scores[at]}, outside [0, 1]"
        )
    return scores


def _place(item: Item) -> str:
    return f"item {item.id!r} of node {item.node!r}"

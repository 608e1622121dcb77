"""
Who takes part in the demonstration: honest evaluators of every kind, and some that lie.

A liar scores as it should, and then reports something else. What it reports is decided here; what
becomes of it, by the protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from oracle.core.units import ONE
from oracle.evaluators import calibration, workload
from oracle.evaluators.calibration import Calibration
from oracle.evaluators.evaluation import Evaluator, evaluate, raw_scores
from oracle.evaluators.registry import create
from oracle.evaluators.workload import Workload

Scores = NDArray[np.uint16]

DOMAINS = ("qa", "summarization")


def boosted(scores: Scores) -> Scores:
    """Report each score 0.4 higher, as somebody would who favours every inference node."""
    return np.minimum(scores.astype(np.int64) + 4 * ONE // 10, ONE).astype(np.uint16)


def sabotaged(scores: Scores) -> Scores:
    """Report zero for everything."""
    return np.zeros_like(scores)


def inverted(scores: Scores) -> Scores:
    """Report good as bad and bad as good."""
    return (ONE - scores.astype(np.int64)).astype(np.uint16)


@dataclass(frozen=True, slots=True)
class Role:
    """An evaluator of the demonstration: what it scores with and, if it lies, how."""

    name: str
    kind: str
    lie: Callable[[Scores], Scores] | None = None

    @property
    def honesty(self) -> str:
        """The word for how it behaves: honest, or what it does to its scores."""
        return "honest" if self.lie is None else self.lie.__name__

    def scores(self, items: Workload) -> Scores:
        """Return what it reports for a workload, (items,) in ONE, calibrated before lying."""
        scores = _honest_scores(self.kind, items)
        return scores if self.lie is None else self.lie(scores)


CAST = (
    Role("recall-a", "token-recall"),
    Role("recall-b", "token-recall"),
    Role("f1", "token-f1"),
    Role("rouge", "rouge-l"),
    Role("chrf-a", "chrf"),
    Role("chrf-b", "chrf"),
    Role("embedding", "embedding"),
    Role("relevance", "relevance"),
    Role("length", "length"),
    Role("booster", "rouge-l", boosted),
    Role("saboteur", "chrf", sabotaged),
    Role("inverter-a", "token-recall", inverted),
    Role("inverter-b", "token-f1", inverted),
)


def example(domain: str, share: str = "") -> Workload:
    """Return a packaged example workload; `share` is empty or `.calibration`."""
    name = f"{domain}{share}.jsonl"
    return workload.parse((files("oracle.evaluators") / "examples" / name).read_bytes())


@cache
def _calibrated(kind: str, domain: str) -> tuple[Evaluator, Calibration]:
    evaluator = create(kind, domain)
    labelled = example(domain, ".calibration")
    return evaluator, calibration.fit(evaluator.name, labelled, raw_scores(evaluator, labelled))


@cache
def _honest_scores(kind: str, items: Workload) -> Scores:
    evaluator, fitted = _calibrated(kind, items.domain)
    return evaluate(evaluator, items, fitted)

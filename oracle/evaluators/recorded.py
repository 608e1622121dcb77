"""
An evaluator that reads its scores from a file: human judgement, or a model that runs elsewhere.

CSV with a header `id,node,score`, or a JSON list of objects with these keys. It scores nothing
itself and has no default: an item that the file does not name is an error.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oracle.core import json_text
from oracle.evaluators.evaluation import EvaluatorError
from oracle.evaluators.workload import Item


class RecordedScores:
    """The scores that the file at `path` gives to (id, node), in [0, 1]."""

    needs_reference = False

    def __init__(self, path: Path) -> None:
        """Read the file; raises `EvaluatorError` if it is not a table of such scores."""
        self.name = f"recorded:{path.name}"
        self._scores: dict[tuple[str, str], float] = {}
        for position, row in enumerate(_rows(self.name, path), start=1):
            key, score = _entry(row)
            if key is None or not 0 <= score <= 1:
                raise EvaluatorError(
                    f"{self.name} row {position} has no id, node and score in [0, 1]"
                )
            if key in self._scores:
                raise EvaluatorError(f"{self.name} row {position} scores {key} a second time")
            self._scores[key] = score

    def score(self, items: Sequence[Item]) -> NDArray[np.float64]:
        """Return the recorded score per item; raises `EvaluatorError` if one was not recorded."""
        for item in items:
            if (item.id, item.node) not in self._scores:
                raise EvaluatorError(
                    f"{self.name} has no score for item {item.id!r} of node {item.node!r}"
                )
        return np.array([self._scores[item.id, item.node] for item in items], dtype=np.float64)


def _rows(name: str, path: Path) -> Iterable[object]:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".json":
            return list(csv.DictReader(io.StringIO(text, newline="")))
        rows = json_text.parse(text)
    except OSError as error:
        raise EvaluatorError(f"{name} cannot be read from {path}: {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        raise EvaluatorError(f"{name} is neither CSV nor JSON: {error}") from error
    if not isinstance(rows, list):
        raise EvaluatorError(f"{name} is a JSON {type(rows).__name__}, expected a list")
    return rows


def _entry(row: object) -> tuple[tuple[str, str] | None, float]:
    """Return a row's key and score; without a usable key or score, None or NaN."""
    if not isinstance(row, Mapping):
        return None, math.nan
    key, node, score = row.get("id"), row.get("node"), row.get("score")
    if not isinstance(key, str) or not isinstance(node, str) or isinstance(score, bool):
        return None, math.nan
    try:
        return (key, node), float(score)  # type: ignore[arg-type]  # the except is the check
    except (TypeError, ValueError, OverflowError):
        return None, math.nan

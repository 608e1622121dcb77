"""
How far each evaluator can be relied on, task by task, and which turn round from one to another.

Pearson, Spearman and mean absolute error against the reference, with intervals from resampled
prompts. Correlations are given at three levels, since they can contradict each other: over all
outputs, within systems (how outputs of one system compare) and between systems (which is better).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import rankdata

from oracle.core.units import ONE
from oracle.study.datasets import Dataset, ScoreTable

LEVELS = ("all", "within systems", "between systems")
FEWEST_SYSTEMS = 3
"""Of which a correlation between systems can be told."""
_ENDS = (2.5, 97.5)

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A dataset on one scale; `dataset` holds names and prompts of the table's columns."""

    dataset: Dataset
    scale: str
    table: ScoreTable
    key: str
    resamples: int

    @property
    def name(self) -> str:
        """What the part is called among those of its study."""
        return f"{self.key}-{self.scale}"


def run(part: Part) -> pl.DataFrame:
    """
    Return a row for each evaluator, level and measure: `value`, and the interval `low` to `high`.

    Intervals are of 95 %, by the percentiles of resampled prompts with all their outputs; ranks and
    the means of systems are taken once, over all outputs. A measure that nothing varies in is
    missing. Between systems there is no interval: systems are not resampled.
    """
    reference = part.table.reference / ONE
    rows = []
    counts = _resampled(part.dataset.sources, part.resamples)
    for level in LEVELS:
        for measure, values in _measured(part, reference, level, counts).items():
            for evaluator, all_values in zip(part.dataset.evaluators, values.T, strict=True):
                value, *resampled = all_values.tolist()
                known = [other for other in resampled if other == other]
                low, high = np.percentile(known, _ENDS).tolist() if known else (None, None)
                rows.append((evaluator, level, measure, value, low, high))
    table = pl.DataFrame(
        rows,
        schema={
            "evaluator": pl.String,
            "level": pl.String,
            "measure": pl.String,
            "value": pl.Float64,
            "low": pl.Float64,
            "high": pl.Float64,
        },
        orient="row",
    )
    return table.select(
        pl.lit(part.key).alias("dataset"),
        pl.lit(part.dataset.task).alias("task"),
        pl.lit(part.scale).alias("scale"),
        pl.lit(len(reference)).alias("items"),
        pl.all(),
    ).with_columns(pl.col("value").fill_nan(None))


def inversions(table: pl.DataFrame) -> pl.DataFrame:
    """
    Return the evaluators whose correlation is surely positive at one place and negative at another.

    A place is a dataset and a level. Of `run`'s rows, Pearson's count whose whole interval is on
    one side of zero; a row has the evaluator, the scale, and both places with their values.
    """
    sure = table.filter(pl.col("measure") == "pearson", pl.col("low") * pl.col("high") > 0).select(
        "scale", "evaluator", "dataset", "level", "value"
    )
    pairs = sure.filter(pl.col("value") > 0).join(
        sure.filter(pl.col("value") < 0), on=["scale", "evaluator"], suffix="_inverted"
    )
    return pairs.sort(pairs.columns)


def _measured(part: Part, reference: Matrix, level: str, counts: Matrix) -> dict[str, Matrix]:
    """Each measure, (1 + resamples, evaluators): as it is, then resampled."""
    scores = part.table.scores / ONE
    systems = part.table.systems
    number = len(np.unique(systems))
    if level == "all":
        ranks = np.array([rankdata(row) for row in scores])
        return {
            "pearson": _correlations(scores, reference, counts),
            "spearman": _correlations(ranks, rankdata(reference), counts),
            "mae": counts @ np.abs(scores - reference).T / counts.sum(axis=1, keepdims=True),
        }
    if not FEWEST_SYSTEMS <= number < len(reference) // 2:
        return {}
    scores_by, reference_by = _by_system(scores, systems), _by_system(reference, systems)
    if level == "within systems":
        return {
            "pearson": _correlations(
                scores - scores_by[:, systems], reference - reference_by[systems], counts
            )
        }
    present = np.bincount(systems) > 0
    once = np.ones((1, int(present.sum())))
    return {"pearson": _correlations(scores_by[:, present], reference_by[present], once)}


def _correlations(scores: Matrix, reference: Matrix, counts: Matrix) -> Matrix:
    """Pearson of each row of `scores` with `reference`, items weighted by each row of `counts`."""
    scores = scores - scores.mean(axis=1, keepdims=True)
    reference = reference - reference.mean()
    total = counts.sum(axis=1, keepdims=True)
    s, r = counts @ scores.T / total, (counts @ reference)[:, np.newaxis] / total
    ss = counts @ (scores**2).T / total - s**2
    rr = (counts @ reference**2)[:, np.newaxis] / total - r**2
    sr = counts @ (scores * reference).T / total - s * r
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Matrix = np.where((ss > 1e-12) & (rr > 1e-12), sr / np.sqrt(ss * rr), np.nan)
    return result


def _by_system(values: Matrix, systems: NDArray[np.intp]) -> Matrix:
    """Means over the items of each system, (…, systems)."""
    member = (systems[:, np.newaxis] == np.arange(systems.max() + 1)).astype(np.float64)
    result: Matrix = values @ (member / np.maximum(member.sum(axis=0), 1))
    return result


def _resampled(sources: NDArray[np.intp], resamples: int) -> Matrix:
    """How often each item counts, (1 + resamples, items): once, then as its prompt is drawn."""
    _, place = np.unique(sources, return_inverse=True)
    prompts = int(place.max()) + 1
    rng = np.random.default_rng([prompts, resamples])
    drawn = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=resamples)
    counts = np.concatenate([np.ones((1, prompts), dtype=drawn.dtype), drawn])[:, place]
    return counts.astype(np.float64)

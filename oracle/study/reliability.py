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
FEWEST_OUTPUTS = 20
"""Of a system, on average, for its mean to be one."""
_ENDS = (2.5, 97.5)
_NOTHING = 1e-12

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

    Intervals are of 95 %, by the percentiles of resampled prompts with all their outputs; systems
    stay the same, and ranks and what is subtracted within systems are taken once, over all outputs.
    Levels below "all" are missing where systems are too few or too small, and so is a measure where
    nothing varies.
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
    if number < FEWEST_SYSTEMS or number * FEWEST_OUTPUTS > len(reference):
        return {}
    if level == "between systems":
        return {"pearson": _between(scores, reference, systems, counts)}
    member = (systems[:, np.newaxis] == np.unique(systems)).astype(np.float64)
    own = member / member.sum(axis=0) @ member.T
    return {"pearson": _correlations(scores - scores @ own, reference - reference @ own, counts)}


def _between(
    scores: Matrix, reference: Matrix, systems: NDArray[np.intp], counts: Matrix
) -> Matrix:
    """Pearson over the means of systems, each mean weighted by each row of `counts`."""
    means, wanted = [], []
    for system in np.unique(systems):
        own = counts[:, systems == system]
        total = np.maximum(own.sum(axis=1, keepdims=True), 1)
        means.append(own @ scores[:, systems == system].T / total)
        wanted.append(own @ reference[systems == system] / total[:, 0])
    s, r = np.stack(means), np.stack(wanted)[..., np.newaxis]
    s, r = s - s.mean(axis=0), r - r.mean(axis=0)
    square = (s**2).sum(axis=0) * (r**2).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(square > _NOTHING, (s * r).sum(axis=0) / np.sqrt(square), np.nan)


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
        result: Matrix = np.where((ss > _NOTHING) & (rr > _NOTHING), sr / np.sqrt(ss * rr), np.nan)
    return result


def _resampled(sources: NDArray[np.intp], resamples: int) -> Matrix:
    """How often each item counts, (1 + resamples, items): once, then as its prompt is drawn."""
    _, place = np.unique(sources, return_inverse=True)
    prompts = int(place.max()) + 1
    rng = np.random.default_rng([prompts, resamples])
    drawn = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=resamples)
    counts = np.concatenate([np.ones((1, prompts), dtype=drawn.dtype), drawn])[:, place]
    return counts.astype(np.float64)

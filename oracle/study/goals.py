"""
What a default rule has to keep of the Pearson that the mean has without liars, cell by cell.

A cell is a dataset, a panel size and an attack, on calibrated scores; both numbers are means over
seeds, for rounds of the same shape. This module judges what a sweep measured; it chooses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from oracle.study.sweep import HONEST


@dataclass(frozen=True, slots=True)
class Goal:
    """The least part to be kept, with this ratio of liars, in rounds of so many items."""

    name: str
    items: int
    ratio: float
    least: float


GOALS: Sequence[Goal] = (
    Goal("no liars", 20, 0.0, 0.98),
    Goal("20 % liars", 20, 0.2, 0.95),
    Goal("40 % liars", 20, 0.4, 0.90),
    Goal("one-item rounds, no liars", 1, 0.0, 0.95),
)

_SHAPE = ["dataset", "scale", "items", "panel_size"]


def judged(sweep: pl.DataFrame, rule: str) -> pl.DataFrame:
    """
    Return a row for each goal and cell that was played.

    `kept` and `mean_kept` are what the rule and the mean keep of the mean's Pearson without liars;
    `met` says whether the rule keeps at least `least`. Empty if the mean was not played.
    """
    means = sweep.group_by(*_SHAPE, "rule", "attack", "ratio").agg(pl.col("pearson").mean())
    mean = means.filter(pl.col("rule") == "mean").drop("rule")
    clean = mean.filter(pl.col("attack") == HONEST).select(*_SHAPE, pl.col("pearson").alias("of"))
    cells = (
        means.filter(pl.col("rule") == rule, pl.col("scale") == "calibrated")
        .join(mean, on=[*_SHAPE, "attack", "ratio"], suffix="_mean")
        .join(clean, on=_SHAPE)
    )
    tables = [
        cells.filter(pl.col("items") == goal.items, pl.col("ratio") == goal.ratio).select(
            pl.lit(goal.name).alias("goal"),
            pl.lit(goal.least).alias("least"),
            *_SHAPE,
            "rule",
            "attack",
            "ratio",
            (pl.col("pearson") / pl.col("of")).alias("kept"),
            (pl.col("pearson_mean") / pl.col("of")).alias("mean_kept"),
            (pl.col("pearson") >= goal.least * pl.col("of")).alias("met"),
        )
        for goal in GOALS
    ]
    return pl.concat(tables).sort("goal", *_SHAPE, "attack")


def summary(cells: pl.DataFrame) -> list[str]:
    """Return a sentence for each goal with cells."""
    told = []
    for goal in GOALS:
        own = cells.filter(pl.col("goal") == goal.name)
        if own.is_empty():
            continue
        worst = own.sort("kept").row(0, named=True)
        told.append(
            f"{goal.name}: {worst['rule']} keeps {goal.least:.2f} of the mean's Pearson in "
            f"{own['met'].sum()} of {len(own)} cells; least {worst['kept']:.2f} ({worst['dataset']}"
            f", panel of {worst['panel_size']}, {worst['attack']}), "
            f"where the mean keeps {worst['mean_kept']:.2f}."
        )
    return told

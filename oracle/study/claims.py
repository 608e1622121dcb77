"""
The four claims of the paper, each answered from the study's tables, also where the answer is no.

An answer is decided by rules stated with each function, not by taste, and comes with the numbers it
rests on. Claims are of "Adaptive and Robust Cost-Aware Proof of Quality for Decentralized LLM
Inference Networks" (arXiv 2601.21189).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from oracle.study.reliability import inversions
from oracle.study.sweep import HONEST

UNDER_ATTACK = 0.4
"""The ratio of liars, or the nearest that was played, at which the first claim is judged."""
STABLE = 0.05
"""Change of the inference reward from the smallest panel to the largest that is none."""

_CELL = ["dataset", "scale", "items", "panel_size", "attack", "ratio"]


@dataclass(frozen=True, slots=True)
class Answer:
    """
    A claim, the scale of scores and the rule it was tested on, the answer, the numbers behind it.

    Claims that are not about one rule have none.
    """

    claim: str
    scale: str
    rule: str | None
    answer: str
    why: str


def robust_rules_track_better(sweep: pl.DataFrame) -> Iterator[Answer]:
    """
    Yield whether robust rules track the reference better than the mean under attack.

    "Yes" if every other rule has the higher Pearson in most cells and on average, a cell being a
    dataset, an attack, a panel size and a number of items, averaged over seeds; "some" if a rule
    has; "no" if none has.
    """
    ratio = min(sweep["ratio"].unique().to_list(), key=lambda played: abs(played - UNDER_ATTACK))
    attacked = sweep.filter(pl.col("ratio") == ratio, pl.col("attack") != HONEST)
    cells = attacked.group_by(*_CELL, "rule").agg(pl.col("pearson").mean())
    gains = (
        cells.filter(pl.col("rule") != "mean")
        .join(cells.filter(pl.col("rule") == "mean").drop("rule"), on=_CELL, suffix="_mean")
        .with_columns((pl.col("pearson") - pl.col("pearson_mean")).alias("gain"))
        .group_by("scale", "rule")
        .agg(pl.col("gain").mean(), (pl.col("gain") > 0).mean().alias("share"), pl.len())
        .sort("gain", descending=True)
    )
    for scale, rules in _by_scale(gains):
        better = (rules["gain"] > 0) & (rules["share"] > 0.5)
        told = "; ".join(
            f"{rule} {gain:+.3f}, better in {share:.0%}"
            for rule, gain, share in rules.select("rule", "gain", "share").iter_rows()
        )
        yield Answer(
            "Robust aggregation tracks the reference better than the mean under attack.",
            scale,
            None,
            "yes" if better.all() else "some" if better.any() else "no",
            f"Pearson against the mean's at {ratio:.0%} liars, {rules['len'][0]} cells: {told}.",
        )


def evaluators_vary(reliability: pl.DataFrame) -> Iterator[Answer]:
    """
    Yield whether evaluators vary and some invert by task.

    "Yes" if for some evaluator Pearson is positive over all outputs of one dataset and negative
    over those of another, with intervals that leave out zero; "by level" if that happens only at
    other levels, which is told; "no" otherwise.
    """
    inverted = inversions(reliability)
    overall = reliability.filter(pl.col("measure") == "pearson", pl.col("level") == "all")
    for scale, rows in _by_scale(overall):
        spread = rows.group_by("dataset").agg(
            pl.col("value").min().alias("least"), pl.col("value").max().alias("most")
        )
        told = ", ".join(
            f"{dataset} {least:.2f} to {most:.2f}"
            for dataset, least, most in spread.sort("dataset").iter_rows()
        )
        pairs = inverted.filter(pl.col("scale") == scale)
        tasks = pairs.filter(pl.col("level") == "all", pl.col("level_inverted") == "all")
        levels = pairs.filter(pl.col("dataset") == pl.col("dataset_inverted"))
        names = sorted(set(tasks["evaluator"])) or sorted(set(levels["evaluator"]))
        where = "between datasets" if len(tasks) else "between levels of one dataset"
        yield Answer(
            "Evaluators vary, and some invert from one task to another.",
            scale,
            None,
            "yes" if len(tasks) else "by level" if len(pairs) else "no",
            f"Pearson of evaluators: {told}. "
            + (f"Inverted {where}: {', '.join(names)}." if names else "None inverts."),
        )


def larger_panels_pay_less(rewards: pl.DataFrame) -> Iterator[Answer]:
    """
    Yield whether larger panels lower what evaluators earn and raise its variance.

    The smallest panel against the largest, in each dataset and number of items, for the share that
    a seat earns of what it could. "Yes" if both hold in all of these cells, "mostly" if in more
    than half, "no" otherwise.
    """
    for scale, rule, ends in _by_rule(_ends(rewards)):
        lower = ends["evaluator_share_last"] < ends["evaluator_share_first"]
        wider = ends["evaluator_share_variance_last"] > ends["evaluator_share_variance_first"]
        paid = ends["evaluator_pay_variance_last"] > ends["evaluator_pay_variance_first"]
        both, of = int((lower & wider).sum()), len(ends)
        change = (ends["evaluator_share_last"] / ends["evaluator_share_first"] - 1).to_list()
        yield Answer(
            "Larger panels lower the evaluators' reward and raise its variance.",
            scale,
            rule,
            "yes" if both == of else "mostly" if 2 * both > of else "no",
            f"The share that a seat earns falls in {int(lower.sum())} of {of} cells "
            f"({min(change):+.1%} to {max(change):+.1%}), its variance rises in "
            f"{int(wider.sum())}; of a fixed budget, which K seats divide, the variance of what a "
            f"seat is paid rises in {int(paid.sum())}.",
        )


def inference_reward_is_stable(rewards: pl.DataFrame) -> Iterator[Answer]:
    """
    Yield whether what outputs earn stays the same, whatever the panel's size.

    The smallest panel against the largest, in each dataset and number of items. "Yes" if none
    changes by more than `STABLE`, "mostly" if less than half does, "no" otherwise.
    """
    for scale, rule, ends in _by_rule(_ends(rewards)):
        change = (ends["inference_share_last"] / ends["inference_share_first"] - 1).to_list()
        moved = sum(abs(each) > STABLE for each in change)
        yield Answer(
            "The inference nodes' reward stays stable.",
            scale,
            rule,
            "no" if 2 * moved >= len(change) else "mostly" if moved else "yes",
            f"From the smallest panel to the largest it changes by {min(change):+.1%} to "
            f"{max(change):+.1%}, by more than {STABLE:.0%} in {moved} of {len(change)} cells.",
        )


def _ends(rewards: pl.DataFrame) -> pl.DataFrame:
    """Means over seeds for the smallest and the largest panel of each cell, side by side."""
    cell = ["dataset", "scale", "items", "rule"]
    numbers = pl.selectors.float()
    means = rewards.group_by(*cell, "panel_size").agg(numbers.mean())
    size = pl.col("panel_size")
    first = means.filter(size == size.min().over(cell)).drop("panel_size")
    last = means.filter(size == size.max().over(cell)).drop("panel_size")
    named = [name for name in first.columns if name not in cell]
    return first.rename({name: f"{name}_first" for name in named}).join(
        last.rename({name: f"{name}_last" for name in named}), on=cell
    )


def _by_rule(table: pl.DataFrame) -> Iterator[tuple[str, str, pl.DataFrame]]:
    for rule in sorted(table["rule"].unique().to_list()):
        for scale, rows in _by_scale(table.filter(pl.col("rule") == rule)):
            yield scale, rule, rows


def _by_scale(table: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    for (scale,), rows in sorted(
        table.partition_by("scale", as_dict=True).items(), key=lambda pair: str(pair[0])
    ):
        yield str(scale), rows

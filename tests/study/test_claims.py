"""An answer says yes, no, or how far, as its rule has it."""

from __future__ import annotations

import polars as pl
import pytest

from oracle.study import goals
from oracle.study.claims import (
    evaluators_vary,
    inference_reward_is_stable,
    larger_panels_pay_less,
    robust_rules_track_better,
)


def swept(**pearson: float) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "dataset": "d",
                "scale": "raw",
                "items": 20,
                "panel_size": 9,
                "rule": rule.replace("_", "-"),
                "attack": attack,
                "ratio": ratio,
                "seed": seed,
                "pearson": value if attack == "noise" else 0.0,
            }
            for rule, value in pearson.items()
            for attack, ratio in (("noise", 0.4), ("none", 0.0), ("none", 0.4))
            for seed in range(3)
        ]
    )


@pytest.mark.parametrize(
    ("pearson", "answer"),
    [
        ({"mean": 0.5, "median": 0.6, "default": 0.7}, "yes"),
        ({"mean": 0.5, "median": 0.4, "default": 0.7}, "some"),
        ({"mean": 0.5, "median": 0.4, "default": 0.5}, "no"),
    ],
)
def test_robust_rules_are_better_if_all_are(pearson: dict[str, float], answer: str) -> None:
    [given] = robust_rules_track_better(swept(**pearson))
    assert (given.scale, given.answer) == ("raw", answer)
    assert f"default {pearson['default'] - 0.5:+.3f}" in given.why


def paid(share: tuple[float, float], variance: tuple[float, float], inference: float) -> list[str]:
    table = pl.DataFrame(
        [
            {
                "dataset": "d",
                "scale": "raw",
                "items": 1,
                "rule": "mean",
                "panel_size": size,
                "evaluator_share": share[at],
                "evaluator_share_variance": variance[at],
                "evaluator_pay_variance": variance[at] / size**2,
                "inference_share": 0.5 * inference**at,
            }
            for at, size in enumerate((3, 11))
        ]
    )
    return [
        a.answer for f in (larger_panels_pay_less, inference_reward_is_stable) for a in f(table)
    ]


def test_rewards_fall_and_vary_more_if_both_are_so_and_are_stable_within_a_bound() -> None:
    assert paid((0.9, 0.8), (0.01, 0.02), 1.04) == ["yes", "yes"]
    assert paid((0.9, 0.8), (0.02, 0.01), 1.06) == ["no", "no"]
    assert paid((0.8, 0.9), (0.01, 0.02), 0.96) == ["no", "yes"]


@pytest.mark.parametrize(
    ("dataset", "level", "answer"),
    [("sum", "all", "yes"), ("qa", "between systems", "by level"), ("sum", "within", "by level")],
)
def test_evaluators_invert_by_task_or_only_by_level(dataset: str, level: str, answer: str) -> None:
    places = [("qa", "all", 0.5), ("sum", "all", 0.3), (dataset, level, -0.4)]
    places = list({(name, at): (name, at, value) for name, at, value in places}.values())
    table = pl.DataFrame(
        [
            {
                "dataset": name,
                "scale": "raw",
                "evaluator": "a",
                "level": at,
                "measure": "pearson",
                "value": value,
                "low": value - 0.1,
                "high": value + 0.1,
            }
            for name, at, value in places
        ]
    )
    [given] = evaluators_vary(table)
    assert given.answer == answer


def test_a_goal_is_met_where_the_rule_keeps_enough_of_the_clean_mean() -> None:
    rows = [
        ("mean", "none", 0.0, 0.8),
        ("default", "none", 0.0, 0.79),
        ("mean", "noise", 0.4, 0.4),
        ("default", "noise", 0.4, 0.73),
        ("mean", "boost", 0.4, 0.7),
        ("default", "boost", 0.4, 0.71),
    ]
    table = pl.DataFrame(
        [
            {
                "dataset": "d",
                "scale": "calibrated",
                "items": 20,
                "panel_size": 9,
                "rule": rule,
                "attack": attack,
                "ratio": ratio,
                "seed": seed,
                "pearson": pearson + (0.01 if seed else -0.01),
            }
            for rule, attack, ratio, pearson in rows
            for seed in range(2)
        ]
    )
    cells = goals.judged(table, "default")
    assert dict(cells.select("attack", "met").iter_rows()) == {
        "none": True,
        "noise": True,
        "boost": False,
    }
    told = goals.summary(cells)
    assert len(told) == 2
    assert (
        "in 1 of 2 cells; least 0.89 (d, panel of 9, boost), where the mean keeps 0.88" in told[1]
    )

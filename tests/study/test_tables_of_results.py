"""What the rows of sweep, rewards, reliability and peers say, against other ways to compute it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import pearsonr, spearmanr

from oracle.core.consensus import Rule
from oracle.core.parameters import RoundsParameters
from oracle.core.units import ONE
from oracle.study import peers, reliability, rewards, sweep
from oracle.study.datasets import load, raw
from oracle.study.simulation import Choice, History, Shape, blocks, newcomers, play
from oracle.study.tally import Tally
from tests.study.tables import ALL_ATTACKS, TRUST, made_up, made_up_rows, write_table

CHOICES = [Choice("mean", Rule.MEAN, TRUST), Choice("default", Rule.TRUST_WEIGHTED_MEAN, TRUST)]
HISTORIES = [History(0), History(0, "inversion", 0.4), History(1, "inversion", 0.4)]
SHAPE = Shape(panel_size=5, items=20, rounds=300)


def part(shape: Shape = SHAPE) -> sweep.Part:
    return sweep.Part("made-up", "raw", made_up(), shape, HISTORIES, ALL_ATTACKS, CHOICES)


# Sweep


def test_measures_are_those_of_numpy_in_whatever_pieces_they_come() -> None:
    rng = np.random.default_rng(0)
    consensus = rng.integers(0, ONE + 1, (3, 40, 5)).astype(np.uint16)
    reference = rng.integers(0, ONE + 1, (3, 40, 5)).astype(np.uint16)
    tally = Tally(3)
    for piece in (slice(0, 7), slice(7, 40)):
        tally.add(consensus[:, piece], reference[:, piece])
    for i in range(3):
        c, r = consensus[i].ravel() / ONE, reference[i].ravel() / ONE
        measures = {name: values[i] for name, values in tally.measures().items()}
        assert measures == pytest.approx(
            {
                "pearson": np.corrcoef(c, r)[0, 1],
                "mae": np.abs(c - r).mean(),
                "rmse": np.sqrt(((c - r) ** 2).mean()),
                "bias": (c - r).mean(),
            }
        )


def test_the_correlation_of_what_never_varies_is_missing() -> None:
    tally = Tally(1)
    flat = np.full((1, 9), 5, dtype=np.uint16)
    tally.add(flat, np.arange(9, dtype=np.uint16)[np.newaxis])
    assert np.isnan(tally.measures()["pearson"][0])


def test_a_sweep_has_a_row_for_each_rule_and_history_and_says_what_happened() -> None:
    table = sweep.run(part())
    assert len(table) == 6
    assert table["liars"].to_list() == [0, 4, 4] * 2
    by = {(rule, seed): row for rule, seed, row in _attacked(table)}
    honest = table.filter(pl.col("attack") == sweep.HONEST)
    assert min(honest["pearson"].to_list()) > 0.95
    assert honest["liar_deviation"].null_count() == 2
    for seed in (0, 1):
        mean, default = by["mean", seed], by["default", seed]
        assert mean["pearson"] < default["pearson"]
        assert mean["honest_trust"] is None
        assert default["liar_trust"] < 0.2 < 0.9 < default["honest_trust"]
        assert default["liar_deviation"] > 3 * default["honest_deviation"]


def _attacked(table: pl.DataFrame) -> list[tuple[str, int, dict[str, Any]]]:
    rows = table.filter(pl.col("attack") != sweep.HONEST).rows(named=True)
    return [(row["rule"], row["seed"], row) for row in rows]


def test_more_items_or_memory_for_more_rounds_are_not_needed() -> None:
    """A part holds a block of rounds at a time: twice the rounds, the same blocks."""
    sizes = {
        rounds: {block.scores.nbytes for block in blocks(made_up(), HISTORIES, shape, ALL_ATTACKS)}
        for rounds in (500, 1_000)
        for shape in [Shape(5, 1, rounds)]
    }
    assert sizes[500] == sizes[1_000]


# Rewards


def test_rewards_are_means_and_variances_of_what_seats_and_outputs_earn() -> None:
    parameters = RoundsParameters(
        draw_delay=0,
        commit_window=ONE,
        reveal_window=0,
        settle_window=0,
        least_evaluator_pay=0,
        quality_weight=9_000,
        cost_weight=2_000,
        closeness_scale=5_000,
    )
    table, shape = made_up(), Shape(5, 3, 40)
    cost, latency = 1_000, 3_000
    found = rewards.run(
        rewards.Part("made-up", "raw", table, shape, 2, CHOICES[0], parameters, latency, cost)
    )
    for seed in range(2):
        [block] = blocks(table, [History(seed)], shape, {})
        outcome = play(CHOICES[0], block, newcomers(1, 9))
        closeness = np.maximum(0, ONE - outcome.deviations[0].astype(int) * ONE // 5_000)
        shares = np.maximum(0, 9_000 * closeness - 2_000 * latency) // ONE / ONE
        merits = np.maximum(0, 9_000 * outcome.consensus[0].astype(int) - 2_000 * cost)
        outputs = merits.sum(axis=1) / (3 * ONE**2)
        row = found.row(seed, named=True)
        assert row["evaluator_share"] == pytest.approx(shares.mean())
        assert row["evaluator_share_variance"] == pytest.approx(shares.var())
        assert row["evaluator_pay_variance"] == pytest.approx((shares / 5).var())
        assert row["inference_share"] == pytest.approx(outputs.mean())
        assert row["inference_share_variance"] == pytest.approx(outputs.var())


# Reliability


def test_reliability_is_what_scipy_says_and_lies_in_its_interval(tmp_path: Path) -> None:
    dataset = load(write_table(tmp_path, made_up_rows()))
    table = raw(dataset)
    found = reliability.run(reliability.Part(dataset, "raw", table, "made-up", 200))
    reference = table.reference / ONE
    for i, evaluator in enumerate(dataset.evaluators):
        scores = table.scores[i] / ONE
        means = [[v[table.systems == s].mean() for s in range(3)] for v in (scores, reference)]
        own = [
            v - np.array(m)[table.systems] for v, m in zip((scores, reference), means, strict=True)
        ]
        expected = {
            ("all", "pearson"): pearsonr(scores, reference).statistic,
            ("all", "spearman"): spearmanr(scores, reference).statistic,
            ("all", "mae"): np.abs(scores - reference).mean(),
            ("within systems", "pearson"): pearsonr(*own).statistic,
            ("between systems", "pearson"): pearsonr(*means).statistic,
        }
        rows = found.filter(pl.col("evaluator") == evaluator).rows(named=True)
        assert {(row["level"], row["measure"]): row["value"] for row in rows} == pytest.approx(
            expected
        )
        for row in rows:
            if row["level"] != "between systems":
                assert row["low"] < row["value"] < row["high"] < row["low"] + 0.2


def test_an_evaluator_inverts_if_its_intervals_are_on_both_sides_of_zero() -> None:
    places = [
        ("a", "qa", 0.4, 0.3, 0.5),
        ("a", "sum", -0.2, -0.3, -0.1),
        ("b", "qa", 0.4, 0.3, 0.5),
        ("b", "sum", -0.2, -0.5, 0.1),
    ]
    table = pl.DataFrame(
        [
            {
                "dataset": dataset,
                "scale": "raw",
                "evaluator": evaluator,
                "level": "all",
                "measure": "pearson",
                "value": value,
                "low": low,
                "high": high,
            }
            for evaluator, dataset, value, low, high in places
        ]
    )
    found = reliability.inversions(table)
    assert found.select("evaluator", "dataset", "dataset_inverted").rows() == [("a", "qa", "sum")]


# Peers


def test_peers_are_measured_on_the_rounds_of_the_rules() -> None:
    shape = Shape(5, 10, 12)
    found = peers.run(peers.Part(part(shape)))
    swept = sweep.run(part(shape))
    rules = found.filter(pl.col("rule").is_in(["mean", "default"]))
    assert rules["pearson"].to_list() == swept["pearson"].to_list()
    names = set(found["rule"])
    assert {f"{name} {way}" for name in ("crh", "gtm") for way in ("online", "offline")} < names
    honest = found.filter(pl.col("attack") == sweep.HONEST)
    assert min(honest["pearson"].to_list()) > 0.95

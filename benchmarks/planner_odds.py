"""
What the planner says, beside rounds played with recorded real scores by the core itself.

A hundred evaluators, each with the recorded and calibrated scores of one real method, thirty of
which lie; panels are drawn, settled by the trust-weighted median, and trust moves as on chain. The
planner must never count on trust that was not lost, and its probability of capture has to be that
which is seen. Reads `../shared/data`, and skips what is not there.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from benchmarks.rows import Row
from deploy.parameters import load_parameters
from oracle.core.consensus import Rule, aggregate, deviations
from oracle.core.trust import updated
from oracle.core.units import ONE, TRUST_ONE, WEIGHT_UNIT, ScoreMatrix
from oracle.evaluators.quantise import quantise
from oracle.study.capture import Panel, Population, Trusts, odds
from oracle.study.deterrence import ATTACKS, learn

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
NAMES = ("evouna_nq", "openqa_nq301", "summeval_relevance", "realsumm")
RULE = Rule.TRUST_WEIGHTED_MEDIAN
TRUST = load_parameters("testnet").registry.trust
EVALUATORS, LIARS, ITEMS = 100, 30, 20
COVERAGE = 0.95
LEARNING, WATCHING, WARM_UP = 1_500, 12_000, 1_000
SURELY_LOST = TRUST_ONE // 5

Random = np.random.Generator
Lie = Callable[[ScoreMatrix, Random], ScoreMatrix]
LIES: dict[str, Lie] = {
    "boost": lambda scores, random: np.full_like(scores, ONE),
    "sabotage": lambda scores, random: np.zeros_like(scores),
    "inversion": lambda scores, random: ONE - scores,
    "noise": lambda scores, random: random.integers(0, ONE + 1, scores.shape, dtype=np.uint16),
    "collusion": lambda scores, random: np.full_like(scores, ONE // 2),
}


@dataclass(frozen=True, slots=True)
class Played:
    """Of the rounds after the warm-up: captured ones, liars' mean trust, doubted evaluators."""

    captured: float
    trust: float
    doubted: int


def measure() -> list[Row]:
    """Return a row for each attack on each data set, and one for each capture rate."""
    rows: list[Row] = []
    for name in NAMES:
        if (path := SHARED / f"{name}.csv").exists():
            scores = calibrated(path)
            rows += learning(name, scores)
            rows += capture(name, scores)
    return rows


def learning(name: str, scores: ScoreMatrix) -> Iterator[Row]:
    """Compare the trust that liars keep with the trust that the planner takes them to have."""
    for attack, lie in LIES.items():
        honest, off = measured_deviations(scores, lie)
        known = replace(ATTACKS[attack], deviation=off)
        planned = learn(TRUST, known, honest, ITEMS).trust
        seen = play(scores, lie, seats=15, rounds=LEARNING).trust
        yield Row(
            f"{name} {attack}: trust of liars",
            seen / TRUST_ONE,
            "trust",
            f"planned: {off} off, others {honest}",
            planned / TRUST_ONE,
            seen / planned,
            "no trust counted as lost that is kept",
            planned == TRUST_ONE or seen <= SURELY_LOST,
        )


def capture(name: str, scores: ScoreMatrix) -> Iterator[Row]:
    """Compare how often five seats are captured with the planner's probability."""
    for attack in ("sabotage", "inversion"):
        seen = play(scores, LIES[attack], seats=5, rounds=WATCHING)
        population = Population(EVALUATORS, LIARS, doubted=seen.doubted)
        trusts = Trusts(liar=TRUST.floor, doubted=TRUST.floor)
        planned = float(odds(population, Panel(5, 3, RULE), trusts).capture)
        yield Row(
            f"{name} {attack}: captured, five seats",
            seen.captured,
            "of rounds",
            f"planned: {seen.doubted} doubted",
            planned,
            seen.captured / planned,
            "within a factor of two",
            planned / 2 <= seen.captured <= 2 * planned,
        )


def play(scores: ScoreMatrix, lie: Lie, seats: int, rounds: int) -> Played:
    """Play rounds from full trust; the first `LIARS` evaluators lie."""
    random = np.random.default_rng(0)
    methods = np.arange(EVALUATORS) % len(scores)
    trusts = np.full(EVALUATORS, TRUST_ONE, dtype=np.uint32)
    captured, kept, doubted = [], [], []
    for number in range(rounds):
        panel = random.permutation(EVALUATORS)[:seats]
        items = random.choice(scores.shape[1], ITEMS, replace=False)
        said, lies = scores[np.ix_(methods[panel], items)], panel < LIARS
        said[lies] = lie(said[lies], random)
        weights = (trusts[panel] // WEIGHT_UNIT).astype(np.int64)
        if number >= WARM_UP:
            captured.append(2 * weights[lies].sum() >= weights.sum())
            kept.append(trusts[:LIARS].mean())
            doubted.append((trusts[LIARS:] < TRUST_ONE // 2).sum())
        distances = deviations(said, aggregate(RULE, said, trusts[panel]))
        trusts[panel] = updated(TRUST, trusts[panel], distances, ITEMS)
    return Played(float(np.mean(captured)), float(np.mean(kept)), round(float(np.mean(doubted))))


def measured_deviations(scores: ScoreMatrix, lie: Lie) -> tuple[int, int]:
    """Return the median deviation in honest panels, and the mean one of a lie from their median."""
    random = np.random.default_rng(1)
    honest, off = [], []
    trusts = np.full(len(scores), TRUST_ONE, dtype=np.uint32)
    for _ in range(200):
        said = scores[:, random.choice(scores.shape[1], ITEMS, replace=False)]
        agreed = aggregate(Rule.MEDIAN, said, trusts)
        honest.append(np.median(deviations(said, agreed)))
        off.append(deviations(lie(said, random), agreed).mean())
    return int(np.median(honest)), int(np.mean(off))


def calibrated(path: Path) -> ScoreMatrix:
    """Return (methods, items) scores, each fitted monotonically on a third of the items."""
    table: dict[str, dict[tuple[str, str], float]] = {}
    reference: dict[tuple[str, str], float] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["evaluator_kind"] != "human_expert" and row["score01"]:
                key = row["item_id"], row["system"]
                table.setdefault(row["evaluator_id"], {})[key] = float(row["score01"])
                reference[key] = float(row["reference01"])
    full = [one for _, one in sorted(table.items()) if len(one) >= COVERAGE * len(reference)]
    items = sorted(key for key in reference if all(key in one for one in full))
    truth = np.array([reference[key] for key in items])
    order = np.random.default_rng(2).permutation(len(items))
    labelled, rest = order[: len(items) // 3], order[len(items) // 3 :]
    rows: list[NDArray[np.float64]] = []
    for one in full:
        raw = np.array([one[key] for key in items])
        by_score = labelled[np.argsort(raw[labelled], kind="stable")]
        fitted = isotonic_regression(truth[by_score]).x
        rows.append(np.clip(np.interp(raw[rest], raw[by_score], fitted), 0, 1))
    return quantise(np.array(rows))

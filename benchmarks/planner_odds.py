"""
What the planner says, beside rounds played with recorded real scores by the core itself.

A hundred evaluators, each with the recorded and calibrated scores of one real method, a third of
which lie; panels are drawn, judged by the trust-weighted median, and trust moves as on chain. The
planner must never count on trust that was not lost, and its probability of capture has to be that
which is seen. Reads `../shared/data`, and skips what is not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmarks.rows import Row
from deploy.parameters import load_parameters
from oracle.core.consensus import Rule, aggregate, deviations
from oracle.core.trust import disagreements, updated
from oracle.core.units import ONE, TRUST_ONE, WEIGHT_UNIT, ScoreMatrix
from oracle.study.attacks import Attack
from oracle.study.capture import Panel, Population, Trusts, odds
from oracle.study.datasets import calibrated, load, split
from oracle.study.deterrence import ATTACKS, LEARNT_SEATS, Distance, learn

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
NAMES = ("evouna_nq", "openqa_nq301", "summeval_relevance", "summeval_coherence", "realsumm")
RULE = Rule.TRUST_WEIGHTED_MEDIAN
TRUST = load_parameters("testnet").registry.trust
EVALUATORS, LIARS, ITEMS = 100, 33, 20
LEARNING = {LEARNT_SEATS: 3_000, 15: 1_000}
"""Rounds that are played before trust is looked at, by seats."""
SEEN, SEEDS, WATCHED = 500, 3, 12_000
SURELY_LOST = TRUST_ONE // 20
FEW_LIARS, DOUBTED = 10, 0.35
"""Fewer liars leave more room for doubts; the share of honest evaluators planned as doubted."""


@dataclass(frozen=True, slots=True)
class Constant:
    """The lie that needs no look at the items: the same score for each."""

    score: int

    def lies(self, honest: ScoreMatrix, first_round: int, rng: np.random.Generator) -> ScoreMatrix:
        """See `oracle.study.attacks.Attack`."""
        return np.full_like(honest, self.score)


LIES: dict[str, Attack] = {
    name: attack.lies for name, attack in ATTACKS.items() if attack.learnt and attack.every == 1
} | {"all one": Constant(ONE), "all zero": Constant(0), "all half": Constant(ONE // 2)}


@dataclass(frozen=True, slots=True)
class Played:
    """Of the rounds watched: captured ones, liars' mean trust, honest evaluators doubted."""

    captured: float
    trust: float
    doubted: int


def measure() -> list[Row]:
    """Return what is seen beside what is planned: trust of liars, captures, doubts."""
    rows: list[Row] = []
    for name in NAMES:
        if (path := SHARED / f"{name}.csv").exists():
            scores = calibrated(*split(load(path), seed=0)).scores
            rows += learning(name, scores)
            rows += capture(name, scores)
            rows += doubts(name, scores)
    return rows


def learning(name: str, scores: ScoreMatrix) -> Iterator[Row]:
    """Compare the trust that liars keep, at most, with what the planner takes them to have."""
    for attack, lies in LIES.items():
        lie, honest = measured_distances(scores, lies)
        known = learn(TRUST, ATTACKS["boost"], lie, honest, ITEMS, Fraction(LIARS, EVALUATORS))
        seen = max(
            play(scores, lies, seats, rounds, SEEN, seed).trust
            for seats, rounds in LEARNING.items()
            for seed in range(SEEDS)
        )
        yield Row(
            f"{name} {attack}: trust of liars",
            seen / TRUST_ONE,
            "trust",
            f"planned: a lie disagrees by {lie.disagreement} ({lie.deviation} off), "
            f"others {honest.disagreement} ({honest.deviation})",
            known.trust / TRUST_ONE,
            seen / known.trust,
            "no trust counted as lost that is kept",
            known.trust == TRUST_ONE or seen <= SURELY_LOST,
        )


def capture(name: str, scores: ScoreMatrix) -> Iterator[Row]:
    """Compare how often the least panels are captured with the planner's probability."""
    for attack in ("inversion", "collusion"):
        learnt = LEARNING[LEARNT_SEATS]
        seen = play(scores, LIES[attack], LEARNT_SEATS, learnt, WATCHED, seed=0)
        population = Population(EVALUATORS, LIARS, doubted=seen.doubted)
        trusts = Trusts(liar=TRUST.floor, doubted=TRUST.floor)
        panel = Panel(LEARNT_SEATS, LEARNT_SEATS // 2 + 1, RULE)
        planned = float(odds(population, panel, trusts).capture)
        yield Row(
            f"{name} {attack}: captured, {LEARNT_SEATS} seats",
            seen.captured,
            "of rounds",
            f"planned: {seen.doubted} doubted",
            planned,
            seen.captured / planned,
            "at most twice as often as planned",
            seen.captured <= 2 * planned,
        )


def doubts(name: str, scores: ScoreMatrix) -> Iterator[Row]:
    """Compare how many honest evaluators are doubted, at most, with what the planner assumes."""
    for liars in (FEW_LIARS, LIARS):
        doubted = max(
            play(scores, LIES["inversion"], seats, rounds, SEEN, seed, liars).doubted
            for seats, rounds in LEARNING.items()
            for seed in range(SEEDS)
        )
        yield Row(
            f"{name}: doubted where {liars} lie",
            doubted / (EVALUATORS - liars),
            "of the honest",
            "planned by default",
            DOUBTED,
            doubted / (EVALUATORS - liars) / DOUBTED,
            "no more than planned",
            doubted <= DOUBTED * (EVALUATORS - liars),
        )


def play(
    scores: ScoreMatrix,
    attack: Attack,
    seats: int,
    rounds: int,
    watched: int,
    seed: int,
    liars: int = LIARS,
) -> Played:
    """Play `rounds` from full trust, then those watched; the first `liars` evaluators lie."""
    random = np.random.default_rng(seed)
    methods = random.permutation(np.arange(EVALUATORS) % len(scores))
    trusts = np.full(EVALUATORS, TRUST_ONE, dtype=np.uint32)
    captured, kept, doubted = [], [], []
    for number in range(rounds + watched):
        panel = random.permutation(EVALUATORS)[:seats]
        items = random.choice(scores.shape[1], ITEMS, replace=False)
        said, lies = scores[np.ix_(methods[panel], items)], panel < liars
        said[lies] = attack.lies(said[np.newaxis, lies], number, random)[0]
        weights = (trusts[panel] // WEIGHT_UNIT).astype(np.int64)
        if number >= rounds:
            captured.append(2 * weights[lies].sum() >= weights.sum())
            kept.append(trusts[:liars].mean())
            doubted.append((trusts[liars:] < TRUST_ONE // 2).sum())
        off = disagreements(said, aggregate(RULE, said, trusts[panel]))
        trusts[panel] = updated(TRUST, trusts[panel], off, ITEMS)
    return Played(float(np.mean(captured)), float(np.mean(kept)), round(float(np.mean(doubted))))


def measured_distances(scores: ScoreMatrix, attack: Attack) -> tuple[Distance, Distance]:
    """Return how far a lie is on average from honest panels, and their median seat."""
    random = np.random.default_rng(1)
    trusts = np.full(len(scores), TRUST_ONE, dtype=np.uint32)
    lie, honest = [], []
    for number in range(200):
        said = scores[:, random.choice(scores.shape[1], ITEMS, replace=False)]
        agreed = aggregate(RULE, said, trusts)
        lies = attack.lies(said[np.newaxis], number, random)[0]
        lie.append([rule(lies, agreed).mean() for rule in (deviations, disagreements)])
        honest.append([np.median(rule(said, agreed)) for rule in (deviations, disagreements)])
    return (
        Distance(*map(int, np.mean(lie, axis=0))),
        Distance(*map(int, np.median(honest, axis=0))),
    )

"""
The sweep of the paper's size, beside the loop over rounds that one would write first.

4 attacks × 5 ratios × 5 panel sizes × 5 rules × 5,000 rounds of one item × 10 seeds: 25 million
rounds. The sweep runs whole, on every core; the loop, in plain numpy, on a sample of it that has
every combination but fewer rounds and two seeds, half of it before the sweep and half after. Both
do the same: draw, lie, aggregate in integers, move trust where the rule weighs by it. Scores are
made up, 12 evaluators for 2,000 items: what they say does not change how long it takes.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from concurrent.futures import as_completed
from itertools import product
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from benchmarks.rows import Row
from oracle.core.consensus import Rule
from oracle.core.parameters import TrustParameters
from oracle.core.units import ONE, TRUST_ONE, WEIGHT_UNIT
from oracle.study import sweep
from oracle.study.attacks import Attack, Boost, Intermittent, Noise, Sabotage
from oracle.study.datasets import ScoreTable
from oracle.study.runner import local
from oracle.study.simulation import Choice, History, Shape

ATTACKS: dict[str, Attack] = {
    "noise": Noise(),
    "boost": Boost(),
    "sabotage": Sabotage(),
    "intermittent": Intermittent(),
}
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5)
PANEL_SIZES = (3, 5, 7, 9, 11)
TRIM = 2_000
TRUST = TrustParameters(
    gain=5_000,
    loss=20_000,
    tolerance=200,
    spread=15_000,
    evidence=20,
    floor=100_000,
    cap=TRUST_ONE,
)
ROUNDS, SEEDS = 5_000, 10
SAMPLE_ROUNDS = 100
NODES, ITEMS = 12, 2_000

LEAST_RATIO = 50
MOST_MEMORY = 500
"""MB a process; the sweep holds a few blocks of rounds at a time, however many there are."""

_SHIFT = 4_000


def measure() -> list[Row]:
    """Run both; a minute or so."""
    table = _table()
    sampled, looped = _timed_loop(table, seed=0)
    parts = list(_parts(table))
    rounds = sum(part.rounds for part in parts)
    with local() as executor:
        start = perf_counter()
        futures = [executor.submit(sweep.run, part) for part in parts]
        found = sum(len(future.result()) for future in as_completed(futures))
        seconds = perf_counter() - start
    assert found * ROUNDS == rounds
    again, looped_again = _timed_loop(table, seed=1)
    loop_speed = (sampled + again) / (looped + looped_again)
    memory = max(
        resource.getrusage(who).ru_maxrss / 1e3
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    ratio = rounds / seconds / loop_speed
    return [
        Row(
            "sweep-speed",
            rounds / seconds,
            "rounds/s",
            "numpy loop over rounds",
            loop_speed,
            ratio,
            f"≥ {LEAST_RATIO} × the loop",
            ratio >= LEAST_RATIO,
        ),
        Row("sweep-time", seconds, f"s for {rounds:,} rounds"),
        Row(
            "sweep-memory",
            memory,
            "MB, most of any process",
            goal=f"≤ {MOST_MEMORY} MB",
            ok=memory <= MOST_MEMORY,
        ),
    ]


def _table() -> ScoreTable:
    rng = np.random.default_rng(0)
    quality = rng.random(ITEMS)
    said = np.clip(quality + 0.2 * rng.standard_normal((NODES, ITEMS)), 0, 1)
    return ScoreTable(
        (said * ONE).astype(np.uint16),
        (quality * ONE).astype(np.uint16),
        np.zeros(ITEMS, dtype=np.intp),
    )


def _parts(table: ScoreTable) -> Iterator[sweep.Part]:
    """The largest panels first, so that the cores end together."""
    choices = [
        Choice(rule.name, rule, TRUST, TRIM if rule is Rule.TRIMMED_MEAN else 0) for rule in Rule
    ]
    histories = [
        History(seed, attack, ratio)
        for attack, ratio, seed in product(ATTACKS, RATIOS, range(SEEDS))
    ]
    for panel_size in sorted(PANEL_SIZES, reverse=True):
        shape = Shape(panel_size, 1, ROUNDS)
        yield sweep.Part("made-up", "raw", table, shape, histories, ATTACKS, choices)


def _timed_loop(table: ScoreTable, seed: int) -> tuple[int, float]:
    """Half of the sample, before or after the sweep, so that both see the same load."""
    start = perf_counter()
    return _loop(table, seed), perf_counter() - start


def _loop(table: ScoreTable, seed: int) -> int:
    """Play half of the sample round by round; return how many rounds it was."""
    scores, reference = table.scores.astype(np.int64), table.reference.astype(np.int64)
    played = 0
    for attack, ratio, panel_size, rule in product(ATTACKS, RATIOS, PANEL_SIZES, Rule):
        rng = np.random.default_rng([seed, played])
        liars = np.zeros(NODES, dtype=bool)
        liars[rng.permutation(NODES)[: int(ratio * NODES + 0.5)]] = True
        trusts = np.full(NODES, TRUST_ONE, dtype=np.int64)
        agreed, wanted = np.empty(SAMPLE_ROUNDS), np.empty(SAMPLE_ROUNDS)
        for i in range(SAMPLE_ROUNDS):
            panel = rng.choice(NODES, panel_size, replace=False)
            item = rng.integers(ITEMS)
            said = _told(attack, scores[panel, item], liars[panel], rng)
            agreed[i] = c = _consensus(rule, said, trusts[panel])
            wanted[i] = reference[item]
            deviation = np.abs(said - c)
            if rule.weighs:
                # With one item, disagreement is the deviation from the pivot.
                pivot = _consensus(Rule.TRUST_WEIGHTED_MEDIAN, said, trusts[panel])
                trusts[panel] = _moved(trusts[panel], np.abs(said - pivot))
        np.corrcoef(agreed, wanted)
        np.abs(agreed - wanted).mean()
        deviation.mean()
        played += SAMPLE_ROUNDS
    return played


def _told(
    attack: str, honest: NDArray[np.int64], liars: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.int64]:
    if attack == "noise":
        lies = honest + (_SHIFT * rng.standard_normal(len(honest))).astype(np.int64)
    elif attack == "boost":
        lies = honest + _SHIFT
    elif attack == "sabotage":
        lies = honest - _SHIFT
    else:
        chance = rng.random(len(honest))
        lies = honest + np.where(chance < 0.25, _SHIFT, np.where(chance < 0.5, -_SHIFT, 0))
    return np.where(liars, np.clip(lies, 0, ONE), honest)


def _consensus(rule: Rule, said: NDArray[np.int64], trusts: NDArray[np.int64]) -> int:
    n = len(said)
    if rule is Rule.TRUST_WEIGHTED_MEAN:
        weights = trusts // WEIGHT_UNIT
        total = int(weights.sum())
        return (2 * int((weights * said).sum()) + total) // (2 * total)
    order = np.argsort(said)
    ordered = said[order]
    if rule is Rule.TRUST_WEIGHTED_MEDIAN:
        reached = np.cumsum((trusts // WEIGHT_UNIT)[order])
        return int(ordered[np.searchsorted(2 * reached, reached[-1])])
    g = {Rule.MEAN: 0, Rule.MEDIAN: (n - 1) // 2}.get(rule, min(n * TRIM // ONE, (n - 1) // 2))
    kept = ordered[g : n - g]
    return (2 * int(kept.sum()) + len(kept)) // (2 * len(kept))


def _moved(trusts: NDArray[np.int64], disagreement: NDArray[np.int64]) -> NDArray[np.int64]:
    """One item's evidence: a twentieth of the rates."""
    tau = max(TRUST.tolerance, TRUST.spread * int(np.median(disagreement) + 0.5) // ONE)
    gain, loss = TRUST.gain // TRUST.evidence, TRUST.loss // TRUST.evidence
    slack = tau - disagreement
    raised = np.minimum(TRUST.cap, trusts + trusts * gain * slack // ONE**2)
    lowered = np.maximum(TRUST.floor, trusts - -(-trusts * loss * -slack // ONE**2))
    return np.where(slack >= 0, raised, lowered)

"""
How fast a consensus is computed: 1,000,000 items × 9 seats, beside what one would call otherwise.

The peers run in the same process on the same array, and in floats, so their answers are not the
contract's. Ours are compared to the bit with exact integers before anything is timed. The peers use
one thread; so does the first row of each rule, and the second uses as many as this machine has
cores, each on a part of the items.
"""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy.stats import trim_mean

from benchmarks.rows import Row
from oracle.core.consensus import Rule, aggregate
from oracle.core.units import ONE, TRUST_ONE, WEIGHT_UNIT, ScoreVector

SEATS, ITEMS = 9, 1_000_000
TRIM = 2_000
"""In ONE: of nine seats, one is dropped at each end."""
REPEATS = 5


def measure() -> list[Row]:
    """Return the seconds of each rule beside its peers', and the memory it takes."""
    rng = np.random.default_rng(0)
    scores = rng.integers(0, ONE + 1, (SEATS, ITEMS), dtype=np.uint16)
    trusts = rng.integers(WEIGHT_UNIT, TRUST_ONE + 1, SEATS, dtype=np.uint32)
    weights = trusts // WEIGHT_UNIT
    peers: dict[str, Callable[[], object]] = {
        "numpy.median": lambda: np.median(scores, axis=0),
        "scipy.stats.trim_mean": lambda: trim_mean(scores, TRIM / ONE, axis=0),
        "numpy.average": lambda: np.average(scores, axis=0, weights=weights),
    }
    seconds = {name: _best(peer) for name, peer in peers.items()}
    return [row for rule in Rule for row in _rows(rule, scores, trusts, seconds)]


def _rows(
    rule: Rule,
    scores: NDArray[np.uint16],
    trusts: NDArray[np.uint32],
    peers: dict[str, float],
) -> Iterator[Row]:
    cores = os.cpu_count() or 1
    exact = _exact(rule, scores, trusts)
    for threads in sorted({1, cores}):
        found = _aggregate(rule, scores, trusts, threads)
        if not np.array_equal(found, exact):
            raise AssertionError(f"{rule.name} differs from exact integers")

        value = _best(lambda threads=threads: _aggregate(rule, scores, trusts, threads))  # type: ignore[misc]
        weighted = rule in (Rule.TRUST_WEIGHTED_MEAN, Rule.TRUST_WEIGHTED_MEDIAN)
        for name in ("numpy.average",) if weighted else ("numpy.median", "scipy.stats.trim_mean"):
            ratio = value / peers[name]
            most = 1.0 if weighted else 0.1
            judged = rule is not Rule.TRUST_WEIGHTED_MEDIAN
            yield Row(
                f"{rule.name}, {threads} thread{'s' * (threads > 1)}",
                value,
                "s",
                name,
                peers[name],
                ratio,
                f"at most {most:g} of the peer" if judged else None,
                ratio <= most if judged else None,
            )
    peak = _peak(lambda: aggregate(rule, scores, trusts, TRIM)) / scores.nbytes
    yield Row(f"{rule.name}, peak memory", peak, "× input", goal="below 4 × the input", ok=peak < 4)


def _aggregate(
    rule: Rule, scores: NDArray[np.uint16], trusts: NDArray[np.uint32], threads: int
) -> ScoreVector:
    """Items are independent, and numpy lets go of the interpreter while it works on a row."""
    if threads == 1:
        return aggregate(rule, scores, trusts, TRIM)
    parts = np.array_split(scores, threads, axis=1)
    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(
            list(pool.map(lambda part: aggregate(rule, part, trusts, TRIM), parts))
        )


def _exact(rule: Rule, scores: NDArray[np.uint16], trusts: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Section 4 of docs/protocol.md as it stands there, in 64-bit integers on sorted columns."""
    order = np.argsort(scores, axis=0, kind="stable")
    ordered = np.take_along_axis(scores, order, axis=0).astype(np.int64)
    weights = (trusts // WEIGHT_UNIT).astype(np.int64)[order]
    total = weights.sum(axis=0)
    if rule is Rule.TRUST_WEIGHTED_MEDIAN:
        first = np.argmax(2 * weights.cumsum(axis=0) >= total, axis=0)
        middle: NDArray[np.int64] = np.take_along_axis(ordered, first[None], axis=0)[0]
        return middle
    if rule is Rule.TRUST_WEIGHTED_MEAN:
        return _half_up((weights * ordered).sum(axis=0), total)
    g = {Rule.MEAN: 0, Rule.MEDIAN: (SEATS - 1) // 2}.get(rule, SEATS * TRIM // ONE)
    kept = np.int64(SEATS - 2 * g)
    return _half_up(ordered[g : SEATS - g].sum(axis=0), kept)


def _half_up(a: NDArray[np.int64], b: NDArray[np.int64] | np.int64) -> NDArray[np.int64]:
    quotient: NDArray[np.int64] = (2 * a + b) // (2 * b)
    return quotient


def _best(work: Callable[[], object]) -> float:
    """Return the seconds of the fastest of a few runs: the least disturbed one."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def _peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

"""Twins of the core in exact fractions, one item and one seat at a time, as the page reads."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor

from eth_utils.crypto import keccak

from oracle.core.consensus import Rule
from oracle.core.parameters import RoundsParameters, TrustParameters

ONE = 10_000


def judged(items: int, salts: list[bytes]) -> list[int]:
    if items <= 128:
        return list(range(items))
    groups = [list(range(first, first + 16)) for first in range(0, items - 15, 16)]
    if items % 16:
        groups.append(list(range(items - 16, items)))
    start = int(keccak(b"".join(salts)).hex(), 16) % len(groups)
    spread = [groups[(start + i * len(groups) // 8) % len(groups)] for i in range(8)]
    return [item for group in spread for item in group]


def rounded(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


def kept(rule: Rule, scores: Sequence[int], trim: int) -> list[int]:
    n = len(scores)
    dropped = {
        Rule.MEAN: 0,
        Rule.MEDIAN: (n - 1) // 2,
        Rule.TRIMMED_MEAN: min(floor(Fraction(n * trim, ONE)), (n - 1) // 2),
    }[rule]
    return sorted(scores)[dropped : n - dropped]


def consensus(rule: Rule, scores: Sequence[int], trusts: Sequence[int], trim: int = 0) -> int:
    """Of one item."""
    weights = [floor(Fraction(trust, 1_000)) for trust in trusts]
    pairs = list(zip(scores, weights, strict=True))
    if rule is Rule.TRUST_WEIGHTED_MEAN:
        return rounded(Fraction(sum(s * w for s, w in pairs), sum(weights)))
    if rule is Rule.TRUST_WEIGHTED_MEDIAN:
        half = Fraction(sum(weights), 2)
        return min(m for m in scores if sum(w for s, w in pairs if s <= m) >= half)
    middle = kept(rule, scores, trim)
    return rounded(Fraction(sum(middle), len(middle)))


def chain_accepts(
    rule: Rule, scores: Sequence[int], trusts: Sequence[int], trim: int, submitted: Sequence[int]
) -> bool:
    """The inequalities of section 4 for one item: `submitted` is [c], [p] or [lo, hi]."""
    n = len(scores)
    weights = [1 if rule is Rule.MEAN else trust // 1_000 for trust in trusts]
    total = sum(weights)
    if rule is Rule.MEAN:
        return 0 <= 2 * sum(scores) + total - 2 * total * submitted[0] < 2 * total
    if rule in (Rule.TRUST_WEIGHTED_MEAN, Rule.TRUST_WEIGHTED_MEDIAN):
        (c,) = submitted
        below = sum(w for s, w in zip(scores, weights, strict=True) if s < c)
        upto = sum(w for s, w in zip(scores, weights, strict=True) if s <= c)
        return 2 * below < total <= 2 * upto
    low, high = submitted[0], submitted[-1]
    g = (n - len(kept(rule, scores, trim))) // 2
    return sum(s < low for s in scores) <= g < sum(s <= low for s in scores) and sum(
        s > high for s in scores
    ) <= g < sum(s >= high for s in scores)


def deviation(scores: Sequence[int], agreed: Sequence[int]) -> int:
    """Of one seat."""
    total = sum(abs(s - c) for s, c in zip(scores, agreed, strict=True))
    return floor(Fraction(total, len(scores)))


def pivot(rule: Rule, scores: Sequence[int], trusts: Sequence[int], trim: int = 0) -> int:
    """Of one item."""
    weighted = rule in (Rule.TRUST_WEIGHTED_MEAN, Rule.TRUST_WEIGHTED_MEDIAN)
    return consensus(Rule.TRUST_WEIGHTED_MEDIAN if weighted else rule, scores, trusts, trim)


def disagreement(scores: Sequence[int], pivots: Sequence[int]) -> int:
    """Of one seat."""
    half = len(pivots) // 2
    d = deviation(scores, pivots)
    b = deviation(scores, [*pivots[half:], *pivots[:half]])
    return min(floor(Fraction(d**3, b**2)) if b else ONE, 4 * d, ONE)


def tolerance(p: TrustParameters, disagreements: Sequence[int]) -> int:
    median = consensus(Rule.MEDIAN, disagreements, [1] * len(disagreements))
    return max(p.tolerance, floor(Fraction(p.spread * median, ONE)))


def trust(p: TrustParameters, w: int, f: int, tau: int, items: int) -> int:
    """Of one seat."""
    evidence = min(items, p.evidence)
    gain = floor(Fraction(p.gain * evidence, p.evidence))
    loss = floor(Fraction(p.loss * evidence, p.evidence))
    if f <= tau:
        return min(p.cap, w + floor(Fraction(w * gain * (tau - f), ONE**2)))
    return max(p.floor, w - ceil(Fraction(w * loss * (f - tau), ONE**2)))


def seat_reward(p: RoundsParameters, budget: int, seats: int, d: int, elapsed: int) -> int:
    closeness = max(0, ONE - floor(Fraction(d * ONE, p.closeness_scale)))
    latency = min(ONE, floor(Fraction(elapsed * ONE, p.commit_window)))
    worth = Fraction(p.quality_weight * closeness - p.cost_weight * latency, ONE)
    return floor(Fraction(budget * floor(max(Fraction(0), worth)), seats * ONE))


def batch_reward(
    p: RoundsParameters, budget: int, items: int, cost: int, agreed: Sequence[int]
) -> int:
    """`agreed` is the consensus of the batch's items, `items` the number of the round's."""
    merit = sum(max(0, p.quality_weight * c - p.cost_weight * cost) for c in agreed)
    return floor(Fraction(budget * merit, items * ONE**2))

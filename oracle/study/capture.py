"""
The exact odds of one panel: how likely liars decide its consensus, and how likely they block it.

Integers and fractions alone. It decides what liars can do with the seats they happen to get; which
panel to choose is `planner`'s decision. The draw is `oracle.core.panel`'s: uniform and without
replacement, so the number of liars among the seats is hypergeometric.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from math import comb

from oracle.core.consensus import Rule, trim_count
from oracle.core.units import TRUST_ONE, WEIGHT_UNIT

HALF = Fraction(1, 2)


@dataclass(frozen=True, slots=True)
class Population:
    """
    Who can be drawn.

    `liars` of the `evaluators` act as one; each of the others is absent from a round with
    probability `absence`, independently. `doubted` of those others score honestly but far enough
    from their panels that they have lost trust. Nobody's owner is excluded from the draw.
    """

    evaluators: int
    liars: int
    absence: Fraction = Fraction(0)
    doubted: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.liars <= self.evaluators:
            raise ValueError(f"{self.liars} of {self.evaluators} evaluators cannot be liars")
        if not 0 <= self.doubted <= self.evaluators - self.liars:
            raise ValueError(f"{self.doubted} of the honest evaluators cannot be doubted")
        if not 0 <= self.absence <= 1:
            raise ValueError(f"{self.absence} is no probability of being absent")


@dataclass(frozen=True, slots=True)
class Panel:
    """How many are seated, how many of them settle, and by which rule; `trim` is in ONE."""

    size: int
    quorum: int
    rule: Rule
    trim: int = 0


@dataclass(frozen=True, slots=True)
class Trusts:
    """The trust at the draw of liars, of honest seats, and of doubted ones, in TRUST_ONE."""

    liar: int = TRUST_ONE
    honest: int = TRUST_ONE
    doubted: int = TRUST_ONE


@dataclass(frozen=True, slots=True)
class Odds:
    """
    What can go wrong in a round, as probabilities; `hold` and `exposed` are expectations.

    `capture`: the round settles and liars' scores make up at least the accepted share of its
    consensus. `unwatched`: the same where a liar settles and leaves out all honest seats that the
    quorum does not need; it is `capture` as long as those who are left out reveal on chain.
    `stall`: no quorum if all liars withhold. `hold`: the share of the consensus that liars make up.
    `exposed`: the liars seated in a round that settles uncaptured, who are seen to deviate.
    """

    capture: Fraction
    unwatched: Fraction
    stall: Fraction
    hold: Fraction
    exposed: Fraction


def hypergeometric(evaluators: int, liars: int, size: int) -> Iterator[tuple[int, Fraction]]:
    """Yield each possible number of liars among `size` seats with its probability, ascending."""
    panels = comb(evaluators, size)
    for seated in range(max(0, size - (evaluators - liars)), min(liars, size) + 1):
        ways = comb(liars, seated) * comb(evaluators - liars, size - seated)
        yield seated, Fraction(ways, panels)


def hold(
    rule: Rule, liars: int, honest: int, trusts: Trusts, trim: int = 0, doubted: int = 0
) -> Fraction:
    """
    Return the largest share of the consensus that `liars` revealed seats can make up.

    `doubted` of the `honest` revealed seats are doubted.

    Whatever liars score, the consensus is `(1 − hold)·h + hold·l`, where h lies between the lowest
    and the highest honest score and l is theirs, up to its rounding. For the trimmed family it is
    `(L − g) / (n − 2g)` within [0, 1]; for the weighted mean the liars' part of the weight; for the
    weighted median 1 from half of the weight on, and else 0. Trusts matter to the weighted rules.
    """
    seats = liars + honest
    if not liars:
        return Fraction(0)
    if rule in (Rule.TRUST_WEIGHTED_MEAN, Rule.TRUST_WEIGHTED_MEDIAN):
        weight = liars * (trusts.liar // WEIGHT_UNIT)
        others = (honest - doubted) * (trusts.honest // WEIGHT_UNIT)
        others += doubted * (trusts.doubted // WEIGHT_UNIT)
        share = Fraction(weight, weight + others)
        return share if rule is Rule.TRUST_WEIGHTED_MEAN else Fraction(share >= HALF)
    g = trim_count(rule, seats, trim)
    return min(Fraction(1), max(Fraction(0), Fraction(liars - g, seats - 2 * g)))


def seats_needed(panel: Panel, trusts: Trusts, accepted: Fraction = HALF) -> int | None:
    """
    Return how many liars of a full panel hold the accepted share, None if even all do not.

    Nobody in it is doubted.
    """
    for liars in range(1, panel.size + 1):
        if hold(panel.rule, liars, panel.size - liars, trusts, panel.trim) >= accepted:
            return liars
    return None


def odds(population: Population, panel: Panel, trusts: Trusts, accepted: Fraction = HALF) -> Odds:
    """
    Return the exact odds of a round.

    `accepted`, in (0, 1], is the share of the consensus at which a round counts as captured. Raises
    `ValueError` if the population is smaller than the panel.
    """
    return _Outcomes(population, panel, trusts, accepted).odds(panel.quorum)


def least_quorum(
    population: Population, panel: Panel, trusts: Trusts, accepted: Fraction, risk: Fraction
) -> tuple[Panel, Odds] | None:
    """
    Return the panel with the least quorum that keeps capture within `risk`, None if none does.

    The quorum of `panel` does not matter. Capture never grows with the quorum.
    """
    outcomes = _Outcomes(population, panel, trusts, accepted)
    if outcomes.odds(panel.size).capture > risk:
        return None
    for quorum in range(panel.size // 2 + 1, panel.size):
        if (likely := outcomes.odds(quorum)).capture <= risk:
            return replace(panel, quorum=quorum), likely
    return replace(panel, quorum=panel.size), outcomes.odds(panel.size)


def expected_rounds(probability: Fraction) -> Fraction | None:
    """Return after how many independent rounds an event is first expected, None if never."""
    return 1 / probability if probability else None


class _Outcomes:
    """How many of `total` equally likely ways seat so many liars, and leave so many others."""

    def __init__(
        self, population: Population, panel: Panel, trusts: Trusts, accepted: Fraction
    ) -> None:
        size = panel.size
        if size > population.evaluators:
            raise ValueError(f"{population.evaluators} evaluators cannot fill {size} seats")
        others = population.evaluators - population.liars
        # Who weighs what matters to the weighted rules alone.
        weighted = panel.rule in (Rule.TRUST_WEIGHTED_MEAN, Rule.TRUST_WEIGHTED_MEDIAN)
        doubtful = population.doubted if weighted else 0
        absent, out_of = population.absence.as_integer_ratio()
        self._total = comb(population.evaluators, size) * out_of**size
        self._accepted = accepted
        self._rows: list[tuple[int, int, int, int]] = []  # liars, honest, of these doubted; ways
        for liars in range(max(0, size - others), min(population.liars, size) + 1):
            rest = size - liars
            for honest in range(rest + 1):
                chance = (out_of - absent) ** honest * absent ** (rest - honest) * out_of**liars
                chance *= comb(population.liars, liars) * comb(others - honest, rest - honest)
                if not chance:
                    continue
                for doubted in range(min(doubtful, honest) + 1):
                    ways = comb(doubtful, doubted) * comb(others - doubtful, honest - doubted)
                    if ways:
                        self._rows.append((liars, honest, doubted, chance * ways))
        self._hold = cache(
            lambda liars, honest, doubted: hold(
                panel.rule, liars, honest, trusts, panel.trim, doubted
            )
        )

    def odds(self, quorum: int) -> Odds:
        captured = unwatched = stalled = exposed = 0
        held: Counter[Fraction] = Counter()
        for liars, honest, doubted, ways in self._rows:
            if honest < quorum:
                stalled += ways
            if liars + honest < quorum:
                continue
            share = self._hold(liars, honest, doubted)
            held[share] += ways
            if share >= self._accepted:
                captured += ways
            else:
                exposed += liars * ways
            # A liar that settles keeps as few honest seats as it may, the doubted ones first.
            kept = max(0, quorum - liars)
            if self._hold(liars, kept, min(kept, doubted)) >= self._accepted:
                unwatched += ways
        return Odds(
            capture=Fraction(captured, self._total),
            unwatched=Fraction(unwatched, self._total),
            stall=Fraction(stalled, self._total),
            hold=sum((share * ways for share, ways in held.items()), Fraction(0)) / self._total,
            exposed=Fraction(exposed, self._total),
        )

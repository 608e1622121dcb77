"""
The planner: from a population, a malicious share and an accepted risk to a panel, and its price.

Exact: integers and fractions. It decides which panel to choose, the smallest whose odds are good
enough, and says what stands in the way where there is none. The odds are `capture`'s, the money is
`price`'s, and what deters whom is `deterrence`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

from oracle.core.consensus import Rule
from oracle.core.parameters import RegistryParameters, RoundsParameters
from oracle.core.units import MAX_SEATS, MIN_SEATS, ONE, TRUST_ONE
from oracle.study.capture import (
    HALF,
    Odds,
    Panel,
    Population,
    Trusts,
    least_quorum,
    odds,
    seats_needed,
)
from oracle.study.deterrence import (
    LEARNT_SEATS,
    UNKNOWN,
    Attack,
    Deterrence,
    Distance,
    Learnt,
    deterrence,
    learn,
    pay_shares,
)
from oracle.study.price import Price, Tariff, fits, most_items, tokens

PREFERENCE = (
    Rule.TRUST_WEIGHTED_MEAN,
    Rule.TRUST_WEIGHTED_MEDIAN,
    Rule.MEDIAN,
    Rule.TRIMMED_MEAN,
    Rule.MEAN,
)
"""Which rule wins where odds and seats are equal."""


class PlanImpossible(ValueError):
    """Raised when no panel meets the request; the message says why, and what comes nearest."""


@dataclass(frozen=True, slots=True)
class Request:
    """
    What is asked for.

    `risk` and `stall_risk` are the accepted probabilities of capture and of a blocked round. Where
    the latter is None, the quorum is the least that there can be, which is the hardest to block.
    `accepted` is the share of a consensus at which it counts as captured. `rule` is None where the
    planner is to choose; `lie` and `honest` are how far a lie and an honest seat are from the
    panel. `at_stake` is what the outcome of one round is worth to liars, in wei, None for what
    evaluating it costs.
    """

    population: Population
    risk: Fraction
    attack: Attack
    tariff: Tariff
    registry: RegistryParameters
    rounds: RoundsParameters
    lie: Distance
    honest: Distance
    at_stake: int | None = None
    stall_risk: Fraction | None = None
    accepted: Fraction = HALF
    rule: Rule | None = None
    trim: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """
    A panel with its odds, and what it costs.

    `needed` is how many liars capture it while all seats reveal, None if even all do not; `price`
    is None where the budget is too small.
    """

    panel: Panel
    odds: Odds
    needed: int | None
    price: Price | None


@dataclass(frozen=True, slots=True)
class Plan:
    """
    The chosen panel and all that follows from it.

    `learnt` is the liars' trust when they lie, and `newcomers` the odds of the same panel against
    liars at full trust. `at_stake` is what the outcome of a round is taken to be worth to them, in
    wei. `seats` are the panels of each size by the same rule, `rules` those of the same size and
    quorum by each rule.
    """

    request: Request
    chosen: Row
    learnt: Learnt
    newcomers: Odds
    at_stake: int
    deterrence: Deterrence
    seats: tuple[Row, ...]
    rules: tuple[Row, ...]


def plan(request: Request) -> Plan:
    """
    Return the panel with the fewest seats that meets the request.

    Of its quorums it takes the least that keeps capture within the risk, since a higher one is
    easier to block, and without an accepted `stall_risk` none but the least. Of rules that need
    equally few seats, it takes the one of whose consensus liars hold the least on average, then
    `PREFERENCE`. Raises `PlanImpossible`.
    """
    sizes = _sizes(request)
    learnt = _learnt(request)
    floor = request.registry.trust.floor
    rules = PREFERENCE if request.rule is None else (request.rule,)
    tables = {rule: _table(request, rule, sizes, learnt) for rule in rules}
    safe = {
        rule: row for rule, table in tables.items() if (row := _first(request, table)) is not None
    }
    if not safe:
        raise PlanImpossible(_out_of_reach(request, tables, learnt))
    rule = min(safe, key=lambda r: (safe[r].panel.size, safe[r].odds.hold, PREFERENCE.index(r)))
    chosen = safe[rule]
    if chosen.price is None:
        raise PlanImpossible(_too_dear(request, chosen, tables[rule]))
    price = chosen.price
    at_stake = request.at_stake
    if at_stake is None:
        at_stake = price.evaluator_budget + price.fee
    honest, lie = pay_shares(request.rounds, request.honest, request.lie)
    learnt = _counted_on(learnt, chosen.panel.size)
    trusts = _trusts(request, learnt, chosen.panel.size)
    return Plan(
        request=request,
        chosen=chosen,
        learnt=learnt,
        newcomers=odds(request.population, chosen.panel, Trusts(doubted=floor), request.accepted),
        at_stake=at_stake,
        deterrence=deterrence(
            request.registry,
            chosen.panel,
            chosen.odds,
            liars=request.population.liars,
            at_stake=at_stake,
            pay_at_risk=price.seat * max(0, honest - lie) // ONE,
        ),
        seats=tables[rule],
        rules=tuple(
            _row(request, replace(chosen.panel, rule=each, trim=_trim(request, each)), trusts)
            for each in Rule
        ),
    )


def least_share(share: Fraction, evaluators: int) -> int:
    """Return how many are at least this share of so many evaluators."""
    return -int(-share * evaluators // 1)


def most_liars(population: Population, panel: Panel, trusts: Trusts, request: Request) -> int:
    """Return the largest number of liars whom this panel withstands at the accepted risk."""
    low, high = 0, population.evaluators
    while low < high:
        middle = (low + high + 1) // 2
        honest = population.evaluators - middle
        asked = replace(population, liars=middle, doubted=min(population.doubted, honest))
        if odds(asked, panel, trusts, request.accepted).capture <= request.risk:
            low = middle
        else:
            high = middle - 1
    return low


def _sizes(request: Request) -> range:
    """Return the sizes that there can be, whatever the odds."""
    evaluators, items = request.population.evaluators, request.tariff.items
    if evaluators < MIN_SEATS:
        raise PlanImpossible(
            f"A panel has at least {MIN_SEATS} seats, and only {evaluators} evaluators can be "
            f"drawn: register {MIN_SEATS - evaluators} more"
        )
    if not fits(items, MIN_SEATS):
        raise PlanImpossible(
            f"A round cannot have {items} items: with {MIN_SEATS} seats there can be at most "
            f"{most_items(MIN_SEATS)}"
        )
    largest = max(size for size in range(MIN_SEATS, MAX_SEATS + 1) if fits(items, size))
    return range(MIN_SEATS, min(largest, evaluators) + 1)


def _learnt(request: Request) -> Learnt:
    """Return the liars' trust when they lie in panels of `LEARNT_SEATS` or more."""
    people = request.population
    return learn(
        request.registry.trust,
        request.attack,
        request.lie,
        request.honest,
        request.tariff.items,
        Fraction(people.liars, people.evaluators),
    )


def _counted_on(learnt: Learnt, size: int) -> Learnt:
    """Return what a panel of this size can count on: the least ones on nothing."""
    return learnt if size >= LEARNT_SEATS else UNKNOWN


def _trusts(request: Request, learnt: Learnt, size: int) -> Trusts:
    return Trusts(liar=_counted_on(learnt, size).trust, doubted=request.registry.trust.floor)


def _table(request: Request, rule: Rule, sizes: Iterable[int], learnt: Learnt) -> tuple[Row, ...]:
    """List for each size the quorum that `plan` would take, or else the least there is."""
    rows = []
    for size in sizes:
        panel = Panel(size, size // 2 + 1, rule, _trim(request, rule))
        trusts = _trusts(request, learnt, size)
        found = None
        if request.stall_risk is not None:
            found = least_quorum(request.population, panel, trusts, request.accepted, request.risk)
        rows.append(
            _row(request, panel, trusts) if found is None else _priced(request, *found, trusts)
        )
    return tuple(rows)


def _row(request: Request, panel: Panel, trusts: Trusts) -> Row:
    likely = odds(request.population, panel, trusts, request.accepted)
    return _priced(request, panel, likely, trusts)


def _priced(request: Request, panel: Panel, likely: Odds, trusts: Trusts) -> Row:
    tariff = request.tariff
    least = tariff.least(panel.rule, panel.trim, panel.size)
    affordable = tariff.budget is None or tariff.budget >= least
    price = tariff.price(panel.rule, panel.trim, panel.size) if affordable else None
    return Row(panel, likely, seats_needed(panel, trusts, request.accepted), price)


def _trim(request: Request, rule: Rule) -> int:
    return request.trim if rule is Rule.TRIMMED_MEAN else 0


def _is_safe(request: Request, row: Row) -> bool:
    limit = request.stall_risk
    return row.odds.capture <= request.risk and (limit is None or row.odds.stall <= limit)


def _first(request: Request, table: Iterable[Row]) -> Row | None:
    return next((row for row in table if _is_safe(request, row)), None)


def _out_of_reach(request: Request, tables: dict[Rule, tuple[Row, ...]], learnt: Learnt) -> str:
    population = request.population
    rows = [row for table in tables.values() for row in table]
    uncaptured = [row for row in rows if row.odds.capture <= request.risk]
    largest = max(row.panel.size for row in rows)
    if uncaptured:
        best = min(uncaptured, key=lambda row: row.odds.stall)
        assert request.stall_risk is not None  # or the row would have been safe
        return (
            f"No panel of up to {largest} seats that keeps capture within "
            f"{_decimal(request.risk)} keeps blocked rounds within {_decimal(request.stall_risk)}: "
            f"the nearest, {best.panel.size} seats with a quorum of {best.panel.quorum}, is "
            f"blocked with probability {_decimal(best.odds.stall)}"
        )
    best = min(rows, key=lambda row: (row.odds.capture, row.panel.size))
    trusts = _trusts(request, learnt, best.panel.size)
    liars = most_liars(population, best.panel, trusts, request)
    return (
        f"No panel of up to {largest} seats keeps the risk that {population.liars} liars among "
        f"{population.evaluators} evaluators, with a trust of {trusts.liar / TRUST_ONE:g} when "
        f"they lie, capture it within {_decimal(request.risk)}: the nearest, {best.panel.size} "
        f"seats with a quorum of {best.panel.quorum}, is captured with probability "
        f"{_decimal(best.odds.capture)}, and meets that risk against at most {liars} liars"
    )


def _too_dear(request: Request, chosen: Row, table: Iterable[Row]) -> str:
    tariff, panel = request.tariff, chosen.panel
    least = tariff.least(panel.rule, panel.trim, panel.size)
    sentence = (
        f"{panel.size} seats meet the risk and cost at least {tokens(least)} tokens a round of "
        f"{tariff.items} items, and the budget is {tokens(tariff.budget or 0)}"
    )
    affordable = [row for row in table if row.price is not None]
    if not affordable:
        smallest = tariff.least(panel.rule, panel.trim, MIN_SEATS)
        return f"{sentence}: even {MIN_SEATS} seats cost {tokens(smallest)}"
    best = min(affordable, key=lambda row: row.odds.capture)
    return (
        f"{sentence}: it pays {best.panel.size} seats, which are captured with probability "
        f"{_decimal(best.odds.capture)}"
    )


def _decimal(probability: Fraction) -> str:
    return f"{float(probability):.3g}"

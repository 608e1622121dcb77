"""
What a plan shows: sentences and tables for people, JSON for programs, both from the same figures.

Nothing is decided here. JSON gives each probability exactly, as a fraction, beside the float that
is nearest; amounts are wei as strings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from oracle.core.consensus import Rule
from oracle.core.units import ONE, TRUST_ONE
from oracle.study.capture import Odds, Panel, expected_rounds
from oracle.study.planner import Plan, Row
from oracle.study.price import Price

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


_FURTHER = 4
"""Seats beyond the chosen panel that people are shown; the data has all."""
_MANY = 10**15
"""Rounds from which people are shown three digits."""


def as_json(plan: Plan) -> dict[str, Any]:
    """Return the plan, its request, and both tables."""
    request, price, deters = plan.request, _price(plan.chosen), plan.deterrence
    return {
        "request": {
            "evaluators": request.population.evaluators,
            "liars": request.population.liars,
            "doubted": request.population.doubted,
            "absence": _number(request.population.absence),
            "attack": request.attack.name,
            "risk": _number(request.risk),
            "stallRisk": _number(request.stall_risk),
            "hold": _number(request.accepted),
            "items": request.tariff.items,
            "batches": request.tariff.batches,
            "budget": _amount(request.tariff.budget),
            "atStake": str(plan.at_stake),
            "lieDeviation": request.lie.deviation,
            "lieDisagreement": request.lie.disagreement,
            "honestDeviation": request.honest.deviation,
            "honestDisagreement": request.honest.disagreement,
        },
        "chosen": _row(plan.chosen),
        "newcomers": _odds(plan.newcomers),
        "learnt": {
            "trust": plan.learnt.trust,
            "seats": plan.learnt.seats,
            "rounds": _number(_rounds_until_learnt(plan)),
        },
        "gas": {"floor": price.gas.floor, "estimate": price.gas.estimate},
        "settlementCost": str(price.settlement),
        "deterrence": {
            "blockers": deters.blockers,
            "noCommitSlash": str(deters.no_commit_slash),
            "noRevealSlash": _amount(deters.no_reveal_slash),
            "stake": _amount(deters.stake),
            "deployedStake": str(request.registry.stake),
            "locked": str(deters.locked),
            "forfeits": str(deters.forfeits),
            "gains": str(deters.gains),
        },
        "seats": [_row(row) for row in plan.seats],
        "rules": [_row(row) for row in plan.rules],
    }


def lines(plan: Plan) -> Iterator[str]:
    """Yield what the plan says, a fact a line."""
    request, chosen, deters = plan.request, plan.chosen, plan.deterrence
    panel, price, people = chosen.panel, _price(plan.chosen), plan.request.population
    learnt = f"{plan.learnt.trust / TRUST_ONE:g}"
    if plan.learnt.seats:
        rounds = _count(_rounds_until_learnt(plan))
        seats = "1 seat" if plan.learnt.seats == 1 else f"{plan.learnt.seats} seats"
        learnt += f" when they lie, at the earliest after {seats} each, {rounds} rounds"
    rows = [
        ("panel", f"{panel.size} seats, quorum {panel.quorum}, {_rule(panel)}"),
        ("liars", f"{people.liars} of {people.evaluators} evaluators, {request.attack.name}"),
        ("their trust", learnt),
        ("captured by", f"{chosen.needed} liars of {panel.size}{_fewer(plan)}"),
        ("captured", f"{_odd(chosen.odds.capture)}"),
        ("  accepted", f"{float(request.risk):.3g}"),
        ("  at full trust", f"{_odd(plan.newcomers.capture)}"),
        ("  unwatched", f"{_odd(chosen.odds.unwatched)}"),
        ("blocked", f"{_odd(chosen.odds.stall)}"),
        (
            "price",
            f"{_tokens(price.evaluator_budget + price.fee)} tokens a round of "
            f"{request.tariff.items} items: {_tokens(price.seat)} a seat, fee {_tokens(price.fee)}",
        ),
        ("gas", f"{price.gas.estimate:,} to settle, floor {price.gas.floor:,}"),
        ("stake", _stake(plan)),
        (
            "lying",
            f"gains {_tokens(deters.gains)} tokens a round, forfeits {_tokens(deters.forfeits)}; "
            f"no stake",
        ),
        ("locked", f"{_tokens(deters.locked)} tokens by {people.liars} liars, to be had back"),
    ]
    for name, value in rows:
        yield f"{name:<15}  {value}"


def show(plan: Plan, console: Console) -> None:
    """Print both tables."""
    console.print()
    console.print(_seat_table(plan))
    console.print()
    console.print(_rule_table(plan))


def _fewer(plan: Plan) -> str:
    people = plan.request.population
    weighted = plan.chosen.panel.rule in (Rule.TRUST_WEIGHTED_MEAN, Rule.TRUST_WEIGHTED_MEDIAN)
    if not weighted or not people.doubted:
        return ""
    return f", or fewer beside any of {people.doubted} honest evaluators that are doubted"


def _stake(plan: Plan) -> str:
    deters = plan.deterrence
    if deters.stake is None:
        return "this deployment slashes nothing, and no stake keeps rounds from being blocked"
    deployed = plan.request.registry.stake
    verdict = "is enough" if deployed >= deters.stake else "is too little"
    return (
        f"{_tokens(deters.stake)} tokens or more: blocking costs {deters.blockers} slashes of "
        f"{_tokens(deters.no_commit_slash)}; {_tokens(deployed)} {verdict}"
    )


def _seat_table(plan: Plan) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        title="What each further seat buys",
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        caption="Prices in tokens, without inference. Gas is that of settling.",
    )
    names = ("seats", "quorum", "captured", "blocked", "gas an item", "pay a seat", "price an item")
    for name in names:
        table.add_column(name, justify="right")
    items = plan.request.tariff.items
    for row in _shown(plan):
        gas = price = pay = "over budget"
        if row.price is not None:
            gas = f"{-(-row.price.gas.estimate // items):,}"
            pay, price = _tokens(row.price.seat), _tokens(row.price.item)
        table.add_row(
            str(row.panel.size),
            str(row.panel.quorum),
            _probability(row.odds.capture),
            _probability(row.odds.stall),
            gas,
            pay,
            price,
            style="bold" if row.panel == plan.chosen.panel else None,
        )
    return table


def _rule_table(plan: Plan) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        title=f"The same {plan.chosen.panel.size} seats by each rule",
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        caption="Liars' share: their part of the consensus, on average.",
    )
    table.add_column("rule")
    for name in ("captured by", "captured", "liars' share"):
        table.add_column(name, justify="right")
    for row in plan.rules:
        table.add_row(
            _rule(row.panel),
            "–" if row.needed is None else str(row.needed),
            _probability(row.odds.capture),
            _probability(row.odds.hold),
            style="bold" if row.panel == plan.chosen.panel else None,
        )
    return table


def _shown(plan: Plan) -> Iterable[Row]:
    """Yield the panels up to a few seats beyond the chosen one."""
    return (row for row in plan.seats if row.panel.size <= plan.chosen.panel.size + _FURTHER)


def _rounds_until_learnt(plan: Plan) -> Fraction:
    """An evaluator is seated once in N / K rounds on average."""
    people = plan.request.population
    return Fraction(plan.learnt.seats * people.evaluators, plan.chosen.panel.size)


def _price(row: Row) -> Price:
    assert row.price is not None  # or there would be no plan
    return row.price


def _rule(panel: Panel) -> str:
    name = panel.rule.name.lower().replace("_", "-")
    return f"{name} {panel.trim / ONE:g}" if panel.rule is Rule.TRIMMED_MEAN else name


def _odd(probability: Fraction) -> str:
    rounds = expected_rounds(probability)
    if rounds is None:
        return "never"
    return f"{_probability(probability)} a round, first after {_count(rounds)} rounds on average"


def _probability(probability: Fraction) -> str:
    return f"{float(probability):.3g}"


def _count(rounds: Fraction) -> str:
    """A number of rounds, which may be beyond a float."""
    count = Decimal(rounds.numerator) / Decimal(rounds.denominator)
    return f"{count:,.0f}" if count < _MANY else f"{count:.3g}"


def _tokens(wei: int) -> str:
    """An amount as people read it; JSON has it to the wei."""
    return f"{wei / 10**18:.4g}" if wei < 10**22 else f"{wei // 10**18:,}"


def _row(row: Row) -> dict[str, Any]:
    content: dict[str, Any] = {
        "size": row.panel.size,
        "quorum": row.panel.quorum,
        "rule": row.panel.rule.name.lower().replace("_", "-"),
        "trim": row.panel.trim,
        "captureNeeds": row.needed,
        **_odds(row.odds),
    }
    if row.price is not None:
        content |= {
            "evaluatorBudget": str(row.price.evaluator_budget),
            "settlementFee": str(row.price.fee),
            "seatPay": str(row.price.seat),
            "itemPrice": str(row.price.item),
            "gas": row.price.gas.estimate,
        }
    return content


def _odds(odds: Odds) -> dict[str, Any]:
    return {
        "capture": _number(odds.capture),
        "unwatched": _number(odds.unwatched),
        "stall": _number(odds.stall),
        "liarsShare": _number(odds.hold),
        "firstCapture": _number(expected_rounds(odds.capture)),
    }


def _number(value: Fraction | None) -> dict[str, Any] | None:
    """A number as a fraction, and as a float where that can hold it."""
    if value is None:
        return None
    try:
        return {"exact": str(value), "float": float(value)}
    except OverflowError:
        return {"exact": str(value), "float": None}


def _amount(value: int | None) -> str | None:
    return None if value is None else str(value)

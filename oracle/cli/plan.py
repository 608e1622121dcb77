"""
`poq plan`: from a population, a malicious share and an accepted risk to a panel, and its price.
"""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from typing import Annotated, Literal

import typer

from oracle.cli.exits import Exit, Stop
from oracle.cli.options import Printing, with_options
from oracle.cli.terms import Rule

Attack = Literal[
    "newcomers",
    "camouflage",
    "noise",
    "boost",
    "sabotage",
    "inversion",
    "collusion",
    "intermittent",
]

_NUMBER = re.compile(r"-?[0-9./]{1,40}(e-?[0-9]{1,3})?", re.IGNORECASE)
"""What a number looks like whose exact value is soon computed."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plan")(with_options(plan))


def plan(
    printing: Printing,
    evaluators: Annotated[int, typer.Option(min=0, help="How many can be drawn.")],
    malicious: Annotated[str, typer.Option(help="The share of them that lies, as in 0.3.")],
    risk: Annotated[str, typer.Option(help="The accepted probability of a captured round.")],
    attack: Annotated[
        Attack, typer.Option(help="How they lie; newcomers and camouflage have full trust.")
    ] = "newcomers",
    rule: Annotated[
        Rule | None, typer.Option(help="How scores are aggregated; by default the safest rule.")
    ] = None,
    trim: Annotated[
        int, typer.Option(min=0, max=4999, help="Share trimmed at each end, of 10000.")
    ] = 1500,
    hold: Annotated[
        str, typer.Option(help="The share of a consensus that makes a round captured.")
    ] = "0.5",
    doubted: Annotated[
        str, typer.Option(help="The share of honest evaluators that have lost their trust.")
    ] = "0.35",
    absence: Annotated[
        str, typer.Option(help="The probability that an honest seat is absent.")
    ] = "0",
    stall_risk: Annotated[
        str | None,
        typer.Option(help="The accepted probability of a blocked round; lets the quorum rise."),
    ] = None,
    items: Annotated[int, typer.Option(min=1, help="Items of a round.")] = 20,
    batches: Annotated[int, typer.Option(min=1, max=32, help="Batches of a round.")] = 1,
    budget: Annotated[
        str | None,
        typer.Option(help="What evaluators and settler of a round may cost; by default the least."),
    ] = None,
    at_stake: Annotated[
        str | None,
        typer.Option(help="What a round's outcome is worth to liars; by default what it costs."),
    ] = None,
    gas_price: Annotated[str, typer.Option(help="Of a unit of gas, as in 0.05gwei.")] = "0",
    token_price: Annotated[
        str, typer.Option(help="Tokens for one ether, to pay the settler's gas with the fee.")
    ] = "1",
    lie_deviation: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=10_000,
            help="Of a lie from an honest pivot, of 10000; by default from the attack. Alone, it "
            "leaves open what trust learns: none is then counted as lost.",
        ),
    ] = None,
    lie_disagreement: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=10_000,
            help="Of a lie with an honest panel, of 10000; by default from the attack.",
        ),
    ] = None,
    honest_deviation: Annotated[
        int, typer.Option(min=0, max=10_000, help="Of an honest seat from the pivot, of 10000.")
    ] = 1300,
    honest_disagreement: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=10_000,
            help="Of an honest seat with its panel, of 10000; by default from its deviation.",
        ),
    ] = None,
    parameters: Annotated[
        str, typer.Option(help="A parameter set by its name, or a TOML file.")
    ] = "testnet",
) -> None:
    """
    Say which panel, quorum and rule meet a risk, what they cost, and what each further seat buys.

    Example: poq plan --evaluators 1000 --malicious 0.3 --risk 1e-6 --attack inversion
    --budget 1ether
    """
    from deploy.parameters import load_parameters
    from oracle.cli.amounts import parse_amount
    from oracle.core.consensus import Rule as CoreRule
    from oracle.study import plan_report
    from oracle.study.capture import Population
    from oracle.study.deterrence import ATTACKS, modelled_honesty, modelled_lie
    from oracle.study.planner import Request, least_share
    from oracle.study.planner import plan as make_plan
    from oracle.study.price import Tariff

    deployment = load_parameters(parameters)
    share = _number("--malicious", malicious, at_most=1)
    tariff = Tariff(
        items=items,
        least_pay=deployment.rounds.least_evaluator_pay,
        batches=batches,
        gas_price=parse_amount(gas_price),
        token_per_coin=int(_number("--token-price", token_price) * 10**18),
        budget=None if budget is None else parse_amount(budget),
    )
    lies = ATTACKS[attack]
    lie, honest = modelled_lie(lies, items), modelled_honesty(honest_deviation, items)
    if lie_deviation is not None:
        lie = replace(lie, deviation=lie_deviation)
        lies = replace(lies, learnt=lies.learnt and lie_disagreement is not None)
    if lie_disagreement is not None:
        lie = replace(lie, disagreement=lie_disagreement)
    if honest_disagreement is not None:
        honest = replace(honest, disagreement=honest_disagreement)
    liars = least_share(share, evaluators)
    request = Request(
        population=Population(
            evaluators,
            liars,
            _number("--absence", absence, at_most=1),
            least_share(_number("--doubted", doubted, at_most=1), evaluators - liars),
        ),
        risk=_number("--risk", risk, at_most=1),
        attack=lies,
        tariff=tariff,
        registry=deployment.registry,
        rounds=deployment.rounds,
        lie=lie,
        honest=honest,
        at_stake=None if at_stake is None else parse_amount(at_stake),
        stall_risk=None if stall_risk is None else _number("--stall-risk", stall_risk, at_most=1),
        accepted=_number("--hold", hold, at_most=1),
        rule=None if rule is None else CoreRule[rule.upper().replace("-", "_")],
        trim=trim,
    )
    if not request.accepted:
        raise Stop(Exit.USAGE, "--hold is 0, and every round would be captured.")
    made = make_plan(request)
    output = printing.output()
    output.data("plan", plan_report.as_json(made), plan_report.lines(made))
    if not printing.json:
        plan_report.show(made, output.console)


def _number(option: str, text: str, at_most: int | None = None) -> Fraction:
    """Return exactly what was written; raise `Stop` for what is no such number."""
    try:
        value = Fraction(text) if _NUMBER.fullmatch(text) else None
    except (ValueError, ZeroDivisionError):
        value = None
    if value is None:
        raise Stop(Exit.USAGE, f"{option} {text!r} is no number, as in 0.3, 1e-6 or 1/3.")
    if value < 0 or (at_most is not None and value > at_most):
        limit = "negative" if value < 0 else f"above {at_most}"
        raise Stop(Exit.USAGE, f"{option} {text} is {limit}.")
    return value

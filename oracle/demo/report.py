"""
What the demonstration shows: tables for people, JSON for programs, both from the same figures.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from oracle.audit.report import tokens
from oracle.core.units import ONE, TRUST_ONE
from oracle.demo.cast import DOMAINS
from oracle.demo.scenario import Outcome, Played, Standing

VERSION = 1
RULES = {"default": "default rule", "mean": "plain mean"}

NEXT = """\
What to try next:
  poq demo --html FILE   all of this as a page for a browser
  poq devnet             a chain of your own, for the README's round by hand
  poq evaluate --help    score a workload with your own evaluator
  docs/protocol.md       what the contract checked, and how"""


def fidelity(rounds: Iterable[Played], rule: str) -> tuple[float, float]:
    """Return the Pearson correlation with judged quality and the mean absolute error, in 0..1."""
    played = list(rounds)
    consensus = np.concatenate([one.by_rule[rule] for one in played]).astype(np.float64)
    labels: NDArray[np.float64] = np.concatenate([one.labels for one in played])
    correlation = float(np.corrcoef(consensus, labels)[0, 1])
    return correlation, float(np.abs(consensus - labels).mean()) / ONE


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Return the figures, versioned; amounts are wei as strings, shares and trusts in 0..1."""
    return {
        "version": VERSION,
        "rounds": [
            {
                "round": one.round_id,
                "domain": one.workload.domain,
                "items": len(one.workload.items),
                "panel": list(one.seats),
                "fidelity": {rule: _fidelity_row([one], rule) for rule in RULES},
                "refund": str(one.settlement.refund),
            }
            for one in outcome.rounds
        ],
        "fidelity": {
            name: {rule: _fidelity_row(part, rule) for rule in RULES}
            for name, part in _parts(outcome)
        },
        "evaluators": [
            {
                **_standing_row(standing),
                "honesty": standing.honesty,
                "deviation": _mean(standing.quality),
                "trust": {name: w / TRUST_ONE for name, w in standing.trust.items()},
            }
            for standing in outcome.evaluators
        ],
        "systems": [
            {
                **_standing_row(standing),
                "quality": _mean(standing.quality),
                "cost": _mean(standing.cost),
            }
            for standing in outcome.systems
        ],
        "fees": str(outcome.fees),
        "refunds": str(outcome.refunds),
        "audit": outcome.audit.to_json(),
    }


def show(outcome: Outcome, console: Console) -> None:
    """Print the tables."""
    console.print(_fidelity_table(outcome))
    console.print(_evaluator_table(outcome.evaluators))
    console.print(_system_table(outcome.systems))
    outcome.audit.show(console)
    console.print()
    console.print(NEXT, highlight=False)


def _fidelity_table(outcome: Outcome) -> Table:
    table = Table(
        title="Consensus against judged quality, on the same reveals",
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        caption="The default is the trust-weighted mean. No evaluator saw a label.",
    )
    table.add_column("rounds")
    table.add_column("items", justify="right")
    for name in RULES.values():
        table.add_column(f"{name}\ncorrelation", justify="right")
        table.add_column("\nerror", justify="right")
    for name, part in _parts(outcome):
        cells = [f"{value:.3f}" for rule in RULES for value in fidelity(part, rule)]
        table.add_row(name, str(sum(len(one.workload.items) for one in part)), *cells)
    return table


def _evaluator_table(standings: Iterable[Standing]) -> Table:
    table = Table(
        title="Evaluators",
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        caption="Everybody began with a trust of 1.000 in both domains. Those below the line lie. "
        "Trust falls, too, where an honest method says nothing of the outputs.",
    )
    for name in ("node", "evaluator", "scores with"):
        table.add_column(name)
    for name in ("seats", "deviation", *(f"trust\n{domain[:5]}" for domain in DOMAINS), "paid"):
        table.add_column(name, justify="right")
    ranked = sorted(standings, key=lambda one: (one.honesty != "honest", -one.earned))
    honest = sum(one.honesty == "honest" for one in ranked)
    for i, one in enumerate(ranked):
        table.add_row(
            str(one.node_id),
            one.name,
            one.kind,
            str(one.rounds),
            f"{_mean(one.quality):.3f}" if one.rounds else "–",
            *(f"{one.trust[domain] / TRUST_ONE:.3f}" for domain in DOMAINS),
            tokens(one.paid),
            style="" if i < honest else "red",
            end_section=i == honest - 1,
        )
    return table


def _system_table(standings: Iterable[Standing]) -> Table:
    table = Table(
        title="Inference nodes",
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        caption="Reward is quality less a tenth of the cost.",
    )
    for name in ("node", "system"):
        table.add_column(name)
    for name in ("rounds", "items", "quality", "cost", "paid"):
        table.add_column(name, justify="right")
    for one in sorted(standings, key=lambda one: -one.earned):
        table.add_row(
            str(one.node_id),
            one.name,
            str(one.rounds),
            str(len(one.quality)),
            f"{_mean(one.quality):.3f}",
            f"{_mean(one.cost):.3f}",
            tokens(one.paid),
        )
    return table


def _parts(outcome: Outcome) -> list[tuple[str, list[Played]]]:
    rounds = list(outcome.rounds)
    parts = [
        (domain, [one for one in rounds if one.workload.domain == domain]) for domain in DOMAINS
    ]
    half = len(rounds) // 2
    return [*parts, ("first half", rounds[:half]), ("second half", rounds[half:]), ("all", rounds)]


def _fidelity_row(rounds: list[Played], rule: str) -> dict[str, float]:
    correlation, error = fidelity(rounds, rule)
    return {"correlation": correlation, "error": error}


def _standing_row(standing: Standing) -> dict[str, Any]:
    return {
        "node": standing.node_id,
        "name": standing.name,
        "kind": standing.kind,
        "rounds": standing.rounds,
        "earned": str(standing.earned),
        "paid": str(standing.paid),
    }


def _mean(values: list[int]) -> float:
    return sum(values) / len(values) / ONE if values else 0.0

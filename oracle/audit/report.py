"""
What an audit found: the verdict, every mismatch, and who was paid what, round by round.

Made of figures that are already compared; nothing is computed here but sums.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from oracle.audit.findings import Findings, Mismatch
from oracle.audit.rounds import Audited, Rounds
from oracle.chain.deployment import Deployment
from oracle.core.facts import Conduct

if TYPE_CHECKING:
    from rich.console import Console

VERSION = 1
SHOWN = 20
"""Mismatches that the table for people shows."""


@dataclass(frozen=True, slots=True)
class Payout:
    """What a node, its settler or its requester got from a round, wei."""

    round: int
    role: str
    node: int | None
    account: str
    amount: int


@dataclass(frozen=True, slots=True)
class RoundSummary:
    """A round in a line. `ended_in` is the transaction that settled or cancelled it."""

    round: int
    phase: str
    domain: str
    rule: str
    items: int
    seats: int
    present: int
    deposit: int
    digest: str
    ended_in: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """The result of an audit. `logs` counts them by event, `comparisons` everything compared."""

    chain_id: int
    registry: str
    rounds_contract: str
    mismatches: tuple[Mismatch, ...]
    comparisons: int
    logs: Mapping[str, int]
    rounds: tuple[RoundSummary, ...]
    payouts: tuple[Payout, ...]

    @property
    def right(self) -> bool:
        """Whether everything was as it has to be."""
        return not self.mismatches

    def totals(self) -> dict[int, int]:
        """Return what each node earned over all rounds, wei, by ascending id."""
        totals: Counter[int] = Counter()
        for payout in self.payouts:
            if payout.node is not None:
                totals[payout.node] += payout.amount
        return dict(sorted(totals.items()))

    def to_json(self) -> dict[str, Any]:
        """Return everything, versioned; amounts are wei as strings."""
        return {
            "version": VERSION,
            "chainId": self.chain_id,
            "registry": self.registry,
            "rounds": self.rounds_contract,
            "right": self.right,
            "comparisons": self.comparisons,
            "logs": dict(sorted(self.logs.items())),
            "mismatches": [asdict(mismatch) for mismatch in self.mismatches],
            "roundSummaries": [
                {**asdict(each), "deposit": str(each.deposit)} for each in self.rounds
            ],
            "payouts": [
                {**asdict(payout), "amount": str(payout.amount)} for payout in self.payouts
            ],
        }

    def show(self, console: Console) -> None:
        """Print the payouts, the mismatches and the verdict."""
        from rich.table import Table

        table = Table(title="Payouts, recomputed from the logs")
        for name in ("round", "domain", "items", "present"):
            table.add_column(name, justify="left" if name == "domain" else "right")
        for name in ("evaluators", "inference", "fee", "refund"):
            table.add_column(name, justify="right")
        for summary in self.rounds:
            paid = Counter[str]()
            for payout in self.payouts:
                if payout.round == summary.round:
                    paid[payout.role] += payout.amount
            table.add_row(
                str(summary.round),
                summary.domain,
                str(summary.items),
                f"{summary.present}/{summary.seats}",
                *(_tokens(paid[role]) for role in ("evaluator", "inference", "fee", "refund")),
            )
        console.print(table)
        for mismatch in self.mismatches[:SHOWN]:
            console.print(f"[red]✗[/red] {mismatch}", highlight=False)
        if len(self.mismatches) > SHOWN:
            console.print(f"… and {len(self.mismatches) - SHOWN} more")
        logs = sum(self.logs.values())
        verdict = "nothing is wrong" if self.right else f"{len(self.mismatches)} mismatches"
        colour = "green" if self.right else "red"
        console.print(
            f"Audit: {logs:,} logs, {self.comparisons:,} comparisons, "
            f"[{colour}]{verdict}[/{colour}].",
            highlight=False,
        )


def report(
    deployment: Deployment, findings: Findings, rounds: Rounds, logs: Mapping[str, int]
) -> Report:
    """Return the report of an audit that has seen every log."""
    return Report(
        chain_id=deployment.chain_id,
        registry=deployment.registry.address,
        rounds_contract=deployment.rounds.address,
        mismatches=tuple(findings.mismatches),
        comparisons=findings.comparisons,
        logs=logs,
        rounds=tuple(map(_summary, rounds)),
        payouts=tuple(payout for audited in rounds for payout in _payouts(audited)),
    )


def _summary(audited: Audited) -> RoundSummary:
    terms = audited.opening.terms
    outcomes = () if audited.settlement is None else audited.settlement.outcomes
    return RoundSummary(
        round=audited.key.round_id,
        phase=_phase(audited),
        domain=terms.domain.rstrip(b"\0").decode("ascii", "backslashreplace"),
        rule=terms.rule.name,
        items=audited.opening.items,
        seats=terms.panel_size,
        present=sum(outcome.conduct is Conduct.PRESENT for outcome in outcomes),
        deposit=terms.deposit,
        digest="0x" + audited.digest.hex(),
        ended_in=None if audited.ended_in is None else "0x" + audited.ended_in.hex(),
    )


def _phase(audited: Audited) -> str:
    if audited.ended_in is None:
        return audited.state.phase.name.lower()
    return "cancelled" if audited.settlement is None else "settled"


def _payouts(audited: Audited) -> Iterable[Payout]:
    round_id, settlement = audited.key.round_id, audited.settlement
    opening = audited.opening
    if settlement is not None and audited.settler is not None:
        for payment in settlement.payments():
            role = payment.role.name.lower()
            yield Payout(round_id, role, payment.node_id, payment.account, payment.amount)
        yield Payout(round_id, "fee", None, audited.settler, settlement.fee)
        yield Payout(round_id, "refund", None, opening.requester, settlement.refund)
    elif audited.ended_in is not None:
        yield Payout(round_id, "refund", None, opening.requester, opening.terms.deposit)


def _tokens(wei: int) -> str:
    return f"{wei / 10**18:,.2f}"

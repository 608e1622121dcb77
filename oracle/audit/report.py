"""
What an audit found: the verdict, every mismatch, and who was paid what, round by round.

Made of figures that are already compared; nothing is computed here but sums. What people read shows
tokens of 18 decimals, rounded down; the data is exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from oracle.audit.findings import Findings, Mismatch
from oracle.audit.ledger import Ledger
from oracle.audit.record import domain_name
from oracle.audit.rounds import Audited, Rounds
from oracle.chain.deployment import Deployment
from oracle.core.facts import Role
from oracle.core.units import TRUST_ONE

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

VERSION = 1
SHOWN = 20
"""Mismatches, rounds and nodes that people are shown; the data has all."""
_ROLES = {role.value: role.name.lower() for role in Role}
_PAID = ("evaluator", "inference", "fee", "refund")


@dataclass(frozen=True, slots=True)
class Payout:
    """What a node, or with no node the settler or the requester, got from a round, wei."""

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
class NodeSummary:
    """A node at the end; `trusts`, in TRUST_ONE, are in the domains where rounds moved it."""

    node: int
    role: str
    owner: str
    stake: int
    earned: int
    trusts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Report:
    """
    The result of an audit of blocks `first_block` to `last_block`.

    `on_chain` says whether a chain was at hand to compare with, or logs alone. `logs` counts them
    by event, `comparisons` everything compared.
    """

    chain_id: int
    registry: str
    rounds_contract: str
    first_block: int
    last_block: int
    on_chain: bool
    mismatches: tuple[Mismatch, ...]
    comparisons: int
    logs: Mapping[str, int]
    nodes: tuple[NodeSummary, ...]
    rounds: tuple[RoundSummary, ...]
    payouts: tuple[Payout, ...]

    @property
    def right(self) -> bool:
        """Whether everything was as it has to be."""
        return not self.mismatches

    def of_round(self, round_id: int) -> Report:
        """Return what is about one round; the verdict is still about everything."""
        return replace(
            self,
            nodes=(),
            rounds=tuple(each for each in self.rounds if each.round == round_id),
            payouts=tuple(each for each in self.payouts if each.round == round_id),
        )

    def of_node(self, node_id: int) -> Report:
        """Return what is about one node; the verdict is still about everything."""
        payouts = tuple(each for each in self.payouts if each.node == node_id)
        paid = {each.round for each in payouts}
        return replace(
            self,
            nodes=tuple(each for each in self.nodes if each.node == node_id),
            rounds=tuple(each for each in self.rounds if each.round in paid),
            payouts=payouts,
        )

    def to_json(self) -> dict[str, Any]:
        """Return everything, versioned; amounts are wei as strings."""
        return {
            "version": VERSION,
            "chainId": self.chain_id,
            "registry": self.registry,
            "rounds": self.rounds_contract,
            "firstBlock": self.first_block,
            "lastBlock": self.last_block,
            "onChain": self.on_chain,
            "right": self.right,
            "comparisons": self.comparisons,
            "logs": dict(sorted(self.logs.items())),
            "mismatches": [asdict(mismatch) for mismatch in self.mismatches],
            "nodeSummaries": [
                {**asdict(each), "stake": str(each.stake), "earned": str(each.earned)}
                for each in self.nodes
            ],
            "roundSummaries": [
                {**asdict(each), "deposit": str(each.deposit)} for each in self.rounds
            ],
            "payouts": [
                {**asdict(payout), "amount": str(payout.amount)} for payout in self.payouts
            ],
        }

    def show(self, console: Console, shown: int = SHOWN) -> None:
        """Print the payouts of the last nodes and rounds, the mismatches and the verdict."""
        from rich.markup import escape

        if self.nodes:
            console.print(self._node_table(shown))
        console.print(self._round_table(shown))
        for mismatch in self.mismatches[:shown]:
            console.print(f"[red]✗[/red] {escape(str(mismatch))}", highlight=False)
        if len(self.mismatches) > shown:
            console.print(f"… and {len(self.mismatches) - shown} more")
        logs = sum(self.logs.values())
        verdict = "nothing is wrong" if self.right else f"mismatches: {len(self.mismatches)}"
        colour = "green" if self.right else "red"
        witness = "" if self.on_chain else " among the logs alone, with no chain at hand"
        console.print(
            f"Audit of blocks {self.first_block} to {self.last_block}: {logs:,} logs, "
            f"{self.comparisons:,} comparisons{witness}, [{colour}]{verdict}[/{colour}].",
            highlight=False,
        )

    def _node_table(self, shown: int) -> Table:
        from rich.markup import escape

        domains = sorted({domain for node in self.nodes for domain in node.trusts})
        table = _table("Nodes", len(self.nodes), shown)
        table.add_column("node", justify="right")
        table.add_column("role")
        for name in ("stake", "earned", *(f"trust, {escape(domain)}" for domain in domains)):
            table.add_column(name, justify="right")
        for node in self.nodes[-shown:]:
            trusts = (node.trusts.get(domain) for domain in domains)
            table.add_row(
                str(node.node),
                node.role,
                tokens(node.stake),
                tokens(node.earned),
                *("" if trust is None else f"{trust / TRUST_ONE:.3f}" for trust in trusts),
            )
        return table

    def _round_table(self, shown: int) -> Table:
        from rich.markup import escape

        paid: Counter[tuple[int, str]] = Counter()
        for payout in self.payouts:
            paid[payout.round, payout.role] += payout.amount
        table = _table("Payouts, recomputed from the logs", len(self.rounds), shown)
        for name in ("round", "domain", "phase", "items", "seats"):
            table.add_column(name, justify="left" if name in ("domain", "phase") else "right")
        for name in ("panel", "inference", "fee", "refund"):
            table.add_column(name, justify="right")
        for one in self.rounds[-shown:]:
            table.add_row(
                str(one.round),
                escape(one.domain),
                one.phase,
                str(one.items),
                f"{one.present}/{one.seats}",
                *(tokens(paid[one.round, role]) for role in _PAID),
            )
        return table


def report(
    deployment: Deployment,
    findings: Findings,
    ledger: Ledger,
    rounds: Rounds,
    logs: Mapping[str, int],
    *,
    last_block: int,
    on_chain: bool,
) -> Report:
    """Return the report of an audit that has seen every log."""
    payouts = tuple(payout for audited in rounds for payout in _payouts(audited))
    return Report(
        chain_id=deployment.chain_id,
        registry=deployment.registry.address,
        rounds_contract=deployment.rounds.address,
        first_block=deployment.start_block,
        last_block=last_block,
        on_chain=on_chain,
        mismatches=tuple(findings.mismatches),
        comparisons=findings.comparisons,
        logs=logs,
        nodes=_nodes(ledger, payouts),
        rounds=tuple(map(_summary, rounds)),
        payouts=payouts,
    )


def _nodes(ledger: Ledger, payouts: Iterable[Payout]) -> tuple[NodeSummary, ...]:
    earned: Counter[int] = Counter()
    for payout in payouts:
        if payout.node is not None:
            earned[payout.node] += payout.amount
    trusts: dict[int, dict[str, int]] = {}
    for domain, node_id, trust in ledger.trusts():
        trusts.setdefault(node_id, {})[domain_name(domain)] = trust
    return tuple(
        NodeSummary(
            node=node.node_id,
            role=node.role.name.lower(),
            owner=node.owner,
            stake=node.stake,
            earned=earned[node.node_id],
            trusts=trusts.get(node.node_id, {}),
        )
        for node in ledger.nodes()
    )


def _summary(audited: Audited) -> RoundSummary:
    terms = audited.opening.terms
    return RoundSummary(
        round=audited.key.round_id,
        phase=audited.phase,
        domain=domain_name(terms.domain),
        rule=terms.rule.name,
        items=audited.opening.items,
        seats=terms.panel_size,
        present=0 if audited.ended is None else audited.ended.present,
        deposit=terms.deposit,
        digest="0x" + audited.digest.hex(),
        ended_in=None if audited.ended_in is None else "0x" + audited.ended_in.hex(),
    )


def _payouts(audited: Audited) -> Iterable[Payout]:
    round_id, opening, ended = audited.key.round_id, audited.opening, audited.ended
    if ended is not None:
        for node_id, role, account, amount in ended.payments:
            yield Payout(round_id, _ROLES[role], node_id, account, amount)
        yield Payout(round_id, "fee", None, ended.settler, opening.terms.settlement_fee)
        yield Payout(round_id, "refund", None, opening.requester, ended.refund)
    elif audited.ended_in is not None:
        yield Payout(round_id, "refund", None, opening.requester, opening.terms.deposit)


def tokens(wei: int) -> str:
    """Return an amount for people: whole tokens of 18 decimals, floored to two of them."""
    return f"{wei // 10**18:,}.{wei // 10**16 % 100:02}"


def _table(title: str, count: int, shown: int) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    caption = f"the last {shown} of {count:,}; --all shows all" if count > shown else None
    return Table(
        title=title, caption=caption, box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False
    )

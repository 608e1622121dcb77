"""
What a round is opened with, as options: its terms, and the batches that receipts are for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from oracle.cli.exits import Exit, Stop

if TYPE_CHECKING:
    from oracle.cli.session import Session, Writer
    from oracle.core.facts import Batch
    from oracle.core.facts import Terms as CoreTerms
    from oracle.evaluators.workload import Workload
    from oracle.service.documents import ReceiptFile

Rule = Literal["mean", "median", "trimmed-mean", "trust-weighted-mean", "trust-weighted-median"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a requester fixes and pays."""

    inference_budget: Annotated[
        str, typer.Option("--inference-budget", help="Wei, or as in 100ether.")
    ]
    evaluator_budget: Annotated[
        str, typer.Option("--evaluator-budget", help="Wei, or as in 100ether.")
    ]
    settlement_fee: Annotated[
        str, typer.Option("--settlement-fee", help="What the settler earns.")
    ] = "0"
    rule: Annotated[Rule, typer.Option("--rule", help="How scores are aggregated.")] = (
        "trust-weighted-mean"
    )
    trim: Annotated[
        int, typer.Option("--trim", min=0, max=4999, help="Share trimmed at each end, of 10000.")
    ] = 0
    panel_size: Annotated[int, typer.Option("--panel-size", min=3, max=31)] = 5
    quorum: Annotated[
        int | None,
        typer.Option("--quorum", help="Least seats that settle; more than half, by default so."),
    ] = None
    oracle: Annotated[
        str | None,
        typer.Option(
            "--oracle",
            help="Alone may settle until the reveal deadline; by default anybody may.",
        ),
    ] = None
    uri: Annotated[str, typer.Option("--uri", help="Where evaluators fetch the workload.")] = ""

    def of(self, workload: Workload, session: Writer) -> CoreTerms:
        """Return the terms of a round over a workload; raise `Stop`."""
        from oracle.cli.amounts import parse_amount
        from oracle.core.consensus import Rule as CoreRule
        from oracle.core.facts import Terms as CoreTerms
        from oracle.core.phases import NOBODY

        return CoreTerms(
            domain=domain_word(workload.domain),
            rule=CoreRule[self.rule.upper().replace("-", "_")],
            trim=self.trim,
            panel_size=self.panel_size,
            quorum=self.panel_size // 2 + 1 if self.quorum is None else self.quorum,
            oracle=NOBODY if self.oracle is None else session.account(self.oracle),
            workload_hash=workload.hash,
            inference_budget=parse_amount(self.inference_budget),
            evaluator_budget=parse_amount(self.evaluator_budget),
            settlement_fee=parse_amount(self.settlement_fee),
        )


def domain_word(domain: str) -> bytes:
    """Return a domain's name as the contracts keep it; raise `Stop` if it is too long."""
    encoded = domain.encode()
    if not encoded.isascii() or not 0 < len(encoded) <= 32:
        raise Stop(Exit.USAGE, f"{domain!r} is no domain: 1 to 32 ASCII characters.")
    return encoded.ljust(32, b"\0")


def batches_of(
    session: Session, workload: Workload, receipts: Iterable[ReceiptFile], requester: str
) -> tuple[list[Batch], list[bytes]]:
    """Return the batches and their signatures in the workload's order; raise `Stop`."""
    from oracle.core.facts import Batch
    from oracle.service.documents import claims, contradiction

    given: dict[str, ReceiptFile] = {}
    for receipt in receipts:
        if given.setdefault(receipt.label, receipt) != receipt:
            raise Stop(Exit.USAGE, f"There are two different receipts for {receipt.label!r}.")
    batches, signatures = [], []
    for part in workload.batches:
        if (found := given.get(part.node)) is None:
            raise Stop(Exit.USAGE, f"There is no receipt for {part.node!r}.")
        claimed = claims(
            part,
            workload,
            requester,
            chain_id=session.chain_id,
            registry=session.deployment.registry.address,
        )
        if wrong := contradiction(found, claimed):
            raise Stop(Exit.USAGE, f"The receipt for {part.node!r} says {wrong}.")
        owner = session.state.node(found.nodeId).owner
        batches.append(
            Batch(found.nodeId, owner, part.stop - part.start, part.cost, part.outputs_hash)
        )
        signatures.append(bytes.fromhex(found.signature[2:]))
    return batches, signatures

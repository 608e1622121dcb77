"""
What the live demonstration shows: tables for people, JSON for programs, both from the same figures.
"""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from oracle.audit.report import tokens
from oracle.demo.live import LiveOutcome, LiveRound

VERSION = 1
_WIDEST = 40
"""Characters of an answer that people are shown."""


def as_json(outcome: LiveOutcome) -> dict[str, Any]:
    """Return the figures, versioned; amounts are wei as strings, shares and trusts in 0..1."""
    return {
        "version": VERSION,
        "seconds": round(outcome.seconds, 1),
        "rounds": [
            {
                "round": one.round_id,
                "panel": list(one.seats),
                "seconds": round(one.seconds, 1),
                "items": [
                    {
                        "id": item.id,
                        "node": item.node,
                        "output": item.output,
                        "latencyMs": item.latency_ms,
                        "tokens": item.tokens,
                        "consensus": score,
                    }
                    for item, score in zip(one.workload.items, one.consensus, strict=True)
                ],
            }
            for one in outcome.rounds
        ],
        "nodes": [
            {
                "node": node.node_id,
                "name": node.name,
                "role": node.role,
                "kind": node.kind,
                "rounds": node.rounds,
                "quality": node.quality,
                "cost": node.cost,
                "trust": node.trust,
                "paid": str(node.paid),
            }
            for node in outcome.nodes
        ],
        "fees": str(outcome.fees),
        "refunds": str(outcome.refunds),
        "exits": outcome.exits,
        "audit": outcome.audit.to_json(),
    }


def show(outcome: LiveOutcome, console: Console) -> None:
    """Print the tables."""
    for one in outcome.rounds:
        console.print(_answers(one))
    console.print(_nodes(outcome))
    outcome.audit.show(console)
    clean = all(code == 0 for code in outcome.exits.values())
    console.print(
        f"\n{len(outcome.exits)} services, each a process of its own, "
        f"{'all ended with 0' if clean else f'ended with {outcome.exits}'}; "
        f"{outcome.seconds:.0f} s in all.",
        highlight=False,
    )


def _answers(one: LiveRound) -> Table:
    table = Table(
        title=f"Round {one.round_id}: what the models answered, as the panel saw it",
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        caption=f"Settled {one.seconds:.0f} s after it was opened. Panel: {', '.join(one.seats)}.",
    )
    for name in ("prompt", "model", "answer"):
        table.add_column(name)
    for name in ("ms", "score"):
        table.add_column(name, justify="right")
    for item, score in zip(one.workload.items, one.consensus, strict=True):
        words = " ".join(item.output.split())
        shown = words if len(words) <= _WIDEST else words[: _WIDEST - 3].rstrip() + "..."
        table.add_row(item.id, item.node, shown, str(item.latency_ms), f"{score:.2f}")
    return table


def _nodes(outcome: LiveOutcome) -> Table:
    table = Table(
        title="Nodes",
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        caption="Inference nodes are paid for quality less cost, evaluators for closeness to their "
        "panel and for speed.",
    )
    for name in ("node", "name", "does", "with"):
        table.add_column(name)
    for name in ("rounds", "quality", "cost", "trust", "paid"):
        table.add_column(name, justify="right")
    for node in outcome.nodes:
        shares = (node.quality, node.cost, node.trust)
        table.add_row(
            str(node.node_id),
            node.name,
            node.role,
            node.kind,
            str(node.rounds),
            *("–" if share is None else f"{share:.3f}" for share in shares),
            tokens(node.paid),
        )
    return table

"""
What the page says, as plain figures: tables that are always there, and rounds to look into.

Made of an audit's report and records; nothing is judged here but which seats disagreed by more than
counts as agreement, as the trust rule does. This module also decides how much of a long history
the page holds, and everything left out is counted, so that the page can say so.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oracle.audit.record import RoundRecord, domain_name, scored
from oracle.audit.report import Report, tokens
from oracle.audit.sentences import rule_name, second
from oracle.chain.deployment import Deployment
from oracle.core import trust
from oracle.core.consensus import Rule
from oracle.core.facts import Conduct, Role
from oracle.core.parameters import TrustParameters
from oracle.core.settlement import Settlement
from oracle.core.units import ONE, TRUST_ONE

LARGEST_ROUNDS = 500
"""Rounds that are listed and can be looked into: the latest."""
LARGEST_NODES = 1000
"""Nodes that are listed: those with the most rounds."""
LARGEST_SCORES = 600_000
"""Scores, consensus and pivots in the page, two bytes each; beyond it items are sampled."""
MATRIX_ROUNDS = 24
MATRIX_NODES = 40
TRUST_ROUNDS = 400
"""Rounds after which one chart of trust has a point: evenly spread, the last one among them."""
TRUST_LINES = 40
"""Lines of one chart of trust: the lowest at the end."""


@dataclass(slots=True)
class Standing:
    """What the records say of a node: rounds it took part in, and how."""

    node: int
    included: int = 0
    beyond: int = 0
    absent: int = 0
    batches: int = 0
    deviation: int = 0
    disagreement: int = 0
    earned: int = 0
    slashed: int = 0
    trusts: dict[str, int] = field(default_factory=dict)

    @property
    def far_off(self) -> bool:
        """Whether it disagreed by more than counts as agreement in most of its rounds."""
        return 2 * self.beyond > self.included


def content(
    deployment: Deployment,
    report: Report,
    records: Sequence[RoundRecord],
    names: Mapping[int, str] | None = None,
) -> dict[str, Any]:
    """
    Return everything that the page shows; `names` are what the caller calls some nodes.

    `records` are those of the audit that made the report. What is under `data` is JSON for the
    page's script: shares in ONE, trusts in TRUST_ONE, amounts in tokens as text.
    """
    names = names or {}
    rates = deployment.registry_parameters.trust
    ordered = sorted(records, key=lambda record: record.key.round_id)
    ended = [record for record in records if record.settlement is not None]
    standings = _standings(records, rates)
    shown = ordered[-LARGEST_ROUNDS:]
    nodes = sorted(
        report.nodes,
        key=lambda one: (-standings.get(one.node, Standing(0)).included, one.node),
    )[:LARGEST_NODES]
    return {
        "chain_id": report.chain_id,
        "registry": report.registry,
        "rounds_contract": report.rounds_contract,
        "token": deployment.token,
        "first_block": report.first_block,
        "last_block": report.last_block,
        "on_chain": report.on_chain,
        "right": report.right,
        "comparisons": f"{report.comparisons:,}",
        "log_count": f"{sum(report.logs.values()):,}",
        "logs": sorted(report.logs.items()),
        "mismatches": report.mismatches,
        "totals": _totals(ordered),
        "nodes": [
            _node_row(one, standings.get(one.node, Standing(one.node)), names)
            for one in sorted(nodes, key=lambda one: one.node)
        ],
        "most_earned": max([1, *(standing.earned for standing in standings.values())]),
        "node_count": len(report.nodes),
        "domains": sorted({domain for one in report.nodes for domain in one.trusts}),
        "matrix": _matrix(ended, standings, rates, names),
        "far_off": [_named(each, names) for each in sorted(standings) if standings[each].far_off],
        "rounds": [_round_row(record) for record in reversed(shown)],
        "round_count": len(ordered),
        "unended": max(0, len(report.rounds) - len(ordered)),
        "agreement": rates,
        "one": ONE,
        "data": {
            "one": ONE,
            "trustOne": TRUST_ONE,
            "closenessScale": deployment.rounds_parameters.closeness_scale,
            "names": {str(node): name for node, name in sorted(names.items())},
            "farOff": [node for node in sorted(standings) if standings[node].far_off],
            "trust": _trust_lines(ended),
            "rounds": _details(shown, rates),
        },
    }


def _standings(records: Iterable[RoundRecord], rates: TrustParameters) -> dict[int, Standing]:
    found: dict[int, Standing] = {}
    for record in records:
        for node, amount in record.slashes.items():
            standing = found.setdefault(node, Standing(node))
            standing.absent += 1
            standing.slashed += amount
        settlement = record.settlement
        if settlement is None:
            continue
        agreed = _agreement(settlement, rates)
        for payment in settlement.payments():
            found.setdefault(payment.node_id, Standing(payment.node_id)).earned += payment.amount
        panel = settlement.facts.draw.panel
        for reveal, deviation, disagreement in zip(
            settlement.reveals, settlement.deviations, settlement.disagreements, strict=True
        ):
            node = panel[reveal.seat].node_id
            standing = found.setdefault(node, Standing(node))
            standing.included += 1
            standing.beyond += disagreement > agreed
            standing.deviation += deviation
            standing.disagreement += disagreement
        for node in {batch.node_id for batch in record.opening.batches}:
            found.setdefault(node, Standing(node)).batches += 1
    return found


def _agreement(settlement: Settlement, rates: TrustParameters) -> int:
    """The disagreement up to which a seat agrees with its panel, τ, in ONE."""
    return int(trust.tolerance(rates, np.array(settlement.disagreements, dtype=np.uint16)))


def _totals(records: Iterable[RoundRecord]) -> list[tuple[str, str]]:
    phases = {"settled": 0, "cancelled": 0, "running": 0}
    paid = dict.fromkeys(("evaluators", "inference nodes", "settlers", "requesters, back"), 0)
    slashed = 0
    for record in records:
        phases[record.phase if record.phase in phases else "running"] += 1
        slashed += sum(record.slashes.values())
        if (settlement := record.settlement) is not None:
            paid["evaluators"] += sum(settlement.seat_rewards)
            paid["inference nodes"] += sum(settlement.batch_rewards)
            paid["settlers"] += settlement.fee
            paid["requesters, back"] += settlement.refund
        elif record.ended_in is not None:
            paid["requesters, back"] += record.opening.terms.deposit
    return [
        ("rounds settled", f"{phases['settled']:,}"),
        ("cancelled", f"{phases['cancelled']:,}"),
        ("still running", f"{phases['running']:,}"),
        *((f"to {name}", tokens(amount)) for name, amount in paid.items()),
        ("slashed", tokens(slashed)),
    ]


def _node_row(one: Any, standing: Standing, names: Mapping[int, str]) -> dict[str, Any]:
    evaluates = one.role == Role.EVALUATOR.name.lower()
    mean = standing.deviation / standing.included / ONE if standing.included else None
    return {
        "node": one.node,
        "name": names.get(one.node, ""),
        "role": one.role,
        "owner": one.owner,
        "rounds": standing.included if evaluates else standing.batches,
        "deviation": None if mean is None else f"{mean:.3f}",
        "beyond": standing.beyond if evaluates else None,
        "absent": standing.absent if evaluates else None,
        "far_off": standing.far_off,
        "stake": _amount(one.stake),
        "slashed": _amount(standing.slashed),
        "earned": _amount(standing.earned),
        "trusts": {domain: f"{value / TRUST_ONE:.3f}" for domain, value in one.trusts.items()},
    }


def _amount(wei: int) -> dict[str, Any]:
    return {"wei": wei, "tokens": tokens(wei)}


def _matrix(
    ended: Sequence[RoundRecord],
    standings: Mapping[int, Standing],
    rates: TrustParameters,
    names: Mapping[int, str],
) -> dict[str, Any]:
    """Evaluators, the furthest off first, by the latest settled rounds in their order."""
    columns = [record for record in ended[-MATRIX_ROUNDS:] if record.settlement is not None]
    cells: dict[int, dict[int, dict[str, Any]]] = {}
    for record in columns:
        settlement = record.settlement
        assert settlement is not None
        agreed = _agreement(settlement, rates)
        for outcome in settlement.outcomes:
            cells.setdefault(outcome.node_id, {})[record.key.round_id] = {
                "absent": outcome.conduct is not Conduct.PRESENT,
                "disagreement": f"{outcome.disagreement / ONE:.2f}",
                "beyond": outcome.disagreement > agreed,
                "level": _level(outcome.disagreement, agreed),
            }
    order = sorted(cells, key=lambda node: _agreement_rank(standings[node]))
    return {
        "rounds": [record.key.round_id for record in columns],
        "all_rounds": len(ended),
        "nodes": [
            {
                "node": node,
                "name": names.get(node, ""),
                "far_off": standings[node].far_off,
                "beyond": standings[node].beyond,
                "included": standings[node].included,
                "cells": [cells[node].get(record.key.round_id) for record in columns],
            }
            for node in order[:MATRIX_NODES]
        ],
        "all_nodes": len(order),
    }


def _agreement_rank(standing: Standing) -> tuple[float, float, int]:
    rounds = max(1, standing.included)
    return -standing.beyond / rounds, -standing.disagreement / rounds, standing.node


def _level(disagreement: int, agreed: int) -> int:
    """How dark a disagreement is shown: 0 up to what agrees, then 1, 2 from 2 times, 3 from 4."""
    if disagreement <= agreed:
        return 0
    return 1 + (disagreement >= 2 * agreed) + (disagreement >= 4 * agreed)


def _named(node: int, names: Mapping[int, str]) -> str:
    return f"{node} {names[node]}" if node in names else str(node)


def _round_row(record: RoundRecord) -> dict[str, Any]:
    terms, settlement = record.opening.terms, record.settlement
    ended = record.ended_in is not None
    refund = settlement.refund if settlement is not None else terms.deposit if ended else 0
    return {
        "round": record.key.round_id,
        "domain": record.domain,
        "rule": rule_name(terms.rule),
        "phase": record.phase,
        "items": record.opening.items,
        "present": 0 if settlement is None else len(settlement.reveals),
        "seats": terms.panel_size,
        "deposit": _amount(terms.deposit),
        "evaluators": _amount(0 if settlement is None else sum(settlement.seat_rewards)),
        "inference": _amount(0 if settlement is None else sum(settlement.batch_rewards)),
        "fee": _amount(0 if settlement is None else settlement.fee),
        "refund": _amount(refund),
    }


def _trust_lines(ended: Sequence[RoundRecord]) -> list[dict[str, Any]]:
    """For each domain its rounds in the order of settling, and each node's trust after each."""
    domains: dict[bytes, list[RoundRecord]] = {}
    for record in ended:
        domains.setdefault(record.opening.terms.domain, []).append(record)
    found = []
    for domain, records in sorted(domains.items()):
        nodes = sorted({node for record in records for node in record.trusts})
        lines = {node: [TRUST_ONE] for node in nodes}
        for record in records:
            for node, line in lines.items():
                line.append(record.trusts[node][1] if node in record.trusts else line[-1])
        count = len(records)
        points = [count - 1 - i * count // TRUST_ROUNDS for i in range(TRUST_ROUNDS)]
        shown = sorted(set(points)) if count > TRUST_ROUNDS else range(count)
        lowest = sorted(nodes, key=lambda node: (lines[node][-1], node))[:TRUST_LINES]
        found.append(
            {
                "domain": domain_name(domain),
                "rounds": [records[i].key.round_id for i in shown],
                "allRounds": count,
                "nodes": len(nodes),
                "lines": [
                    {"node": node, "trust": [TRUST_ONE, *(lines[node][i + 1] for i in shown)]}
                    for node in sorted(lowest)
                ],
            }
        )
    return found


def _details(records: Sequence[RoundRecord], rates: TrustParameters) -> list[dict[str, Any]]:
    most = _items_shown(records)
    return [_detail(record, rates, most) for record in records]


def _items_shown(records: Sequence[RoundRecord]) -> int:
    """Return how many items a round may show at most, so that all fit `LARGEST_SCORES`."""
    sizes = [
        (record.opening.items, len(record.settlement.reveals) + 1 + _has_pivot(record))
        for record in records
        if record.settlement is not None
    ]
    least, most = 1, max([1, *(items for items, _ in sizes)])
    while least < most:
        middle = (least + most + 1) // 2
        if sum(min(items, middle) * rows for items, rows in sizes) <= LARGEST_SCORES:
            least = middle
        else:
            most = middle - 1
    return least


def _has_pivot(record: RoundRecord) -> bool:
    """Whether seats are judged by something else than the consensus."""
    return record.opening.terms.rule is Rule.TRUST_WEIGHTED_MEAN


def _detail(record: RoundRecord, rates: TrustParameters, most: int) -> dict[str, Any]:
    opening, terms, settlement = record.opening, record.opening.terms, record.settlement
    shown = min(opening.items, most)
    paid = (0,) * len(opening.batches) if settlement is None else settlement.batch_rewards
    found: dict[str, Any] = {
        "round": record.key.round_id,
        "phase": record.phase,
        "domain": record.domain,
        "rule": rule_name(terms.rule),
        "items": opening.items,
        "shown": shown,
        "quorum": terms.quorum,
        "facts": _facts(record),
        "batches": [
            {
                "node": batch.node_id,
                "items": batch.items,
                "cost": batch.cost,
                "paid": tokens(reward),
            }
            for batch, reward in zip(opening.batches, paid, strict=True)
        ],
        "seats": _seats(record),
    }
    if settlement is not None:
        found["agreement"] = _agreement(settlement, rates)
        chosen = np.arange(shown) * opening.items // shown
        found["pivot"] = _has_pivot(record)
        values = scored(settlement)
        middle = [values.consensus, values.pivot] if found["pivot"] else [values.consensus]
        packed = np.vstack([*middle, values.scores])[:, chosen].astype(">u2").tobytes()
        found["scores"] = base64.b64encode(packed).decode("ascii")
    return found


def _facts(record: RoundRecord) -> list[tuple[str, str]]:
    opening, terms = record.opening, record.opening.terms
    facts = [
        ("requester", opening.requester),
        ("workload", record.uri),
        ("SHA-256 of the workload", terms.workload_hash.hex()),
        ("opened in", "0x" + record.opened_in.hex()),
    ]
    if record.settler is not None:
        facts.append(("settled by", record.settler))
    if record.ended_in is not None and record.ended_at is not None:
        ended = f"0x{record.ended_in.hex()}, {second(record.ended_at)}"
        facts.append((f"{record.phase} in", ended))
    return [*facts, ("digest", "0x" + record.digest.hex())]


def _seats(record: RoundRecord) -> list[dict[str, Any]]:
    if record.draw is None:
        return []
    settlement = record.settlement
    committed = {commit.seat: commit.committed_at for commit in record.commits}
    rewards, deviations = {}, {}
    if settlement is not None:
        seats = [reveal.seat for reveal in settlement.reveals]
        rewards = dict(zip(seats, settlement.seat_rewards, strict=True))
        deviations = dict(zip(seats, settlement.deviations, strict=True))
    found = []
    for seat, drawn in enumerate(record.draw.panel):
        outcome = None if settlement is None else settlement.outcomes[seat]
        present = outcome is not None and outcome.conduct is Conduct.PRESENT
        if outcome is not None:
            conduct = outcome.conduct.name.lower().replace("_", " ")
        else:
            conduct = "committed" if seat in committed else "not committed"
        found.append(
            {
                "seat": seat,
                "node": drawn.node_id,
                "conduct": conduct,
                "present": present,
                "deviation": deviations.get(seat),
                "disagreement": outcome.disagreement if outcome and present else None,
                "elapsed": committed[seat] - record.draw.drawn_at if seat in committed else None,
                "trust": list(record.trusts.get(drawn.node_id, ())),
                "drawnTrust": drawn.trust,
                "paid": tokens(rewards.get(seat, 0)),
                "slashed": tokens(record.slashes.get(drawn.node_id, 0)),
            }
        )
    return found

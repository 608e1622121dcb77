"""
The demonstration's story: ten rounds of real outputs, scored, settled, paid and audited.

Real systems' outputs are the inference nodes' work, the evaluators of `cast` are drawn, score,
commit and reveal, and the oracle settles by the default rule. Beside it the plain mean is taken of
the same reveals. This module plays and measures; `report` shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest

import numpy as np
from numpy.typing import NDArray

from oracle.audit.record import Records, RoundRecord
from oracle.audit.replay import run as audit
from oracle.audit.report import Report
from oracle.chain.deployment import Deployment
from oracle.core.consensus import Rule, aggregate
from oracle.core.facts import Role as NodeRole
from oracle.core.settlement import Settlement
from oracle.core.units import ONE, unpack
from oracle.demo.cast import CAST, DOMAINS, Role, example
from oracle.demo.network import Network, Party
from oracle.evaluators.workload import Workload, select

PANEL = 7
PROMPTS = 10
"""Prompts a round; each has an output of every system."""
BUDGET = 1000 * 10**18
"""Wei a round for inference, and as much for evaluation."""
FEE = 10**18

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Played:
    """A round as it went: its workload, its settlement, and what each rule made of the reveals."""

    round_id: int
    workload: Workload
    seats: tuple[str, ...]
    settlement: Settlement
    by_rule: dict[str, NDArray[np.uint16]]

    @property
    def labels(self) -> NDArray[np.float64]:
        """The judged quality of each item, in ONE."""
        return np.array([ONE * (item.label or 0.0) for item in self.workload.items])


@dataclass(slots=True)
class Standing:
    """What a node was and became: totals over the rounds, trust by domain, paid out in wei."""

    name: str
    node_id: int
    kind: str
    honesty: str
    rounds: int = 0
    quality: list[int] = field(default_factory=list)
    cost: list[int] = field(default_factory=list)
    earned: int = 0
    paid: int = 0
    trust: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything the demonstration shows."""

    rounds: tuple[Played, ...]
    evaluators: tuple[Standing, ...]
    systems: tuple[Standing, ...]
    fees: int
    refunds: int
    deployment: Deployment
    audit: Report
    records: tuple[RoundRecord, ...]


def workloads() -> tuple[Workload, ...]:
    """Return the rounds' workloads: all example prompts that fill a round, domains taking turns."""
    by_domain = []
    for domain in DOMAINS:
        items = example(domain)
        ids = list(dict.fromkeys(item.id for item in items.items))
        whole = range(0, len(ids) - PROMPTS + 1, PROMPTS)
        by_domain.append([select(items, ids=ids[i : i + PROMPTS]) for i in whole])
    turns = chain.from_iterable(zip_longest(*by_domain))
    return tuple(turn for turn in turns if turn is not None)


def play(progress: Progress, rounds: Sequence[Workload] = ()) -> Outcome:
    """Play a round for each workload, by default all; `progress` hears of each step."""
    rounds = rounds or workloads()
    steps = len(rounds) + 2
    progress(0, steps, "deploying contracts, registering nodes")
    network = Network()
    cast: dict[int, Role] = {network.join(NodeRole.EVALUATOR).node_id: role for role in CAST}
    systems = dict.fromkeys(batch.node for load in rounds for batch in load.batches)
    nodes = {name: network.join(NodeRole.INFERENCE) for name in systems}

    played = []
    for i, load in enumerate(rounds, start=1):
        progress(i, steps, f"round {i} of {len(rounds)}: {len(load.items)} {load.domain} outputs")
        played.append(_play_round(network, cast, nodes, load))

    progress(len(rounds) + 1, steps, "withdrawing and auditing")
    evaluators = {node_id: _evaluator(network, node_id, role) for node_id, role in cast.items()}
    inference = {
        party.node_id: Standing(name, party.node_id, "system", "") for name, party in nodes.items()
    }
    for one in played:
        _account(one, evaluators, inference)
    for standing in chain(evaluators.values(), inference.values()):
        owner = network.parties[standing.node_id].owner
        standing.paid = network.state().credit(owner.address)
        if standing.paid:
            network.rounds(owner, "withdraw", owner.address)
    records = Records()
    audited = audit(network.web3, network.deployment, records=records)
    return Outcome(
        rounds=tuple(played),
        evaluators=tuple(evaluators.values()),
        systems=tuple(inference.values()),
        fees=sum(one.settlement.fee for one in played),
        refunds=sum(one.settlement.refund for one in played),
        deployment=network.deployment,
        audit=audited,
        records=tuple(records),
    )


def _play_round(
    network: Network, cast: dict[int, Role], nodes: dict[str, Party], load: Workload
) -> Played:
    terms = network.terms(
        domain=load.domain.encode().ljust(32, b"\0"),
        panel_size=PANEL,
        workload_hash=load.hash,
        inference_budget=BUDGET,
        evaluator_budget=BUDGET,
        settlement_fee=FEE,
    )
    batches = [
        network.batch(nodes[part.node], part.stop - part.start, part.cost, part.outputs_hash)
        for part in load.batches
    ]
    round_id = network.open(terms, batches, uri=f"example:{load.hash.hex()}")
    panel = [cast[party.node_id] for party in network.draw(round_id)]
    reveals = network.commit_all(
        round_id, {seat: role.scores(load) for seat, role in enumerate(panel)}
    )
    settlement = network.settle(round_id, reveals)
    scores = np.stack([unpack(reveal.scores, len(load.items)) for reveal in settlement.reveals])
    trusts = np.array([seat.trust for seat in settlement.facts.draw.panel])
    return Played(
        round_id=round_id,
        workload=load,
        seats=tuple(role.name for role in panel),
        settlement=settlement,
        by_rule={
            "default": unpack(settlement.consensus, len(load.items)),
            "mean": aggregate(Rule.MEAN, scores, trusts),
        },
    )


def _evaluator(network: Network, node_id: int, role: Role) -> Standing:
    state = network.state()
    trust = {domain: state.trust(node_id, domain.encode().ljust(32, b"\0")) for domain in DOMAINS}
    return Standing(role.name, node_id, role.kind, role.honesty, trust=trust)


def _account(played: Played, evaluators: dict[int, Standing], systems: dict[int, Standing]) -> None:
    settlement = played.settlement
    panel = settlement.facts.draw.panel
    for seat, deviation, reward in zip(
        panel, settlement.deviations, settlement.seat_rewards, strict=True
    ):
        standing = evaluators[seat.node_id]
        standing.rounds += 1
        standing.quality.append(deviation)
        standing.earned += reward
    start = 0
    for batch, reward in zip(
        settlement.facts.opening.batches, settlement.batch_rewards, strict=True
    ):
        standing = systems[batch.node_id]
        standing.rounds += 1
        standing.quality += played.by_rule["default"][start : start + batch.items].tolist()
        standing.cost.append(batch.cost)
        standing.earned += reward
        start += batch.items

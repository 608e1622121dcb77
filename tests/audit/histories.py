"""Histories of any size for pages: rounds settled by the core, as an audit would record them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from eth_utils.crypto import keccak

from oracle.audit.findings import Mismatch
from oracle.audit.record import RoundRecord
from oracle.audit.report import NodeSummary, Report
from oracle.chain.deployment import DeployedContract, Deployment
from oracle.core.consensus import Rule
from oracle.core.parameters import RegistryParameters
from oracle.core.phases import NOBODY
from oracle.core.settlement import settle
from oracle.core.units import ONE, TRUST_ONE
from tests.core.rounds import (
    DRAWN_AT,
    PARAMETERS,
    TRUST,
    account,
    drawn_round,
    node_id,
    opening_of,
    reveal_of,
)

DOMAINS = (b"qa", b"summarization")
DEPLOYMENT = Deployment(
    chain_id=31_337,
    start_block=1,
    token=account("token"),
    registry=DeployedContract(account("registry"), b"", b""),
    rounds=DeployedContract(account("rounds"), b"", b""),
    registry_parameters=RegistryParameters(
        stake=10**21,
        exit_delay=18_000,
        no_commit_slash=10**19,
        no_reveal_slash=5 * 10**19,
        slash_sink=NOBODY,
        trust=TRUST,
    ),
    rounds_parameters=PARAMETERS,
)
URI = "https://example.org/workload.jsonl"


def history(
    rounds: int = 6,
    items: int = 10,
    seats: int = 5,
    *,
    liars: Sequence[int] = (1,),
    rule: Rule = Rule.TRUST_WEIGHTED_MEAN,
    uri: str = URI,
) -> tuple[RoundRecord, ...]:
    """
    Settled rounds, domains taking turns, of one panel whose seats `liars` invert their scores.

    The last but one round has an absent seat, the last one is cancelled.
    """
    rng = np.random.default_rng(3)
    trusts = {(domain, node_id(seat)): TRUST_ONE for domain in DOMAINS for seat in range(seats)}
    found = []
    for number in range(1, rounds + 1):
        domain = DOMAINS[number % 2]
        opening = opening_of(
            rule=rule,
            seats=seats,
            quorum=seats // 2 + 1,
            sizes=(items - items // 3, items // 3) if items > 2 else (items,),
            costs=(2_000, 0) if items > 2 else (2_000,),
        )
        terms = replace(opening.terms, domain=domain.ljust(32, b"\0"))
        opening = replace(opening, terms=terms)
        quality = rng.integers(0, ONE + 1, items)
        seen = np.clip(quality + rng.integers(-600, 601, (seats, items)), 0, ONE)
        for seat in liars:
            seen[seat] = ONE - seen[seat]
        scores = seen.astype(np.uint16)
        current = [trusts[domain, node_id(seat)] for seat in range(seats)]
        present = range(seats - 1) if number == rounds - 1 else range(seats)
        facts = drawn_round(scores, opening, trusts=current, order=present)
        settlement = None
        moved: dict[int, tuple[int, int]] = {}
        slashes = {}
        if number < rounds:
            settlement = settle(facts, PARAMETERS, [reveal_of(seat, scores) for seat in present])
            before = {node_id(seat): current[seat] for seat in range(seats)}
            after = settlement.new_trusts(TRUST, before)
            included = [node_id(reveal.seat) for reveal in settlement.reveals]
            moved = {node: (before[node], after.get(node, before[node])) for node in included}
            trusts.update({(domain, node): trust for node, trust in after.items()})
        if number == rounds - 1:
            slashes[node_id(seats - 1)] = DEPLOYMENT.registry_parameters.no_commit_slash
        found.append(
            RoundRecord(
                key=replace(facts.key, round_id=number),
                phase="cancelled" if settlement is None else "settled",
                opening=opening,
                uri=uri,
                opened_in=keccak(text=f"opened {number}"),
                draw=facts.draw,
                commits=facts.commits,
                revealed=0,
                settlement=settlement,
                settler=None if settlement is None else account("settler"),
                ended_at=DRAWN_AT + 700,
                ended_in=keccak(text=f"ended {number}"),
                trusts=moved,
                slashes=slashes,
                digest=keccak(text=f"digest {number}"),
            )
        )
    return tuple(found)


def report_of(records: Sequence[RoundRecord], mismatches: Sequence[Mismatch] = ()) -> Report:
    """What an audit that led to these records would have reported."""
    trusts: dict[int, dict[str, int]] = {}
    for record in records:
        for node, (_, after) in record.trusts.items():
            trusts.setdefault(node, {})[record.domain] = after
    batches = {batch.node_id: batch.owner for batch in records[0].opening.batches}
    drawn = records[0].draw
    assert drawn is not None
    evaluators = {seat.node_id: seat.owner for seat in drawn.panel}
    stake = DEPLOYMENT.registry_parameters.stake
    return Report(
        chain_id=DEPLOYMENT.chain_id,
        registry=DEPLOYMENT.registry.address,
        rounds_contract=DEPLOYMENT.rounds.address,
        first_block=1,
        last_block=1_000,
        on_chain=True,
        mismatches=tuple(mismatches),
        comparisons=12_345,
        logs={"RoundOpened": len(records), "Transfer": 4},
        nodes=tuple(
            NodeSummary(node, role, owner, stake, 0, trusts.get(node, {}))
            for role, nodes in (("inference", batches), ("evaluator", evaluators))
            for node, owner in sorted(nodes.items())
        ),
        rounds=(),
        payouts=(),
    )

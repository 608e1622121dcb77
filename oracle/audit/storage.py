"""
The end state of both contracts, as the logs give it, against what the chain has stored.

The words compared here are what proves that no log is missing: a digest a round, the counts of
rounds and nodes, every node, every trust that moved, every credit, every balance.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from oracle.audit.findings import Findings, Where
from oracle.audit.ledger import Ledger
from oracle.audit.reader import Reader
from oracle.audit.rounds import Rounds
from oracle.audit.solvency import Vault
from oracle.chain.deployment import Deployment


def compare(
    findings: Findings,
    deployment: Deployment,
    ledger: Ledger,
    rounds: Rounds,
    vaults: Iterable[Vault],
    reader: Reader,
) -> None:
    """Compare everything that the contracts store with what the logs have led to."""
    nowhere = Where()
    findings.expect(
        nowhere,
        "NodeRegistry.parameters",
        deployment.registry_parameters,
        reader.registry_parameters(),
    )
    findings.expect(
        nowhere,
        "QualityRounds.parameters",
        deployment.rounds_parameters,
        reader.rounds_parameters(),
    )
    _compare_nodes(findings, ledger, reader)
    _compare_rounds(findings, rounds, reader)
    credited = sorted(rounds.credits.items())
    stored = reader.credits(tuple(account for account, _ in credited))
    for (account, credit), found in zip(credited, stored, strict=True):
        findings.expect(nowhere, f"creditOf {account}", credit, found)
    held = tuple(vaults)
    balances = reader.balances(tuple(vault.account for vault in held))
    for vault, balance in zip(held, balances, strict=True):
        findings.expect(nowhere, f"balance of {vault.name}", vault.balance, balance)


def _compare_nodes(findings: Findings, ledger: Ledger, reader: Reader) -> None:
    count = reader.node_count()
    findings.expect(Where(), "nodeCount", len(ledger), count)
    findings.expect(Where(), "slashedBalance", ledger.slashed_balance, reader.slashed_balance())
    nodes = [node for node in ledger.nodes() if node.node_id <= count]
    stored = reader.nodes(tuple(node.node_id for node in nodes))
    for node, found in zip(nodes, stored, strict=True):
        where = Where(node=node.node_id)
        for part in fields(node):
            findings.expect(
                where, f"nodeOf.{part.name}", getattr(node, part.name), getattr(found, part.name)
            )
    moved = list(ledger.trusts())
    trusts = reader.trusts(tuple((node_id, domain) for domain, node_id, _ in moved))
    for (_, node_id, trust), kept in zip(moved, trusts, strict=True):
        findings.expect(Where(node=node_id), "trustOf", trust, kept)


def _compare_rounds(findings: Findings, rounds: Rounds, reader: Reader) -> None:
    count = reader.round_count()
    findings.expect(Where(), "roundCount", len(rounds), count)
    known = [audited for audited in rounds if audited.key.round_id <= count]
    ids = tuple(audited.key.round_id for audited in known)
    for audited, digest, stored in zip(known, reader.digests(ids), reader.rounds(ids), strict=True):
        where = Where(transaction=audited.ended_in, round=audited.key.round_id)
        findings.expect(where, "digestOf", audited.digest, digest)
        if audited.state == stored:
            findings.comparisons += len(fields(stored))
            continue
        for part in fields(stored):
            expected, found = getattr(audited.state, part.name), getattr(stored, part.name)
            findings.expect(where, f"stateOf.{part.name}", expected, found)

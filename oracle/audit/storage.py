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
    for account, credit in sorted(rounds.credits.items()):
        findings.expect(nowhere, f"creditOf {account}", credit, reader.credit(account))
    for vault in vaults:
        balance = reader.balance(vault.account)
        findings.expect(nowhere, f"balance of {vault.name}", vault.balance, balance)


def _compare_nodes(findings: Findings, ledger: Ledger, reader: Reader) -> None:
    count = reader.node_count()
    findings.expect(Where(), "nodeCount", len(ledger), count)
    findings.expect(Where(), "slashedBalance", ledger.slashed_balance, reader.slashed_balance())
    for node in ledger.nodes():
        if node.node_id > count:
            continue
        where = Where(node=node.node_id)
        stored = reader.node(node.node_id)
        for part in fields(node):
            expected, found = getattr(node, part.name), getattr(stored, part.name)
            findings.expect(where, f"nodeOf.{part.name}", expected, found)
    for domain, node_id, trust in ledger.trusts():
        findings.expect(Where(node=node_id), "trustOf", trust, reader.trust(node_id, domain))


def _compare_rounds(findings: Findings, rounds: Rounds, reader: Reader) -> None:
    count = reader.round_count()
    findings.expect(Where(), "roundCount", len(rounds), count)
    for audited in rounds:
        round_id = audited.key.round_id
        if round_id > count:
            continue
        where = Where(transaction=audited.ended_in, round=round_id)
        findings.expect(where, "digestOf", audited.digest, reader.digest(round_id))
        stored = reader.round(round_id)
        for part in fields(stored):
            expected, found = getattr(audited.state, part.name), getattr(stored, part.name)
            findings.expect(where, f"stateOf.{part.name}", expected, found)

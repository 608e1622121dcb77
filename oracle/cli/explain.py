"""
`poq explain`: why a node got what it got from a round.
"""

from __future__ import annotations

from typing import Annotated

import typer

from oracle.cli.audit import Block, Cache, FromFile, NoCache, cache_of, replayed
from oracle.cli.exits import Exit, Stop
from oracle.cli.options import Reading, with_options


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain")(with_options(explain))


def explain(
    reading: Reading,
    round_id: Annotated[int, typer.Option("--round", min=1, help="The round.")],
    node: Annotated[int, typer.Option("--node", min=1, help="The node.")],
    block: Block = "latest",
    from_file: FromFile = None,
    cache: Cache = None,
    no_cache: NoCache = False,
) -> None:
    """
    Say why a node got this amount from a round: every formula with its values, from the logs.

    Exits with 2 if the node had no part in the round, with 3 if the audit finds anything wrong,
    with 9 if the round still runs.

    Example: poq explain --round 1 --node 2
    """
    from oracle.audit.explanation import explain as explained
    from oracle.audit.record import Records
    from oracle.audit.sentences import paragraphs, plain

    records, output = Records(only=round_id), reading.output()
    kept = None if no_cache else cache_of(cache)
    report, deployment = replayed(reading, output, block, from_file, kept, records)
    found = list(records)
    if not found and any(each.round == round_id for each in report.rounds):
        raise Stop(
            Exit.AUDIT_MISMATCH,
            f"The logs of round {round_id} do not lead to its end: poq audit says what is wrong.",
        )
    if not found:
        count = len(report.rounds)
        raise Stop(Exit.USAGE, f"There is no round {round_id}: {count} were opened so far.")
    if node > len(report.nodes):
        count = len(report.nodes)
        raise Stop(Exit.USAGE, f"There is no node {node}: {count} were registered so far.")
    explanation = explained(
        found[0],
        node,
        deployment.rounds_parameters,
        deployment.registry_parameters,
        report.mismatches,
    )
    content = explanation.to_json()
    content["paragraphs"] = [
        {"about": about, "sentences": sentences} for about, sentences in paragraphs(explanation)
    ]
    output.data("explanation", content, plain(explanation))
    if not explanation.right:
        raise typer.Exit(Exit.AUDIT_MISMATCH)

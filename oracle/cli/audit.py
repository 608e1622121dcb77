"""
`poq audit`: recompute every payout from the logs, and say what is wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oracle.cli.exits import Exit
from oracle.cli.options import Reading, with_options
from oracle.cli.page import write_page


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("audit")(with_options(audit))


def audit(
    reading: Reading,
    block: Annotated[
        int | None, typer.Option("--block", min=0, help="Audit up to this block, not the latest.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write what was found as a page for a browser.")
    ] = None,
) -> None:
    """
    Replay every log of the deployment and compare it with what the chain did and keeps.

    Exits with 3 if anything is not as it has to be.

    Example: poq audit --rpc-url http://127.0.0.1:8545
    """
    from oracle.audit.record import Records
    from oracle.audit.replay import run
    from oracle.cli.session import Session

    session = Session(reading)
    records = None if html is None else Records()
    with session.output.progress() as told:
        report = run(
            session.web3,
            session.deployment,
            block,
            lambda reached, logs: told(reached, session.state.block, "auditing"),
            records=records,
        )
    if html is not None and records is not None:
        write_page(html, session.output, session.deployment, report, tuple(records))
    if reading.json:
        session.output.data("audit", report.to_json())
    else:
        report.show(session.output.console)
    if not report.right:
        raise typer.Exit(Exit.AUDIT_MISMATCH)

"""
`poq demo`: a whole small network at work, on a local chain inside this process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oracle.cli.exits import Exit
from oracle.cli.options import Printing, with_options
from oracle.cli.page import write_page


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(with_options(demo))


def demo(
    printing: Printing,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write its audit as a page for a browser.")
    ] = None,
) -> None:
    """
    Run whole rounds on real outputs, with some evaluators that lie, and audit them.

    Example: poq demo
    """
    from oracle.demo.report import as_json, show
    from oracle.demo.scenario import play

    output = printing.output()
    with output.progress() as told:
        outcome = play(told)
    if html is not None:
        names = {one.node_id: one.name for one in (*outcome.evaluators, *outcome.systems)}
        write_page(html, output, outcome.deployment, outcome.audit, outcome.records, names)
    if printing.json:
        output.data("demo", as_json(outcome))
    else:
        show(outcome, output.console)
    if not outcome.audit.right:
        raise typer.Exit(Exit.AUDIT_MISMATCH)

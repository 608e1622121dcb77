"""
`poq demo`: a whole small network at work, on a local chain inside this process.
"""

from __future__ import annotations

import typer

from oracle.cli.exits import Exit
from oracle.cli.options import Printing, with_options


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(with_options(demo))


def demo(printing: Printing) -> None:
    """
    Run whole rounds on real outputs, with some evaluators that lie, and audit them.

    Example: poq demo
    """
    from oracle.demo.report import as_json, show
    from oracle.demo.scenario import play

    output = printing.output()
    with output.progress() as told:
        outcome = play(told)
    if printing.json:
        output.data("demo", as_json(outcome))
    else:
        show(outcome, output.console)
    if not outcome.audit.right:
        raise typer.Exit(Exit.AUDIT_MISMATCH)

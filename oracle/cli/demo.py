"""
`poq demo`: a whole small network at work, on a local chain of its own.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from oracle.cli.exits import Exit
from oracle.cli.extras import needing
from oracle.cli.options import Printing, with_options
from oracle.cli.output import Output
from oracle.cli.page import write_page

Html = Annotated[
    Path | None, typer.Option("--html", help="Write its audit as a page for a browser.")
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(with_options(demo))


def demo(
    printing: Printing,
    html: Html = None,
    live: Annotated[
        bool,
        typer.Option("--live", help="Real models answer, and everybody is a service; 3 minutes."),
    ] = False,
) -> None:
    """
    Run whole rounds on real outputs, with some evaluators that lie, and audit them.

    With --live, two small language models answer, and every part is a service in a process of its
    own, as operators run them; nobody lies.

    Example: poq demo
    """
    if live:
        _live(printing, html)
        return
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
    _end(outcome.audit.right)


def _live(printing: Printing, html: Path | None) -> None:
    with needing("live"):
        from oracle.demo.live import play
        from oracle.demo.live_report import as_json, show

    output: Output = printing.output()
    with output.progress() as told, TemporaryDirectory(prefix="poq-live-") as directory:
        outcome = play(told, Path(directory))
    if html is not None:
        names = {node.node_id: node.name for node in outcome.nodes}
        deployment = outcome.founded.deployment
        write_page(html, output, deployment, outcome.audit, outcome.records, names)
    if printing.json:
        output.data("demo", as_json(outcome))
    else:
        show(outcome, output.console)
    _end(outcome.audit.right)


def _end(right: bool) -> None:
    if not right:
        raise typer.Exit(Exit.AUDIT_MISMATCH)

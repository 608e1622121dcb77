"""
`poq audit`: recompute every payout from the logs, and say what is wrong.

The logs come from a node or from a file that `poq audit export` wrote. This module decides what is
shown of the result; the verdict is always about everything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oracle.cli.exits import Exit, Stop
from oracle.cli.options import Reading, with_options
from oracle.cli.page import write_page

if TYPE_CHECKING:
    from web3 import Web3

    from oracle.audit.record import Records
    from oracle.audit.report import Report
    from oracle.chain.deployment import Deployment
    from oracle.cli.output import Output

TAGS = ("latest", "safe", "finalized")

Block = Annotated[
    str,
    typer.Option("--block", help=f"Audit up to this block: a number, or {', '.join(TAGS)}."),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        envvar="POQ_AUDIT_CACHE",
        help="Where what was read is kept for the next time, by default ~/.cache/poq/audit.",
        show_default=False,
    ),
]
FromFile = Annotated[
    Path | None,
    typer.Option("--from-file", help="Read what `poq audit export` wrote; ask no node."),
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Read all logs from the node, anew.")]


def add_to(app: typer.Typer) -> None:
    """Add the command, and the one below it."""
    group = typer.Typer(invoke_without_command=True, no_args_is_help=False)
    group.callback()(with_options(audit))
    group.command("export")(with_options(export))
    app.add_typer(group, name="audit")


def audit(
    context: typer.Context,
    reading: Reading,
    block: Block = "latest",
    round_id: Annotated[
        int | None, typer.Option("--round", min=1, help="Show this round only.")
    ] = None,
    node: Annotated[int | None, typer.Option("--node", min=1, help="Show this node only.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Show all nodes, rounds and mismatches, not the last.")
    ] = False,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write the tables as CSV into this directory.")
    ] = None,
    parquet: Annotated[
        Path | None,
        typer.Option("--parquet", help="Write them as Parquet, amounts as DECIMAL(38,0)."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write what was found as a page for a browser.")
    ] = None,
    from_file: FromFile = None,
    cache: Cache = None,
    no_cache: NoCache = False,
) -> None:
    """
    Replay every log of the deployment and compare it with what the chain did and keeps.

    Exits with 3 if anything is not as it has to be.

    Example: poq audit --rpc-url http://127.0.0.1:8545
    """
    if context.invoked_subcommand is not None:
        return
    from oracle.audit.record import Records

    if (round_id is not None) + (node is not None) + everything > 1:
        raise Stop(Exit.USAGE, "Choose one of --round, --node and --all.")
    output = reading.output()
    records = None if html is None else Records()
    kept = None if no_cache else cache_of(cache)
    found, deployment = replayed(reading, output, block, from_file, kept, records)
    _present(output, found, round_id, node, everything)
    if html is not None and records is not None:
        write_page(html, output, deployment, found, tuple(records))
    if csv is not None:
        from oracle.audit.columns import write_csv

        write_csv(found, csv)
        output.say(f"The tables are in {csv}, with their SHA-256.")
    if parquet is not None:
        from oracle.audit.columns import write_parquet

        try:
            write_parquet(found, parquet)
        except ImportError:
            raise Stop(Exit.USAGE, "Parquet needs Polars: pip install polars.") from None
        output.say(f"The tables are in {parquet}, with their SHA-256.")
    if not found.right:
        raise typer.Exit(Exit.AUDIT_MISMATCH)


def export(
    reading: Reading,
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    block: Block = "latest",
    cache: Cache = None,
    no_cache: NoCache = False,
) -> None:
    """
    Write all that an audit needs into one file: deployment, logs, and what the chain keeps.

    It is audited on the way, and written also if something is wrong; then this exits with 3.

    Example: poq audit export evidence.zip --block finalized
    """
    from oracle.audit.export import export as write
    from oracle.audit.export import manifest_of
    from oracle.audit.sources import ChainSource
    from oracle.cli.session import Session

    session = Session(reading)
    last = _number(session.web3, block)
    kept = None if no_cache else cache_of(cache)
    source = ChainSource(session.web3, session.deployment, last, kept)
    with session.output.progress() as told:
        report = write(
            source, file, _told(told, source.deployment.start_block, source.reader.block)
        )
    manifest = manifest_of(file)
    content = {
        "file": str(file),
        "logs": manifest["logs"],
        "lastBlock": manifest["lastBlock"],
        "lastBlockHash": manifest["lastBlockHash"],
        "bytes": file.stat().st_size,
        "right": report.right,
    }
    session.output.data("auditExport", content)
    if not report.right:
        raise typer.Exit(Exit.AUDIT_MISMATCH)


def replayed(
    reading: Reading,
    output: Output,
    block: str,
    from_file: Path | None,
    cache: Path | None,
    records: Records | None = None,
) -> tuple[Report, Deployment]:
    """Return the audit of a deployment, from a node or from a file; `records` keeps the rounds."""
    from oracle.audit.export import FileSource
    from oracle.audit.replay import audit as replay
    from oracle.audit.replay import run
    from oracle.cli.session import Session

    if from_file is not None:
        source = FileSource(from_file)
        with output.progress() as told:
            hears = _told(told, source.deployment.start_block, source.reader.block)
            report = replay(source, hears, records)
        return report, source.deployment
    session = Session(reading)
    last = _number(session.web3, block)
    shown = session.web3.eth.block_number if last is None else last
    with session.output.progress() as told:
        hears = _told(told, session.deployment.start_block, int(shown))
        report = run(session.web3, session.deployment, last, hears, cache, records)
    return report, session.deployment


def _present(
    output: Output, report: Report, round_id: int | None, node: int | None, everything: bool
) -> None:
    if round_id is not None:
        if round_id not in {each.round for each in report.rounds}:
            raise Stop(Exit.USAGE, f"There is no round {round_id}.")
        report = report.of_round(round_id)
    if node is not None:
        if node not in {each.node for each in report.nodes}:
            raise Stop(Exit.USAGE, f"There is no node {node}.")
        report = report.of_node(node)
    if output.as_json:
        output.data("audit", report.to_json())
    elif everything:
        report.show(output.console, max(len(report.rounds), len(report.mismatches), 1))
    else:
        report.show(output.console)


def _number(web3: Web3, block: str) -> int | None:
    """Return the number of a block, `None` for the latest one."""
    if block == "latest":
        return None
    if block in TAGS:
        return int(web3.eth.get_block(block)["number"])  # type: ignore[arg-type]
    if block.isascii() and block.isdecimal():
        return int(block)
    raise Stop(Exit.USAGE, f"{block!r} is no block: give a number, or {', '.join(TAGS)}.")


def cache_of(chosen: Path | None) -> Path:
    """Return where logs are kept for the next time."""
    if chosen is not None:
        return chosen
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "poq" / "audit"


def _told(
    told: Callable[[int, int, str], None], first: int, last: int
) -> Callable[[int, int], None]:
    """Return what hears of blocks and logs and tells of the rate and the time that is left."""
    began = time.monotonic()

    def tell(block: int, logs: int) -> None:
        took = max(time.monotonic() - began, 1e-9)
        left = took * (last - block) / max(block - first, 1)
        text = f"{logs:,} logs, {logs / took:,.0f} a second, {left:,.0f} s left"
        told(block - first, last - first, text)

    return tell

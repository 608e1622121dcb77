"""
`poq check`: what would go wrong with a service here, and how to mend it, before it does.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from oracle.cli.exits import Exit, exit_of
from oracle.cli.options import Signing, with_options

if TYPE_CHECKING:
    from oracle.service.checking import Finding

ATTEMPTS = 2
"""How often a node is asked before it counts as away."""
WORST_FIRST = (
    Exit.INTERNAL,
    Exit.UNSAFE_CHAIN,
    Exit.RPC,
    Exit.KEY,
    Exit.USAGE,
    Exit.REVERTED,
    Exit.UNCONFIRMED,
)
"""Which problem's exit code the command ends with."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check")(with_options(check))


def check(
    service: Annotated[
        Literal["oracle", "evaluator"], typer.Argument(help="Which service is to run here.")
    ],
    signing: Signing,
    node_id: Annotated[
        int | None,
        typer.Option("--node-id", min=1, max=2**32 - 1, help="The evaluator node to act for."),
    ] = None,
    evaluator: Annotated[str | None, typer.Option("--evaluator", help="What scores.")] = None,
    calibration: Annotated[
        list[Path] | None,
        typer.Option("--calibration", help="What `poq calibrate` wrote; repeatable."),
    ] = None,
    oracle_url: Annotated[
        list[str] | None, typer.Option("--oracle-url", help="Who takes reveals; repeatable.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Where the service keeps its journal.")
    ] = None,
    max_fee: Annotated[
        str, typer.Option("--max-fee", help="The most that a unit of gas may cost.")
    ] = "200gwei",
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, help="How many rounds the balance should last for.")
    ] = 20,
) -> None:
    """
    Check everything that could keep a service from its work. Changes and sends nothing.

    Give it the options that the service gets. Exits with 0, or with the code of the worst problem.

    Example: poq check oracle --account settler --data-dir /var/lib/poq
    """
    from oracle.chain.rpc import connect
    from oracle.cli.amounts import parse_amount
    from oracle.cli.signing import keystore_of, signer_of
    from oracle.service.checking import run
    from oracle.service.checks import CHECKS
    from oracle.service.subject import Operator

    output = signing.output()
    files = (keystore_of(signing), signing.password_file)
    findings = run(
        CHECKS,
        Operator(
            service=service,
            connect=lambda: connect(signing.rpc_url, chain_id=signing.chain, attempts=ATTEMPTS),
            deployments=signing.deployments,
            signer=lambda: signer_of(signing, output),
            secrets=tuple(path for path in files if path is not None),
            node_id=node_id,
            max_fee=max(parse_amount(max_fee), 1),
            rounds=rounds,
            data_dir=data_dir,
            evaluator=evaluator,
            calibrations=tuple(calibration or ()),
            oracle_urls=tuple(oracle_url or ()),
        ),
    )
    code = worst(findings)
    rows = [
        {
            "check": found.name,
            "status": found.status.value,
            "found": found.sentence,
            "mend": found.mend,
        }
        for found in findings
    ]
    output.data("check", {"ok": code is Exit.OK, "exit": int(code), "checks": rows}, _lines(rows))
    if code is not Exit.OK:
        raise typer.Exit(code)


def worst(findings: Iterable[Finding]) -> Exit:
    """Return the exit code of the worst problem that was found, 0 if there is none."""
    from oracle.service.checking import Status

    codes = {
        exit_of(found.error)
        for found in findings
        if found.status is Status.FAILED and found.error is not None
    }
    return next((code for code in WORST_FIRST if code in codes), max(codes, default=Exit.OK))


def _lines(rows: list[dict[str, str]]) -> Iterable[str]:
    width = max(len(row["check"]) for row in rows)
    for row in rows:
        yield f"{row['status']:<8} {row['check']:<{width}}  {row['found']}"
        if row["mend"]:
            yield f"{'':<8} {'':<{width}}  → {row['mend']}"

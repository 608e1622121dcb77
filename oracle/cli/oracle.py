"""
`poq oracle`: the service that draws panels, takes reveals, settles and cancels.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from oracle.cli.extras import needing
from oracle.cli.options import Serving, with_options

if TYPE_CHECKING:
    from oracle.service.settings import OracleSettings


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Serve rounds: draw, take reveals, settle.", no_args_is_help=True)
    group.callback()(lambda: None)  # a group, even of one command
    group.command("run")(with_options(run))
    app.add_typer(group, name="oracle")


def run(
    serving: Serving,
    port: Annotated[
        int, typer.Option("--port", envvar="POQ_PORT", min=0, max=65535, help="0: any free one.")
    ] = 8700,
    withdraw: Annotated[
        bool,
        typer.Option(
            "--withdraw/--no-withdraw", envvar="POQ_WITHDRAW", help="Withdraw the fees it earned."
        ),
    ] = False,
    withdraw_least: Annotated[
        str,
        typer.Option(
            "--withdraw-least", envvar="POQ_WITHDRAW_LEAST", help="But never less than this."
        ),
    ] = "10ether",
    least_fee: Annotated[
        str,
        typer.Option(
            "--least-fee", envvar="POQ_LEAST_FEE", help="Leave rounds that pay less to others."
        ),
    ] = "0",
) -> None:
    """
    Serve every round until SIGTERM or Ctrl-C; safe to kill, to restart and to run twice.

    Example: poq oracle run --account settler --data-dir oracle-data
    """
    from oracle.cli.amounts import parse_amount
    from oracle.service.settings import OracleSettings

    settings = OracleSettings(
        data_dir=serving.data_dir,
        host=serving.host,
        port=port,
        poll=serving.poll,
        finality=serving.finality,
        max_fee=parse_amount(serving.max_fee),
        withdraw_least=parse_amount(withdraw_least) if withdraw else None,
        least_fee=parse_amount(least_fee),
    )
    _serve(serving, settings)


def _serve(serving: Serving, settings: OracleSettings) -> None:
    with needing("service"):
        from oracle.cli.daemon import ground, serve
        from oracle.cli.session import signing_session
        from oracle.service import logging, reveals
        from oracle.service.board import BoardHolder
        from oracle.service.intake import BURST, RATE, Intake, intake_application
        from oracle.service.metrics import OracleMetrics
        from oracle.service.oracle import SETTLEMENT_GAS, Oracle
        from oracle.service.rate import RateLimit

    session, signer = signing_session(serving)
    logging.configure(verbose=serving.verbose, quiet=serving.quiet)
    log = logging.logger(service="oracle")
    metrics = OracleMetrics()
    board = BoardHolder()
    with (
        ground(session, signer, settings, metrics, SETTLEMENT_GAS) as base,
        closing(reveals.RevealStore(base.directory / reveals.FILE)) as store,
    ):
        oracle = Oracle(
            settings,
            session.deployment,
            follower=base.follower,
            sender=base.sender,
            store=store,
            board=board,
            vitals=base.vitals,
            metrics=metrics,
            log=log,
        )
        intake = Intake(board, store, session.deployment, metrics, log)
        serve(
            intake_application(intake, RateLimit(RATE, BURST)),
            oracle.tick,
            host=settings.host,
            port=settings.port,
            poll=settings.poll,
            health=base.health,
            metrics=metrics,
            log=log,
            account=signer.address,
            chain=session.chain_id,
        )

"""
`poq oracle`: the service that draws panels, takes reveals, settles and cancels.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
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
        from oracle.chain import follower, journal
        from oracle.chain.sender import FeePolicy, Sender
        from oracle.cli.session import reverts, signing_session
        from oracle.service import logging, loop, reveals, vitals
        from oracle.service.board import BoardHolder
        from oracle.service.directory import claimed
        from oracle.service.health import Health, Pulse, add_probes
        from oracle.service.intake import BURST, RATE, Intake, intake_application
        from oracle.service.metrics import OracleMetrics
        from oracle.service.oracle import SETTLEMENT_GAS, Oracle
        from oracle.service.rate import RateLimit
        from oracle.service.serving import serving as served

    session, signer = signing_session(serving)
    logging.configure(verbose=serving.verbose, quiet=serving.quiet)
    log = logging.logger(service="oracle")
    metrics = OracleMetrics()
    health = Health((loop.CHECK, *vitals.CHECKS), Pulse())
    board = BoardHolder()
    with ExitStack() as stack:
        directory = stack.enter_context(claimed(settings.data_dir))
        store = stack.enter_context(closing(reveals.RevealStore(directory / reveals.FILE)))
        written = stack.enter_context(closing(journal.Journal(directory / journal.FILE)))
        intake = Intake(board, store, session.deployment, metrics, log)
        app = intake_application(intake, RateLimit(RATE, BURST))
        add_probes(app, health, metrics.registry)
        chain = stack.enter_context(
            closing(
                follower.Follower(
                    session.web3,
                    session.deployment,
                    directory / follower.FILE,
                    finality=settings.finality,
                )
            )
        )
        oracle = Oracle(
            settings,
            session.deployment,
            follower=chain,
            sender=Sender(
                session.web3,
                signer,
                written,
                reverts(),
                FeePolicy(settings.max_fee),
                chain_id=session.chain_id,
            ),
            journal=written,
            store=store,
            board=board,
            vitals=vitals.Vitals(
                session.web3,
                session.chain_id,
                signer.address,
                gas=SETTLEMENT_GAS,
                health=health,
                metrics=metrics,
            ),
            metrics=metrics,
            log=log,
        )
        running = loop.Loop(
            oracle.tick, poll=settings.poll, health=health, metrics=metrics, log=log
        )
        url = stack.enter_context(served(app, settings.host, settings.port))
        stack.enter_context(loop.ended_by_signals(running))
        log.info("started", url=url, account=signer.address, chain=session.chain_id)
        running.run()
        log.info("stopped")

"""
`poq evaluator`: the service that scores, commits and reveals for an operator's nodes.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oracle.cli.exits import Exit, Stop
from oracle.cli.extras import needing
from oracle.cli.options import Serving, with_options

if TYPE_CHECKING:
    from oracle.cli.session import Session
    from oracle.service.evaluator import EvaluatorSettings
    from oracle.service.scoring import Scorer


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Evaluate: score, commit, reveal.", no_args_is_help=True)
    group.callback()(lambda: None)  # a group, even of one command
    group.command("run")(with_options(run))
    app.add_typer(group, name="evaluator")


def run(
    serving: Serving,
    evaluator: Annotated[
        str,
        typer.Option("--evaluator", envvar="POQ_EVALUATOR", help="As `poq evaluate` has them."),
    ],
    calibration: Annotated[
        list[Path],
        typer.Option(
            "--calibration",
            envvar="POQ_CALIBRATION",
            help="What `poq calibrate` wrote; one for each domain to serve.",
        ),
    ],
    oracle_url: Annotated[
        list[str] | None,
        typer.Option(
            "--oracle-url",
            envvar="POQ_ORACLE_URL",
            help="Whom to hand reveals to; repeatable. Without any, they are made on chain.",
        ),
    ] = None,
    node_id: Annotated[
        int | None,
        typer.Option("--node-id", envvar="POQ_NODE_ID", min=1, help="Act for this node only."),
    ] = None,
    workload_dir: Annotated[
        Path | None,
        typer.Option(
            "--workload-dir", envvar="POQ_WORKLOAD_DIR", help="Where workloads that are files are."
        ),
    ] = None,
    allow_private: Annotated[
        bool,
        typer.Option(
            "--allow-private",
            envvar="POQ_ALLOW_PRIVATE",
            help="Fetch workloads from this machine and private networks, too.",
        ),
    ] = False,
    reveal_margin: Annotated[
        int | None,
        typer.Option(
            "--reveal-margin",
            envvar="POQ_REVEAL_MARGIN",
            min=1,
            help="Seconds before the reveal deadline to reveal on chain; a third of the window.",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", envvar="POQ_PORT", min=0, max=65535, help="0: any free one.")
    ] = 8701,
) -> None:
    """
    Score, commit and reveal until SIGTERM or Ctrl-C; safe to kill and to restart.

    Example: poq evaluator run --evaluator token-f1 --calibration token-f1.json
    --oracle-url http://127.0.0.1:8700 --account evaluator-1 --data-dir evaluator-data
    """
    with needing("service"):
        from oracle.service.scoring import Scorer

    from oracle.evaluators import calibration as calibrations
    from oracle.service.fetching import Sources

    for url in oracle_url or ():
        if not url.startswith(("http://", "https://")):
            raise Stop(Exit.USAGE, f"{url!r} is no oracle's URL: http://… or https://…")
    scorer = Scorer(
        evaluator,
        [calibrations.load(path) for path in calibration],
        Sources(directory=workload_dir, allow_private=allow_private),
    )
    _serve(serving, scorer, oracle_url or [], port, reveal_margin, node_id)


def _serve(
    serving: Serving,
    scorer: Scorer,
    urls: list[str],
    port: int,
    margin: int | None,
    node_id: int | None,
) -> None:
    with needing("service"):
        from oracle.cli.daemon import ground, serve
        from oracle.cli.session import signing_session
        from oracle.service import logging, scores
        from oracle.service.couriers import Couriers
        from oracle.service.evaluator import Evaluator, EvaluatorSettings
        from oracle.service.funds import COMMIT_GAS, Funds, reveal_gas
        from oracle.service.metrics import DaemonMetrics
        from oracle.service.rows import Rows
        from oracle.service.serving import application

    from oracle.cli.amounts import parse_amount
    from oracle.core.units import MAX_SEATS

    session, signer = signing_session(serving)
    settings = EvaluatorSettings(
        data_dir=serving.data_dir,
        host=serving.host,
        port=port,
        poll=serving.poll,
        finality=serving.finality,
        max_fee=parse_amount(serving.max_fee),
        margin=margin or session.deployment.rounds_parameters.reveal_window // 3,
        node_id=node_id,
    )
    _check_node(session, settings, signer.address)
    logging.configure(verbose=serving.verbose, quiet=serving.quiet)
    log = logging.logger(service="evaluator")
    metrics = DaemonMetrics()
    dearest = COMMIT_GAS + reveal_gas(0, MAX_SEATS)
    with (
        ground(session, signer, settings, metrics, dearest) as base,
        closing(scores.ScoreStore(base.directory / scores.FILE)) as store,
    ):
        evaluator = Evaluator(
            settings,
            session.deployment,
            signer,
            follower=base.follower,
            sender=base.sender,
            rows=Rows(store, scorer.row, metrics=metrics, log=log),
            couriers=Couriers(urls, metrics.registry, log),
            funds=Funds(session.web3, signer.address, settings.max_fee),
            vitals=base.vitals,
            metrics=metrics,
            log=log,
        )
        serve(
            application("Proof of Quality: evaluator", "How an evaluator node is doing."),
            evaluator.tick,
            host=settings.host,
            port=settings.port,
            poll=settings.poll,
            health=base.health,
            metrics=metrics,
            log=log,
            account=signer.address,
            chain=session.chain_id,
        )


def _check_node(session: Session, settings: EvaluatorSettings, address: str) -> None:
    """Raise `Stop` if the one node to act for is not this key's to evaluate with."""
    from oracle.core.facts import Role

    if settings.node_id is None:
        return
    node = session.state.node(settings.node_id)
    if node.role is not Role.EVALUATOR:
        raise Stop(Exit.USAGE, f"Node {node.node_id} is no evaluator.")
    if node.operator != address:
        raise Stop(
            Exit.KEY, f"The operator of node {node.node_id} is {node.operator}, not {address}."
        )

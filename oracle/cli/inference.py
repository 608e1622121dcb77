"""
`poq inference`: the service that answers prompts and signs receipts for its answers.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oracle.cli.exits import Exit, Stop
from oracle.cli.extras import needing
from oracle.cli.options import Signing, with_options

if TYPE_CHECKING:
    from oracle.chain.state import Node
    from oracle.cli.session import Session

LOOK = 10.0
"""Seconds between two looks at who operates the node."""


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Answer prompts, sign receipts.", no_args_is_help=True)
    group.callback()(lambda: None)  # a group, even of one command
    group.command("serve")(with_options(serve))
    app.add_typer(group, name="inference")


def serve(
    signing: Signing,
    node_id: Annotated[int, typer.Option("--node-id", envvar="POQ_NODE_ID", min=1, max=2**32 - 1)],
    label: Annotated[
        str, typer.Option("--label", envvar="POQ_LABEL", help="What workloads call the node.")
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            envvar="POQ_MODEL",
            help="openai:URL#NAME, gguf:PATH, or what comes in packages: smollm2-135m, "
            "gemma3-270m.",
        ),
    ],
    data_dir: Annotated[
        Path,
        typer.Option("--data-dir", envvar="POQ_DATA_DIR", help="Its own directory: its answers."),
    ],
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", envvar="POQ_KEY_FILE", help="The endpoint's key is in a file."),
    ] = None,
    least_ceiling: Annotated[
        int,
        typer.Option(
            "--least-ceiling",
            envvar="POQ_LEAST_CEILING",
            min=1,
            help="Sign for no workload whose cost ceiling, in ms, is lower.",
        ),
    ] = 1,
    host: Annotated[
        str, typer.Option("--host", envvar="POQ_HOST", help="The address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", envvar="POQ_PORT", min=0, max=65535, help="0: any free one.")
    ] = 8702,
) -> None:
    """
    Answer prompts and sign receipts until SIGTERM or Ctrl-C.

    Example: poq inference serve --node-id 4 --label mine --model smollm2-135m
    --account inference-1 --data-dir inference-data
    """
    with needing("service"):
        from oracle.cli.daemon import serve
        from oracle.service import answers, logging, loop, models
        from oracle.service.directory import claimed
        from oracle.service.health import Health, Pulse
        from oracle.service.inference import InferenceNode, Watch, inference_application
        from oracle.service.metrics import DaemonMetrics

    from oracle.chain.keys import read_password
    from oracle.chain.state import State
    from oracle.cli.session import signing_session

    session, signer = signing_session(signing)
    _check_node(session, node_id, signer.address)
    logging.configure(verbose=signing.verbose, quiet=signing.quiet)
    log = logging.logger(service="inference", node=node_id, label=label)
    health = Health((loop.CHECK, Watch.CHECK), Pulse())

    def node() -> Node:
        return State(session.web3, session.deployment).node(node_id)

    with (
        claimed(data_dir) as directory,
        closing(answers.AnswerStore(directory / answers.FILE)) as store,
    ):
        chosen = models.create(model, None if key_file is None else read_password(key_file))
        served_node = InferenceNode(
            chosen,
            store,
            signer,
            session.deployment,
            node,
            label=label,
            least_ceiling_ms=least_ceiling,
        )
        serve(
            inference_application(served_node),
            Watch(node, signer.address, health).tick,
            host=host,
            port=port,
            poll=LOOK,
            health=health,
            metrics=DaemonMetrics(),
            log=log,
            account=signer.address,
            chain=session.chain_id,
            model=model,
        )


def _check_node(session: Session, node_id: int, address: str) -> None:
    """Raise `Stop` unless the node is this key's to answer for."""
    from oracle.core.facts import Role

    node = session.state.node(node_id)
    if node.role is not Role.INFERENCE:
        raise Stop(Exit.USAGE, f"Node {node_id} is no inference node.")
    if node.operator != address:
        raise Stop(Exit.KEY, f"The operator of node {node_id} is {node.operator}, not {address}.")

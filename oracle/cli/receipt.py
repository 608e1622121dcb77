"""
`poq receipt`: an inference node's signed word for its batch of a workload.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oracle.cli.exits import Exit, Stop
from oracle.cli.options import Signing, with_options


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("receipt")(with_options(receipt))


def receipt(
    workload: Annotated[Path, typer.Argument(help="The workload file.")],
    signing: Signing,
    node_id: Annotated[int, typer.Option("--node-id", min=1, max=2**32 - 1)],
    label: Annotated[str, typer.Option("--label", help="What the workload calls the node.")],
    requester: Annotated[str, typer.Option("--requester", help="Who may use the receipt.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write.")],
) -> None:
    """
    Sign a receipt for your node's batch, as its operator. Nothing is sent.

    Example: poq receipt qa.jsonl --node-id 4 --label gemma3-270m --requester requester
    --account inference-1 -o receipts/4.json
    """
    from oracle.chain.receipts import sign_receipt
    from oracle.cli import documents
    from oracle.cli.session import signing_session
    from oracle.cli.signing import address_of
    from oracle.core.facts import Batch
    from oracle.evaluators.workload import load
    from oracle.service.documents import claims

    content = load(workload)
    parts = {part.node: part for part in content.batches}
    if (part := parts.get(label)) is None:
        raise Stop(Exit.USAGE, f"{workload} has no node {label!r}, only {', '.join(parts)}.")
    account = address_of(requester, signing.keystore)
    session, signer = signing_session(signing)
    node = session.state.node(node_id)
    if node.operator != signer.address:
        raise Stop(
            Exit.KEY, f"The operator of node {node_id} is {node.operator}, not {signer.address}."
        )
    batch = Batch(node_id, node.owner, part.stop - part.start, part.cost, part.outputs_hash)
    signature = sign_receipt(signer, session.deployment, batch, account, content.hash)
    claimed = claims(
        part,
        content,
        account,
        chain_id=session.chain_id,
        registry=session.deployment.registry.address,
    )
    written = documents.ReceiptFile(**claimed, nodeId=node_id, signature="0x" + signature.hex())
    documents.write(written, out)
    session.output.say(f"Receipt for {batch.items} items at a cost of {batch.cost} in {out}.")
    if signing.json:
        session.output.data("receipt", written.model_dump(exclude={"version", "kind"}))

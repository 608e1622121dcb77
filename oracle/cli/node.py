"""
`poq node`: a node's life from its stake to its withdrawal, and what the registry knows of it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from oracle.cli.exits import Exit, Stop
from oracle.cli.options import Reading, Writing, with_options

if TYPE_CHECKING:
    from oracle.chain.state import Node

NodeId = Annotated[int, typer.Argument(min=1, max=2**32 - 1, help="The node's id.")]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Register, show and retire nodes.", no_args_is_help=True)
    for name, command in (
        ("register", register),
        ("show", show),
        ("exit", exit_),
        ("withdraw", withdraw),
        ("top-up", top_up),
        ("rotate-operator", rotate_operator),
    ):
        group.command(name)(with_options(command))
    app.add_typer(group, name="node")


def register(
    role: Annotated[Literal["evaluator", "inference"], typer.Argument(help="For life.")],
    writing: Writing,
    operator: Annotated[
        str | None,
        typer.Option("--operator", help="The key that commits and signs receipts; yours if left."),
    ] = None,
) -> None:
    """
    Stake one unit and register a node that you own.

    Example: poq node register evaluator --operator evaluator-hot --account evaluator-cold
    """
    from oracle.chain import calls
    from oracle.cli.amounts import tokens
    from oracle.cli.session import Writer
    from oracle.core.facts import Role

    session = Writer(writing)
    deployment = session.deployment
    hot = session.account(operator)
    stake = deployment.registry_parameters.stake
    session.consent(f"Stake {tokens(stake)} tokens of {session.address}?")
    call = calls.registry(deployment, "register", Role[role.upper()], hot)
    receipt = session.pay(
        call, stake, f"{role.capitalize()} node registered with {tokens(stake)} tokens staked"
    )
    if receipt is None:
        return
    event = session.event(receipt, "NodeRegistry", "NodeRegistered")
    session.output.data(
        "node",
        {
            "nodeId": event["nodeId"],
            "role": role,
            "owner": event["owner"],
            "operator": event["operator"],
            "stake": str(event["stake"]),
        },
        [f"Node {event['nodeId']}"],
    )


def show(
    reading: Reading,
    node_id: Annotated[
        int | None, typer.Argument(min=1, max=2**32 - 1, help="Leave out for all nodes.")
    ] = None,
    domain: Annotated[
        list[str] | None, typer.Option("--domain", help="Also show the trust in this domain.")
    ] = None,
) -> None:
    """
    Show what the registry knows of a node, or of all.

    Example: poq node show --domain qa
    """
    from oracle.cli.session import Session

    session = Session(reading)
    count = session.state.node_count()
    ids = range(1, count + 1) if node_id is None else [node_id]
    domains = domain or []
    rows = [
        {
            **_facts(session.state.node(each), session.deployment.registry_parameters.stake),
            **{f"trust in {name}": _trust(session, each, name) for name in domains},
        }
        for each in ids
    ]
    columns = ["nodeId", "role", "state", "stake", "operator", "owner"]
    columns += [f"trust in {name}" for name in domains]
    session.output.table("nodes", columns, rows, "No node is registered yet.")


def exit_(node_id: NodeId, writing: Writing) -> None:
    """
    Leave the network for good. The stake can be withdrawn after the exit delay.

    Example: poq node exit 3 --account evaluator-cold
    """
    from oracle.chain import calls
    from oracle.cli.session import Writer

    session = Writer(writing)
    session.consent(f"Retire node {node_id} for good?")
    delay = session.deployment.registry_parameters.exit_delay
    call = calls.registry(session.deployment, "exit", node_id)
    session.send(call, f"Node {node_id} left; its stake can be withdrawn in {delay} s")


def withdraw(node_id: NodeId, writing: Writing) -> None:
    """
    Take back the stake of a node that left.

    Example: poq node withdraw 3 --account evaluator-cold
    """
    from oracle.chain import calls
    from oracle.cli.session import Writer

    session = Writer(writing)
    node = session.state.node(node_id)
    if node.exitable_at > (now := session.now):
        raise Stop(
            Exit.NOTHING_YET,
            f"Node {node_id}'s stake can be withdrawn in {node.exitable_at - now} s.",
        )
    call = calls.registry(session.deployment, "withdrawStake", node_id)
    session.send(call, f"The stake of node {node_id} is paid to {node.owner}")


def top_up(node_id: NodeId, writing: Writing) -> None:
    """
    Fill a slashed stake up to the unit, so that an evaluator is drawn again.

    Example: poq node top-up 3 --account evaluator-cold
    """
    from oracle.chain import calls
    from oracle.cli.amounts import tokens
    from oracle.cli.session import Writer

    session = Writer(writing)
    missing = session.deployment.registry_parameters.stake - session.state.node(node_id).stake
    if missing == 0:
        raise Stop(Exit.NOTHING_YET, f"The stake of node {node_id} is full.")
    session.consent(f"Add {tokens(missing)} tokens to the stake of node {node_id}?")
    call = calls.registry(session.deployment, "topUp", node_id)
    session.pay(call, missing, f"{tokens(missing)} tokens added to the stake of node {node_id}")


def rotate_operator(
    node_id: NodeId,
    writing: Writing,
    operator: Annotated[str, typer.Option("--operator", help="The new key's account.")],
) -> None:
    """
    Replace the key that acts for your node, at once.

    What the old key committed, only the old key can open: reveal it with that.

    Example: poq node rotate-operator 3 --operator evaluator-new --account evaluator-cold
    """
    from oracle.chain import calls
    from oracle.cli.session import Writer

    session = Writer(writing)
    hot = session.account(operator)
    session.consent(f"Let {hot} act for node {node_id}?")
    call = calls.registry(session.deployment, "rotateOperator", node_id, hot)
    session.send(call, f"{hot} is the operator of node {node_id}")


def _facts(node: Node, unit: int) -> dict[str, Any]:
    if node.exitable_at:
        leaves = datetime.fromtimestamp(node.exitable_at, UTC)
        state = f"left, stake free {leaves:%Y-%m-%d %H:%M:%S}Z"
    else:
        state = "active" if node.stake == unit else "slashed"
    return {
        "nodeId": node.node_id,
        "role": node.role.name.lower(),
        "owner": node.owner,
        "operator": node.operator,
        "stake": str(node.stake),
        "exitableAt": node.exitable_at,
        "state": state,
    }


def _trust(session: Any, node_id: int, domain: str) -> str:
    from oracle.cli.terms import domain_word
    from oracle.core.units import TRUST_ONE

    return f"{session.state.trust(node_id, domain_word(domain)) / TRUST_ONE:.6f}"

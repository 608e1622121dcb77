"""
`poq settle` and `poq withdraw`: the end of a round, and the money out of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oracle.cli.exits import Exit, Stop
from oracle.cli.options import Writing, with_options

if TYPE_CHECKING:
    from oracle.cli.session import Session
    from oracle.core.facts import Reveal
    from oracle.core.settlement import Settlement


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("settle")(with_options(settle))
    app.command("withdraw")(with_options(withdraw))


def settle(
    writing: Writing,
    round_id: Annotated[int, typer.Option("--round", min=1, help="The round's id.")],
    reveals: Annotated[
        list[Path] | None,
        typer.Option("--reveals", help="A reveal, or a directory of them; repeatable."),
    ] = None,
) -> None:
    """
    Settle a round from its reveals; those on chain are found by themselves. The chain checks it.

    Example: poq settle --round 1 --reveals reveals --account settler
    """
    from oracle.chain import calls
    from oracle.cli.session import Writer, require
    from oracle.core.phases import may_settle
    from oracle.core.reveals import ascending
    from oracle.core.settlement import settle as compute

    session = Writer(writing)
    state = session.drawn_round(round_id)
    history = session.history(round_id)
    given = ascending(_reveals(session, round_id, reveals or []))
    seats = {reveal.seat for reveal in given}
    included = [*given, *(each for each in history.reveals if each.seat not in seats)]
    parameters = session.deployment.rounds_parameters
    verdict = may_settle(
        state,
        history.opening.terms,
        parameters,
        included=sum(1 << reveal.seat for reveal in included),
        settler=session.address,
        now=session.now,
    )
    require(verdict, f"Round {round_id} cannot be settled")
    settlement = compute(history.drawn(), parameters, included)
    call = calls.rounds(session.deployment, "settle", *settlement.arguments())
    if session.send(call, f"Round {round_id} settled") is not None:
        _tell(session, settlement)


def withdraw(
    writing: Writing,
    payee: Annotated[
        str | None, typer.Argument(help="An address or keystore; your own if left out.")
    ] = None,
) -> None:
    """
    Pay an account what finished rounds owe it. Anybody may call; the account is paid.

    Example: poq withdraw --account evaluator-1
    """
    from oracle.chain import calls
    from oracle.cli.amounts import tokens
    from oracle.cli.session import Writer

    session = Writer(writing)
    account = session.account(payee)
    credit = session.state.credit(account)
    if credit == 0:
        raise Stop(Exit.NOTHING_YET, f"No finished round owes anything to {account}.")
    call = calls.rounds(session.deployment, "withdraw", account)
    sent = session.send(call, f"{tokens(credit)} tokens paid to {account}")
    if sent is not None and writing.json:
        session.output.data("withdrawal", {"account": account, "amount": str(credit)})


def _reveals(session: Session, round_id: int, paths: list[Path]) -> list[Reveal]:
    """Return the reveals in files, if they are of this round; raise `Stop`."""
    import numpy as np

    from oracle.cli import documents
    from oracle.core.facts import Reveal
    from oracle.core.units import pack

    reveals = []
    for each in documents.read_all(documents.RevealFile, paths):
        expected = (session.chain_id, session.deployment.rounds.address, round_id)
        if (each.chainId, each.rounds, each.round) != expected:
            raise Stop(
                Exit.USAGE,
                f"The reveal of seat {each.seat} is of round {each.round} of {each.rounds} on "
                f"chain {each.chainId}, not of this one.",
            )
        row = pack(np.array(each.scores, dtype=np.uint16))
        reveals.append(Reveal(each.seat, bytes.fromhex(each.salt[2:]), row))
    return reveals


def _tell(session: Session, settlement: Settlement) -> None:
    from oracle.cli.amounts import tokens

    rows = [
        {
            "nodeId": payment.node_id,
            "role": payment.role.name.lower(),
            "account": payment.account,
            "amount": str(payment.amount),
        }
        for payment in settlement.payments()
    ]
    if session.output.as_json:
        fee, refund = str(settlement.fee), str(settlement.refund)
        session.output.data("settlement", {"payments": rows, "fee": fee, "refund": refund})
        return
    session.output.table("payments", ["nodeId", "role", "amount", "account"], rows, "No payment.")
    session.output.say(
        f"{tokens(settlement.fee)} tokens to the settler, "
        f"{tokens(settlement.refund)} back to the requester."
    )

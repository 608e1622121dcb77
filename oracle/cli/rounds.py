"""
`poq round`: open a round, draw its panel, watch it, cancel it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oracle.cli.options import Reading, Writing, with_options
from oracle.cli.terms import Terms, batches_of

if TYPE_CHECKING:
    from oracle.chain.rounds import RoundHistory
    from oracle.cli.session import Session
    from oracle.core.facts import RoundState

RoundId = Annotated[int, typer.Argument(min=1, help="The round's id.")]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Open, draw, watch and cancel rounds.", no_args_is_help=True)
    for name, command in (
        ("open", open_),
        ("draw", draw),
        ("show", show),
        ("list", list_),
        ("cancel", cancel),
    ):
        group.command(name)(with_options(command))
    app.add_typer(group, name="round")


def open_(
    workload: Annotated[Path, typer.Argument(help="The workload file.")],
    writing: Writing,
    receipt: Annotated[
        list[Path], typer.Option("--receipt", help="A receipt, or a directory; repeatable.")
    ],
    terms: Terms,
) -> None:
    """
    Open and pay for a round over a workload, with one receipt of each of its nodes.

    Example: poq round open qa.jsonl --receipt receipts --panel-size 3 --inference-budget 100ether
    --evaluator-budget 100ether --settlement-fee 1ether --account requester
    """
    from oracle.chain import calls
    from oracle.cli import documents
    from oracle.cli.amounts import tokens
    from oracle.cli.session import Writer
    from oracle.evaluators.workload import load

    content = load(workload)
    receipts = documents.read_all(documents.ReceiptFile, receipt)
    session = Writer(writing)
    batches, signatures = batches_of(session, content, receipts, session.address)
    fixed = terms.of(content, session)
    session.consent(f"Escrow {tokens(fixed.deposit)} tokens of {session.address}?")
    call = calls.rounds(
        session.deployment,
        "open",
        fixed.as_tuple(),
        [batch.as_tuple() for batch in batches],
        signatures,
        terms.uri,
    )
    done = f"Round over {len(content.items)} items opened with {tokens(fixed.deposit)} tokens"
    receipt_of = session.pay(call, fixed.deposit, done)
    if receipt_of is None:
        return
    event = session.event(receipt_of, "QualityRounds", "RoundOpened")
    session.output.data(
        "round",
        {
            "round": event["roundId"],
            "drawBlock": event["drawBlock"],
            "workloadHash": "0x" + content.hash.hex(),
            "deposit": str(fixed.deposit),
        },
        [f"Round {event['roundId']}"],
    )


def draw(round_id: RoundId, writing: Writing) -> None:
    """
    Draw the panel. Anybody may, once the draw block is mined.

    Example: poq round draw 1 --account requester
    """
    from oracle.chain import calls
    from oracle.cli.session import Writer, require
    from oracle.core.phases import may_draw

    session = Writer(writing)
    state = session.round(round_id)
    require(may_draw(state, session.state.block + 1), f"Round {round_id} cannot be drawn")
    opening = session.history(round_id).opening
    call = calls.rounds(session.deployment, "draw", round_id, opening.as_tuple())
    receipt = session.send(call, f"Panel of round {round_id} drawn")
    if receipt is None:
        return
    from oracle.core.facts import unpack_panel

    event = session.event(receipt, "QualityRounds", "PanelDrawn")
    seats = [
        {"seat": seat, "nodeId": each.node_id, "owner": each.owner, "trust": each.trust}
        for seat, each in enumerate(unpack_panel(event["panel"]))
    ]
    session.output.table("seats", ["seat", "nodeId", "owner", "trust"], seats)


def show(round_id: RoundId, reading: Reading) -> None:
    """
    Show a round: its terms, its panel, who committed and revealed, what is next, who was paid.

    Example: poq round show 1
    """
    from oracle.cli.session import Session

    session = Session(reading)
    state = session.round(round_id)
    content = _facts(session, state, session.history(round_id))
    if reading.json:
        session.output.data("round", content)
        return
    seats, payments = content.pop("seats"), content.pop("payments")
    session.output.data("round", content)
    if seats:
        columns = ["seat", "nodeId", "trust", "committed", "revealed", "settled"]
        session.output.table("seats", columns, seats)
    if payments:
        session.output.table("payments", ["nodeId", "role", "amount", "account"], payments)


def list_(reading: Reading) -> None:
    """
    List all rounds and where they stand.

    Example: poq round list
    """
    from oracle.cli.session import Session

    session = Session(reading)
    rows = []
    for round_id in range(1, session.state.round_count() + 1):
        state = session.state.round(round_id)
        rows.append(
            {
                "round": round_id,
                "phase": state.phase.name.lower(),
                "items": state.items or "–",
                "seats": state.panel_size or "–",
                "committed": state.committed.bit_count(),
                "revealed": state.revealed.bit_count(),
            }
        )
    columns = ["round", "phase", "items", "seats", "committed", "revealed"]
    session.output.table("rounds", columns, rows, "No round was opened yet.")


def cancel(round_id: RoundId, writing: Writing) -> None:
    """
    Cancel a round that was not drawn in time, or that found no quorum. Anybody may.

    Example: poq round cancel 1 --account requester
    """
    from oracle.chain import calls
    from oracle.cli.session import Writer, require
    from oracle.core import cancellation
    from oracle.core.facts import Phase
    from oracle.core.phases import may_cancel, may_cancel_undrawn

    session = Writer(writing)
    state = session.round(round_id)
    action = f"Round {round_id} cannot be cancelled"
    if state.phase is Phase.OPEN:
        require(may_cancel_undrawn(state, session.state.block + 1), action)
        opening = session.history(round_id).opening
        done = cancellation.cancel_undrawn(session.state.key(round_id), opening)
        function = "cancelUndrawn"
    else:
        history = session.history(round_id)
        parameters = session.deployment.rounds_parameters
        quorum = history.opening.terms.quorum
        require(may_cancel(state, quorum, parameters, session.now), action)
        done, function = cancellation.cancel(history.drawn()), "cancel"
    call = calls.rounds(session.deployment, function, *done.arguments)
    session.send(call, f"Round {round_id} cancelled, its deposit credited to the requester")


def _facts(session: Session, state: RoundState, history: RoundHistory) -> dict[str, Any]:
    terms = history.opening.terms
    content: dict[str, Any] = {
        "round": history.key.round_id,
        "phase": state.phase.name.lower(),
        "domain": terms.domain.rstrip(b"\0").decode("ascii", "backslashreplace"),
        "rule": terms.rule.name.lower().replace("_", "-"),
        "items": history.opening.items,
        "panelSize": terms.panel_size,
        "quorum": terms.quorum,
        "requester": history.opening.requester,
        "oracle": terms.oracle,
        "workloadHash": "0x" + terms.workload_hash.hex(),
        "uri": history.uri,
        "inferenceBudget": str(terms.inference_budget),
        "evaluatorBudget": str(terms.evaluator_budget),
        "settlementFee": str(terms.settlement_fee),
        "drawBlock": history.opening.draw_block,
        "drawnAt": None,
        "commitsCloseAt": None,
        "revealsCloseAt": None,
        "digest": "0x" + session.state.digest(history.key.round_id).hex(),
        "ended": None,
        "settler": None,
        "refund": None,
        "seats": [],
        "payments": [],
    }
    content.update(_panel(session, history))
    content.update(_ending(history))
    return content


def _panel(session: Session, history: RoundHistory) -> dict[str, Any]:
    from oracle.chain.rounds import Settled
    from oracle.core.phases import commits_close_at, reveals_close_at

    if history.draw is None:
        return {}
    parameters = session.deployment.rounds_parameters
    drawn_at = history.draw.drawn_at
    committed = {commit.seat: commit.committed_at for commit in history.commits}
    revealed = {reveal.seat for reveal in history.reveals}
    included = history.end.reveals if isinstance(history.end, Settled) else ()
    settled = {reveal.seat for reveal in included}
    return {
        "drawnAt": drawn_at,
        "commitsCloseAt": commits_close_at(parameters, drawn_at),
        "revealsCloseAt": reveals_close_at(parameters, drawn_at),
        "seats": [
            {
                "seat": seat,
                "nodeId": each.node_id,
                "owner": each.owner,
                "trust": each.trust,
                "committed": seat in committed,
                "committedAt": committed.get(seat),
                "revealed": seat in revealed,
                "settled": seat in settled,
            }
            for seat, each in enumerate(history.draw.panel)
        ],
    }


def _ending(history: RoundHistory) -> dict[str, Any]:
    from oracle.chain.rounds import Cancelled, Settled

    if isinstance(history.end, Cancelled):
        return {"ended": "cancelled", "refund": str(history.end.refund)}
    if isinstance(history.end, Settled):
        return {
            "ended": "settled",
            "settler": history.end.settler,
            "refund": str(history.end.refund),
            "payments": [
                {
                    "nodeId": payment.node_id,
                    "role": payment.role.name.lower(),
                    "account": payment.account,
                    "amount": str(payment.amount),
                }
                for payment in history.end.payments
            ],
        }
    return {}

"""
`poq commit` and `poq reveal`: what the operator of a drawn node does with its scores.

The salt follows from the operator's key, so nothing has to be kept between the two but the scores.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oracle.cli.exits import Exit, Stop
from oracle.cli.options import Writing, with_options

if TYPE_CHECKING:
    from oracle.chain.rounds import RoundHistory
    from oracle.cli.session import Writer
    from oracle.core.facts import RoundState

Round = Annotated[int, typer.Option("--round", min=1, help="The round's id.")]
ScoresPath = Annotated[Path, typer.Option("--scores", help="What `poq evaluate` wrote.")]
NodeId = Annotated[
    int | None,
    typer.Option("--node-id", help="Your node, if you operate several of the panel."),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("commit")(with_options(commit))
    app.command("reveal")(with_options(reveal))


def commit(
    writing: Writing,
    round_id: Round,
    scores: ScoresPath,
    workload: Annotated[
        Path | None, typer.Option("--workload", help="Check that this file is the round's.")
    ] = None,
    node_id: NodeId = None,
) -> None:
    """
    Commit your node's seat to its scores, once. They stay secret until you reveal them.

    Example: poq commit --round 1 --scores scores.json --workload qa.jsonl --account evaluator-1
    """
    from oracle.chain import calls
    from oracle.cli.session import Writer, require
    from oracle.core.commitment import commitment
    from oracle.core.phases import may_commit
    from oracle.evaluators.workload import load

    session = Writer(writing)
    state = session.drawn_round(round_id)
    seat, node = _seat(session, state, round_id, node_id)
    verdict = may_commit(state, session.deployment.rounds_parameters, seat, session.now)
    require(verdict, f"Seat {seat} of round {round_id} cannot commit")
    history = session.history(round_id)
    if workload is not None:
        load(workload, history.opening.terms.workload_hash)
    row = _row(scores, history)
    salt = _salt(session, history, node)
    call = calls.rounds(
        session.deployment, "commit", round_id, seat, commitment(history.key, node, salt, row)
    )
    session.send(call, f"Seat {seat} of round {round_id} committed for node {node}")


def reveal(
    writing: Writing,
    round_id: Round,
    scores: ScoresPath,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The file to write, for the settler.")
    ] = None,
    on_chain: Annotated[
        bool, typer.Option("--on-chain", help="Reveal to everybody: no settlement can omit it.")
    ] = False,
    node_id: NodeId = None,
) -> None:
    """
    Open your node's commitment once commits are closed: to a file, or on chain.

    Example: poq reveal --round 1 --scores scores.json --account evaluator-1 -o reveals/1.json
    """
    from oracle.chain import calls
    from oracle.cli import documents
    from oracle.cli.session import Writer, require
    from oracle.core.facts import Reveal
    from oracle.core.history import commit_proof
    from oracle.core.phases import may_reveal
    from oracle.core.reveals import check_reveal
    from oracle.service.documents import reveal_file

    if (out is None) is not on_chain:
        raise Stop(Exit.USAGE, "Say either -o FILE or --on-chain.")
    session = Writer(writing)
    state = session.drawn_round(round_id)
    seat, node = _seat(session, state, round_id, node_id)
    if on_chain:
        verdict = may_reveal(state, session.deployment.rounds_parameters, seat, session.now)
        require(verdict, f"Seat {seat} of round {round_id} cannot be revealed")
    else:
        _require_commits_closed(session, state, round_id)
    history = session.history(round_id)
    facts = history.drawn()
    row = _row(scores, history)
    opened = Reveal(seat, _salt(session, history, node), row)
    check_reveal(facts, opened)
    if out is not None:
        written = reveal_file(history.key, node, opened)
        documents.write(written, out)
        session.output.say(f"The reveal of seat {seat} is in {out}: give it to the settler.")
        return
    proof = commit_proof(facts, seat).as_tuple()
    call = calls.rounds(session.deployment, "reveal", round_id, seat, proof, opened.salt, row)
    session.send(call, f"Seat {seat} of round {round_id} revealed on chain for node {node}")


def _seat(
    session: Writer, state: RoundState, round_id: int, node_id: int | None
) -> tuple[int, int]:
    """Return the seat and the node that this key acts for; raise `Stop`."""
    panel = [session.state.seat(round_id, seat) for seat in range(state.panel_size)]
    if node_id is not None:
        if node_id not in panel:
            raise Stop(Exit.USAGE, f"Node {node_id} has no seat in round {round_id}.")
        return panel.index(node_id), node_id
    own = [
        (seat, node)
        for seat, node in enumerate(panel)
        if session.state.node(node).operator == session.address
    ]
    if not own:
        raise Stop(Exit.KEY, f"{session.address} operates no node in the panel of {round_id}.")
    if len(own) > 1:
        nodes = ", ".join(str(node) for _, node in own)
        raise Stop(Exit.USAGE, f"You operate nodes {nodes} of the panel: say --node-id.")
    return own[0]


def _row(path: Path, history: RoundHistory) -> bytes:
    """Return a file's scores, packed, if they are of the round's workload; raise `Stop`."""
    import numpy as np

    from oracle.cli import documents
    from oracle.core.units import pack

    given = documents.read(documents.ScoresFile, path)
    expected = "0x" + history.opening.terms.workload_hash.hex()
    if given.workloadHash != expected:
        raise Stop(
            Exit.USAGE, f"{path} scores workload {given.workloadHash}; the round's is {expected}."
        )
    if len(given.scores) != history.opening.items:
        raise Stop(
            Exit.USAGE,
            f"{path} has {len(given.scores)} scores; the round has {history.opening.items} items.",
        )
    return pack(np.array(given.scores, dtype=np.uint16))


def _salt(session: Writer, history: RoundHistory, node_id: int) -> bytes:
    from oracle.chain.salts import salt_of

    return salt_of(session.signer, history.key, node_id)


def _require_commits_closed(session: Writer, state: RoundState, round_id: int) -> None:
    from oracle.core.phases import commits_close_at

    closes_at = commits_close_at(session.deployment.rounds_parameters, state.drawn_at)
    missing = state.panel_size - state.committed.bit_count()
    if missing and (left := closes_at - session.now) > 0:
        raise Stop(
            Exit.NOTHING_YET,
            f"Round {round_id} waits for {missing} commits, {left} s at most: a reveal now could "
            "be copied.",
        )

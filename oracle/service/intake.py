"""
Reveals over HTTP: who may hand over what, when, and what is answered.

This module decides whether a reveal is taken. The seat's commitment authenticates it, so nobody
signs in; nothing is taken while anyone may still commit, because a reveal that others could read
could be copied. What is taken is on the disk before the answer is given. The answers come from the
loop's board, so a request never costs the node anything; and no reveal is ever given out.
"""

from __future__ import annotations

import sqlite3
from math import ceil
from typing import Any, Literal

import numpy as np
from fastapi import FastAPI, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from oracle.chain.deployment import Deployment
from oracle.core.facts import Phase, Reveal
from oracle.core.parameters import RoundsParameters
from oracle.core.phases import cancellable_at, commits_close_at, reveals_close_at
from oracle.core.reveals import RevealRefused, check_reveal
from oracle.core.units import ONE, pack
from oracle.service.board import Board, BoardHolder, RunningRound
from oracle.service.documents import DocumentMalformed, RevealFile, parse
from oracle.service.logging import Logger
from oracle.service.metrics import OracleMetrics
from oracle.service.rate import RateLimit
from oracle.service.reveals import RevealStore
from oracle.service.serving import ErrorBody, Refusal, application, bounded_body

MOST_BYTES = 64 * 1024
"""Of a request: twice what the largest round's reveal takes."""
RATE = 20.0
"""Requests a second that one client may go on with."""
BURST = 100.0
LONGEST_RETRY = 2
"""Seconds after which a client may as well look again: the last seat may commit at any moment."""
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": description}
    for status, description in {
        400: "The request is not HTTP as it should be.",
        404: "No such round is running.",
        408: "The body did not arrive in time.",
        409: "Seats may still commit; `Retry-After` says when to come again.",
        413: "The body is too large.",
        422: "The reveal is malformed, of another chain, or not what the seat committed to.",
        429: "Too many requests; `Retry-After` says when to come again.",
        503: "The service has not looked at the chain yet, or cannot keep anything.",
    }.items()
}


class Taken(BaseModel):
    """A reveal that is kept: `stored` now, or `known` already."""

    round: int
    seat: int
    status: Literal["stored", "known"]


class SeatShown(BaseModel):
    """A seat: whether it committed, revealed on chain, or handed its reveal over here."""

    seat: int
    nodeId: int
    committed: bool
    revealed: bool
    handedOver: bool


class RoundShown(BaseModel):
    """
    A running round as of a block: blocks by number, times in seconds of chain time.

    A round that is not drawn has no times and no seats.
    """

    round: int
    phase: Literal["open", "drawn"]
    block: int
    blockTime: int
    drawBlock: int
    takesReveals: bool
    commitsCloseAt: int | None = None
    revealsCloseAt: int | None = None
    cancellableAt: int | None = None
    quorum: int
    seats: list[SeatShown] = []


class Intake:
    """Takes reveals for the rounds on the board and keeps them. Safe for threads."""

    def __init__(
        self,
        board: BoardHolder,
        store: RevealStore,
        deployment: Deployment,
        metrics: OracleMetrics,
        log: Logger,
    ) -> None:
        self._board = board
        self._store = store
        self._deployment = deployment
        self._metrics = metrics
        self._log = log

    def take(self, content: bytes) -> Taken:
        """Keep the reveal that a request's body is, or raise `Refusal`."""
        try:
            taken = self._take(content)
        except Refusal as refusal:
            self._metrics.reveals.labels(refusal.code).inc()
            raise
        self._metrics.reveals.labels(taken.status).inc()
        return taken

    def show(self, round_id: int) -> RoundShown:
        """Return where a running round stands, or raise `Refusal`."""
        board = self._look()
        found = _running(board, round_id)
        state, terms = found.state, found.history.opening.terms
        shown = RoundShown(
            round=round_id,
            phase="open" if state.phase is Phase.OPEN else "drawn",
            block=board.head.number,
            blockTime=board.head.timestamp,
            drawBlock=found.history.opening.draw_block,
            takesReveals=found.takes_reveals(self._parameters, board.head.timestamp),
            quorum=terms.quorum,
        )
        if state.phase is Phase.DRAWN:
            shown.commitsCloseAt = commits_close_at(self._parameters, state.drawn_at)
            shown.revealsCloseAt = reveals_close_at(self._parameters, state.drawn_at)
            shown.cancellableAt = cancellable_at(self._parameters, state.drawn_at)
            handed_over = {reveal.seat for reveal in self._store.of(round_id)}
            shown.seats = [
                SeatShown(
                    seat=seat,
                    nodeId=drawn.node_id,
                    committed=bool(state.committed >> seat & 1),
                    revealed=bool(state.revealed >> seat & 1),
                    handedOver=seat in handed_over,
                )
                for seat, drawn in enumerate(found.history.drawn().draw.panel)
            ]
        return shown

    def _take(self, content: bytes) -> Taken:
        board = self._look()
        try:
            document = parse(RevealFile, content)
        except DocumentMalformed as error:
            raise Refusal(422, "malformed", f"The body is no reveal: {error}.") from None
        round_id, seat = document.round, document.seat
        expected = self._deployment.chain_id, self._deployment.rounds.address.lower()
        if (document.chainId, document.rounds.lower()) != expected:
            raise Refusal(
                422,
                "other_deployment",
                f"The reveal is for {document.rounds} on chain {document.chainId}, which this "
                "oracle does not serve.",
            )
        found = _running(board, round_id)
        self._require_commits_closed(found, round_id, board)
        reveal = _reveal_of(document, found)
        try:
            new = self._store.keep(round_id, reveal)
        except sqlite3.Error as error:
            self._log.error("reveal_not_kept", round=round_id, seat=seat, message=str(error))
            raise Refusal(
                503, "not_kept", "The reveal cannot be kept now: hand it over again later."
            ) from None
        if new:
            self._log.info("reveal_taken", round=round_id, seat=seat, node=document.nodeId)
        return Taken(round=round_id, seat=seat, status="stored" if new else "known")

    def _look(self) -> Board:
        if (board := self._board.current) is None:
            raise Refusal(
                503, "not_ready", "The chain was not looked at yet: come again.", retry_after=1
            )
        return board

    def _require_commits_closed(self, found: RunningRound, round_id: int, board: Board) -> None:
        now = board.head.timestamp
        if found.takes_reveals(self._parameters, now):
            return
        left = LONGEST_RETRY
        until = "it is drawn and its commits are closed"
        if found.state.phase is Phase.DRAWN:
            closes_at = commits_close_at(self._parameters, found.state.drawn_at)
            left = closes_at - now
            until = f"all have committed, or until {closes_at} (unix time)"
        raise Refusal(
            409,
            "commits_open",
            f"Round {round_id} takes no reveals until {until}: one could be copied.",
            retry_after=max(1, min(left, LONGEST_RETRY)),
        )

    @property
    def _parameters(self) -> RoundsParameters:
        return self._deployment.rounds_parameters


def intake_application(intake: Intake, limit: RateLimit) -> FastAPI:
    """Return the application that serves an intake."""
    app = application(
        "Proof of Quality oracle",
        "Takes the reveals of evaluators and settles rounds. A reveal is authenticated by the "
        "commitment of its seat on chain. It is not given out before the round settles.",
    )

    def admit(request: Request) -> None:
        wait = limit.wait(request.client.host if request.client else "")
        if wait:
            raise Refusal(
                429, "too_many_requests", "Too many requests: slow down.", retry_after=ceil(wait)
            )

    @app.post(
        "/v1/reveals",
        status_code=202,
        tags=["reveals"],
        response_model=Taken,
        responses={200: {"model": Taken, "description": "It was known already."}, **REFUSALS},
        openapi_extra={"requestBody": _REQUEST_BODY},
    )
    async def hand_over(request: Request, response: Response) -> Taken:
        """Hand over what opens a seat's commitment; `poq reveal -o FILE` writes it."""
        admit(request)
        content = await bounded_body(request, MOST_BYTES)
        taken = await run_in_threadpool(intake.take, content)
        if taken.status == "known":
            response.status_code = 200
        return taken

    @app.get("/v1/rounds/{round_id}", tags=["rounds"], responses=REFUSALS)
    def show_round(request: Request, round_id: int = Path(ge=1, lt=2**63)) -> RoundShown:
        """Where a running round stands, and which seats have handed over or revealed."""
        admit(request)
        return intake.show(round_id)

    return app


def _running(board: Board, round_id: int) -> RunningRound:
    found = board.rounds.get(round_id)
    if found is None:
        raise Refusal(404, "no_such_round", f"Round {round_id} is not running.")
    return found


def _reveal_of(document: RevealFile, found: RunningRound) -> Reveal:
    """Return the reveal, if it is what the seat of that node committed to; raise `Refusal`."""
    facts = found.history.drawn()
    row = pack(np.array(document.scores, dtype=np.uint16))
    reveal = Reveal(document.seat, bytes.fromhex(document.salt[2:]), row)
    try:
        check_reveal(facts, reveal)
    except RevealRefused as refused:
        raise Refusal(422, _code(refused), f"The reveal is refused: {refused}.") from None
    node_id = facts.draw.panel[reveal.seat].node_id
    if document.nodeId != node_id:
        raise Refusal(
            422, "other_node", f"Seat {reveal.seat} is node {node_id}'s, not {document.nodeId}'s."
        )
    return reveal


def _code(refused: RevealRefused) -> str:
    """Return a refusal's class in the form of codes, as in `commitment_mismatch`."""
    name = type(refused).__name__
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]


_EXAMPLE = RevealFile(
    chainId=1,
    rounds="0x" + 40 * "0",
    round=12,
    seat=0,
    nodeId=7,
    salt="0x" + 32 * "5a",
    scores=[ONE, 8_250, 0],
)
_REQUEST_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": RevealFile.model_json_schema(),
            "example": _EXAMPLE.model_dump(),
        }
    },
}

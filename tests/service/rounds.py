"""Rounds on a board, and what evaluators would hand over for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from eth_utils.crypto import keccak

from oracle.chain.deployment import DeployedContract, Deployment
from oracle.chain.follower import Block
from oracle.chain.rounds import RoundHistory
from oracle.core.facts import DrawnRound, Phase, RoundState
from oracle.core.parameters import RegistryParameters
from oracle.core.phases import commits_close_at
from oracle.service.board import Board, RunningRound
from oracle.service.documents import RevealFile
from tests.core.rounds import (
    DRAWN_AT,
    KEY,
    PARAMETERS,
    TRUST,
    account,
    drawn_round,
    node_id,
    opening_of,
    salt_of,
    some_scores,
)

ROUND = KEY.round_id
SCORES = some_scores()
COMMITS_CLOSE = commits_close_at(PARAMETERS, DRAWN_AT)
DEPLOYMENT = Deployment(
    chain_id=KEY.chain_id,
    start_block=0,
    token=account("token"),
    registry=DeployedContract(account("registry"), bytes(32), b""),
    rounds=DeployedContract(KEY.contract, bytes(32), b""),
    registry_parameters=RegistryParameters(1, 20_000, 0, 0, account("sink"), TRUST),
    rounds_parameters=PARAMETERS,
)


def facts_of(*committed: int, revealed: int = 0) -> DrawnRound:
    """A round of five seats and five items in which these seats committed to their `SCORES`."""
    return drawn_round(SCORES, opening_of(), order=committed, revealed=revealed)


def history_of(facts: DrawnRound, **changes: Any) -> RoundHistory:
    """The history that has these facts and ends there."""
    fields: dict[str, Any] = {
        "uri": "https://example.org/workload.jsonl",
        "draw": facts.draw,
        "commits": facts.commits,
        "reveals": (),
        "end": None,
    }
    return RoundHistory(key=facts.key, opening=facts.opening, **(fields | changes))


def state_of(facts: DrawnRound) -> RoundState:
    terms = facts.opening.terms
    return RoundState(
        phase=Phase.DRAWN,
        draw_block=facts.opening.draw_block,
        drawn_at=facts.draw.drawn_at,
        items=facts.opening.items,
        panel_size=terms.panel_size,
        committed=facts.committed,
        revealed=facts.revealed,
    )


def running(facts: DrawnRound) -> RunningRound:
    return RunningRound(state_of(facts), history_of(facts))


def undrawn(facts: DrawnRound) -> RunningRound:
    """The same round before its panel is drawn."""
    state = RoundState(Phase.OPEN, facts.opening.draw_block, 0, 0, 0, 0, 0)
    return RunningRound(state, history_of(facts, draw=None, commits=()))


def block_at(timestamp: int, number: int = 2_000) -> Block:
    return Block(number, keccak(number), keccak(number - 1), timestamp)


def board_with(found: RunningRound, *, now: int = COMMITS_CLOSE) -> Board:
    return Board(block_at(now), {ROUND: found})


def document(seat: int, **changes: Any) -> RevealFile:
    """What the evaluator in a seat hands over."""
    fields: dict[str, Any] = {
        "chainId": KEY.chain_id,
        "rounds": KEY.contract,
        "round": ROUND,
        "seat": seat,
        "nodeId": node_id(seat),
        "salt": "0x" + salt_of(seat).hex(),
        "scores": SCORES[seat].tolist(),
    }
    return RevealFile(**(fields | changes))


def opened(found: RunningRound, **terms: Any) -> RunningRound:
    """The same round with other terms."""
    opening = found.history.opening
    changed = replace(opening, terms=replace(opening.terms, **terms))
    return replace(found, history=replace(found.history, opening=changed))

"""
A round's history, from its logs to the facts of the core.

This module decides which log becomes which fact, and nothing that follows from facts. It trusts the
node to have sent every log: whoever must know compares the digest of the facts with the chain's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deploy.artifacts import load
from oracle.chain.deployment import Deployment
from oracle.chain.logs import Event, EventDecoder, Log, read_logs
from oracle.core.consensus import Rule
from oracle.core.facts import (
    Batch,
    Commit,
    Draw,
    DrawnRound,
    Opening,
    Reveal,
    Role,
    RoundKey,
    Terms,
    unpack_panel,
)
from oracle.core.keccak import keccak
from oracle.core.settlement import Payment

if TYPE_CHECKING:
    from web3 import Web3


class LogMissing(Exception):
    """The node sent no log of a round that has to be there; the round may not exist."""

    def __init__(self, round_id: int, event: str) -> None:
        super().__init__(f"The node has no {event} log of round {round_id}.")
        self.round_id = round_id
        self.event = event


@dataclass(frozen=True, slots=True)
class Settled:
    """A settlement as `RoundSettled` and `RewardCredited` log it; scores and such are packed."""

    settler: str
    settled_at: int
    reveals: tuple[Reveal, ...]
    consensus: bytes
    deviations: bytes
    payments: tuple[Payment, ...]
    refund: int
    log: Log


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A cancellation as `RoundCancelled` logs it."""

    cancelled_at: int
    refund: int
    log: Log


@dataclass(frozen=True, slots=True)
class RoundHistory:
    """A round as far as its logs tell. `reveals` are those on chain, before any settlement."""

    key: RoundKey
    opening: Opening
    uri: str
    draw: Draw | None
    commits: tuple[Commit, ...]
    reveals: tuple[Reveal, ...]
    end: Settled | Cancelled | None

    def drawn(self) -> DrawnRound:
        """Return the facts that settling and cancelling start from; raise `LogMissing`."""
        if self.draw is None:
            raise LogMissing(self.key.round_id, "PanelDrawn")
        revealed = sum(1 << reveal.seat for reveal in self.reveals)
        return DrawnRound(self.key, self.opening, self.draw, self.commits, revealed)


def round_history(
    web3: Web3, deployment: Deployment, round_id: int, last: int | None = None
) -> RoundHistory:
    """
    Return what the logs up to block `last` (by default the latest) tell of one round.

    Raises `LogMissing` if the round was never opened, and what `read_logs` raises.
    """
    decoder = EventDecoder(load("QualityRounds").abi)
    logs = read_logs(
        web3,
        [deployment.rounds.address],
        deployment.start_block,
        web3.eth.block_number if last is None else last,
        topics=decoder.topics,
    )
    wanted = round_id.to_bytes(32)
    key = RoundKey(deployment.chain_id, deployment.rounds.address, round_id)
    # `Withdrawn` has an account where the others have the round.
    return history_of(key, _decoded(decoder, (log for log in logs if log.topics[1] == wanted)))


def history_of(key: RoundKey, events: Iterable[Event]) -> RoundHistory:
    """Return what `events` of the rounds contract, in chain order, tell of one round."""
    found: dict[str, list[Event]] = {}
    for event in events:
        if event.args.get("roundId") == key.round_id:
            found.setdefault(event.name, []).append(event)
    if "RoundOpened" not in found:
        raise LogMissing(key.round_id, "RoundOpened")
    [opened] = found["RoundOpened"]
    return RoundHistory(
        key=key,
        opening=opening_of(opened.args),
        uri=opened.args["uri"],
        draw=next((draw_of(event.args) for event in found.get("PanelDrawn", ())), None),
        commits=tuple(
            Commit(event.args["seat"], event.args["committedAt"], event.args["commitment"])
            for event in found.get("ScoresCommitted", ())
        ),
        reveals=tuple(
            Reveal(event.args["seat"], event.args["salt"], event.args["scores"])
            for event in found.get("ScoresRevealed", ())
        ),
        end=_end(found),
    )


def _decoded(decoder: EventDecoder, logs: Iterable[Log]) -> Iterator[Event]:
    return (event for log in logs if (event := decoder.decode(log)) is not None)


def opening_of(args: Mapping[str, Any]) -> Opening:
    terms = args["terms"]
    return Opening(
        requester=args["requester"],
        draw_block=args["drawBlock"],
        terms=Terms(
            domain=terms["domain"],
            rule=Rule(terms["rule"]),
            trim=terms["trim"],
            panel_size=terms["panelSize"],
            quorum=terms["quorum"],
            oracle=terms["oracle"],
            workload_hash=terms["workloadHash"],
            inference_budget=terms["inferenceBudget"],
            evaluator_budget=terms["evaluatorBudget"],
            settlement_fee=terms["settlementFee"],
        ),
        batches=tuple(
            Batch(
                node_id=batch["nodeId"],
                owner=batch["owner"],
                items=batch["items"],
                cost=batch["cost"],
                outputs_hash=batch["outputsHash"],
            )
            for batch in args["batches"]
        ),
        uri_hash=keccak(args["uri"].encode()),
    )


def draw_of(args: Mapping[str, Any]) -> Draw:
    return Draw(args["drawnAt"], args["seed"], unpack_panel(args["panel"]))


def _end(found: Mapping[str, list[Event]]) -> Settled | Cancelled | None:
    for event in found.get("RoundSettled", ()):
        return settled_of(event, found.get("RewardCredited", ()))
    for event in found.get("RoundCancelled", ()):
        return Cancelled(event.args["cancelledAt"], event.args["refund"], event.log)
    return None


def settled_of(event: Event, credited: Iterable[Event]) -> Settled:
    args = event.args
    seats = [seat for seat in range(args["seats"].bit_length()) if args["seats"] >> seat & 1]
    row = len(args["scores"]) // len(seats)
    return Settled(
        settler=args["settler"],
        settled_at=args["settledAt"],
        reveals=tuple(
            Reveal(seat, salt, args["scores"][i * row : (i + 1) * row])
            for i, (seat, salt) in enumerate(zip(seats, args["salts"], strict=True))
        ),
        consensus=args["consensus"],
        deviations=args["deviations"],
        payments=tuple(
            Payment(
                reward.args["nodeId"],
                Role(reward.args["role"]),
                reward.args["account"],
                reward.args["amount"],
            )
            for reward in credited
        ),
        refund=args["refund"],
        log=event.log,
    )

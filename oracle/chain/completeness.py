"""
Whether the logs that a node gave of the running rounds are all that the chain has.

A node that lags, or a balancer before several, may leave logs out and answer `[]` as if there were
none. What is missing then would be missing for good, so it is found before a view is made: the
contract counts its rounds, digests each one's log, and marks who revealed. One batch of requests,
asked only when blocks came that may hold logs of the contract.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from eth_abi import decode
from eth_abi.exceptions import DecodingError

from oracle.chain import calls
from oracle.chain.batches import Refusal, ask
from oracle.chain.deployment import Deployment
from oracle.chain.logs import LogsUnavailable
from oracle.chain.rounds import LogMissing
from oracle.chain.rpc import RpcUnreachable
from oracle.core.digest import opening_digest, replay
from oracle.core.facts import RoundState
from oracle.core.keccak import keccak

if TYPE_CHECKING:
    from web3 import Web3

    from oracle.chain.rounds import RoundHistory
    from oracle.chain.view import View

_BLOOM_BYTES = 256


class HeadGone(Exception):
    """The node no longer answers for the block that a view is of."""


class LogsWithheld(LogsUnavailable):
    """The node's logs are not those that the chain has digested; another time they may be."""


def require_complete(web3: Web3, deployment: Deployment, view: View) -> None:
    """
    Return if the view has every log of every running round; raise `LogsWithheld`.

    Raises `HeadGone`, and `RpcUnreachable` if the node does not say.
    """
    running = view.running
    wanted = [calls.rounds(deployment, "roundCount")]
    for round_id in running:
        wanted.append(calls.rounds(deployment, "digestOf", round_id))
        wanted.append(calls.rounds(deployment, "stateOf", round_id))
    answers = _answers(web3, wanted, view.pin)
    [count] = _decoded(web3, "roundCount", next(answers))
    if count != view.rounds:
        raise LogsWithheld(view.head.number, f"{count} rounds were opened, {view.rounds} have logs")
    for round_id in running:
        try:
            known = view.round(round_id), digest_of(view.history(round_id))
        except LogMissing as missing:
            raise LogsWithheld(view.head.number, str(missing)) from None
        [digest] = _decoded(web3, "digestOf", next(answers))
        state = RoundState(known[0].phase, *_decoded(web3, "stateOf", next(answers)))
        if (state, bytes(digest)) != known:
            raise LogsWithheld(
                view.head.number, f"those of round {round_id} are not what the chain has of it"
            )


def digest_of(history: RoundHistory) -> bytes:
    """Return what the logs of a running round hash to."""
    if history.draw is None:
        return opening_digest(history.key, history.opening)
    return replay(history.key, history.opening, history.draw, history.commits)


def may_hold_logs(header: Any, address: str) -> bool:
    """Return whether a block may hold logs of a contract, by the bloom filter of its header."""
    text = header.get("logsBloom")
    if not isinstance(text, str) or len(text) != 2 + 2 * _BLOOM_BYTES:
        return True
    bloom = int(text, 16)
    hashed = keccak(bytes.fromhex(address[2:]))
    bits = (int.from_bytes(hashed[i : i + 2]) % (8 * _BLOOM_BYTES) for i in (0, 2, 4))
    return all(bloom >> bit & 1 for bit in bits)


def _answers(web3: Web3, wanted: Sequence[calls.Call], pin: Any) -> Iterator[Any]:
    return ask(
        web3,
        [("eth_call", [{"to": call.to, "data": "0x" + call.data.hex()}, pin]) for call in wanted],
    )


def _decoded(web3: Web3, function: str, answer: Any) -> tuple[Any, ...]:
    if isinstance(answer, Refusal):
        raise HeadGone(answer)
    try:
        return tuple(decode(calls.outputs("QualityRounds", function), bytes.fromhex(answer[2:])))
    except (DecodingError, ValueError, TypeError):
        raise RpcUnreachable(str(web3.provider), f"its {function} is {answer!r:.20}") from None

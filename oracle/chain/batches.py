"""
Many requests to a node at once.

A batch saves the way there and back, and what is asked in one is mostly answered by one machine,
where several hide behind one name. Nodes limit batches: a refused one is halved. This module
decides the sizes; what an answer means, its callers do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from web3.types import RPCEndpoint

from oracle.chain.rpc import RpcUnreachable

if TYPE_CHECKING:
    from web3 import Web3

LARGEST_BATCH = 200

Request = tuple[str, list[Any]]


class Refusal(str):
    """The sentence with which a node refuses one request."""

    __slots__ = ()


def ask(
    web3: Web3, requests: Sequence[Request], largest: int = LARGEST_BATCH
) -> Iterator[Any | Refusal]:
    """
    Yield the result of each request, or the node's `Refusal` of it, in their order.

    Raises `RpcUnreachable`, also for a node that answers other requests than it was asked.
    """
    first = 0
    while first < len(requests):
        part = requests[first : first + largest]
        answers = _ask(web3, part)
        if answers is None:
            largest = len(part) // 2
            continue
        yield from answers
        first += len(part)


def _ask(web3: Web3, requests: Sequence[Request]) -> list[Any] | None:
    """Return the results, or `None` if the node refuses so large a batch."""
    provider: Any = web3.provider
    if len(requests) == 1:
        method, params = requests[0]
        return [_result(provider.make_request(RPCEndpoint(method), params))]
    answers = provider.make_batch_request(
        [(RPCEndpoint(name), params) for name, params in requests]
    )
    if not isinstance(answers, list):
        return None
    if len(answers) != len(requests):
        raise RpcUnreachable(str(provider), f"{len(answers)} answers to {len(requests)} requests")
    return [_result(answer) for answer in answers]


def _result(answer: Any) -> Any | Refusal:
    if not isinstance(answer, dict) or ("result" not in answer and "error" not in answer):
        return Refusal("no JSON-RPC response")
    if "error" in answer:
        error = answer["error"]
        return Refusal(error.get("message", error) if isinstance(error, dict) else error)
    return answer["result"]

"""
Several nodes as one: what money is settled on, enough of them have to say alike.

This module decides which answers count. Reads of blocks, logs, receipts, calls, balances and nonces
go to all nodes, and an answer that enough of them give is the answer; the latest block is the
highest that enough of them have. Transactions go to all. Anything else is asked of one after the
other. A node that is silent, slow or alone with its answer is left out for a time, and `health`
says so. Retries within one node, `rpc` decides.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, cast

from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from oracle.chain.rpc import WRITES, HttpProvider, RpcUnreachable
from oracle.chain.votes import ESSENCE, Votes

ASIDE = 30.0
"""Seconds that a node is left out for."""
LAG = 8
"""Blocks that a node may be behind the others before it is left out."""
GRACE = 1.0
"""Seconds that are waited for more answers once there are enough."""
_WAITING = 4
"""Requests that a slow node may owe before it is not asked any more."""

Request = tuple[RPCEndpoint, Any]
_Answer = tuple["_Node", "list[RPCResponse] | Exception"]


class NoAgreement(RpcUnreachable):
    """Too few nodes gave the same answer."""

    def __init__(self, method: str, alike: int, needed: int, asked: int) -> None:
        Exception.__init__(
            self,
            f"{alike} of {asked} nodes give the same answer to {method}, and {needed} have to.",
        )


@dataclass(frozen=True, slots=True)
class Health:
    """How a node fares: `left_out` is why it is not asked now, empty while it is."""

    host: str
    left_out: str


class AgreeingProvider(JSONBaseProvider):
    """
    Ask several nodes and answer what `agree` of them say, by default more than half.

    `agree` is from 1 to the number of nodes.
    """

    def __init__(
        self,
        providers: Sequence[HttpProvider],
        agree: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.agree = len(providers) // 2 + 1 if agree is None else agree
        self._nodes = [_Node(provider, clock) for provider in providers]

    def __str__(self) -> str:
        return f"RPC connections to {', '.join(node.host for node in self._nodes)}"

    @property
    def health(self) -> tuple[Health, ...]:
        """How each node fares, in the order they were given."""
        return tuple(node.health for node in self._nodes)

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Return the answer that counts, an error included; raise `RpcUnreachable`."""
        [answer] = self._answers([(method, params)])
        return answer

    def make_batch_request(
        self, batch_requests: list[tuple[RPCEndpoint, Any]]
    ) -> list[RPCResponse] | RPCResponse:
        """Return the answers that count in the order of the requests."""
        return self._answers(batch_requests)

    def is_connected(self, show_traceback: bool = False) -> bool:
        """Return whether enough nodes answer alike."""
        try:
            self.make_request(RPCEndpoint("eth_chainId"), [])
        except RpcUnreachable:
            return False
        return True

    def _answers(self, requests: Sequence[Request]) -> list[RPCResponse]:
        """Answer each kind of request in its way, and put the answers in order."""
        agreed = [i for i, request in enumerate(requests) if _is_settled_on(request)]
        writes = [i for i, (method, _) in enumerate(requests) if method in WRITES]
        rest = sorted({*range(len(requests))} - {*agreed} - {*writes})
        answers: dict[int, RPCResponse] = {}
        if agreed:
            found = self._agreed([requests[i] for i in agreed])
            answers.update(zip(agreed, found, strict=True))
        for i in writes:
            answers[i] = self._write(requests[i])
        if rest:
            found = self._first([requests[i] for i in rest])
            answers.update(zip(rest, found, strict=True))
        return [answers[i] for i in range(len(requests))]

    # Reads that have to agree

    def _agreed(self, requests: Sequence[Request]) -> list[RPCResponse]:
        nodes = self._able()
        if any(_asks_for_latest(request) for request in requests):
            height, nodes = self._height(nodes)
            requests = [_at(height, request) for request in requests]
            if all(method == "eth_blockNumber" for method, _ in requests):
                answer = {"jsonrpc": "2.0", "id": 1, "result": hex(height)}
                return [cast(RPCResponse, answer)] * len(requests)
        votes = Votes[_Node]([method for method, _ in requests], self.agree)
        for node, found in self._ask_all(nodes, requests, len(nodes)):
            votes.count(node, found)
            if votes.are_decided:
                break
        if not votes.are_decided:
            raise NoAgreement(*votes.worst(), self.agree, len(nodes))
        for node in votes.liars():
            node.leave_out("its answer is not the others'")
        return votes.answers()

    def _height(self, nodes: Sequence[_Node]) -> tuple[int, list[_Node]]:
        """Return the highest block that enough nodes have, and those that have it."""
        heights: dict[_Node, int] = {}
        request: Request = (RPCEndpoint("eth_blockNumber"), [])
        for node, [answer] in self._ask_all(nodes, [request], self.agree):
            if isinstance(answer.get("result"), str):
                heights[node] = int(answer["result"], 16)
        if len(heights) < self.agree:
            raise NoAgreement("eth_blockNumber", len(heights), self.agree, len(nodes))
        height = sorted(heights.values(), reverse=True)[self.agree - 1]
        for node, found in heights.items():
            if height - found > LAG:
                node.leave_out(f"it is {height - found} blocks behind")
        return height, [node for node, found in heights.items() if found >= height]

    # Writes, and what needs no agreement

    def _write(self, request: Request) -> RPCResponse:
        """Give a transaction to every node, once; one that takes it is enough."""
        refusal: RPCResponse | None = None
        taken: RPCResponse | None = None
        for _, [answer] in self._ask_all(self._nodes, [request], 1):
            if "error" in answer:
                refusal = refusal or answer
            else:
                taken = answer
        said = taken or refusal
        if said is None:
            raise RpcUnreachable(str(self), "no node answers")
        return said

    def _first(self, requests: Sequence[Request]) -> list[RPCResponse]:
        failure = RpcUnreachable(str(self), "no node answers")
        for node in self._able():
            try:
                return node.ask(requests)
            except RpcUnreachable as error:
                failure = error
        raise failure

    def _able(self) -> list[_Node]:
        """Return the nodes that are not left out, or all if these are too few to agree."""
        able = [node for node in self._nodes if not node.health.left_out]
        return able if len(able) >= self.agree else list(self._nodes)

    def _ask_all(
        self, nodes: Sequence[_Node], requests: Sequence[Request], enough: int
    ) -> Iterator[tuple[_Node, list[RPCResponse]]]:
        """Yield each node with its answers as they come; after `enough` of them, not for long."""
        answers: SimpleQueue[_Answer] = SimpleQueue()
        missing = {node for node in nodes if node.take(requests, answers)}
        arrived, deadline = 0, None
        while missing:
            if arrived >= enough and deadline is None:
                deadline = time.monotonic() + GRACE
            try:
                # A request ends by its own time-out, if not before.
                timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
                node, found = answers.get(timeout=timeout)
            except Empty:
                for node in missing:
                    node.leave_out("it is slow")
                return
            missing.discard(node)
            if isinstance(found, list):
                arrived += 1
                yield node, found
            elif not isinstance(found, RpcUnreachable):
                raise found


class _Node:
    """One node, and whether it is worth asking."""

    def __init__(self, provider: HttpProvider, clock: Callable[[], float]) -> None:
        self.host = provider.host
        self._provider = provider
        self._clock = clock
        self._lock = threading.Lock()
        self._inbox: SimpleQueue[tuple[Sequence[Request], SimpleQueue[_Answer]]] = SimpleQueue()
        self._workers = 0
        self._owed = 0
        self._until = 0.0
        self._reason = ""

    @property
    def health(self) -> Health:
        is_out = self._clock() < self._until
        return Health(self.host, self._reason if is_out else "")

    def leave_out(self, reason: str) -> None:
        with self._lock:
            self._until, self._reason = self._clock() + ASIDE, reason

    def take(self, requests: Sequence[Request], answers: SimpleQueue[_Answer]) -> bool:
        """Have the requests asked and the answers put into a queue; false if it owes too many."""
        with self._lock:
            if self._owed >= _WAITING:
                return False
            self._owed += 1
            if self._owed > self._workers:
                self._workers += 1
                # A node that hangs shall not keep this process from ending.
                threading.Thread(target=self._work, daemon=True).start()
        self._inbox.put((requests, answers))
        return True

    def ask(self, requests: Sequence[Request]) -> list[RPCResponse]:
        """Return the answers in order; raise `RpcUnreachable`, and be left out for it."""
        try:
            if len(requests) == 1:
                return [self._provider.make_request(*requests[0])]
            answers = self._provider.make_batch_request(list(requests))
            if not isinstance(answers, list) or len(answers) != len(requests):
                # It limits its batches.
                return [self._provider.make_request(*request) for request in requests]
            return answers
        except RpcUnreachable as error:
            self.leave_out(str(error))
            raise

    def _work(self) -> None:
        while True:
            requests, answers = self._inbox.get()
            found: list[RPCResponse] | Exception
            try:
                found = self.ask(requests)
            except Exception as error:  # for who waits for it
                found = error
            with self._lock:
                self._owed -= 1
            answers.put((self, found))


def _is_settled_on(request: Request) -> bool:
    """Return whether a request has to be agreed on; what is pending differs from node to node."""
    method, params = request
    return method in ESSENCE and "pending" not in params


def _asks_for_latest(request: Request) -> bool:
    method, params = request
    return method == "eth_blockNumber" or "latest" in params


def _at(height: int, request: Request) -> Request:
    method, params = request
    return method, [hex(height) if each == "latest" else each for each in params]

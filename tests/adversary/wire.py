"""
A node that lies: what the program hears of a local chain, changed on its way.

It stands where `requests` sends what the program asks, so that everything above the socket is the
real thing. A liar is deterministic: the same seed gives the same answers to the same questions.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from oracle.chain import rpc
from oracle.chain.devnet_rpc import DevnetRpc, RpcError
from tests.adversary.mutation import broken_bytes, broken_json

STATUS = (200, 204, 301, 400, 401, 404, 418, 429, 500, 502, 503)
BODIES = (
    b"",
    b"<html>busy</html>",
    b"null",
    b"[]",
    b"{}",
    b'{"result": null}',
    b'"ok"',
    b"\xff\xfe",
)
ERRORS = (-32000, -32005, -32601, 429, 3, 0, "3", None)


@dataclass
class Answer:
    """What the program looks at of an HTTP response."""

    status_code: int
    content: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.status_code < 400


@dataclass
class Wire:
    """The way to a chain. With a `liar`, some answers are changed on it."""

    chain: DevnetRpc
    liar: random.Random | None = None
    rate: float = 0.0
    remembered: dict[str, dict[str, Any]] | None = None
    """Once nothing changes the chain any more, its answers by question."""

    def post(self, session: requests.Session, url: str, *, data: bytes, timeout: float) -> Answer:
        """Answer a request or a batch."""
        request = json.loads(data)
        if isinstance(request, list):
            told: Any = [self._told(each) for each in request]
        else:
            told = self._told(request)
        honest = json.dumps(told).encode()
        if self.liar is None or self.liar.random() >= self.rate:
            return Answer(200, honest)
        return self._lie(self.liar, honest, told)

    def _told(self, request: dict[str, Any]) -> dict[str, Any]:
        head = {"jsonrpc": "2.0", "id": request["id"]}
        question = json.dumps([request["method"], request["params"]])
        if self.remembered is None:
            return head | self._answer(request)
        if question not in self.remembered:
            self.remembered[question] = self._answer(request)
        return head | self.remembered[question]

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"result": self.chain.request(request["method"], request["params"])}
        except RpcError as error:
            return {"error": error.as_json()}

    def _lie(self, rng: random.Random, honest: bytes, told: Any) -> Answer:
        kind = rng.randrange(10)
        if kind == 0:
            return Answer(rng.choice(STATUS), rng.choice((honest, *BODIES)))
        if kind == 1:
            return Answer(200, broken_bytes(rng, honest))
        if kind == 2:
            said = {"code": rng.choice(ERRORS), "message": rng.choice(("no", "", None, 7))}
            wrong: Any = rng.choice(
                (said, "no", None, [], {**said, "data": rng.choice(("0x", 1, {}))})
            )
            return Answer(200, json.dumps({"jsonrpc": "2.0", "id": 1, "error": wrong}).encode())
        if isinstance(told, dict) and "result" in told:
            broken = broken_json(rng, json.dumps({"": told["result"]}).encode())
            result = broken.partition(b":")[2].removesuffix(b"}") or b"null"
            head = f'{{"jsonrpc": "2.0", "id": {told["id"]}, "result": '.encode()
            return Answer(200, head + result + b"}")
        return Answer(200, broken_json(rng, honest))


@contextmanager
def wired(wire: Wire) -> Iterator[Wire]:
    """Send everything that the program asks over `wire`; it never waits before asking again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests.Session, "post", lambda *args, **named: wire.post(*args, **named))
        patch.setattr(rpc, "FIRST_PAUSE", 0.0)
        yield wire

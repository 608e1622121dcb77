"""
Votes on what the chain says: which of several answers enough nodes give.

This module decides when two answers are the same, though nodes may word them differently or add to
them, and which of them counts. It asks nobody.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from web3.types import RPCResponse

Voter = TypeVar("Voter", bound=Hashable)

_BLOCK = ("hash", "number", "parentHash", "timestamp", "baseFeePerGas", "transactions")
_LOG = ("address", "topics", "data", "blockNumber", "blockHash", "transactionHash", "logIndex")
_RECEIPT = ("transactionHash", "blockNumber", "blockHash", "status", "contractAddress", "gasUsed")
ESSENCE: Mapping[str, tuple[str, ...] | None] = {
    "eth_chainId": None,
    "eth_blockNumber": None,
    "eth_call": None,
    "eth_getBalance": None,
    "eth_getBlockByHash": _BLOCK,
    "eth_getBlockByNumber": _BLOCK,
    "eth_getCode": None,
    "eth_getLogs": _LOG,
    "eth_getStorageAt": None,
    "eth_getTransactionCount": None,
    "eth_getTransactionReceipt": _RECEIPT,
}
"""The reads that have to agree, and the fields that count where nodes may add more."""


class Votes(Generic[Voter]):
    """The answers to some requests, by what they say."""

    def __init__(self, methods: Sequence[str], needed: int) -> None:
        self._methods = methods
        self._needed = needed
        self._counts: list[Counter[str]] = [Counter() for _ in methods]
        self._answers: list[dict[str, RPCResponse]] = [{} for _ in methods]
        self._by: list[dict[Voter, str]] = [{} for _ in methods]

    def count(self, node: Voter, found: Sequence[RPCResponse]) -> None:
        for i, (method, answer) in enumerate(zip(self._methods, found, strict=True)):
            key = _essence(method, answer)
            self._counts[i][key] += 1
            self._answers[i].setdefault(key, answer)
            self._by[i][node] = key

    @property
    def are_decided(self) -> bool:
        return all(self._winner(i) is not None for i in range(len(self._methods)))

    def answers(self) -> list[RPCResponse]:
        return [
            self._answers[i][winner]
            for i in range(len(self._methods))
            if (winner := self._winner(i)) is not None
        ]

    def worst(self) -> tuple[str, int]:
        """Return the method that is agreed on least, and how many agree."""
        most = [max(counts.values(), default=0) for counts in self._counts]
        return self._methods[most.index(min(most))], min(most)

    def liars(self) -> set[Voter]:
        """Return who said something else than enough others; to know nothing is no lie."""
        return {
            node
            for i, by in enumerate(self._by)
            for node, key in by.items()
            if key != self._winner(i) and not _is_ignorance(self._answers[i][key])
        }

    def _winner(self, i: int) -> str | None:
        [(key, votes)] = self._counts[i].most_common(1) or [("", 0)]
        return key if votes >= self._needed else None


def _essence(method: str, answer: RPCResponse) -> str:
    """Return what an answer says, without what nodes may say differently."""
    if "error" in answer:
        error = answer["error"]
        data = error.get("data") if isinstance(error, dict) else None
        return json.dumps({"refused": data}, sort_keys=True)
    result, fields = answer.get("result"), ESSENCE[method]
    if fields is not None and isinstance(result, list):
        result = [_fields(fields, each) for each in result]
    elif fields is not None:
        result = _fields(fields, result)
    return json.dumps(result, sort_keys=True).lower()


def _fields(fields: tuple[str, ...], value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    chosen = {each: value.get(each) for each in fields}
    if isinstance(sent := chosen.get("transactions"), list):
        chosen["transactions"] = [each["hash"] if isinstance(each, dict) else each for each in sent]
    return chosen


def _is_ignorance(answer: RPCResponse) -> bool:
    return "error" in answer or answer.get("result") in (None, [])

"""
Read event logs from a node, completely and in order, and decode them by their ABI.

This module decides how a range of blocks is cut into requests: nodes limit the blocks or the logs
of one answer, so a range that fails, or whose answer is suspiciously large, is halved. It gives no
meaning to an event. Nothing here is trusted to be complete: the audit proves that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from eth_typing import ABIEvent
from eth_utils.abi import event_abi_to_log_topic
from web3 import Web3
from web3.types import RPCEndpoint

from oracle.chain.abi_words import NotStrict, compile_tuple, word_reader
from oracle.core.words import account

WIDEST_RANGE = 10_000
TRUNCATED_AT = 10_000
"""Nodes that truncate silently do so at this many logs or more."""

Abi = Sequence[Mapping[str, Any]]


class LogsUnavailable(Exception):
    """The node refuses the logs of a single block."""

    def __init__(self, block: int, reason: str) -> None:
        super().__init__(f"The node does not give the logs of block {block}: {reason}.")
        self.block = block


class NodeBehind(Exception):
    """The node has not reached the last block that was asked for: its logs would be incomplete."""

    def __init__(self, head: int, last: int) -> None:
        super().__init__(f"The node is at block {head}; logs up to block {last} were asked for.")
        self.head = head
        self.last = last


class NotCanonical(ValueError):
    """The data of a log says what the event says, but not in the one way that contracts do."""

    def __init__(self, event: str, reason: str) -> None:
        super().__init__(f"{event} is not encoded as contracts encode it: {reason}")
        self.event = event


@dataclass(frozen=True, slots=True)
class Log:
    """One log as the node gave it. `address` is checksummed."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: bytes
    transaction_hash: bytes
    log_index: int


@dataclass(frozen=True, slots=True)
class Event:
    """A decoded log. Structs in `args` are dicts, addresses checksummed, `bytes` are bytes."""

    name: str
    args: dict[str, Any]
    log: Log


def read_logs(
    web3: Web3,
    addresses: Sequence[str],
    first: int,
    last: int,
    *,
    topics: Sequence[bytes] = (),
    indexed: Sequence[Sequence[bytes]] = (),
    widest: int = WIDEST_RANGE,
) -> Iterator[Log]:
    """
    Yield the logs of `addresses` in blocks `first` to `last`, both included, in chain order.

    With `topics`, only logs whose first topic is one of them; with `indexed`, only those whose
    further topics are, place by place, among the given ones, where none given is any. Raises
    `NodeBehind`, `LogsUnavailable`, `RpcUnreachable`.
    """
    head = web3.eth.block_number
    if head < last:
        raise NodeBehind(head, last)
    width = widest
    while first <= last:
        until = min(first + width - 1, last)
        answer = _ask(web3, addresses, [topics, *indexed], first, until)
        if until > first and (isinstance(answer, str) or len(answer) >= TRUNCATED_AT):
            width = (until - first + 1) // 2
            continue
        if isinstance(answer, str):
            raise LogsUnavailable(first, answer)
        yield from sorted(
            (parse_log(raw) for raw in answer if not raw.get("removed")),
            key=lambda log: (log.block_number, log.log_index),
        )
        first = until + 1
        width = min(2 * width, widest)


class EventDecoder:
    """Decode the events of one contract."""

    def __init__(self, abi: Abi) -> None:
        self._events = {
            event_abi_to_log_topic(cast(ABIEvent, entry)): _Shape(entry)
            for entry in abi
            if entry["type"] == "event"
        }

    @property
    def topics(self) -> tuple[bytes, ...]:
        """The first topic of every event that this decodes."""
        return tuple(self._events)

    @property
    def names(self) -> dict[bytes, str]:
        """The names of the events by their first topics."""
        return {topic: shape.name for topic, shape in self._events.items()}

    def decode(self, log: Log) -> Event | None:
        """
        Return the event of `log`, or `None` if the ABI has none with its first topic.

        Raises `NotCanonical` for topics or data that no contract logs.
        """
        shape = self._events.get(log.topics[0]) if log.topics else None
        if shape is None:
            return None
        try:
            args = shape.read(log.topics, log.data)
        except NotStrict as error:
            raise NotCanonical(shape.name, str(error)) from None
        return Event(shape.name, args, log)


class _Shape:
    """How the topics and the data of one event are read."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.name: str = entry["name"]
        fields = entry["inputs"]
        self._names = [field["name"] for field in fields]
        self._indexed = [
            # What does not fit into a topic is there as a hash.
            (field["name"], word_reader("bytes32" if _is_hashed(field["type"]) else field["type"]))
            for field in fields
            if field["indexed"]
        ]
        plain = [field for field in fields if not field["indexed"]]
        self._plain_names = [field["name"] for field in plain]
        self._plain = compile_tuple(plain)

    def read(self, topics: Sequence[bytes], data: bytes) -> dict[str, Any]:
        """Return the arguments by name in the order of the event; raise `NotStrict`."""
        if len(topics) != len(self._indexed) + 1:
            raise NotStrict(f"{len(topics)} topics instead of {len(self._indexed) + 1}")
        args: dict[str, Any] = dict.fromkeys(self._names)
        for (name, read), topic in zip(self._indexed, topics[1:], strict=True):
            args[name] = read(topic)
        args.update(zip(self._plain_names, self._plain(data), strict=True))
        return args


def _is_hashed(kind: str) -> bool:
    return kind in {"string", "bytes"} or kind.startswith("tuple") or kind.endswith("]")


def _ask(
    web3: Web3, addresses: Sequence[str], topics: Sequence[Sequence[bytes]], first: int, last: int
) -> list[dict[str, Any]] | str:
    """Return the node's logs, or the sentence with which it refuses them."""
    wanted: dict[str, Any] = {
        "address": list(addresses),
        "fromBlock": hex(first),
        "toBlock": hex(last),
    }
    if any(topics):
        wanted["topics"] = [
            ["0x" + topic.hex() for topic in choice] if choice else None for choice in topics
        ]
    # web3's own formatting of logs takes ten times as long as fetching them.
    response = web3.provider.make_request(RPCEndpoint("eth_getLogs"), [wanted])
    if "error" in response:
        error = response["error"]
        return error["message"] if isinstance(error, dict) else str(error)
    logs: list[dict[str, Any]] = response["result"]
    return logs


def parse_log(raw: Mapping[str, Any]) -> Log:
    return Log(
        address=account(bytes.fromhex(raw["address"][2:])),
        topics=tuple(bytes.fromhex(topic[2:]) for topic in raw["topics"]),
        data=bytes.fromhex(raw["data"][2:]),
        block_number=int(raw["blockNumber"], 16),
        block_hash=bytes.fromhex(raw["blockHash"][2:]),
        transaction_hash=bytes.fromhex(raw["transactionHash"][2:]),
        log_index=int(raw["logIndex"], 16),
    )

"""A chain that is nothing but the logs of rounds: they open, are drawn, committed to, and end."""

from __future__ import annotations

import random
from dataclasses import astuple, dataclass
from functools import cache
from hashlib import sha256
from typing import Any

from eth_abi import encode
from eth_utils.abi import collapse_if_tuple, event_abi_to_log_topic
from web3.types import RPCEndpoint, RPCResponse

from deploy.artifacts import load
from oracle.chain import calls
from oracle.chain.block_store import Block
from oracle.chain.completeness import digest_of
from oracle.chain.deployment import DeployedContract, Deployment
from oracle.chain.logs import Event, EventDecoder, parse_log
from oracle.chain.view import View
from oracle.core.consensus import Rule
from oracle.core.facts import Batch, Seat, Terms, pack_panel
from oracle.core.parameters import RegistryParameters, RoundsParameters, TrustParameters
from tests.chain.fake_node import CHAIN_ID, FakeBlock, FakeNode

ROUNDS = "0x" + "AA" * 20
SOMEBODY = "0x" + "55" * 20
_EVENTS: dict[str, Any] = {
    entry["name"]: entry for entry in load("QualityRounds").abi if entry["type"] == "event"
}
PANEL = 3

DEPLOYMENT = Deployment(
    chain_id=CHAIN_ID,
    start_block=2,
    token=SOMEBODY,
    registry=DeployedContract("0x" + "BB" * 20, bytes(32), b""),
    rounds=DeployedContract(ROUNDS, bytes(32), b""),
    registry_parameters=RegistryParameters(
        1, 1, 1, 1, SOMEBODY, TrustParameters(1, 1, 1, 1, 1, 1, 1)
    ),
    rounds_parameters=RoundsParameters(0, 1, 1, 1, 1, 1, 1, 1),
)

_DECODER = EventDecoder(load("QualityRounds").abi)
_FUNCTIONS = {
    calls.rounds(DEPLOYMENT, name, *arguments).data[:4]: name
    for name, arguments in (("roundCount", ()), ("digestOf", (1,)), ("stateOf", (1,)))
}


def raw_log(name: str, args: dict[str, Any]) -> dict[str, Any]:
    """Return a log without its place, as a contract emits it."""
    fields = _EVENTS[name]["inputs"]
    topics = [event_abi_to_log_topic(_EVENTS[name])]
    for field in fields:
        if field["indexed"]:
            topics.append(encode([field["type"]], [args[field["name"]]]))
    plain = [field for field in fields if not field["indexed"]]
    data = encode(
        [collapse_if_tuple(dict(field)) for field in plain],
        [args[field["name"]] for field in plain],
    )
    return {
        "address": ROUNDS.lower(),
        "topics": ["0x" + topic.hex() for topic in topics],
        "data": "0x" + data.hex(),
    }


@dataclass
class Progress:
    """How far a round is."""

    drawn: bool = False
    committed: int = 0
    ended: bool = False


class RoundsNode(FakeNode):
    """A chain whose blocks hold random logs of rounds, each possible after those before it."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self.logs: dict[bytes, list[dict[str, Any]]] = {}
        self.requests = 0
        self._decoded: dict[bytes, list[tuple[int, Event]]] = {}
        self._views: dict[bytes, View] = {}
        self.trap: tuple[int, int] | None = None
        """At which request from now on the chain is reorganised meanwhile, and how deeply."""

    # The chain

    def extend(self, count: int) -> None:
        rounds = self.progress()
        for _ in range(count):
            self.add(self.random.choice((0, 0, 1, 3)), rounds)

    def fork(self, depth: int, length: int) -> None:
        """Replace the last `depth` blocks by `length` others."""
        kept = max(1, len(self.blocks) - depth)
        del self.blocks[kept:]
        self.extend(length)

    def add(self, logs: int, rounds: dict[int, Progress] | None = None) -> None:
        parent = self.head
        self._salt += 1
        hash_ = sha256(b"%d %d" % (parent.number + 1, self._salt)).digest()
        header = Block(parent.number + 1, hash_, parent.hash, parent.timestamp + 12)
        rounds = self.progress() if rounds is None else rounds
        emitted = [self.step(rounds, header) for _ in range(logs)] if header.number > 2 else []
        self.blocks.append(FakeBlock(header))
        self.logs[hash_] = [
            log
            | {
                "blockNumber": hex(header.number),
                "blockHash": "0x" + hash_.hex(),
                "transactionHash": "0x" + sha256(hash_ + bytes([index])).hexdigest(),
                "logIndex": hex(index),
                "removed": False,
            }
            for index, log in enumerate(emitted)
        ]

    def progress(self) -> dict[int, Progress]:
        """Return how far every round is, told by the logs of this branch."""
        rounds: dict[int, Progress] = {}
        for block in self.blocks:
            for log in self.logs.get(block.header.hash, ()):
                name = log["topics"][0]
                if name == _topic("Withdrawn"):
                    continue
                each = rounds.setdefault(int(log["topics"][1], 16), Progress())
                each.drawn |= name == _topic("PanelDrawn")
                each.committed += name == _topic("ScoresCommitted")
                each.ended |= name == _topic("RoundCancelled")
        return rounds

    def step(self, rounds: dict[int, Progress], block: Block) -> dict[str, Any]:
        """Take one step in one round and return its log."""
        running = [round_id for round_id, each in rounds.items() if not each.ended]
        if not running or self.random.random() < 0.2:
            round_id = len(rounds) + 1
            rounds[round_id] = Progress()
            return self.opened(round_id, block)
        round_id = self.random.choice(running)
        each = rounds[round_id]
        if self.random.random() < 0.2:
            each.ended = True
            return raw_log(
                "RoundCancelled",
                {
                    "roundId": round_id,
                    "requester": SOMEBODY,
                    "cancelledAt": block.timestamp,
                    "refund": 3,
                },
            )
        if not each.drawn:
            each.drawn = True
            seats = tuple(Seat(i + 1, SOMEBODY, 7) for i in range(PANEL))
            return raw_log(
                "PanelDrawn",
                {
                    "roundId": round_id,
                    "drawnAt": block.timestamp,
                    "seed": block.hash,
                    "panel": pack_panel(seats),
                },
            )
        if each.committed == PANEL:
            return raw_log("Withdrawn", {"account": SOMEBODY, "amount": 1})
        seat, each.committed = each.committed, each.committed + 1
        return raw_log(
            "ScoresCommitted",
            {
                "roundId": round_id,
                "seat": seat,
                "nodeId": seat + 1,
                "committedAt": block.timestamp,
                "commitment": sha256(block.hash).digest(),
            },
        )

    def opened(self, round_id: int, block: Block) -> dict[str, Any]:
        domain = b"qa".ljust(32, b"\0")
        terms = Terms(domain, Rule.MEAN, 0, PANEL, 2, "0x" + 40 * "0", block.hash, 1, 1, 1)
        batch = Batch(9, SOMEBODY, 5, 1, block.hash)
        return raw_log(
            "RoundOpened",
            {
                "roundId": round_id,
                "requester": SOMEBODY,
                "drawBlock": block.number,
                "terms": terms.as_tuple(),
                "batches": [batch.as_tuple()],
                "uri": f"ipfs://{round_id}",
            },
        )

    # The node

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        self.requests += 1
        if self.trap is not None:
            left, depth = self.trap
            self.trap = (left - 1, depth) if left else None
            if not left:
                self.fork(depth, depth + 1)
        return super().make_request(method, params)

    def _view(self, head: Block) -> View:
        if head.hash not in self._views:
            events: dict[int, tuple[Event, ...]] = {}
            for each in self.blocks[: head.number + 1]:
                for round_id, event in self._events_of(each.header.hash):
                    events[round_id] = (*events.get(round_id, ()), event)
            self._views[head.hash] = View(
                self.web3, DEPLOYMENT, {head.number: head}, events, rounds=len(events), pin=None
            )
        return self._views[head.hash]

    def _events_of(self, block: bytes) -> list[tuple[int, Event]]:
        if block not in self._decoded:
            events = (_DECODER.decode(parse_log(raw)) for raw in self.logs.get(block, ()))
            self._decoded[block] = [
                (event.args["roundId"], event)
                for event in events
                if event is not None and "roundId" in event.args
            ]
        return self._decoded[block]

    def _eth_call(self, transaction: dict[str, Any], block: Any) -> str:
        """Answer what the contract says of its rounds: what all the logs of this branch say."""
        view = self._view(self.blocks[self._number(block)].header)
        data = bytes.fromhex(transaction["data"][2:])
        function, round_id = _FUNCTIONS[data[:4]], int.from_bytes(data[4:36])
        values: tuple[Any, ...] = (view.rounds,)
        if function == "digestOf":
            values = (digest_of(view.history(round_id)),)
        elif function == "stateOf":
            values = astuple(view.round(round_id))[1:]
        return "0x" + encode(calls.outputs("QualityRounds", function), values).hex()

    def _eth_blockNumber(self) -> str:
        return hex(self.head.number)

    def _eth_getBlockByNumber(self, wanted: str, full: bool) -> Any:
        header = super()._eth_getBlockByNumber(wanted, full)
        if header is None:
            return None
        logs = self.logs.get(bytes.fromhex(header["hash"][2:]))
        # A filter that lets all pass, or nothing.
        return {**header, "logsBloom": "0x" + 256 * ("ff" if logs else "00")}

    def _eth_getBlockByHash(self, wanted: str, full: bool) -> Any:
        try:
            number = self._number({"blockHash": wanted})
        except ValueError:
            return None
        return self._eth_getBlockByNumber(hex(number), full)

    def _eth_getLogs(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        if "blockHash" in wanted:
            # Like nodes that know no better than to answer nothing of a block that they lost.
            known = {"0x" + block.header.hash.hex() for block in self.blocks}
            hashes = (
                [bytes.fromhex(wanted["blockHash"][2:])] if wanted["blockHash"] in known else []
            )
        else:
            first, last = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
            hashes = [block.header.hash for block in self.blocks[first : last + 1]]
        topics = wanted["topics"][0]
        return [
            log for each in hashes for log in self.logs.get(each, ()) if log["topics"][0] in topics
        ]


@cache
def _topic(name: str) -> str:
    return "0x" + event_abi_to_log_topic(_EVENTS[name]).hex()

"""A local chain, looked at and written to as an evaluator does, one tick at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from oracle.chain.calls import Call
from oracle.chain.errors import Reverted
from oracle.chain.follower import Block, View
from oracle.chain.journal import Entry, Status, Version
from oracle.chain.keys import Signer
from oracle.chain.rounds import RoundHistory
from oracle.chain.state import State
from oracle.core.facts import Opening, Phase, Role, RoundState
from oracle.core.parameters import RoundsParameters
from oracle.core.units import pack
from oracle.demo.network import Network, Party
from oracle.service.couriers import Couriers
from oracle.service.documents import RevealFile
from oracle.service.evaluator import Evaluator, EvaluatorSettings
from oracle.service.funds import Funds
from oracle.service.health import Health, Pulse
from oracle.service.metrics import DaemonMetrics
from oracle.service.rows import Rows
from oracle.service.scores import FILE, ScoreStore
from oracle.service.vitals import CHECKS, Vitals
from tests.core.rounds import some_scores

ITEMS = 5
MARGIN = 100
COSTLY = 10**12


@dataclass
class Log:
    """Remembers what was logged."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __getattr__(self, level: str) -> Any:
        return lambda event, **fields: self.events.append((event, fields))

    def named(self, event: str) -> list[dict[str, Any]]:
        return [fields for name, fields in self.events if name == event]


class Look:
    """The latest block of a `Network`, as `View` has it."""

    def __init__(self, network: Network) -> None:
        self._network = network
        block = network.web3.eth.get_block("latest")
        self.head = Block(
            block["number"], bytes(block["hash"]), bytes(block["parentHash"]), block["timestamp"]
        )
        self.finalized = 0
        self.rounds = self.state().round_count()
        self.running = tuple(
            each
            for each in range(1, self.rounds + 1)
            if self.round(each).phase in (Phase.OPEN, Phase.DRAWN)
        )

    def state(self) -> State:
        return self._network.state()

    def round(self, round_id: int) -> RoundState:
        return self.state().round(round_id)

    def history(self, round_id: int) -> RoundHistory:
        return self._network.history(round_id)


@dataclass
class Looking:
    network: Network

    def advance(self) -> View:
        return cast(View, Look(self.network))

    def forget(self) -> None:
        """Nothing is remembered."""


@dataclass
class Post:
    """Sends and mines at once, once a purpose, unless nothing gets through."""

    network: Network
    signer: Signer
    sent: dict[str, Entry] = field(default_factory=dict)
    is_down: bool = False
    address: str = ""

    def __post_init__(self) -> None:
        self.address = self.signer.address

    def send(self, purpose: str, call: Call) -> Entry:
        if self.is_down:
            raise Reverted("Down", {}, "nothing gets through")
        receipt = self.network.send(self.signer, call)
        entry = Entry(
            key=len(self.sent),
            purpose=purpose,
            chain_id=1,
            sender=self.address,
            nonce=len(self.sent),
            call=call,
            gas=receipt["gasUsed"],
            versions=(Version(bytes(receipt["transactionHash"]), b"", 1, 1, False, 0.0),),
            status=Status.MINED,
            max_fee_per_gas=1,
            created_at=0.0,
        )
        self.sent[purpose] = entry
        return entry

    def find(self, purpose: str) -> Entry | None:
        return self.sent.get(purpose)

    def unsettled(self) -> list[Entry]:
        return list(self.sent.values())

    def advance(self, view: View) -> tuple[Entry, ...]:
        return ()


@dataclass
class Scoring:
    """Gives each seat the same scores, or fails, and counts."""

    failure: Exception | None = None
    asked: int = 0
    row: bytes = field(default_factory=lambda: pack(some_scores()[0][:ITEMS]))

    def __call__(self, opening: Opening, uri: str) -> bytes:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.row


@dataclass
class Deliveries:
    """What an oracle was handed, unless it refuses."""

    failure: Exception | None = None
    taken: list[tuple[str, RevealFile]] = field(default_factory=list)

    def __call__(self, url: str, reveal: RevealFile) -> str:
        if self.failure is not None:
            raise self.failure
        self.taken.append((url, reveal))
        return "stored"


class Desk:
    """An evaluator at work on a network; `restarted` is the same after a crash."""

    def __init__(
        self,
        network: Network,
        party: Party,
        directory: Path,
        *,
        urls: tuple[str, ...] = ("http://oracle",),
        node_id: int | None = None,
    ) -> None:
        self.network, self.party, self.directory, self.urls = network, party, directory, urls
        self.node_id = node_id
        self.post = Post(network, party.operator)
        self.scoring, self.deliveries = Scoring(), Deliveries()
        self.restarted()

    def restarted(self, *, disk: bool = True) -> None:
        """Start anew, with nothing but the disk, or not even that."""
        network, signer = self.network, self.party.operator
        if not disk:
            (self.directory / FILE).unlink()
            self.post = Post(network, signer)
        self.log = Log()
        self.metrics = DaemonMetrics()
        self.health = Health(CHECKS, Pulse())
        deployment = network.deployment
        self.evaluator = Evaluator(
            EvaluatorSettings(
                data_dir=self.directory,
                host="127.0.0.1",
                port=0,
                poll=0.0,
                finality=64,
                max_fee=COSTLY,
                margin=MARGIN,
                node_id=self.node_id,
            ),
            deployment,
            signer,
            follower=Looking(network),
            sender=self.post,
            rows=Rows(
                ScoreStore(self.directory / FILE),
                self.scoring,
                metrics=self.metrics,
                log=cast(Any, self.log),
                threads=0,
            ),
            couriers=Couriers(
                self.urls,
                self.metrics.registry,
                cast(Any, self.log),
                deliver=self.deliveries,
                threads=0,
            ),
            funds=Funds(network.web3, signer.address, COSTLY),
            vitals=Vitals(
                network.web3,
                deployment.chain_id,
                signer.address,
                gas=1,
                health=self.health,
                metrics=self.metrics,
            ),
            metrics=self.metrics,
            log=cast(Any, self.log),
        )

    def tick(self) -> None:
        self.evaluator.tick()

    @property
    def purposes(self) -> list[str]:
        return list(self.post.sent)


def a_drawn_round(rounds: RoundsParameters | None = None) -> tuple[Network, int]:
    """A network of three evaluators and a round that has drawn them all."""
    network = Network(accounts=16, rounds=rounds)
    author = network.join(Role.INFERENCE)
    for _ in range(3):
        network.join(Role.EVALUATOR)
    round_id = network.open(network.terms(), [network.batch(author, ITEMS)])
    network.draw(round_id)
    return network, round_id

"""An oracle at work on a local chain inside this process, one tick at a time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from oracle.chain.follower import Follower
from oracle.chain.journal import Journal
from oracle.chain.keys import Signer
from oracle.chain.sender import FeePolicy, Sender
from oracle.core.facts import Reveal, Role
from oracle.core.units import ScoreVector, unpack
from oracle.demo.network import Network
from oracle.service import logging, loop, vitals
from oracle.service.board import BoardHolder
from oracle.service.documents import RevealFile
from oracle.service.health import Health, Pulse
from oracle.service.intake import Intake, Taken
from oracle.service.metrics import OracleMetrics
from oracle.service.oracle import SETTLEMENT_GAS, Oracle
from oracle.service.reveals import RevealStore
from oracle.service.settings import OracleSettings
from tests.contracts.parameters import REGISTRY, ROUNDS

FINALITY = 8
"""Few blocks: a chain that mines one for each transaction gets there soon."""
ITEMS = 4
SEATS = 3


class Rounds(Network):
    """A network with three evaluators and one inference node, whose rounds have four items."""

    def __init__(self) -> None:
        super().__init__(accounts=20, registry=REGISTRY, rounds=ROUNDS)
        for _ in range(SEATS):
            self.join(Role.EVALUATOR)
        self.inference = self.join(Role.INFERENCE)

    def open_one(self, **terms: Any) -> int:
        return self.open(self.terms(**terms), [self.batch(self.inference, ITEMS)])

    def commit_seats(self, round_id: int, *seats: int) -> tuple[Reveal, ...]:
        return self.commit_all(round_id, {seat: scores_of(seat) for seat in seats})

    def mine(self, blocks: int) -> None:
        for _ in range(blocks):
            self.devnet.mine()

    def phase(self, round_id: int) -> str:
        return self.state().round(round_id).phase.name.lower()

    def document(self, round_id: int, reveal: Reveal) -> RevealFile:
        """What the evaluator of a seat hands over."""
        return RevealFile(
            chainId=self.deployment.chain_id,
            rounds=self.deployment.rounds.address,
            round=round_id,
            seat=reveal.seat,
            nodeId=self.panel(round_id)[reveal.seat].node_id,
            salt="0x" + reveal.salt.hex(),
            scores=unpack(reveal.scores, ITEMS).tolist(),
        )


class Service:
    """One oracle of a network, with files of its own."""

    def __init__(
        self, network: Rounds, directory: Path, signer: Signer | None = None, **settings: Any
    ) -> None:
        self.network = network
        self.metrics = OracleMetrics()
        self.health = Health((loop.CHECK, *vitals.CHECKS), Pulse())
        self.store = RevealStore(directory / "reveals.sqlite")
        self.journal = Journal(directory / "transactions.sqlite")
        self.signer = network.settler if signer is None else signer
        self.follower = Follower(
            network.web3, network.deployment, directory / "chain.sqlite", finality=FINALITY
        )
        self.sender = Sender(
            network.web3, self.signer, self.journal, network.reverts, FeePolicy(10**12)
        )
        board, log = BoardHolder(), logging.logger()
        self.intake = Intake(board, self.store, network.deployment, self.metrics, log)
        defaults: dict[str, Any] = {"poll": 0, "finality": FINALITY, "max_fee": 10**12}
        self.vitals = vitals.Vitals(
            network.web3,
            network.deployment.chain_id,
            self.signer.address,
            gas=SETTLEMENT_GAS,
            health=self.health,
            metrics=self.metrics,
        )
        self.oracle = Oracle(
            OracleSettings(data_dir=directory, host="127.0.0.1", port=0, **(defaults | settings)),
            network.deployment,
            follower=self.follower,
            sender=self.sender,
            store=self.store,
            board=board,
            vitals=self.vitals,
            metrics=self.metrics,
            log=log,
        )
        self.tick = self.oracle.tick

    def hand_over(self, round_id: int, reveals: Iterable[Reveal]) -> list[Taken]:
        return [
            self.intake.take(self.network.document(round_id, reveal).model_dump_json().encode())
            for reveal in reveals
        ]

    def purposes(self) -> list[tuple[str, str]]:
        """What was ever signed for, and what became of it."""
        return [(entry.purpose, str(entry.status)) for entry in self.journal.entries()]

    def figure(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0

    def close(self) -> None:
        for each in (self.store, self.journal, self.follower):
            each.close()


def scores_of(seat: int) -> ScoreVector:
    return np.full(ITEMS, 7_000 + 100 * seat, dtype=np.uint16)

"""A deployment with everything in its log that can be there, recorded once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from oracle.audit.fetch import Fetcher, flattened
from oracle.audit.reader import ChainReader, Reader
from oracle.audit.replay import run
from oracle.audit.report import Report
from oracle.chain import calls
from oracle.chain.deployment import Deployment
from oracle.chain.log_table import LogTable, table_of
from oracle.chain.logs import Log
from oracle.core.consensus import Rule
from oracle.core.facts import Role
from oracle.core.phases import HASH_HORIZON
from oracle.core.units import ONE
from oracle.demo.network import Network

ITEMS = 20


@dataclass(frozen=True, slots=True)
class Recorded:
    """The logs of a deployment, the chain that they are of, and what an audit of it said."""

    deployment: Deployment
    logs: tuple[Log, ...]
    reader: Reader
    report: Report
    progress: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Given:
    """A source of any logs, held against the chain that they claim to be of."""

    recorded: Recorded
    logs: Sequence[Log]
    size: int = 1 << 15

    @property
    def deployment(self) -> Deployment:
        return self.recorded.deployment

    @property
    def reader(self) -> Reader:
        return self.recorded.reader

    def tables(self) -> Iterator[LogTable]:
        header = self.reader.header
        for first in range(0, len(self.logs), self.size):
            part = self.logs[first : first + self.size]
            numbers = {log.block_number for log in part}
            yield table_of(part, {number: header(number).timestamp for number in numbers})


class Remembering:
    """A reader that asks the chain each thing once: an audit is repeated hundreds of times."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.block = reader.block

    def enter(self, table: LogTable) -> None:
        """Take no block's word for what it is: each is asked for."""

    def __getattr__(self, name: str) -> Any:
        remembered = cache(getattr(self._reader, name))
        setattr(self, name, remembered)
        return remembered


@pytest.fixture(scope="session")
def network() -> Network:
    return play()


@pytest.fixture(scope="session")
def recorded(network: Network) -> Recorded:
    return record(network)


def record(network: Network) -> Recorded:
    """Record the logs of a network, and audit them once."""
    deployment = network.deployment
    reader = cast(Reader, Remembering(ChainReader(network.web3, deployment)))
    chunks = Fetcher(network.web3, deployment).chunks(deployment.start_block, reader.block)
    logs = tuple(flattened(chunks))
    progress: list[tuple[int, int]] = []
    report = run(network.web3, deployment, progress=lambda *told: progress.append(told))
    return Recorded(deployment, logs, reader, report, tuple(progress))


def play() -> Network:
    """Play everything that can be in a log."""
    network = Network()
    rng = np.random.default_rng(7)
    evaluators = [network.join(Role.EVALUATOR) for _ in range(7)]
    systems = [network.join(Role.INFERENCE) for _ in range(2)]
    windows = network.deployment.rounds_parameters

    quality = rng.integers(0, ONE + 1, ITEMS)

    def row(lies: bool = False) -> NDArray[np.uint16]:
        seen = quality + rng.integers(-500, 501, ITEMS)
        scores: NDArray[np.int64] = np.clip(ONE - seen if lies else seen, 0, ONE)
        return scores.astype(np.uint16)

    def opened(**changes: Any) -> int:
        batches = [network.batch(systems[0], 12, 2_000), network.batch(systems[1], 8, 0)]
        return network.open(network.terms(**changes), batches)

    for rule in Rule:
        trim = 2_000 if rule is Rule.TRIMMED_MEAN else 0
        round_id = opened(rule=rule, trim=trim, panel_size=4)
        network.draw(round_id)
        reveals = network.commit_all(round_id, {seat: row(seat == 1) for seat in (2, 0, 3, 1)})
        network.settle(round_id, reveals[::-1])

    # One seat is silent, one commits and never reveals, one reveals on chain.
    round_id = opened(panel_size=5)
    network.draw(round_id)
    reveals = network.commit_all(round_id, {seat: row() for seat in (1, 2, 3, 4)})
    network.pass_time(windows.commit_window)
    network.reveal_on_chain(round_id, reveals[1])
    network.pass_time(windows.reveal_window)
    network.settle(round_id, reveals[:3])

    round_id = opened()  # too few commit
    panel = network.draw(round_id)
    network.commit(round_id, 1, row())
    network.pass_time(windows.commit_window)
    network.cancel(round_id)
    network.registry(panel[0].owner, "topUp", panel[0].node_id)

    round_id = opened()  # enough commit, too few reveal on chain, nobody settles
    network.draw(round_id)
    reveals = network.commit_all(round_id, {seat: row() for seat in range(3)})
    network.reveal_on_chain(round_id, reveals[0])
    network.pass_time(windows.commit_window + windows.reveal_window + windows.settle_window)
    network.cancel(round_id)

    round_id = opened()
    network.devnet.mine(HASH_HORIZON + 1)
    network.cancel_undrawn(round_id)

    leaver = next(party for party in evaluators if network.state().node(party.node_id).position)
    network.registry(leaver.owner, "exit", leaver.node_id)
    rotated = systems[0]
    for _ in range(2):
        operator = network.account().address
        network.registry(rotated.owner, "rotateOperator", rotated.node_id, operator)
    network.registry(network.settler, "sweepSlashes")
    network.pass_time(network.deployment.registry_parameters.exit_delay)
    network.registry(leaver.owner, "withdrawStake", leaver.node_id)
    for account in (systems[1].owner.address, network.requester.address):
        network.rounds(network.settler, "withdraw", account)

    for contract in (network.deployment.registry, network.deployment.rounds):
        gift = calls.token(network.deployment, "transfer", contract.address, 5)
        network.send(network.requester, gift)

    for evaluator in evaluators:  # those that were slashed, so that three can be drawn
        node = network.state().node(evaluator.node_id)
        if not node.position and not node.exitable_at:
            network.registry(evaluator.owner, "topUp", node.node_id)
    network.devnet.mine()
    network.parties[rotated.node_id] = network.parties[systems[1].node_id]
    running = network.open(network.terms(), [network.batch(systems[1], ITEMS)])
    network.draw(running)
    network.commit(running, 0, row())
    return network

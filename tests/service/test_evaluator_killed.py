"""An evaluator that is a process: killed at any moment, it commits once and reveals itself."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest

from oracle.chain import calls
from oracle.chain.devnet import Devnet
from oracle.chain.devnet_server import serve, wall_clock
from oracle.chain.receipts import sign_receipt
from oracle.chain.rounds import RoundHistory, round_history
from oracle.core.commitment import commitment
from oracle.core.consensus import Rule
from oracle.core.facts import Batch, Phase, Role, Terms
from oracle.core.phases import NOBODY
from oracle.core.units import pack
from oracle.demo.cast import example
from oracle.demo.founding import Founded, found
from oracle.demo.live import _calibrate
from oracle.demo.processes import Service, Services
from oracle.evaluators.workload import Workload, select, write

PATIENCE = 240.0
"""Seconds for anything to happen, on a machine that does much else."""
KILLS = 40
"""Of the long version."""
SEED = 20_26
NAMES = ("evaluator-1", "evaluator-2", "evaluator-3")
KILLED = NAMES[0]


def until(happened: Callable[[], object], what: str) -> None:
    deadline = monotonic() + PATIENCE
    while not happened():
        assert monotonic() < deadline, f"no {what} within {PATIENCE} s"
        sleep(0.02)


class Village:
    """A chain behind a port, two evaluators played here, and one that is a process."""

    def __init__(self, founded: Founded, services: Services, directory: Path) -> None:
        self.founded, self.services, self.directory = founded, services, directory
        self.workloads = directory / "workloads"
        self.workloads.mkdir()
        self.calibration = _calibrate("token-f1", directory)
        rounds = founded.deployment.rounds
        approval = calls.token(founded.deployment, "approve", rounds.address, 10**22)
        founded.send("requester", approval)

    def start(self) -> Service:
        """Start the evaluator, whose oracle nobody is and who reveals as soon as it may."""
        parameters = self.founded.deployment.rounds_parameters
        at_once = parameters.commit_window + parameters.reveal_window
        return self.services.start(
            KILLED,
            *("evaluator", "run", "--account", KILLED, "--evaluator", "token-f1"),
            *("--calibration", self.calibration, "--workload-dir", self.workloads),
            *("--oracle-url", "http://127.0.0.1:9", "--reveal-margin", at_once),
            *("--data-dir", self.directory / "data", "--poll", 0.1, "--port", 0),
        )

    def open(self, content: Workload, uri: str) -> int:
        """Open and draw a round over a workload, and return its id."""
        founded = self.founded
        requester, author = founded.signers["requester"], founded.signers["inference"]
        terms = Terms(
            domain=b"qa".ljust(32, b"\0"),
            rule=Rule.MEDIAN,
            trim=0,
            panel_size=3,
            quorum=2,
            oracle=NOBODY,
            workload_hash=content.hash,
            inference_budget=10**18,
            evaluator_budget=10**18,
            settlement_fee=0,
        )
        [part] = content.batches
        node_id = founded.nodes["inference"]
        batch = Batch(node_id, author.address, len(content.items), part.cost, part.outputs_hash)
        receipt = sign_receipt(author, founded.deployment, batch, requester.address, content.hash)
        arguments = (terms.as_tuple(), [batch.as_tuple()], [receipt], uri)
        founded.send("requester", calls.rounds(founded.deployment, "open", *arguments))
        round_id = founded.state().round_count()
        opening = self.history(round_id).opening
        height = founded.web3.eth
        until(lambda: height.block_number >= opening.draw_block, "draw block")
        call = calls.rounds(founded.deployment, "draw", round_id, opening.as_tuple())
        founded.send("requester", call)
        return round_id

    def history(self, round_id: int) -> RoundHistory:
        return round_history(self.founded.web3, self.founded.deployment, round_id)

    def seats(self, round_id: int) -> dict[str, int]:
        names = {node_id: name for name, node_id in self.founded.nodes.items()}
        panel = self.history(round_id).drawn().draw.panel
        return {names[drawn.node_id]: seat for seat, drawn in enumerate(panel)}

    def others_commit(self, round_id: int) -> None:
        history, seats = self.history(round_id), self.seats(round_id)
        row = pack(np.full(history.opening.items, 5_000, dtype=np.uint16))
        for name in NAMES[1:]:
            node_id, salt = self.founded.nodes[name], bytes(32)
            hashed = commitment(history.key, node_id, salt, row)
            arguments = (round_id, seats[name], hashed)
            self.founded.send(name, calls.rounds(self.founded.deployment, "commit", *arguments))

    def bit(self, bits: str, round_id: int) -> int:
        state = self.founded.state().round(round_id)
        return int(getattr(state, bits)) >> self.seats(round_id)[KILLED] & 1

    def nonce(self) -> int:
        return self.founded.web3.eth.get_transaction_count(
            self.founded.web3.to_checksum_address(self.founded.signers[KILLED].address)
        )

    def workload(self, number: int) -> Workload:
        whole = example("qa")
        ids = list(dict.fromkeys(item.id for item in whole.items))[number : number + 2]
        cut = select(whole, ids=ids, nodes=["gemma3-270m"])
        return write(cut, self.workloads / f"{number}.jsonl")


@contextmanager
def a_village(directory: Path) -> Iterator[Village]:
    with serve(Devnet(10, clock=wall_clock), port=0, block_time=0.5) as url:
        roles = dict.fromkeys(NAMES, Role.EVALUATOR) | {"inference": Role.INFERENCE}
        founded = found(url, directory, roles, others=("requester",))
        with Services(directory, founded.settings) as services:
            yield Village(founded, services, directory)


def test_killed_at_every_stage_it_commits_once_and_reveals_and_leaves_a_false_workload(
    tmp_path: Path,
) -> None:
    with a_village(tmp_path) as village:
        good, false = village.workload(0), village.workload(2)
        (village.workloads / "2.jsonl").write_bytes(b"another file")
        first, second = village.open(good, "0.jsonl"), village.open(false, "2.jsonl")
        nonce = village.nonce()

        def sent(service: Service, what: str) -> Callable[[], bool]:
            purpose = f"{what} {first} {village.founded.nodes[KILLED]}"
            return lambda: any(each["purpose"] == purpose for each in service.events("sent"))

        service = village.start()
        village.services.reachable(service)
        village.services.kill(service)

        service = village.start()
        until(sent(service, "commit"), "commit")
        village.services.kill(service)

        service = village.start()
        until(lambda: village.bit("committed", first), "commitment on chain")
        village.services.kill(service)
        village.others_commit(first)

        service = village.start()
        until(sent(service, "reveal"), "reveal")
        village.services.kill(service)

        service = village.start()
        until(lambda: village.bit("revealed", first), "reveal on chain")
        until(lambda: list(service.events("not_scored")), "word of the false workload")
        said = [each["message"] for each in service.events("not_scored")]
        assert all("is not the round's workload: its SHA-256 is" in each for each in said)
        assert village.bit("committed", second) == 0
        village.services.reachable(service)
        village.services.end()

        assert village.services.ended == {KILLED: 0}
        assert village.nonce() == nonce + 2  # one commit and one reveal, nothing else
        seat = village.seats(first)[KILLED]
        history = village.history(first)
        assert [each.seat for each in history.commits].count(seat) == 1
        assert [each.seat for each in history.reveals] == [seat]


@pytest.mark.reliability
def test_killed_at_random_moments_it_commits_and_reveals_once_in_every_round(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    with a_village(tmp_path) as village:
        nonce, kills, rounds = village.nonce(), 0, 0
        while kills < KILLS:
            rounds += 1
            round_id = village.open(village.workload(rounds), f"{rounds}.jsonl")
            for bits in ("committed", "revealed"):
                done, attempts = False, 0
                while not done:
                    service = village.start()
                    attempts += 1  # a slow machine may need longer than that to start at all
                    ends_at = monotonic() + attempts * chance.uniform(0.5, 8.0)
                    while monotonic() < ends_at and not done:
                        done = bool(village.bit(bits, round_id))
                        sleep(0.02)
                    village.services.kill(service)
                    kills += 1
                    done = bool(village.bit(bits, round_id))
                if bits == "committed":
                    village.others_commit(round_id)
            state = village.founded.state().round(round_id)
            assert state.phase is Phase.DRAWN
        assert village.nonce() == nonce + 2 * rounds
        for round_id in range(1, rounds + 1):
            history, seat = village.history(round_id), village.seats(round_id)[KILLED]
            assert [each.seat for each in history.commits].count(seat) == 1
            assert [each.seat for each in history.reveals] == [seat]
    for name, value, goal in (
        ("kills of a running evaluator", kills, f"≥ {KILLS}"),
        ("double or lost commits and reveals of a killed evaluator", 0, "0"),
    ):
        figure = {"name": name, "value": str(value), "goal": goal, "seed": SEED}
        record_property("figure", figure)

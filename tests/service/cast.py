"""
Oracles and evaluators inside this process, each with its own directory, ticked by the test.

They are put together from the same parts as by `poq oracle run` and `poq evaluator run`, and each
asks the node through the URL that it is given: a proxy may stand between. A part can be lost and
made again from its directory, as a restart does.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Protocol

from web3 import Web3

from oracle.chain import follower, journal
from oracle.chain.errors import RevertDecoder
from oracle.chain.keys import Signer
from oracle.chain.rpc import connect
from oracle.chain.sender import FeePolicy, Sender
from oracle.cli.session import reverts
from oracle.evaluators import calibration
from oracle.service import logging, reveals, scores, vitals
from oracle.service.board import BoardHolder
from oracle.service.couriers import Couriers
from oracle.service.documents import RevealFile
from oracle.service.evaluator import Evaluator, EvaluatorSettings
from oracle.service.fetching import Sources
from oracle.service.funds import Funds
from oracle.service.health import Health, Pulse
from oracle.service.intake import Intake, intake_application
from oracle.service.loop import CHECK, FATAL
from oracle.service.metrics import DaemonMetrics, OracleMetrics
from oracle.service.oracle import SETTLEMENT_GAS, Oracle
from oracle.service.rate import RateLimit
from oracle.service.rows import Rows
from oracle.service.scoring import Scorer
from oracle.service.serving import serving
from oracle.service.settings import OracleSettings
from tests.service.stage import Player, Stage

POLL = 0.01
MOST_FOR_GAS = 10**12
PATIENCE = 30.0
UNLIMITED = 10_000.0  # requests a second


class Ticking(Protocol):
    """What both services do once a poll."""

    def tick(self) -> None: ...


class Part:
    """
    A service and what it stands on. `errors` counts what broke its ticks off, by class.

    `build` makes the service from its directory, and gives what has to be closed with it.
    """

    def __init__(self, name: str, build: Callable[[ExitStack], Ticking]) -> None:
        self.name = name
        self.errors: Counter[str] = Counter()
        self.ticks = 0
        self._build = build
        self._stack = ExitStack()
        self._service: Ticking | None = None

    def tick(self) -> None:
        """Look once; what a loop would survive is counted, what would end it starts it anew."""
        self.ticks += 1
        try:
            if self._service is None:
                self._service = self._build(self._stack)
            self._service.tick()
        except FATAL as error:
            self.errors[type(error).__name__] += 1
            self.lose()
        except Exception as error:
            self.errors[type(error).__name__] += 1

    def lose(self) -> None:
        """Drop the process's memory; the next tick begins from the directory."""
        self._service = None
        self._stack.close()
        self._stack = ExitStack()


class Cast:
    """
    All parts of a stage: `oracles`, one a key of `settlers`, and `evaluators`, one a node.

    `url` is the node as the parts see it, `time_out` in seconds what they give it to answer.
    `patience` is in seconds, `max_fee` in wei a unit of gas. Oracles with the same key have
    journals of their own.
    """

    def __init__(
        self,
        stage: Stage,
        *,
        settlers: Iterable[int] = (0,),
        url: str | None = None,
        finality: int = follower.FINALITY,
        patience: float = PATIENCE,
        max_fee: int = MOST_FOR_GAS,
        time_out: float = 30.0,
    ) -> None:
        self.stage = stage
        self._url = url or stage.anvil.url
        self._finality = finality
        self._fees = FeePolicy(max_fee, patience=patience)
        self._time_out = time_out
        self._reverts: RevertDecoder = reverts()
        self._intakes: dict[str, str] = {}
        self._addresses: dict[str, str] = {}
        self.followers: dict[str, follower.Follower] = {}
        self.journals: dict[str, journal.Journal] = {}
        self._log = (stage.directory / "log").open("a")
        logging.configure(stream=self._log)
        self.oracles = [self._oracle(i, key) for i, key in enumerate(settlers, start=1)]
        self.evaluators = [self._evaluator(player) for player in stage.evaluators]

    @property
    def parts(self) -> list[Part]:
        return [*self.oracles, *self.evaluators]

    def directory(self, part: Part) -> Path:
        """Return the part's own directory."""
        return self.stage.directory / part.name

    def tick(self) -> None:
        """Let every part look once."""
        for part in self.parts:
            part.tick()

    def until(self, done: Callable[[], bool], seconds: float, *, mine: bool = False) -> None:
        """Tick, and `mine` a block between, until it is done; fail after so many seconds."""
        deadline = time.monotonic() + seconds
        while not done():
            told = {part.name: dict(part.errors) for part in self.parts}
            assert time.monotonic() < deadline, f"not done after {seconds} s: {told}"
            self.tick()
            if mine:
                self.stage.anvil.mine()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Tick every part, made anew, in a thread of its own while the context lasts."""
        ended = threading.Event()
        for part in self.parts:
            part.lose()

        def run(part: Part) -> None:
            while not ended.wait(POLL):
                part.tick()
            part.lose()

        threads = [threading.Thread(target=run, args=(part,)) for part in self.parts]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join()

    def finish(self, seconds: float) -> None:
        """Bury everything below final blocks, and tick until no journal has anything to do."""
        self.stage.anvil.mine(self._finality + 1)
        self.until(lambda: not self.unsettled(), seconds, mine=True)

    def unsettled(self) -> list[journal.Entry]:
        """Return what may still change of what the parts have sent."""
        chain_id = self.stage.deployment.chain_id
        return [
            entry
            for part in self.parts
            for entry in self.journals[part.name].unsettled(chain_id, self._addresses[part.name])
        ]

    def close(self) -> None:
        """Close every part, and the log."""
        for part in self.parts:
            part.lose()
        logging.configure()
        self._log.close()

    # The parts

    def _oracle(self, number: int, key: int) -> Part:
        name = f"oracle-{number}"
        account = self.stage.settlers[key]
        self._addresses[name] = account.address

        def build(stack: ExitStack) -> Oracle:
            directory = self._claimed(name)
            settings = OracleSettings(
                data_dir=directory,
                host="127.0.0.1",
                port=0,
                poll=POLL,
                finality=self._finality,
                max_fee=self._fees.max_fee_per_gas,
            )
            log = logging.logger(service=name)
            metrics = OracleMetrics()
            web3 = connect(self._url, timeout=self._time_out)
            board = BoardHolder()
            store = stack.enter_context(closing(reveals.RevealStore(directory / reveals.FILE)))
            written = stack.enter_context(closing(journal.Journal(directory / journal.FILE)))
            self.journals[name] = written
            following = self._follower(web3, directory)
            self.followers[name] = stack.enter_context(closing(following))
            intake = Intake(board, store, self.stage.deployment, metrics, log)
            app = intake_application(intake, RateLimit(UNLIMITED, UNLIMITED))
            self._intakes[name] = stack.enter_context(serving(app, "127.0.0.1", 0))
            return Oracle(
                settings,
                self.stage.deployment,
                follower=following,
                sender=self._sender(web3, Signer(account), written),
                store=store,
                board=board,
                vitals=self._vitals(web3, account.address, SETTLEMENT_GAS, metrics),
                metrics=metrics,
                log=log,
            )

        return Part(name, build)

    def _evaluator(self, player: Player) -> Part:
        name = f"evaluator-{player.node_id}"
        self._addresses[name] = player.operator.address
        own = self.stage.directory
        fitted = calibration.load(own / f"calibration-{player.node_id}.json")
        method = f"recorded:{own / f'scores-{player.node_id}.csv'}"
        sources = Sources(directory=own / "workloads")

        def build(stack: ExitStack) -> Evaluator:
            directory = self._claimed(name)
            settings = EvaluatorSettings(
                data_dir=directory,
                host="127.0.0.1",
                port=0,
                poll=POLL,
                finality=self._finality,
                max_fee=self._fees.max_fee_per_gas,
                margin=self.stage.deployment.rounds_parameters.reveal_window // 3,
                node_id=player.node_id,
            )
            log = logging.logger(service=name)
            metrics = DaemonMetrics()
            web3 = connect(self._url, timeout=self._time_out)
            signer = Signer(player.operator)
            store = stack.enter_context(closing(scores.ScoreStore(directory / scores.FILE)))
            written = stack.enter_context(closing(journal.Journal(directory / journal.FILE)))
            self.journals[name] = written
            following = self._follower(web3, directory)
            self.followers[name] = stack.enter_context(closing(following))
            return Evaluator(
                settings,
                self.stage.deployment,
                signer,
                follower=following,
                sender=self._sender(web3, signer, written),
                rows=Rows(store, Scorer(method, [fitted], sources).row, metrics=metrics, log=log),
                # An oracle that restarted listens elsewhere: its name is looked up anew.
                couriers=Couriers(
                    [f"http://{part.name}" for part in self.oracles],
                    metrics.registry,
                    log,
                    deliver=self._deliver,
                ),
                funds=Funds(web3, signer.address, self._fees.max_fee_per_gas),
                vitals=self._vitals(web3, signer.address, 200_000, metrics),
                metrics=metrics,
                log=log,
            )

        return Part(name, build)

    def _deliver(self, url: str, reveal: RevealFile) -> str:
        from oracle.service.handover import NotDelivered, deliver

        name = url.removeprefix("http://")
        if name not in self._intakes:
            raise NotDelivered(name, "unreachable", "It is not there.")
        return deliver(self._intakes[name], reveal)

    def _claimed(self, name: str) -> Path:
        directory = self.stage.directory / name
        directory.mkdir(exist_ok=True)
        return directory

    def _follower(self, web3: Web3, directory: Path) -> follower.Follower:
        return follower.Follower(
            web3, self.stage.deployment, directory / follower.FILE, finality=self._finality
        )

    def _sender(self, web3: Web3, signer: Signer, written: journal.Journal) -> Sender:
        chain_id = self.stage.deployment.chain_id
        return Sender(web3, signer, written, self._reverts, self._fees, chain_id=chain_id)

    def _vitals(self, web3: Web3, address: str, gas: int, metrics: DaemonMetrics) -> vitals.Vitals:
        return vitals.Vitals(
            web3,
            self.stage.deployment.chain_id,
            address,
            gas=gas,
            health=Health((CHECK, *vitals.CHECKS), Pulse()),
            metrics=metrics,
        )

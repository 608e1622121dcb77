"""
The services as an operator runs them: one process each, started by its command, killed at will.

A process that dies, by its own fault or ours, is started again at once, as systemd does; how it
ended is counted. What they print is kept in a file a service.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.service.stage import Stage

ROOT = Path(__file__).resolve().parent.parent.parent
STARTING_SECONDS = 120
ENDING_SECONDS = 60
POLL = 0.2
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Process:
    """One service: its command, and the process that runs it now. `ended` counts exit codes."""

    def __init__(self, name: str, arguments: list[str], env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.arguments = arguments
        self.log = log
        self.ended: Counter[int] = Counter()
        self.starts = 0
        self._env = dict(env)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the command; its output is added to the log."""
        self.starts += 1
        with self.log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "oracle.cli", *self.arguments],
                cwd=ROOT,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

    def kill(self) -> None:
        """Take the process away without a word, and wait until it is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask the process to end, and return its exit code."""
        return self._end(signal.SIGTERM)

    def revive(self) -> bool:
        """Start the process again if it has ended, and say whether it had."""
        assert self._process is not None
        if (code := self._process.poll()) is None:
            return False
        self.ended[code] += 1
        self.start()
        return True

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield what it has logged; other lines are in `noise`."""
        for line in self.log.read_text().splitlines():
            if line.startswith("{"):
                yield json.loads(line)

    def noise(self) -> list[str]:
        """Return the lines that are no log entries, such as a traceback."""
        return [line for line in self.log.read_text().splitlines() if not line.startswith("{")]

    def is_up(self) -> bool:
        """Say whether the latest start got as far as to serve."""
        ups = [each for each in self.events() if each["event"] == "started"]
        return len(ups) >= self.starts

    def resident_bytes(self) -> int:
        """Return how much memory the process holds now."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * PAGE_BYTES

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(ENDING_SECONDS)
        self.ended[code] += 1
        return code


class Network:
    """
    Oracles and evaluators of a stage as processes; every evaluator hands over to every oracle.

    `settlers` are the names of the oracles' keys. `url` is the node as they see it. Blocks come
    with transactions, unless the test decides otherwise.
    """

    def __init__(
        self,
        stage: Stage,
        *,
        settlers: tuple[str, ...] = ("settler-1",),
        url: str | None = None,
        poll: float = POLL,
    ) -> None:
        self.stage = stage
        own = stage.directory
        env = stage.environment() | {"ETH_RPC_URL": url or stage.anvil.url, "POQ_POLL": str(poll)}
        ports = _free_ports(len(settlers))
        self.oracles = [
            Process(
                f"oracle-{i}",
                [
                    *("oracle", "run", "--account", settler, "--port", str(port)),
                    *("--data-dir", str(own / f"oracle-{i}")),
                ],
                env,
                own / f"oracle-{i}.log",
            )
            for i, (settler, port) in enumerate(zip(settlers, ports, strict=True), start=1)
        ]
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self.evaluators = [
            Process(
                f"evaluator-{player.node_id}",
                [
                    *("evaluator", "run", "--account", f"evaluator-{player.node_id}"),
                    *("--node-id", str(player.node_id), "--port", "0"),
                    *("--evaluator", f"recorded:{own / f'scores-{player.node_id}.csv'}"),
                    *("--calibration", str(own / f"calibration-{player.node_id}.json")),
                    *("--workload-dir", str(own / "workloads")),
                    *(part for url in self.urls for part in ("--oracle-url", url)),
                    *("--data-dir", str(own / f"evaluator-{player.node_id}")),
                ],
                env,
                own / f"evaluator-{player.node_id}.log",
            )
            for player in stage.evaluators
        ]

    @property
    def processes(self) -> list[Process]:
        return [*self.oracles, *self.evaluators]

    @contextmanager
    def running(self) -> Iterator[Network]:
        """Start everything, wait until it serves, and kill it when the context ends."""
        for each in self.processes:
            each.start()
        try:
            self.wait_until_up()
            yield self
        finally:
            for each in self.processes:
                each.kill()

    def wait_until_up(self) -> None:
        """Wait until every process serves, however often it has to be started."""
        deadline = time.monotonic() + STARTING_SECONDS
        while not all(each.is_up() for each in self.processes):
            self.revive()
            assert time.monotonic() < deadline, self.last_words()
            time.sleep(0.05)

    def revive(self) -> None:
        """Start again what has ended."""
        for each in self.processes:
            each.revive()

    def wait_for_ends(self, rounds: int, seconds: float, *, mine: bool = False) -> None:
        """Wait until so many rounds have ended, starting again what ends meanwhile."""
        deadline = time.monotonic() + seconds
        while (ended := self.stage.ended()) < rounds:
            told = f"{ended} of {rounds} rounds ended after {seconds} s: {self.last_words()}"
            assert time.monotonic() < deadline, told
            self.revive()
            if mine:
                self.stage.anvil.mine()
            time.sleep(POLL)

    def last_words(self) -> str:
        """Return the end of every log."""
        return "\n".join(
            f"{each.name} {dict(each.ended)}: {each.log.read_text()[-600:]}"
            for each in self.processes
            if each.log.exists()
        )


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports

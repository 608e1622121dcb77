"""A daemon as operators run it: a process of its own, with a log and an address."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 180  # seconds, for a machine that does much else
GLANCE = 0.05  # seconds between two looks at a condition


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """Return what `condition` answers as soon as it is true; fail when patience ends."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"never {what}"
        time.sleep(GLANCE)
    return answer


class Daemon:
    """`poq` with these arguments until the context ends, which kills what still runs."""

    def __init__(self, *arguments: object, env: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "oracle.cli", *map(str, arguments)],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "HOME": "/nonexistent",
                **env,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.written: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Daemon:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.kill()
        self._reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def events(self, name: str) -> list[dict[str, Any]]:
        """What it has logged under a name so far."""
        told = [json.loads(line) for line in list(self.written) if line.startswith("{")]
        return [line for line in told if line["event"] == name]

    def started(self) -> str:
        """Wait until it serves, and return its URL."""

        def begun() -> list[dict[str, Any]]:
            assert self.process.poll() is None, "".join(self.written)
            return self.events("started")

        return str(wait_until(begun, "started")[0]["url"])

    def ended(self) -> int:
        """Wait until it ends by itself and return its exit code."""
        code = self.process.wait(PATIENCE)
        self._reader.join()
        return code

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; return its exit code."""
        self.process.send_signal(number)
        return self.ended()

    def kill(self) -> None:
        """Take its life at once."""
        self.process.kill()
        self.ended()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.written.append(line)

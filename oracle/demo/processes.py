"""
Commands of `poq` that run side by side, each in a process of its own.

This module decides when a service counts as started (it says where it can be reached) and that none
outlives whoever started it: all are asked to end, and those that do not are ended. Their words go
to files, one a service.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Any

START_SECONDS = 180.0
"""What a service may take to start, on a machine that does much else."""
END_SECONDS = 60.0
_POLL = 0.05
# Nothing of this machine's settings reaches a service but where its programs and files are.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "SYSTEMROOT")


class ServiceFailed(Exception):
    """A service ended too early or did not start; the message is its own last sentence."""


@dataclass
class Service:
    """A running command; `log` has what it says on standard error."""

    name: str
    arguments: tuple[str, ...]
    process: subprocess.Popen[bytes]
    out: Path
    log: Path
    begins_at: int = 0

    def events(self, name: str, since: int = 0) -> Iterator[dict[str, Any]]:
        """Yield what was logged under a name so far, also by services called so before."""
        for line in _lines(self.log, since):
            if line.get("event") == name:
                yield line

    @property
    def url(self) -> str | None:
        """Where it can be reached, once it said so."""
        for line in (*_lines(self.out), *self.events("started", self.begins_at)):
            if "url" in line:
                return str(line["url"])
        return None

    def last_words(self) -> str:
        """Return the last line that it said."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")


class Services:
    """The services that write below `directory`, with nothing but these settings."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        self._directory = directory
        self._environment = {
            **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            # One thread each: many services on few cores get in each other's way otherwise.
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
            **settings,
        }
        self.running: dict[str, Service] = {}
        self.ended: dict[str, int] = {}

    def __enter__(self) -> Services:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def start(self, name: str, *arguments: object) -> Service:
        """Start `poq` with these arguments; what it said under this name before is kept."""
        out, log = self._directory / f"{name}.out", self._directory / f"{name}.log"
        words = tuple(map(str, arguments))
        out.write_bytes(b"")
        begins_at = log.stat().st_size if log.exists() else 0
        with out.open("ab") as told, log.open("ab") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "oracle.cli", *words],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=said,
                start_new_session=True,  # Ctrl-C is for whoever started them, who ends them
            )
        service = Service(name, words, process, out, log, begins_at)
        self.running[name] = service
        return service

    def reachable(self, service: Service) -> str:
        """Return where a service can be reached, when it can; raise `ServiceFailed`."""
        deadline = monotonic() + START_SECONDS
        while (url := service.url) is None:
            if service.process.poll() is not None or monotonic() > deadline:
                raise ServiceFailed(f"{service.name} did not start: {service.last_words()}")
            sleep(_POLL)
        return url

    def run(self, name: str, *arguments: object) -> Any:
        """Run a command to its end and return the JSON that it prints; raise `ServiceFailed`."""
        service = self.start(name, *arguments, "--json")
        code = service.process.wait()
        del self.running[name]
        if code != 0:
            raise ServiceFailed(f"{name} ended with {code}: {service.last_words()}")
        return json.loads(service.out.read_bytes())

    def kill(self, service: Service) -> None:
        """End a service at once, as a power cut would."""
        service.process.kill()
        service.process.wait()
        self.running.pop(service.name, None)

    def require_alive(self) -> None:
        """Raise `ServiceFailed` if a service ended by itself."""
        for service in self.running.values():
            if (code := service.process.poll()) is not None:
                raise ServiceFailed(f"{service.name} ended with {code}: {service.last_words()}")

    def end(self) -> None:
        """End all services, the last that was started first, and remember their exit codes."""
        stopping = list(reversed(self.running.values()))
        for service in stopping:
            service.process.terminate()
        for service in stopping:
            try:
                self.ended[service.name] = service.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                service.process.kill()
                self.ended[service.name] = service.process.wait()
        self.running.clear()


def _lines(path: Path, since: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the lines of a file that are JSON objects, from a byte on."""
    for line in path.read_bytes()[since:].splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            yield row

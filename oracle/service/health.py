"""
What probes are told of a daemon: whether its loop is alive, and whether it can do its work.

The loop reports, probes read, each in a thread of its own. A daemon that is alive and not ready
needs its operator or its node; one that is not alive needs a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel

LONGEST_TICK = 120.0
"""Seconds that a tick may take before its loop is taken for dead: a slow node's time-outs."""
POLLS = 10
"""Waits that a loop may be late by."""


class Pulse:
    """When a loop last showed that it is alive. `clock` is in seconds."""

    def __init__(self, *, longest: float = LONGEST_TICK, clock: Callable[[], float] = monotonic):
        self._longest = longest
        self._clock = clock
        self._due = clock() + longest

    def beat(self, pause: float) -> None:
        """Show that the loop lives and waits `pause` seconds at most before its next tick."""
        self._due = self._clock() + POLLS * pause + self._longest

    @property
    def alive(self) -> bool:
        """Whether the next beat is not overdue."""
        return self._clock() <= self._due


class Health:
    """What stands in the way of a daemon's work: for each thing that is checked, the problem."""

    def __init__(self, checks: Iterable[str], pulse: Pulse) -> None:
        self.pulse = pulse
        self._problems: dict[str, str] = dict.fromkeys(checks, "Not checked yet.")

    def report(self, check: str, problem: str = "") -> None:
        """Say what is wrong with one of the checks, or that nothing is."""
        if check not in self._problems:
            raise KeyError(check)
        self._problems[check] = problem

    @property
    def problems(self) -> dict[str, str]:
        """A sentence for each check, empty where nothing is wrong."""
        return dict(self._problems)

    @property
    def ready(self) -> bool:
        """Whether nothing is wrong and the loop is alive."""
        return self.pulse.alive and not any(self._problems.values())


class Liveness(BaseModel):
    """The answer of `/healthz`."""

    alive: bool


class Readiness(BaseModel):
    """The answer of `/readyz`: for each check the problem, empty where there is none."""

    ready: bool
    alive: bool
    checks: dict[str, str]


def add_probes(app: FastAPI, health: Health, registry: CollectorRegistry) -> None:
    """Add `/healthz`, `/readyz` and `/metrics`, which answer whatever the loop is doing."""

    @app.get("/healthz", tags=["operations"], responses={503: {"model": Liveness}})
    def healthz() -> JSONResponse:
        """Whether the loop is alive; restart it if not."""
        answer = Liveness(alive=health.pulse.alive)
        return JSONResponse(answer.model_dump(), 200 if answer.alive else 503)

    @app.get("/readyz", tags=["operations"], responses={503: {"model": Readiness}})
    def readyz() -> JSONResponse:
        """Whether everything that the work needs is there, and what is not."""
        answer = Readiness(ready=health.ready, alive=health.pulse.alive, checks=health.problems)
        return JSONResponse(answer.model_dump(), 200 if answer.ready else 503)

    @app.get("/metrics", tags=["operations"], response_class=Response)
    def metrics() -> Response:
        """What is counted and measured, in the text format of Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

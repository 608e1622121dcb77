"""
What the daemons' commands have in common: what a daemon stands on, and serving until told to end.

This module decides in which order the parts of a daemon are made and closed, and holds none of its
work. Import it where the extra `service` is known to be there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from oracle.chain import follower, journal
from oracle.chain.keys import Signer
from oracle.chain.sender import FeePolicy, Sender
from oracle.cli.session import Session, reverts
from oracle.service import loop, vitals
from oracle.service.directory import claimed
from oracle.service.health import Health, Pulse, add_probes
from oracle.service.logging import Logger
from oracle.service.metrics import DaemonMetrics
from oracle.service.serving import serving as served
from oracle.service.settings import DaemonSettings


@dataclass(frozen=True, slots=True)
class Ground:
    """What a daemon with a key stands on, open as long as its context."""

    directory: Path
    follower: follower.Follower
    sender: Sender
    vitals: vitals.Vitals
    health: Health


@contextmanager
def ground(
    session: Session, signer: Signer, settings: DaemonSettings, metrics: DaemonMetrics, gas: int
) -> Iterator[Ground]:
    """Claim the data directory and open what is in it; `gas` is what the dearest call may use."""
    health = Health((loop.CHECK, *vitals.CHECKS), Pulse())
    with (
        claimed(settings.data_dir) as directory,
        closing(journal.Journal(directory / journal.FILE)) as written,
        closing(
            follower.Follower(
                session.web3,
                session.deployment,
                directory / follower.FILE,
                finality=settings.finality,
            )
        ) as following,
    ):
        yield Ground(
            directory=directory,
            follower=following,
            sender=Sender(
                session.web3,
                signer,
                written,
                reverts(),
                FeePolicy(settings.max_fee),
                chain_id=session.chain_id,
            ),
            vitals=vitals.Vitals(
                session.web3,
                session.chain_id,
                signer.address,
                gas=gas,
                health=health,
                metrics=metrics,
            ),
            health=health,
        )


def serve(
    app: FastAPI,
    tick: Callable[[], None],
    *,
    host: str,
    port: int,
    poll: float,
    health: Health,
    metrics: DaemonMetrics,
    log: Logger,
    **started: Any,
) -> None:
    """Serve `app` with its probes and call `tick` until a signal; log `started` with its URL."""
    add_probes(app, health, metrics.registry)
    running = loop.Loop(tick, poll=poll, health=health, metrics=metrics, log=log)
    with served(app, host, port) as url, loop.ended_by_signals(running):
        log.info("started", url=url, **started)
        running.run()
        log.info("stopped")

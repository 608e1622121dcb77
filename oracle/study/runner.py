"""
A whole study from its configuration: read the tables, do the parts, keep the results.

Parts run on all cores of this machine, or on those of a Dask cluster, which needs neither the
tables' files nor the results' directory: tables travel with the parts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

import polars as pl

from oracle.study import datasets, peers, reliability, rewards, sweep
from oracle.study.configuration import Configuration, fingerprint
from oracle.study.datasets import Dataset, ScoreTable
from oracle.study.store import Store, Told, fill

Tables = dict[tuple[str, str], ScoreTable]

_PATIENCE = 10
"""Seconds in which a scheduler has to answer."""


class ClusterUnreachable(Exception):
    """Raised when no scheduler answers."""


class Study:
    """A configuration with its data at hand. Raises `DatasetError` and `ConfigurationInvalid`."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.store = Store(configuration.out, fingerprint(configuration))
        self._judged: dict[str, Dataset] = {}
        self._tables: Tables = {}
        for name in configuration.datasets:
            whole = datasets.load(configuration.path(name))
            labelled, rest = datasets.split(whole, seed=0, share=configuration.labelled_share)
            self._judged[name] = rest
            for scale in configuration.scales:
                self._tables[name, scale] = (
                    datasets.raw(rest) if scale == "raw" else datasets.calibrated(labelled, rest)
                )

    def reliability(self, executor: Executor, told: Told) -> pl.DataFrame:
        """Return how far each evaluator can be relied on."""
        resamples = self.configuration.reliability.resamples
        parts = [
            reliability.Part(self._judged[name], scale, table, name, resamples)
            for (name, scale), table in self._tables.items()
        ]
        return fill(self.store, "reliability", parts, reliability.run, executor, told)

    def sweep(self, executor: Executor, told: Told) -> pl.DataFrame:
        """Return how well each rule tracks the reference under each attack."""
        parts = list(sweep.parts(self.configuration, self._tables))
        return fill(self.store, "sweep", parts, sweep.run, executor, told)

    def rewards(self, executor: Executor, told: Told) -> pl.DataFrame:
        """Return what is paid against the size of panels."""
        parts = list(rewards.parts(self.configuration, self._tables))
        return fill(self.store, "rewards", parts, rewards.run, executor, told)

    def peers(self, executor: Executor, told: Told) -> pl.DataFrame:
        """Return how the rules compare with truth inference from the literature."""
        parts = list(peers.parts(self.configuration, self._tables))
        return fill(self.store, "peers", parts, peers.run, executor, told)


@contextmanager
def local(workers: int | None = None) -> Iterator[Executor]:
    """Yield processes of this machine, by default one for each core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    pool = ProcessPoolExecutor(workers or cores, mp_context=get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def cluster(scheduler: str) -> Iterator[Executor]:
    """
    Yield the workers of the Dask cluster whose scheduler is at this address.

    Raises `ClusterUnreachable` if none answers there.
    """
    from distributed import Client

    try:
        client = Client(scheduler, timeout=_PATIENCE)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise ClusterUnreachable(f"no Dask scheduler answers at {scheduler}: {error}") from None
    with client:
        yield client.get_executor(pure=False)  # type: ignore[no-untyped-call]

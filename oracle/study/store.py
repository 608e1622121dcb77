"""
Where results are kept, and the work that fills it: a study that stops goes on where it was.

Each part of a study is one file, written whole or not at all, under a name that has the study's
hash; a table is all of its parts, sorted. Who does the work is the executor's business: the same
parts give the same bytes, wherever and in whatever order they were done.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, as_completed
from pathlib import Path
from typing import Protocol, TypeVar

import polars as pl

from oracle.study.configuration import VERSION


class Part(Protocol):
    """What is done at one go."""

    @property
    def name(self) -> str:
        """A name that no other part of the table has, fit for a file."""


PartT = TypeVar("PartT", bound=Part)
Told = Callable[[int, int, str], None]
"""Hears of parts done, of how many, and the one that was finished last."""


class Store:
    """The results of one configuration in a directory, which is made when it is needed."""

    def __init__(self, directory: Path, fingerprint: str) -> None:
        self.directory = directory
        self.fingerprint = fingerprint

    def path(self, table: str) -> Path:
        """Return where a table is."""
        return self.directory / f"{table}.parquet"

    def part(self, table: str, name: str) -> Path:
        """Return where a part of a table is kept."""
        return self.directory / "parts" / f"{table}-{self.fingerprint}-{name}.parquet"

    def write(self, table: pl.DataFrame, path: Path) -> None:
        """Write a table, whole or not at all, with the hash and the version in every row."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        table.with_columns(
            pl.lit(self.fingerprint).alias("configuration"), pl.lit(VERSION).alias("version")
        ).write_parquet(unfinished)
        unfinished.replace(path)


def fill(
    store: Store,
    table: str,
    parts: Sequence[PartT],
    run: Callable[[PartT], pl.DataFrame],
    executor: Executor,
    told: Told,
) -> pl.DataFrame:
    """Do the parts that are not done yet, write the table, and return it, sorted by its columns."""
    missing = [part for part in parts if not store.part(table, part.name).exists()]
    done = len(parts) - len(missing)
    told(done, len(parts), table)
    futures = {executor.submit(run, part): part for part in missing}
    try:
        for future in as_completed(futures):
            part = futures[future]
            store.write(future.result(), store.part(table, part.name))
            done += 1
            told(done, len(parts), f"{table} {part.name}")
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    whole = pl.concat([pl.read_parquet(store.part(table, part.name)) for part in parts])
    whole = whole.sort(whole.columns)
    store.write(whole.drop("configuration", "version"), store.path(table))
    return whole

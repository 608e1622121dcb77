"""
What the follower remembers between two runs: the blocks that may be undone, and the logs it keeps.

A cache in SQLite, and nothing but: a file that cannot be read, or is of another deployment, is
begun anew. It decides no question about the chain.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from oracle.chain.deployment import Deployment
from oracle.chain.logs import Log

_LAYOUT = "1"
_SCHEMA = """
CREATE TABLE about (subject TEXT NOT NULL, rounds INTEGER NOT NULL);
CREATE TABLE blocks (
    hash BLOB PRIMARY KEY, parent BLOB NOT NULL, number INTEGER NOT NULL, timestamp INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE logs (
    block_hash BLOB NOT NULL,
    log_index INTEGER NOT NULL,
    number INTEGER NOT NULL,
    round INTEGER NOT NULL,
    transaction_hash BLOB NOT NULL,
    topics BLOB NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (block_hash, log_index)
);
CREATE INDEX by_round ON logs (round);
"""


@dataclass(frozen=True, slots=True)
class Block:
    """A block's place in the chain; `timestamp` is in seconds."""

    number: int
    hash: bytes
    parent: bytes
    timestamp: int


@dataclass(frozen=True, slots=True)
class Remembered:
    """Blocks ascending from the last final one, how many rounds were opened, and the logs kept."""

    blocks: list[Block]
    rounds: int
    logs: list[Log]


class BlockStore:
    """The cache of one deployment at `path`; raises `OSError` where no file can be."""

    def __init__(self, path: Path, deployment: Deployment) -> None:
        self._address = deployment.rounds.address
        self._subject = f"{_LAYOUT} {deployment.chain_id} {deployment.rounds.address}"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._database = self._open(path)
        except sqlite3.DatabaseError:
            for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
                each.unlink(missing_ok=True)
            self._database = self._open(path)

    def load(self) -> Remembered:
        """Return what was saved last; nothing if nothing was."""
        blocks = [
            Block(number, hash_, parent, timestamp)
            for number, hash_, parent, timestamp in self._database.execute(
                "SELECT number, hash, parent, timestamp FROM blocks ORDER BY number"
            )
        ]
        [rounds] = self._database.execute("SELECT rounds FROM about").fetchone()
        logs = [
            Log(
                self._address,
                tuple(topics[i : i + 32] for i in range(0, len(topics), 32)),
                data,
                number,
                block_hash,
                transaction_hash,
                log_index,
            )
            for topics, data, number, block_hash, transaction_hash, log_index in (
                self._database.execute(
                    "SELECT topics, data, number, block_hash, transaction_hash, log_index"
                    " FROM logs ORDER BY number, log_index"
                )
            )
        ]
        return Remembered(blocks, rounds, logs)

    def save(
        self,
        *,
        undone_above: int,
        blocks: Iterable[Block],
        logs: Iterable[tuple[int, Log]],
        dropped: Iterable[int],
        finalized: int,
        rounds: int,
    ) -> None:
        """
        Replace what is above block `undone_above` by `blocks` and by the `logs` of rounds.

        Rounds that are `dropped` and blocks before `finalized` go. All of it happens or nothing.
        """
        with self._database as database:
            database.execute("BEGIN")
            for table in ("blocks", "logs"):
                database.execute(f"DELETE FROM {table} WHERE number > ?", (undone_above,))
            database.executemany(
                "INSERT INTO blocks VALUES (?, ?, ?, ?)",
                ((each.hash, each.parent, each.number, each.timestamp) for each in blocks),
            )
            database.executemany(
                "INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        log.block_hash,
                        log.log_index,
                        log.block_number,
                        round_id,
                        log.transaction_hash,
                        b"".join(log.topics),
                        log.data,
                    )
                    for round_id, log in logs
                ),
            )
            database.executemany("DELETE FROM logs WHERE round = ?", ((each,) for each in dropped))
            database.execute("DELETE FROM blocks WHERE number < ?", (finalized,))
            database.execute("UPDATE about SET rounds = ?", (rounds,))

    def clear(self) -> None:
        """Forget everything."""
        self.save(undone_above=-1, blocks=(), logs=(), dropped=(), finalized=0, rounds=0)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _open(self, path: Path) -> sqlite3.Connection:
        database = sqlite3.connect(path, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            known = database.execute(
                "SELECT count(*) FROM sqlite_master WHERE name = 'about'"
            ).fetchone()[0]
            if known:
                [subject] = database.execute("SELECT subject FROM about").fetchone()
                if subject != self._subject:
                    raise sqlite3.DatabaseError(f"it is about {subject}")
                return database
            with database:
                database.execute("BEGIN")
                for statement in _SCHEMA.split(";"):
                    database.execute(statement)
                database.execute("INSERT INTO about VALUES (?, 0)", (self._subject,))
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database

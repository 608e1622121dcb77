"""
The rows that an evaluator committed to or is about to, on disk before the chain hears of them.

This module decides what is durable: SQLite with a write-ahead log, synced at each commit. The first
row of a seat stays, so that a restart in the middle of a round never reveals another one than was
committed. Scores are secret until commits are closed: whoever reads this file could copy them.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

from oracle.core.facts import RoundKey

FILE = "scores.sqlite"
"""The name of the store in a data directory."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS scores (
  chain INTEGER NOT NULL, contract TEXT NOT NULL, round INTEGER NOT NULL, node INTEGER NOT NULL,
  workload BLOB NOT NULL, row BLOB NOT NULL,
  PRIMARY KEY (chain, contract, round, node, workload)
) STRICT, WITHOUT ROWID
"""


class SeatKey(NamedTuple):
    """Whose scores, and of what: after a reorganisation a round's id may mean another workload."""

    round: RoundKey
    node_id: int
    workload_hash: bytes


class ScoreStore:
    """Packed rows of scores by seat, for one thread."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute(_SCHEMA)
        path.chmod(0o600)

    def keep(self, key: SeatKey, row: bytes) -> bytes:
        """Keep a row unless there is one already, and return the one that stays."""
        self._database.execute(
            "INSERT OR IGNORE INTO scores VALUES (?, ?, ?, ?, ?, ?)", (*_values(key), row)
        )
        kept = self.find(key)
        assert kept is not None
        return kept

    def find(self, key: SeatKey) -> bytes | None:
        """Return the row of a seat."""
        found = self._database.execute(
            "SELECT row FROM scores WHERE (chain, contract, round, node, workload)"
            " = (?, ?, ?, ?, ?)",
            _values(key),
        ).fetchone()
        return None if found is None else bytes(found[0])

    def seats(self) -> list[SeatKey]:
        """Return the seats that rows are kept for, ascending."""
        rows = self._database.execute(
            "SELECT chain, contract, round, node, workload FROM scores ORDER BY 1, 2, 3, 4, 5"
        )
        return [
            SeatKey(RoundKey(chain, contract, round_id), node, bytes(workload))
            for chain, contract, round_id, node, workload in rows
        ]

    def drop(self, key: SeatKey) -> None:
        """Forget the row of a seat."""
        self._database.execute(
            "DELETE FROM scores WHERE (chain, contract, round, node, workload) = (?, ?, ?, ?, ?)",
            _values(key),
        )

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _values(key: SeatKey) -> tuple[int, str, int, int, bytes]:
    chain, contract, round_id = key.round.chain_id, key.round.contract, key.round.round_id
    return chain, contract, round_id, key.node_id, key.workload_hash

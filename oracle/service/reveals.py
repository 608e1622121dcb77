"""
The reveals that evaluators handed over, kept until the round that they are for is final.

This module decides that what was acknowledged survives a crash: a reveal is on the disk before
`keep` returns. It checks nothing, since a reorganisation may change what a seat committed to;
whoever uses a reveal checks it against the chain of that moment. What is kept is not public yet, so
the file is its owner's alone.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path

from oracle.core.facts import Reveal

FILE = "reveals.sqlite"
"""The name of the store in a data directory."""
_PRIVATE = 0o600
_BUSY_SECONDS = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS reveals (
    round INTEGER NOT NULL,
    seat INTEGER NOT NULL,
    salt BLOB NOT NULL,
    scores BLOB NOT NULL,
    PRIMARY KEY (round, seat)
) WITHOUT ROWID
"""


class RevealStore:
    """One reveal a seat, at `path`, for one contract on one chain. Safe for threads."""

    def __init__(self, path: Path) -> None:
        # SQLite gives the files that it makes beside this one the same mode.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, _PRIVATE))
        self._lock = threading.Lock()
        self._file = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = FULL")
        self._file.execute(_SCHEMA)

    def keep(self, round_id: int, reveal: Reveal) -> bool:
        """
        Keep a reveal durably, instead of any other of the same seat.

        Return whether it is new; one that is kept already is not written again.
        """
        row = (round_id, reveal.seat, reveal.salt, reveal.scores)
        with self._lock, self._file:
            known = self._file.execute(
                "SELECT 1 FROM reveals WHERE (round, seat, salt, scores) = (?, ?, ?, ?)", row
            ).fetchone()
            if known is None:
                self._file.execute("INSERT OR REPLACE INTO reveals VALUES (?, ?, ?, ?)", row)
        return known is None

    def of(self, round_id: int) -> tuple[Reveal, ...]:
        """Return what is kept for a round, by ascending seat."""
        with self._lock:
            rows = self._file.execute(
                "SELECT seat, salt, scores FROM reveals WHERE round = ? ORDER BY seat", (round_id,)
            )
            return tuple(Reveal(*row) for row in rows)

    def rounds(self) -> tuple[int, ...]:
        """Return the rounds that something is kept for, ascending."""
        with self._lock:
            rows = self._file.execute("SELECT DISTINCT round FROM reveals ORDER BY round")
            return tuple(round_id for (round_id,) in rows)

    def count(self) -> int:
        """Return how many reveals are kept."""
        with self._lock:
            [count] = self._file.execute("SELECT count(*) FROM reveals").fetchone()
            return int(count)

    def drop(self, rounds: Iterable[int]) -> None:
        """Forget what is kept for these rounds."""
        with self._lock, self._file:
            self._file.executemany(
                "DELETE FROM reveals WHERE round = ?", [(round_id,) for round_id in rounds]
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

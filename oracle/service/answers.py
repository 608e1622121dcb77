"""
Every answer that an inference node gave, on disk before anybody gets it.

A receipt is the node's signed word that an output is its own and took so long. This module is the
node's memory of that: what is not in it, the node never signs.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path

FILE = "answers.sqlite"
"""The name of the store in a data directory."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
  id INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL, prompt TEXT NOT NULL,
  output TEXT NOT NULL, latency_ms INTEGER NOT NULL, tokens INTEGER NOT NULL, model TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS by_digest ON answers (digest)
"""
_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class Answer:
    """An output for a prompt; `latency_ms` is how long the model needed, `tokens` its length."""

    prompt: str
    output: str
    latency_ms: int
    tokens: int

    @property
    def digest(self) -> bytes:
        """What identifies equal answers."""
        texts = (hashlib.sha256(text.encode()).digest() for text in (self.prompt, self.output))
        return hashlib.sha256(
            b"".join(texts) + f"{self.latency_ms} {self.tokens}".encode()
        ).digest()


class AnswerStore:
    """Answers at `path`; safe for threads."""

    def __init__(self, path: Path) -> None:
        # SQLite gives the files that it makes beside this one the same mode.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, _PRIVATE))
        self._lock = threading.Lock()
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = FULL")
        self._file.executescript(_SCHEMA)

    def keep(self, answer: Answer, model: str) -> int:
        """Keep an answer durably and return its number."""
        row = (answer.digest, answer.prompt, answer.output, answer.latency_ms, answer.tokens, model)
        with self._lock:
            return int(
                self._file.execute(
                    "INSERT INTO answers (digest, prompt, output, latency_ms, tokens, model)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    row,
                ).lastrowid
                or 0
            )

    def count(self, answer: Answer) -> int:
        """Return how often exactly this answer was given."""
        with self._lock:
            [found] = self._file.execute(
                "SELECT count(*) FROM answers WHERE digest = ?", (answer.digest,)
            ).fetchone()
            return int(found)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

"""
The journal of transactions: what was signed, written down before it was sent.

This module decides what is durable and when: SQLite with a write-ahead log, synced to the disk at
each commit, and one row a nonce, so that no nonce is given twice and none is left out whichever
thread or process asks. It keeps bytes and what is known of them; what to do about them, `sender`
decides. It holds nothing secret: signed transactions are published anyway.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from oracle.chain.calls import Call
from oracle.chain.entries import Entry, Status, Version

__all__ = ["FILE", "Entry", "Journal", "JournalMalformed", "Status", "Version"]

FILE = "transactions.sqlite"
"""The name of the journal in a data directory."""
LOCK_TIMEOUT = 60.0  # seconds that another process may hold the file
_PRIVATE = 0o600
_LAYOUT = 1
_SCHEMA = """
CREATE TABLE entries (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    purpose TEXT NOT NULL,
    chain_id INTEGER NOT NULL,
    sender TEXT NOT NULL,
    nonce INTEGER NOT NULL,
    recipient TEXT NOT NULL,
    data BLOB NOT NULL,
    gas INTEGER NOT NULL,
    status TEXT NOT NULL,
    max_fee_per_gas TEXT NOT NULL,
    created_at REAL NOT NULL,
    block INTEGER,
    reason TEXT NOT NULL DEFAULT '',
    settled INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE versions (
    entry INTEGER NOT NULL REFERENCES entries,
    place INTEGER NOT NULL,
    hash BLOB NOT NULL,
    raw BLOB NOT NULL,
    fee_per_gas TEXT NOT NULL,
    tip_per_gas TEXT NOT NULL,
    cancels INTEGER NOT NULL,
    signed_at REAL NOT NULL,
    PRIMARY KEY (entry, place)
) WITHOUT ROWID;
CREATE UNIQUE INDEX one_a_nonce ON entries (chain_id, sender, nonce) WHERE NOT settled;
CREATE INDEX by_purpose ON entries (chain_id, sender, purpose);
"""


class JournalMalformed(Exception):
    """A file is not a journal that this version can read."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} is no journal of transactions: {reason}.")


class Journal:
    """The entries at `path`, safe for threads and processes; without a path they are forgotten."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or Path(":memory:")
        self._lock = threading.RLock()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=_PRIVATE)
        self._database = sqlite3.connect(
            self._path, LOCK_TIMEOUT, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise JournalMalformed(self._path, str(error)) from None

    def find(self, chain_id: int, sender: str, purpose: str) -> Entry | None:
        """Return the newest entry of a purpose."""
        found = self._select(
            "chain_id = ? AND sender = ? AND purpose = ? ORDER BY key DESC LIMIT 1",
            chain_id,
            sender,
            purpose,
        )
        return found[0] if found else None

    def entries(self, chain_id: int | None = None, sender: str | None = None) -> list[Entry]:
        """Return all entries, or those of one chain or sender, oldest first."""
        return self._select(
            "chain_id = ifnull(?, chain_id) AND sender = ifnull(?, sender) ORDER BY key",
            chain_id,
            sender,
        )

    def unsettled(self, chain_id: int, sender: str) -> list[Entry]:
        """Return the entries of a sender that may still change, by nonce."""
        return self._select(
            "chain_id = ? AND sender = ? AND NOT settled ORDER BY nonce", chain_id, sender
        )

    def reserve(
        self,
        chain_id: int,
        sender: str,
        purpose: str,
        call: Call,
        *,
        gas: int,
        max_fee_per_gas: int,
        from_nonce: int,
        sign: Callable[[int], Version],
        exactly: bool = False,
    ) -> tuple[Entry, bool]:
        """
        Give `purpose` the next nonce, have it signed, and return once that is on the disk.

        The nonce follows every unsettled one and is at least `from_nonce`; `exactly` takes that one
        or nothing. If the purpose is served already, or an exact nonce is taken, the entry that
        says so comes back with `False`.
        """
        with self._transaction():
            known = self.find(chain_id, sender, purpose)
            if known is not None and known.status.serves:
                return known, False
            unsettled = self.unsettled(chain_id, sender)
            nonce = max([from_nonce, *(each.nonce + 1 for each in unsettled)])
            if exactly:
                nonce = from_nonce
                for each in unsettled:
                    if each.nonce == nonce:
                        return each, False
            version = sign(nonce)
            cursor = self._database.execute(
                "INSERT INTO entries (purpose, chain_id, sender, nonce, recipient, data, gas,"
                " status, max_fee_per_gas, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    purpose,
                    chain_id,
                    sender,
                    nonce,
                    call.to,
                    call.data,
                    gas,
                    Status.PENDING,
                    str(max_fee_per_gas),
                    version.signed_at,
                ),
            )
            key = cursor.lastrowid
            assert key is not None
            self._insert(key, 0, version)
        return self._by_key(key), True

    def outbid(self, entry: Entry, version: Version) -> tuple[Entry, bool]:
        """Add a transaction to a pending entry, unless somebody changed it since it was read."""
        with self._transaction():
            current = self._by_key(entry.key)
            if current.status is not Status.PENDING or current.hashes != entry.hashes:
                return current, False
            self._insert(entry.key, len(entry.versions), version)
        return self._by_key(entry.key), True

    def learn(
        self,
        entry: Entry,
        status: Status,
        block: int | None = None,
        reason: str = "",
        *,
        settled: bool = False,
    ) -> Entry:
        """Write down what became of an entry; what is settled loses its bytes."""
        with self._transaction():
            self._database.execute(
                "UPDATE entries SET status = ?, block = ?, reason = ?, settled = ?"
                " WHERE key = ? AND NOT settled",
                (status, block, reason, settled, entry.key),
            )
            if settled:
                self._database.execute("UPDATE entries SET data = x'' WHERE key = ?", (entry.key,))
                self._database.execute(
                    "UPDATE versions SET raw = x'' WHERE entry = ?", (entry.key,)
                )
        return self._by_key(entry.key)

    def raise_cap(self, entry: Entry, max_fee_per_gas: int) -> Entry:
        """Allow more for an entry; a cap never falls."""
        if max_fee_per_gas <= entry.max_fee_per_gas:
            return entry
        with self._transaction():
            self._database.execute(
                "UPDATE entries SET max_fee_per_gas = ? WHERE key = ?",
                (str(max_fee_per_gas), entry.key),
            )
        return self._by_key(entry.key)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _prepare(self) -> None:
        [sound] = self._database.execute("PRAGMA quick_check(1)").fetchone()
        if sound != "ok":
            raise JournalMalformed(self._path, "its pages are damaged")
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("PRAGMA foreign_keys = ON")
        with self._transaction():
            [layout] = self._database.execute("PRAGMA user_version").fetchone()
            if layout == 0:
                for statement in _SCHEMA.split(";"):
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA user_version = {_LAYOUT}")
        if layout not in (0, _LAYOUT):
            raise JournalMalformed(self._path, f"its layout is {layout}, not {_LAYOUT}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Hold the file against all other writers; what happened is on the disk at the end."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            # A `return` in the block comes here too.
            self._database.execute("COMMIT")

    def _insert(self, key: int, place: int, version: Version) -> None:
        self._database.execute(
            "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                key,
                place,
                version.hash,
                version.raw,
                str(version.fee_per_gas),
                str(version.tip_per_gas),
                version.cancels,
                version.signed_at,
            ),
        )

    def _by_key(self, key: int) -> Entry:
        [entry] = self._select("key = ?", key)
        return entry

    def _select(self, condition: str, *values: object) -> list[Entry]:
        with self._lock:
            rows = self._database.execute(
                "SELECT key, purpose, chain_id, sender, nonce, recipient, data, gas, status,"
                " max_fee_per_gas, created_at, block, reason, settled FROM entries"
                f" WHERE {condition}",
                values,
            ).fetchall()
            return [
                Entry(
                    key=key,
                    purpose=purpose,
                    chain_id=chain_id,
                    sender=sender,
                    nonce=nonce,
                    call=Call(recipient, data),
                    gas=gas,
                    status=Status(status),
                    max_fee_per_gas=int(cap),
                    created_at=created_at,
                    versions=self._versions(key),
                    block=block,
                    reason=reason,
                    settled=bool(settled),
                )
                for (
                    key,
                    purpose,
                    chain_id,
                    sender,
                    nonce,
                    recipient,
                    data,
                    gas,
                    status,
                    cap,
                    created_at,
                    block,
                    reason,
                    settled,
                ) in rows
            ]

    def _versions(self, key: int) -> tuple[Version, ...]:
        rows = self._database.execute(
            "SELECT hash, raw, fee_per_gas, tip_per_gas, cancels, signed_at FROM versions"
            " WHERE entry = ? ORDER BY place",
            (key,),
        )
        return tuple(
            Version(hash_, raw, int(fee), int(tip), bool(cancels), signed_at)
            for hash_, raw, fee, tip, cancels, signed_at in rows
        )

"""
The journal of a deployment: what was about to be done, written down before it was done.

Each line holds a signed transaction, so that whoever starts again can ask the chain what became of
it and send the same bytes once more. This module keeps lines; it decides nothing about them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from oracle.core import json_text

_ABANDONED = {"abandoned": True}


class JournalMalformed(Exception):
    """A journal holds something else than what this module writes."""

    def __init__(self, path: Path, line: int) -> None:
        super().__init__(f"{path}, line {line}, is no journal entry.")


@dataclass(frozen=True, slots=True)
class Creation:
    """A signed transaction that creates a contract: all hex, `code` is keccak256 of its data."""

    step: str
    sender: str
    nonce: int
    code: str
    hash: str
    raw: str


class Journal:
    """The creations at `path`, oldest first; without a path they are forgotten."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._creations = [] if path is None else _read(path)

    def creations(self, step: str, sender: str) -> list[Creation]:
        """Return what was written for one step of one sender since `abandon`, oldest first."""
        return [each for each in self._creations if (each.step, each.sender) == (step, sender)]

    def record(self, creation: Creation) -> None:
        """Write a line and wait until it is on the disk."""
        self._creations.append(creation)
        self._append(asdict(creation))

    def abandon(self) -> None:
        """Begin anew: what was written so far stays in the file and counts no more."""
        self._creations.clear()
        self._append(_ABANDONED)

    def _append(self, line: Mapping[str, object]) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _read(path: Path) -> list[Creation]:
    creations: list[Creation] = []
    if not path.exists():
        return creations
    content = path.read_bytes()
    # A line that a crash cut short was not acted upon, and the next one shall not continue it.
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
    for number, line in enumerate(content[:whole].splitlines(), start=1):
        try:
            fields = json_text.parse(line)
            if fields == _ABANDONED:
                creations.clear()
            else:
                creations.append(Creation(**fields))
        except (ValueError, TypeError):
            raise JournalMalformed(path, number) from None
    return creations

"""
What was read of a chain before, kept in files, so that an audit goes on where the last one ended.

Each file is one chunk of blocks and is stamped with the hash of its last block. A chunk counts as
long as the chain still has that block; the first that does not, and all after it, are forgotten,
as is one whose bytes are not those that were written. Nothing here is trusted more than a node is:
the audit compares all of it with digests and counts.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from oracle.audit.fetch import Chunk, Fetcher
from oracle.chain.batches import Request, ask
from oracle.chain.deployment import Deployment
from oracle.chain.log_table import LogTable, NotATable

if TYPE_CHECKING:
    from web3 import Web3

_NAME = re.compile(r"(\d{12})-(\d{12})-([0-9a-f]{64})\.logs")
_SUM = 32


class ChunkCache:
    """Chunks of one deployment in a directory below `directory`."""

    def __init__(self, directory: Path, deployment: Deployment) -> None:
        name = f"{deployment.chain_id}-{deployment.rounds.address.lower()}"
        self._directory = directory / name
        self._first = deployment.start_block

    def chunks(self, web3: Web3, fetcher: Fetcher, last: int) -> Iterator[Chunk]:
        """Yield all chunks up to block `last`, from files as far as they go; keep what is new."""
        following = self._first
        for chunk in self._valid(web3, last):
            yield chunk
            following = chunk.last + 1
        for chunk in fetcher.chunks(following, last):
            self._keep(chunk)
            yield chunk

    def _valid(self, web3: Web3, last: int) -> Iterator[Chunk]:
        """Yield the chunks that are of the chain as it is; forget the others."""
        stamped = []
        following = self._first
        for path in sorted(self._directory.glob("*.logs")):
            name = _NAME.fullmatch(path.name)
            if name is None or int(name[1]) != following:
                path.unlink()
                continue
            following = int(name[2]) + 1
            stamped.append((path, int(name[1]), int(name[2]), bytes.fromhex(name[3])))
        requests: list[Request] = [
            ("eth_getBlockByNumber", [hex(until), False]) for _, _, until, _ in stamped
        ]
        answers = ask(web3, requests)
        valid = True
        for path, first, until, block_hash in stamped:
            answer = next(answers)
            if until > last:
                return  # of a later block than this audit's
            valid = valid and isinstance(answer, dict) and answer["hash"] == "0x" + block_hash.hex()
            table = _read(path) if valid else None
            if table is None:
                valid = False
                path.unlink()
                continue
            yield Chunk(first, until, block_hash, table)

    def _keep(self, chunk: Chunk) -> None:
        name = f"{chunk.first:012}-{chunk.last:012}-{chunk.last_hash.hex()}.logs"
        content = chunk.table.to_bytes()
        draft = self._directory / f".{name}.{os.getpid()}"
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(hashlib.sha256(content).digest() + content)
            draft.replace(self._directory / name)
        except OSError:
            return  # a cache that cannot be written saves no time, and that is all


def _read(path: Path) -> LogTable | None:
    """Return the table in a file, `None` if it is not what was written."""
    content = path.read_bytes()
    if hashlib.sha256(content[_SUM:]).digest() != content[:_SUM]:
        return None
    try:
        return LogTable.from_bytes(content[_SUM:])
    except NotATable:
        return None

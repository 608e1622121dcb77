"""
Where an audit's logs and storage come from.

A source can be read more than once and gives the same each time. This module decides what a chain's
answers have to be to count as one and the same chain: the last block keeps its hash from the first
question to the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from oracle.audit.ahead import ahead
from oracle.audit.cache import ChunkCache
from oracle.audit.fetch import BranchAbandoned, Fetcher
from oracle.audit.reader import ChainReader, Reader
from oracle.chain.deployment import Deployment
from oracle.chain.log_table import LogTable
from oracle.chain.logs import NodeBehind

if TYPE_CHECKING:
    from web3 import Web3


class Source(Protocol):
    """All logs of a deployment in chain order, and what the chain has stored after them."""

    @property
    def deployment(self) -> Deployment: ...
    @property
    def reader(self) -> Reader: ...
    def tables(self) -> Iterator[LogTable]: ...


class ChainSource:
    """
    A node, up to `block`, by default the latest one; `cache` is where what was read is kept.

    Raises what `Fetcher` and `ChainReader` raise.
    """

    def __init__(
        self,
        web3: Web3,
        deployment: Deployment,
        block: int | None = None,
        cache: Path | None = None,
        fetcher: Fetcher | None = None,
    ) -> None:
        head = int(web3.eth.block_number)
        if block is not None and head < block:
            raise NodeBehind(head, block)
        self._web3 = web3
        self.deployment = deployment
        self.reader = ChainReader(web3, deployment, head if block is None else block)
        self._fetcher = fetcher or Fetcher(web3, deployment)
        self._cache = None if cache is None else ChunkCache(cache, deployment)
        self.block_hash = self._fetcher.header(self.reader.block).block_hash

    def tables(self) -> Iterator[LogTable]:
        """Yield the logs, chunk by chunk; raise `BranchAbandoned` if the last block changed."""
        last = self.reader.block
        if self._cache is None:
            chunks = self._fetcher.chunks(self.deployment.start_block, last)
        else:
            chunks = self._cache.chunks(self._web3, self._fetcher, last)
        for chunk in ahead(chunks):
            yield chunk.table
        self.check()

    def check(self) -> None:
        """Raise `BranchAbandoned` unless the last block is the one that it was."""
        last = self.reader.block
        if self._fetcher.header(last).block_hash != self.block_hash:
            raise BranchAbandoned(last)

"""
The chain, block by block: what has to be read anew, and what a reorganisation takes back.

This module decides which block is the head and which logs still hold. Blocks are linked by their
parents and logs are asked for by block hash, so that after any reorganisation the view is the one
of a fresh start. Only what is too old to be undone is read by numbers. It reads only; what a round
needs next, its callers decide from the view. The store is a cache: without it all is read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.artifacts import load
from oracle.chain.batches import Refusal, ask
from oracle.chain.block_store import Block, BlockStore
from oracle.chain.completeness import HeadGone, LogsWithheld, may_hold_logs, require_complete
from oracle.chain.deployment import Deployment
from oracle.chain.logs import (
    Event,
    EventDecoder,
    Log,
    LogsUnavailable,
    NodeBehind,
    parse_log,
    read_logs,
)
from oracle.chain.rpc import RpcUnreachable
from oracle.chain.view import ENDS, View

if TYPE_CHECKING:
    from web3 import Web3

__all__ = ["FILE", "FINALITY", "Block", "Follower", "ReorganisedPastFinality", "View"]

FINALITY = 64
"""Blocks above one that make it final, unless told otherwise."""
FILE = "chain.sqlite"
"""The name of the store in a data directory."""
ATTEMPTS = 5
"""How often a chain that changes while it is read is read again before the next call has to."""
LAST_DOUBT = 3
"""How often in a row logs may contradict the state before all is read anew, which takes long."""
_NOBODY = "0x" + 40 * "0"

Events = dict[int, tuple[Event, ...]]


class ReorganisedPastFinality(Exception):
    """A block that was final is no longer on the chain: what was done on it may be undone."""

    def __init__(self, number: int, known: bytes, found: bytes) -> None:
        super().__init__(
            f"Block {number} was final as 0x{known.hex()}, but the chain now has "
            f"0x{found.hex()}: it was reorganised deeper than its finality, or reset."
        )
        self.number = number


class Follower:
    """
    Follow one deployment on one chain. Not safe for threads; views are.

    `store` is a file, or `None` to remember nothing; `finality` counts blocks.
    """

    def __init__(
        self,
        web3: Web3,
        deployment: Deployment,
        store: Path | None = None,
        *,
        finality: int = FINALITY,
    ) -> None:
        self._web3 = web3
        self._deployment = deployment
        self._finality = finality
        self._decoder = EventDecoder(load("QualityRounds").abi)
        self._store = None if store is None else BlockStore(store, deployment)
        self._blocks: Mapping[int, Block] = {}
        self._events: Mapping[int, tuple[Event, ...]] = {}
        self._rounds = 0
        self._by_hash = False
        self._view: View | None = None
        self._doubts = 0
        if self._store is not None:
            remembered = self._store.load()
            self._blocks = {block.number: block for block in remembered.blocks}
            self._events = _grouped({}, self._decode(remembered.logs))
            self._rounds = remembered.rounds

    def advance(self) -> View:
        """
        Read what is new, undo what a reorganisation took, and return the chain as it is now.

        The same view as before if there is no new block. A node that merely lags changes nothing.
        While logs do not hash to what the chain has digested, the view stays the one before. If
        calling again does not help, all is read anew and taken as it is: one round's logs must not
        stop the others, and whoever acts on a round compares its digest.
        Raises `ReorganisedPastFinality`, `NodeBehind`, `LogsUnavailable`, `RpcUnreachable`; after
        any but the first, calling again is safe.
        """
        for _ in range(ATTEMPTS):
            head = self._headers(["latest"])[0]
            if head is None:
                raise RpcUnreachable(str(self._web3.provider), "it has no latest block")
            if self._view is not None and self._knows(head):
                return self._view
            try:
                self._take(self._read(head), believing=self._doubts >= LAST_DOUBT)
            except _Moved:
                continue
            except LogsWithheld:
                # Some nodes have a block a moment before its logs; if not, what is known is wrong.
                self._doubts += 1
                if self._doubts >= LAST_DOUBT:
                    self.forget()
                elif self._view is not None:
                    return self._view
                continue
            self._doubts = 0
            assert self._view is not None
            return self._view
        raise RpcUnreachable(str(self._web3.provider), "its chain changes faster than it is read")

    def forget(self) -> None:
        """Forget all that was read; the next call reads it again, after a node told it wrongly."""
        if self._store is not None:
            self._store.clear()
        self._blocks, self._events, self._rounds, self._view = {}, {}, 0, None

    def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            self._store.close()

    # Reading

    def _knows(self, block: Block) -> bool:
        known = self._blocks.get(block.number)
        return known is not None and known.hash == block.hash

    def _read(self, head: Block) -> _News:
        """Return what is new up to `head`; raise `_Moved` if the chain changed meanwhile."""
        start = self._ancestor(head)
        logs: list[Log] = []
        is_doubtful = start is None or start.number < max(self._blocks)
        first: list[Block] = []
        target = max(head.number - self._finality, 0)
        if start is None or start.number < target:
            # Too old to be undone.
            [block] = self._headers([hex(target)])
            if block is None:
                raise _Moved
            begin = self._deployment.start_block if start is None else start.number + 1
            logs += self._logs_between(begin, block)
            first = [block]
            is_doubtful = True
        last = first[0] if first else start
        assert last is not None
        recent = self._blocks_between(last, head)
        found, may_hold = self._logs_of(recent)
        return _News(
            -1 if start is None else start.number,
            [*first, *recent],
            [*logs, *found],
            is_doubtful or may_hold,
        )

    def _ancestor(self, head: Block) -> Block | None:
        """
        Return the highest known block that `head` descends from, `None` if no block is known.

        Raises `NodeBehind`, and `ReorganisedPastFinality`.
        """
        if not self._blocks:
            return None
        known = sorted(self._blocks, reverse=True)
        if head.number < known[-1]:
            raise NodeBehind(head.number, known[-1])
        if self._blocks[known[0]].hash == head.parent:
            return self._blocks[known[0]]
        numbers = [number for number in known if number <= head.number]
        depth = 1
        while True:
            # Mostly the first is the one; a deep reorganisation takes a handful of requests.
            asked, numbers = numbers[:depth], numbers[depth:]
            found = self._headers([hex(number) for number in asked])
            for number, block in zip(asked, found, strict=True):
                if block is None:
                    raise _Moved
                if block == self._blocks[number]:
                    return block
                if number == known[-1]:
                    raise ReorganisedPastFinality(number, self._blocks[number].hash, block.hash)
            depth *= 2

    def _blocks_between(self, start: Block, head: Block) -> list[Block]:
        """Return the blocks after `start` up to `head`, each the parent of the next."""
        if head.number <= start.number:
            if head != start:
                raise _Moved
            return []
        numbers = [hex(number) for number in range(start.number + 1, head.number)]
        blocks = [*self._headers(numbers), head]
        parent = start
        linked = []
        for block in blocks:
            if block is None or block.parent != parent.hash:
                raise _Moved
            linked.append(block)
            parent = block
        return linked

    def _headers(self, names: Sequence[str]) -> list[Block | None]:
        answers = ask(self._web3, [("eth_getBlockByNumber", [name, False]) for name in names])
        return [_block(answer) for answer in answers]

    def _logs_between(self, first: int, last: Block) -> list[Log]:
        """Return the logs of blocks too old to be undone, up to `last`."""
        logs = list(
            read_logs(
                self._web3,
                [self._deployment.rounds.address],
                first,
                last.number,
                topics=self._decoder.topics,
            )
        )
        if self._headers([hex(last.number)]) != [last]:
            raise _Moved
        return logs

    def _logs_of(self, blocks: Sequence[Block]) -> tuple[list[Log], bool]:
        """
        Return the logs of blocks by their hashes, and whether there may be any.

        A node that lost one of the blocks has moved.
        """
        topics = ["0x" + topic.hex() for topic in self._decoder.topics]
        requests: list[tuple[str, list[Any]]] = []
        for block in blocks:
            name = "0x" + block.hash.hex()
            wanted = {"blockHash": name, "address": self._deployment.rounds.address}
            # Some nodes have no logs of a block that they do not know, instead of an error.
            requests.append(("eth_getBlockByHash", [name, False]))
            requests.append(("eth_getLogs", [wanted | {"topics": [topics]}]))
        answers = ask(self._web3, requests)
        logs: list[Log] = []
        may_hold = False
        for block in blocks:
            header, found = next(answers), next(answers)
            if not isinstance(header, dict):
                raise _Moved
            may_hold |= may_hold_logs(header, self._deployment.rounds.address)
            if isinstance(found, Refusal):
                raise LogsUnavailable(block.number, str(found))
            parsed = [parse_log(raw) for raw in found]
            if any(log.block_hash != block.hash for log in parsed):
                raise _Moved
            logs += sorted(parsed, key=lambda log: log.log_index)
        return logs, may_hold

    def _decode(self, logs: Iterable[Log]) -> list[tuple[int, Event]]:
        """Return the events of rounds with their rounds; a withdrawal has none."""
        events = (self._decoder.decode(log) for log in logs)
        return [
            (event.args["roundId"], event)
            for event in events
            if event is not None and "roundId" in event.args
        ]

    # Taking it in

    def _take(self, news: _News, *, believing: bool) -> None:
        """
        Undo, add, drop what ended and is final, and remember: all or nothing.

        Raises `LogsWithheld` unless `believing`.
        """
        decoded = self._decode(news.logs)
        blocks = {n: block for n, block in self._blocks.items() if n <= news.undone_above}
        blocks |= {block.number: block for block in news.blocks}
        finalized = max(min(blocks), max(blocks) - self._finality)
        if news.blocks and news.blocks[0].number > news.undone_above + 1:
            finalized = max(finalized, news.blocks[0].number)
        blocks = {number: block for number, block in blocks.items() if number >= finalized}
        kept = _undone(self._events, news.undone_above)
        undone = [round_id for round_id in self._events if round_id not in kept]
        rounds = min([self._rounds, *(round_id - 1 for round_id in undone)])
        opened = [round_id for round_id, event in decoded if event.name == "RoundOpened"]
        if not believing and opened != list(range(rounds + 1, rounds + len(opened) + 1)):
            reason = f"rounds {opened} were opened after round {rounds}, and ids are dense"
            raise LogsWithheld(max(blocks), reason)
        rounds = max([rounds, *(round_id for round_id, _ in decoded)])
        events = _grouped(kept, decoded)
        view = View(
            self._web3,
            self._deployment,
            blocks,
            events,
            rounds=rounds,
            pin=self._pin(blocks[max(blocks)]),
        )
        if news.is_doubtful and not believing:
            try:
                require_complete(self._web3, self._deployment, view)
            except HeadGone:
                raise _Moved from None
        dropped = {
            round_id
            for round_id, each in events.items()
            if any(event.name in ENDS and event.log.block_number <= finalized for event in each)
        }
        for round_id in dropped:
            del events[round_id]
        if self._store is not None:
            self._store.save(
                undone_above=news.undone_above,
                blocks=news.blocks,
                # Where all is read again, that is nearly the whole history: never write it.
                logs=((id_, event.log) for id_, event in decoded if id_ not in dropped),
                dropped=sorted(dropped),
                finalized=finalized,
                rounds=rounds,
            )
        self._blocks, self._events, self._rounds = blocks, events, rounds
        self._view = view

    def _pin(self, head: Block) -> Any:
        """Return what names `head`: its hash, if the node takes hashes."""
        pin = {"blockHash": "0x" + head.hash.hex()}
        if not self._by_hash:
            [answer] = ask(self._web3, [("eth_getTransactionCount", [_NOBODY, pin])])
            self._by_hash = not isinstance(answer, Refusal)
        return pin if self._by_hash else hex(head.number)


class _Moved(Exception):
    """The chain is no longer the one of which a part was read."""


@dataclass(frozen=True, slots=True)
class _News:
    """
    The blocks that replace all above `undone_above`, ascending, and the logs up to the last.

    It `is_doubtful` unless the blocks say by themselves that they hold no logs.
    """

    undone_above: int
    blocks: list[Block]
    logs: list[Log]
    is_doubtful: bool


def _block(answer: Any) -> Block | None:
    if not isinstance(answer, dict):
        return None
    return Block(
        int(answer["number"], 16),
        bytes.fromhex(answer["hash"][2:]),
        bytes.fromhex(answer["parentHash"][2:]),
        int(answer["timestamp"], 16),
    )


def _grouped(events: Mapping[int, tuple[Event, ...]], new: Iterable[tuple[int, Event]]) -> Events:
    """Return the events with the new ones after those of the same round."""
    grouped = {round_id: list(each) for round_id, each in events.items()}
    for round_id, event in new:
        grouped.setdefault(round_id, []).append(event)
    return {round_id: tuple(each) for round_id, each in grouped.items()}


def _undone(events: Mapping[int, tuple[Event, ...]], above: int) -> Events:
    """Return the events of blocks up to `above`."""
    kept = {
        round_id: tuple(event for event in each if event.log.block_number <= above)
        for round_id, each in events.items()
    }
    return {round_id: each for round_id, each in kept.items() if each}

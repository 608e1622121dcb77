"""
A table of logs taken apart: what kind each is, and the commits and rewards in columns.

All that can be said of a commit or a reward by itself is checked here for a whole table at once,
and all hashes of commits are made. What is not as it has to be, or not as it mostly is, raises
`NotPlain`: this module never says what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from deploy.artifacts import load
from oracle.audit.fetch import TRANSFER
from oracle.audit.rounds import Audited, Rounds
from oracle.chain.log_table import Bytes, LogTable, join, starts
from oracle.chain.logs import EventDecoder
from oracle.core import phases
from oracle.core.digest import SCORES_COMMITTED
from oracle.core.facts import Phase, RoundState
from oracle.core.keccak import keccak, keccaks
from oracle.core.parameters import RoundsParameters
from oracle.core.words import account

COMMIT, REWARD, TRUST, SETTLED, OPENED, DRAWN, MOVED, OTHER = range(8)
EVENTS = {
    COMMIT: "ScoresCommitted",
    REWARD: "RewardCredited",
    TRUST: "TrustUpdated",
    SETTLED: "RoundSettled",
    OPENED: "RoundOpened",
    DRAWN: "PanelDrawn",
    MOVED: "Transfer",
}
_TOPICS = {
    name: topic
    for contract in ("NodeRegistry", "QualityRounds")
    for topic, name in EventDecoder(load(contract).abi).names.items()
} | {"Transfer": TRANSFER}
_NO_CONTRACT = 255


class NotPlain(Exception):
    """Something is not as it has to be, or not as the bulk of the logs is."""


def require(true: bool) -> None:
    """Raise `NotPlain` unless it is true."""
    if not true:
        raise NotPlain


class Columns:
    """The commits and rewards of a table, taken apart; raises `NotPlain`."""

    def __init__(self, table: LogTable, kinds: NDArray[np.uint8]) -> None:
        topics, data = starts(table.topic_count), starts(table.size)
        self._table = table
        commits, paid = np.flatnonzero(kinds == COMMIT), np.flatnonzero(kinds == REWARD)
        for rows in (commits, paid):
            require(bool((table.topic_count[rows] == 4).all() and (table.size[rows] == 64).all()))

        # ScoresCommitted: roundId, seat, nodeId | committedAt, commitment
        words = table.topics[topics[commits][:, None] + np.arange(4)]
        body = table.data[data[commits][:, None] + np.arange(64)]
        require(not (words[:, 1, :24].any() or words[:, 2, :31].any() or words[:, 3, :28].any()))
        require(not body[:, :24].any() and bool(body[:, 32:].any(axis=1).all()))
        times = _numbers(body[:, 24:32])
        require(bool((times == table.time[table.block[commits]]).all()))
        round_ids = _numbers(words[:, 1, 24:])
        order = np.argsort(round_ids, kind="stable")
        steps = np.empty((len(commits), 128), dtype=np.uint8)
        steps[:, :32] = np.frombuffer(SCORES_COMMITTED, np.uint8)
        steps[:, 32:64] = words[:, 2]
        steps[:, 64:] = body
        packed = steps[order].tobytes()
        ids, first = np.unique(round_ids[order], return_index=True)
        bounds = [*first.tolist(), len(order)]
        self._rows: list[int] = commits[order].tolist()
        self._seats: list[int] = words[order, 2, 31].tolist()
        self._nodes: list[int] = _numbers(words[order, 3, 28:]).tolist()
        self._times: list[int] = times[order].tolist()
        self._hashed = [packed[i + 96 : i + 128] for i in range(0, len(packed), 128)]
        self._steps = keccaks([packed[i : i + 128] for i in range(0, len(packed), 128)])
        self._waiting = {
            round_id: [begin, end]
            for round_id, (begin, end) in zip(ids.tolist(), pairwise(bounds), strict=True)
        }

        # RewardCredited: roundId, nodeId, account | role, amount
        words = table.topics[topics[paid][:, None] + np.arange(4)]
        body = table.data[data[paid][:, None] + np.arange(64)]
        require(not (words[:, 1, :24].any() or words[:, 2, :28].any() or words[:, 3, :12].any()))
        require(not (body[:, :31].any() or body[:, 32:48].any()))
        amounts = body[:, 48:].tobytes()
        accounts = words[:, 3, 12:].tobytes()
        self.rewards: dict[int, tuple[int, int, int, str, int]] = dict(
            zip(
                paid.tolist(),
                zip(
                    _numbers(words[:, 1, 24:]).tolist(),
                    _numbers(words[:, 2, 28:]).tolist(),
                    body[:, 31].tolist(),
                    (account(accounts[i : i + 20]) for i in range(0, len(accounts), 20)),
                    (int.from_bytes(amounts[i : i + 16]) for i in range(0, len(amounts), 16)),
                    strict=True,
                ),
                strict=True,
            )
        )

    def attach(self, audited: Audited, parameters: RoundsParameters, before: int) -> None:
        """Give a round its commits of the rows before one; raise `NotPlain`."""
        waiting = self._waiting.get(audited.key.round_id)
        if waiting is None:
            return
        begin, end = waiting
        if self._rows[begin] >= before:
            return
        state, drawn, commits = audited.state, audited.drawn, audited.bulk
        require(drawn is not None and state.phase is Phase.DRAWN)
        assert drawn is not None
        ids, digest, committed = drawn.ids, audited.digest, state.committed
        close = phases.commits_close_at(parameters, state.drawn_at)
        at = begin
        while at < end and self._rows[at] < before:
            seat, time = self._seats[at], self._times[at]
            if seat >= len(ids) or ids[seat] != self._nodes[at]:
                raise NotPlain
            if committed >> seat & 1 or time >= close:
                raise NotPlain
            committed |= 1 << seat
            commits[seat] = (time, self._hashed[at])
            digest = keccak(digest + self._steps[at])
            at += 1
        audited.digest = digest
        audited.state = RoundState(
            Phase.DRAWN,
            state.draw_block,
            state.drawn_at,
            state.items,
            state.panel_size,
            committed,
            state.revealed,
        )
        if at == end:
            del self._waiting[audited.key.round_id]
        else:
            waiting[0] = at

    def close(self, rounds: Rounds, parameters: RoundsParameters) -> None:
        """Give all rounds the commits that are left; raise `NotPlain` if a reward is left, too."""
        require(not self.rewards)
        for round_id in list(self._waiting):
            audited = rounds.get(round_id)
            require(audited is not None)
            assert audited is not None
            self.attach(audited, parameters, len(self._table))


def continued(table: LogTable) -> list[bool]:
    """Return of each log whether it is of the transaction of the one before; raise `NotPlain`."""
    first = np.ascontiguousarray(table.transaction[:, :8]).view("<u8")[:, 0]
    same = np.zeros(len(table), dtype=bool)
    same[1:] = (table.transaction[1:] == table.transaction[:-1]).all(axis=1)
    # Each transaction's logs stand together. Eight bytes that are alike by chance only cost time.
    require(len(np.unique(first)) == int(np.count_nonzero(~same)))
    return same.tolist()


def kinds_of(table: LogTable, registry: bytes, rounds: bytes, token: bytes) -> NDArray[np.uint8]:
    """Return the kind of each log; the contracts are given by their 20 bytes."""
    rows = {address.tobytes(): row for row, address in enumerate(table.address)}
    some = table.topic_count > 0
    first = table.topics[starts(table.topic_count)[:-1][some]]
    words = np.ascontiguousarray(first).view("<u8")
    emitter = table.contract[some]
    kinds = np.full(len(words), OTHER, dtype=np.uint8)
    for kind, name in EVENTS.items():
        contract = {TRUST: registry, MOVED: token}.get(kind, rounds)
        same = (words == np.frombuffer(_TOPICS[name], "<u8")).all(axis=1)
        kinds[same & (emitter == rows.get(contract, _NO_CONTRACT))] = kind
    found = np.full(len(table), OTHER, dtype=np.uint8)
    found[some] = kinds
    return found


def whole_blocks(tables: Iterable[LogTable]) -> Iterator[LogTable]:
    """Yield the same logs in tables that hold all logs of each of their blocks."""
    kept: LogTable | None = None
    for table in tables:
        if not len(table):
            continue
        whole = table if kept is None else join([kept, table])
        last = int(np.searchsorted(whole.block, whole.block[-1]))
        if last:
            yield whole.part(0, last)
        kept = whole.part(last, len(whole))
    if kept is not None:
        yield kept


def _numbers(columns: Bytes) -> NDArray[np.int64]:
    """Return big-endian numbers of four or eight bytes a row; raise `NotPlain` above 63 bits."""
    numbers = np.ascontiguousarray(columns).view(f">u{columns.shape[1]}")[:, 0]
    require(not len(numbers) or int(numbers.max()) < 1 << 63)
    return numbers.astype(np.int64)

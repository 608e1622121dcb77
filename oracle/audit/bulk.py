"""
The same audit in bulk: many rounds at once, as long as everything is as it has to be.

Most logs are commits, rewards and settlements. Here they are read in columns, hashed in one go and
computed by `oracle.core` over all rounds of a shape; what is left of the log goes through the
careful replay, one by one, with the same ledger, rounds and vaults. A settlement's own figures are
taken for true where the next round needs them, and compared with what they have to be before a
table ends. This module never says what is wrong: at the first sign of anything it gives up, with
`NotPlain`, and the careful replay reads all logs again and names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deploy.artifacts import load
from oracle.audit.ledger import Ledger
from oracle.audit.rounds import Audited, Ended, Rounds
from oracle.chain.deployment import Deployment
from oracle.chain.log_table import Bytes, LogTable, join, starts
from oracle.chain.logs import EventDecoder, Log
from oracle.core import phases, rewards
from oracle.core import trust as trust_rule
from oracle.core.commitment import commitment
from oracle.core.consensus import aggregate, deviations
from oracle.core.digest import SCORES_COMMITTED, fold, settled_step
from oracle.core.facts import Commit, Conduct, Phase, Role
from oracle.core.keccak import keccak
from oracle.core.parameters import RoundsParameters
from oracle.core.settlement import Payment
from oracle.core.units import ScoreAboveOne, pack
from oracle.core.words import account

COMMIT, REWARD, TRUST, SETTLED, OTHER = range(5)
COMPARED = {COMMIT: 7, REWARD: 8, TRUST: 6, SETTLED: 8}
"""What the careful replay compares of a log besides its order, so that both count alike."""
COMPARED_OF_SLASH = 7
_SCORES = np.dtype(">u2")
_TOPICS = {
    name: topic
    for contract in ("NodeRegistry", "QualityRounds")
    for topic, name in EventDecoder(load(contract).abi).names.items()
}


class NotPlain(Exception):
    """Something is not as it has to be, or not as this module can tell."""


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
        self._steps = [keccak(packed[i : i + 128]) for i in range(0, len(packed), 128)]
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
        require(audited.draw is not None and audited.state.phase is Phase.DRAWN)
        assert audited.draw is not None
        panel, commits = audited.draw.panel, audited.commits
        digest, committed = audited.digest, audited.state.committed
        close = phases.commits_close_at(parameters, audited.state.drawn_at)
        at = begin
        while at < end and self._rows[at] < before:
            seat, time = self._seats[at], self._times[at]
            require(seat < len(panel) and not committed >> seat & 1 and time < close)
            require(panel[seat].node_id == self._nodes[at])
            committed |= 1 << seat
            commits.append(Commit(seat, time, self._hashed[at]))
            digest = keccak(digest + self._steps[at])
            at += 1
        audited.digest = digest
        audited.state = replace(audited.state, committed=committed)
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


class Pending(NamedTuple):
    """A settlement whose figures are still to be compared with what they have to be."""

    audited: Audited
    seats: tuple[int, ...]
    elapsed: list[int]
    scores: bytes
    consensus: bytes
    deviations: bytes
    refund: int
    paid: list[tuple[int, int, int, str, int]]
    trusts: list[int]
    current: list[int]
    moved: list[int]
    settler: str
    settled_at: int
    seats_bits: int
    revealed: int


class Bulk:
    """Settles in bulk what a careful replay would settle one by one; see the module."""

    def __init__(self, rounds: Rounds, ledger: Ledger, deployment: Deployment) -> None:
        self._rounds = rounds
        self._ledger = ledger
        self._registry, self._contract = (
            bytes.fromhex(each.address[2:]) for each in (deployment.registry, deployment.rounds)
        )
        self._parameters = deployment.rounds_parameters
        self._trust = deployment.registry_parameters.trust
        self._decoder = EventDecoder(load("QualityRounds").abi)
        self._registry_decoder = EventDecoder(load("NodeRegistry").abi)
        self._pending: list[Pending] = []
        self.slashes = 0
        """Logs of slashes that settlements had so far."""

    def take_apart(self, table: LogTable) -> tuple[list[int], Columns, dict[int, Log]]:
        """Return the kinds of all logs, commits and rewards in columns, and the others by row."""
        kinds = kinds_of(table, self._registry, self._contract)
        rows = np.flatnonzero((kinds != COMMIT) & (kinds != REWARD)).tolist()
        logs = dict(zip(rows, table.logs_at(rows), strict=True))
        return kinds.tolist(), Columns(table, kinds), logs

    def settle(
        self,
        log: Log,
        row: int,
        logs: dict[int, Log],
        kinds: list[int],
        columns: Columns,
        time: int,
    ) -> int:
        """
        Take a `RoundSettled` log and all that its transaction has to log after it.

        Return the first row after them. `logs` are those of the rows that are neither commits nor
        rewards.
        """
        args = _args(self._decoder, log)
        audited = self._rounds.get(args["roundId"])
        require(audited is not None)
        assert audited is not None
        columns.attach(audited, self._parameters, row)
        state, draw, terms = audited.state, audited.draw, audited.opening.terms
        verdict = phases.may_settle(
            state,
            terms,
            self._parameters,
            included=args["seats"],
            settler=args["settler"],
            now=args["settledAt"],
        )
        require(verdict.allowed and args["settledAt"] == time and draw is not None)
        assert draw is not None
        width = 2 * audited.opening.items
        seats = tuple(seat for seat in range(terms.panel_size) if args["seats"] >> seat & 1)
        salts, scores = args["salts"], args["scores"]
        require(len(salts) == len(seats) and len(scores) == width * len(seats))
        commits = {commit.seat: commit for commit in audited.commits}
        key, panel = audited.key, draw.panel
        elapsed = []
        for i, seat in enumerate(seats):
            row_of_scores = scores[i * width : (i + 1) * width]
            hashed = commitment(key, panel[seat].node_id, salts[i], row_of_scores)
            require(hashed == commits[seat].commitment)
            elapsed.append(commits[seat].committed_at - draw.drawn_at)

        row += 1
        paid = []
        while row < len(kinds) and kinds[row] == REWARD:
            paid.append(columns.rewards.pop(row))
            row += 1
        credits = self._rounds.credits
        for _, _, _, owner, amount in paid:
            credits[owner] += amount
        credits[args["settler"]] += terms.settlement_fee
        credits[audited.opening.requester] += args["refund"]

        row = self._slash(audited, seats, row, logs, log)
        require(row < len(kinds) and kinds[row] == TRUST)
        following = logs[row]
        require(following.transaction_hash == log.transaction_hash)
        moved = _args(self._registry_decoder, following)
        ids = [panel[seat].node_id for seat in seats]
        packed = np.frombuffer(moved["trusts"], dtype=">u4")
        require(moved["roundId"] == audited.key.round_id and moved["domain"] == terms.domain)
        require(packed[::2].tolist() == ids and len(packed) == 2 * len(ids))
        current = [self._ledger.trust(node_id, terms.domain) for node_id in ids]
        claimed: list[int] = packed[1::2].tolist()
        for node_id, trust in zip(ids, claimed, strict=True):
            self._ledger.move_trust(node_id, terms.domain, trust)
        self._pending.append(
            Pending(
                audited,
                seats,
                elapsed,
                scores,
                args["consensus"],
                args["deviations"],
                args["refund"],
                paid,
                [panel[seat].trust for seat in seats],
                current,
                claimed,
                args["settler"],
                args["settledAt"],
                args["seats"],
                state.revealed,
            )
        )
        self._rounds.close_round(audited, audited.digest, log.transaction_hash)
        return row + 1

    def _slash(
        self, audited: Audited, seats: tuple[int, ...], row: int, logs: dict[int, Log], log: Log
    ) -> int:
        """Slash the seats that are missing; return the first row after the logs of it."""
        assert audited.draw is not None
        for seat, node in enumerate(audited.draw.panel):
            if seat in seats:
                continue
            absent = audited.state.committed >> seat & 1
            conduct = Conduct.NOT_REVEALED if absent else Conduct.NOT_COMMITTED
            amount = self._ledger.slash(node.node_id, conduct, log.block_number)
            if not amount:
                continue
            slashed = logs.get(row)
            require(slashed is not None and slashed.transaction_hash == log.transaction_hash)
            assert slashed is not None
            expected = {
                "roundId": audited.key.round_id,
                "nodeId": node.node_id,
                "conduct": conduct,
                "amount": amount,
            }
            require(_args(self._registry_decoder, slashed) == expected)
            self.slashes += 1
            row += 1
        return row

    def flush(self) -> None:
        """Compare all that was taken for true with what it has to be; raise `NotPlain`."""
        shapes: dict[tuple[object, ...], list[Pending]] = {}
        for each in self._pending:
            opening = each.audited.opening
            sizes = tuple(batch.items for batch in opening.batches)
            shape = (opening.terms.rule, opening.terms.trim, len(each.seats), sizes)
            shapes.setdefault(shape, []).append(each)
        self._pending.clear()
        for group in shapes.values():
            self._compare(group)

    def _compare(self, group: list[Pending]) -> None:
        """Compare settlements of the same rule, trim, number of seats, and batches."""
        opening = group[0].audited.opening
        terms, items, seats = opening.terms, opening.items, len(group[0].seats)
        sizes = [batch.items for batch in opening.batches]
        scores = _matrix([each.scores for each in group], seats, items)
        try:
            agreed = aggregate(terms.rule, scores, _row([e.trusts for e in group]), terms.trim)
        except ScoreAboveOne:
            raise NotPlain from None
        distances = deviations(scores, agreed)
        shares = rewards.seat_shares(
            self._parameters, distances, np.array([e.elapsed for e in group], dtype=np.int64)
        )
        costs = [[batch.cost for batch in e.audited.opening.batches] for e in group]
        merits = rewards.batch_merits(
            self._parameters, agreed, sizes, np.array(costs, dtype=np.int64)
        )
        trusts = trust_rule.updated(
            self._trust, _row([e.current for e in group]), distances, items
        ).tolist()
        consensus, packed = pack(agreed), pack(distances)
        for i, each in enumerate(group):
            own = each.audited.opening
            require(consensus[2 * items * i : 2 * items * (i + 1)] == each.consensus)
            require(packed[2 * seats * i : 2 * seats * (i + 1)] == each.deviations)
            require(trusts[i] == each.moved)
            budget, size = own.terms.evaluator_budget, own.terms.panel_size
            seat_amounts = rewards.seat_rewards(budget, size, shares[i])
            batch_amounts = rewards.batch_rewards(own.terms.inference_budget, items, merits[i])
            self._end(each, seat_amounts, batch_amounts)

    def _end(self, each: Pending, seats: tuple[int, ...], batches: tuple[int, ...]) -> None:
        """Compare what a round paid, and end it."""
        audited = each.audited
        assert audited.draw is not None
        round_id, opening, panel = audited.key.round_id, audited.opening, audited.draw.panel
        due = []
        for seat, amount in zip(each.seats, seats, strict=True):
            if amount:
                node = panel[seat]
                due.append((round_id, node.node_id, 1, node.owner, amount))
        for batch, amount in zip(opening.batches, batches, strict=True):
            if amount:
                due.append((round_id, batch.node_id, 2, batch.owner, amount))
        require(due == each.paid)
        refund = opening.terms.deposit - sum(seats) - sum(batches) - opening.terms.settlement_fee
        require(refund == each.refund)
        audited.digest = fold(
            audited.digest,
            settled_step(
                settler=each.settler,
                settled_at=each.settled_at,
                seats=each.seats_bits,
                revealed=each.revealed,
                scores=each.scores,
                consensus=each.consensus,
                deviations=each.deviations,
                rewards=seats + batches,
                refund=refund,
            ),
        )
        payments = tuple(
            Payment(node_id, Role(role), owner, amount) for _, node_id, role, owner, amount in due
        )
        audited.ended = Ended(len(each.seats), payments, each.settler, refund)
        audited.settler, audited.draw = each.settler, None
        audited.commits.clear()


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


def kinds_of(table: LogTable, registry: bytes, rounds: bytes) -> NDArray[np.uint8]:
    """Return the kind of each log; the contracts are given by their 20 bytes."""
    found = np.full(len(table), OTHER, dtype=np.uint8)
    some = table.topic_count > 0
    first = table.topics[starts(table.topic_count)[:-1][some]]
    emitter = table.contract[some]
    names = {address.tobytes(): i for i, address in enumerate(table.address)}
    words = np.ascontiguousarray(first).view("<u8")
    kinds = np.full(len(words), OTHER, dtype=np.uint8)
    for kind, contract, topic in (
        (COMMIT, rounds, _TOPICS["ScoresCommitted"]),
        (REWARD, rounds, _TOPICS["RewardCredited"]),
        (SETTLED, rounds, _TOPICS["RoundSettled"]),
        (TRUST, registry, _TOPICS["TrustUpdated"]),
    ):
        same = (words == np.frombuffer(topic, "<u8")).all(axis=1)
        kinds[same & (emitter == names.get(contract, 255))] = kind
    found[some] = kinds
    return found


def require(true: bool) -> None:
    """Raise `NotPlain` unless it is true."""
    if not true:
        raise NotPlain


def _args(decoder: EventDecoder, log: Log) -> dict[str, Any]:
    try:
        event = decoder.decode(log)
    except ValueError:  # not canonical
        raise NotPlain from None
    require(event is not None)
    assert event is not None
    return event.args


def _numbers(columns: Bytes) -> NDArray[np.int64]:
    """Return big-endian numbers of four or eight bytes a row; raise `NotPlain` above 63 bits."""
    kind = f">u{columns.shape[1]}"
    numbers = np.ascontiguousarray(columns).view(kind)[:, 0]
    require(not len(numbers) or int(numbers.max()) < 1 << 63)
    return numbers.astype(np.int64)


def _matrix(rows: list[bytes], seats: int, items: int) -> NDArray[np.uint16]:
    packed = np.frombuffer(b"".join(rows), dtype=_SCORES)
    return packed.astype(np.uint16).reshape(len(rows), seats, items)


def _row(rows: list[list[int]]) -> NDArray[np.uint32]:
    return np.array(rows, dtype=np.uint32)

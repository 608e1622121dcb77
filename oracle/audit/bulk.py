"""
The same audit in bulk: many rounds at once, as long as everything is as it has to be.

Most logs are openings, draws, commits, settlements and rewards. They are read by fixed layouts,
hashed and compared with as little ceremony as possible, and computed by `oracle.core` over all
rounds of a shape at once; rarer logs go through the careful replay, one by one, with the same
ledger, rounds and vaults. A settlement's own figures are taken for true where the next round needs
them, and compared with what they have to be before the table ends. At the first sign of anything
this gives up with `NotPlain`, and the careful replay reads all logs again and names it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deploy.artifacts import load
from oracle.audit import layouts
from oracle.audit.bulk_columns import (
    COMMIT,
    DRAWN,
    MOVED,
    OPENED,
    REWARD,
    SETTLED,
    TRUST,
    Columns,
    NotPlain,
    continued,
    kinds_of,
    require,
)
from oracle.audit.findings import Where
from oracle.audit.ledger import Ledger
from oracle.audit.rounds import Audited, Ended, Rounds
from oracle.audit.solvency import Vault
from oracle.chain.deployment import Deployment
from oracle.chain.log_table import LogTable
from oracle.chain.logs import EventDecoder, Log
from oracle.core import phases, rewards
from oracle.core import trust as trust_rule
from oracle.core.consensus import aggregate, deviations, pivot
from oracle.core.digest import fold, opening_hash, settled_step
from oracle.core.facts import Conduct
from oracle.core.judged import judged_count, judged_items
from oracle.core.keccak import keccaks
from oracle.core.units import MAX_JUDGED, ScoreAboveOne, pack
from oracle.core.words import account, word

COMPARED = {COMMIT: 7, REWARD: 8, TRUST: 6, SETTLED: 8, OPENED: 2, DRAWN: 3, MOVED: 2}
"""What the careful replay compares of a log besides its order, so that both count alike."""
COMPARED_OF_SLASH = 7
_SCORES = np.dtype(">u2")
_EVALUATOR, _INFERENCE = 1, 2
_NO_BYTES = bytes(12)

Paid = tuple[int, int, int, str, int]
"""Round, node, role, account and amount of a reward."""


class Pending(NamedTuple):
    """A settlement whose figures are still to be compared with what they have to be."""

    audited: Audited
    seats: tuple[int, ...]
    bits: int
    elapsed: list[int]
    commitments: list[bytes]
    ids: list[int]
    salts: bytes
    scores: bytes
    consensus: bytes
    deviations: bytes
    refund: int
    paid: list[Paid]
    trusts: list[int]
    current: list[int]
    moved: list[int]
    settler: str
    settled_at: int
    revealed: int


class Bulk:
    """The kinds of logs that are most of a log; see the module."""

    def __init__(
        self, rounds: Rounds, ledger: Ledger, vaults: list[Vault], deployment: Deployment
    ) -> None:
        self._rounds = rounds
        self._ledger = ledger
        self._vaults = vaults
        self._contracts = [
            bytes.fromhex(address[2:])
            for address in (
                deployment.registry.address,
                deployment.rounds.address,
                deployment.token,
            )
        ]
        self._parameters = deployment.rounds_parameters
        self._trust = deployment.registry_parameters.trust
        self._slashes = EventDecoder(load("NodeRegistry").abi)
        self._pending: list[Pending] = []
        self._continued: list[bool] = []
        self.slashes = 0
        """Logs of slashes that settlements had so far."""

    def take_apart(self, table: LogTable) -> tuple[list[int], Columns, dict[int, Log]]:
        """Return the kinds of all logs, commits and rewards in columns, and the others by row."""
        kinds = kinds_of(table, *self._contracts)
        self._continued = continued(table)
        rows = np.flatnonzero((kinds != COMMIT) & (kinds != REWARD)).tolist()
        logs = dict(zip(rows, table.logs_at(rows), strict=True))
        return kinds.tolist(), Columns(table, kinds), logs

    def move(self, log: Log) -> None:
        """Take a `Transfer`."""
        require(len(log.topics) == 3 and len(log.data) == 32)
        sender, receiver = log.topics[1:]
        require(sender[:12] == receiver[:12] == _NO_BYTES)
        names = account(sender[12:]), account(receiver[12:])
        for vault in self._vaults:
            vault.transfer(*names, int.from_bytes(log.data))

    def open(self, log: Log) -> None:
        """Take a `RoundOpened`."""
        require(len(log.topics) == 3)
        try:
            round_id, opening, words = layouts.round_opened(log)
        except layouts.OtherLayout:
            raise NotPlain from None
        key = self._rounds.key(round_id)
        where = Where(log.transaction_hash, round_id)
        self._rounds.open(key, opening, opening_hash(key, words), log.block_number, where)

    def draw(self, log: Log, columns: Columns, row: int) -> None:
        """Take a `PanelDrawn`."""
        require(len(log.topics) == 2)
        try:
            drawn_at, seed, panel = layouts.panel_drawn(log)
        except layouts.OtherLayout:
            raise NotPlain from None
        audited = self._known(log)
        require(len(panel) == 28 * audited.opening.terms.panel_size)
        columns.attach(audited, self._parameters, row)
        where = Where(log.transaction_hash, audited.key.round_id)
        self._rounds.draw(audited, drawn_at, seed, panel, log, where)

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
        Take a `RoundSettled` and all that its transaction has to log after it.

        Return the first row after them. `logs` are those of the rows that are neither commits nor
        rewards; `time` is the second of the block.
        """
        require(len(log.topics) == 3 and log.topics[2][:12] == _NO_BYTES)
        audited, settler = self._known(log), account(log.topics[2][12:])
        columns.attach(audited, self._parameters, row)
        state, drawn, opening = audited.state, audited.drawn, audited.opening
        try:
            settled_at, bits, refund, salts, scores, consensus, packed = layouts.round_settled(
                log, opening.items
            )
        except layouts.OtherLayout:
            raise NotPlain from None
        verdict = phases.may_settle(
            state, opening.terms, self._parameters, included=bits, settler=settler, now=settled_at
        )
        require(verdict.allowed and settled_at == time and drawn is not None)
        assert drawn is not None
        seats = seats_of(bits)
        commits = audited.bulk
        for commit in audited.commits:  # where a rare log spelled them out
            commits[commit.seat] = (commit.committed_at, commit.commitment)
        committed = [commits[seat] for seat in seats]

        row = first = row + 1
        paid = []
        while row < len(kinds) and kinds[row] == REWARD:
            paid.append(columns.rewards.pop(row))
            row += 1
        credits = self._rounds.credits
        for _, _, _, owner, amount in paid:
            credits[owner] += amount
        credits[settler] += opening.terms.settlement_fee
        credits[opening.requester] += refund
        row = self._slash(audited, seats, row, logs, log)
        weighs = opening.terms.rule.weighs
        if weighs:
            require(row < len(kinds) and kinds[row] == TRUST)
        else:
            row -= 1  # of the last log that belongs to the settlement
        require(all(self._continued[first : row + 1]))
        trusts = [drawn.trusts[seat] for seat in seats]
        ids = [drawn.ids[seat] for seat in seats]
        current, moved = self._move_trusts(audited, ids, logs[row]) if weighs else ([], [])
        pending = (settler, settled_at, state.revealed)
        self._pending.append(
            Pending(
                audited,
                seats,
                bits,
                [at - drawn.drawn_at for at, _ in committed],
                [hashed for _, hashed in committed],
                ids,
                salts,
                scores,
                consensus,
                packed,
                refund,
                paid,
                trusts,
                current,
                moved,
                *pending,
            )
        )
        self._rounds.close_round(audited, audited.digest, log.transaction_hash)
        return row + 1

    def _known(self, log: Log) -> Audited:
        audited = self._rounds.get(int.from_bytes(log.topics[1]))
        require(audited is not None)
        assert audited is not None
        return audited

    def _move_trusts(
        self, audited: Audited, ids: list[int], log: Log
    ) -> tuple[list[int], list[int]]:
        """Believe a `TrustUpdated`; return the trusts of the nodes before and after."""
        domain = audited.opening.terms.domain
        require(log.topics[1:] == (word(audited.key.round_id), domain))
        try:
            packed = np.frombuffer(layouts.trust_updated(log), dtype=">u4").tolist()
        except ValueError:  # of another layout, or no whole numbers
            raise NotPlain from None
        require(packed[::2] == ids and len(packed) == 2 * len(ids))
        current = [self._ledger.trust(node_id, domain) for node_id in ids]
        moved: list[int] = packed[1::2]
        for node_id, trust in zip(ids, moved, strict=True):
            self._ledger.move_trust(node_id, domain, trust)
        return current, moved

    def _slash(
        self, audited: Audited, seats: tuple[int, ...], row: int, logs: dict[int, Log], log: Log
    ) -> int:
        """Slash the seats that are missing; return the first row after the logs of it."""
        assert audited.drawn is not None
        if len(seats) == len(audited.drawn.ids):
            return row
        for seat, node_id in enumerate(audited.drawn.ids):
            if seat in seats:
                continue
            committed = audited.state.committed >> seat & 1
            conduct = Conduct.NOT_REVEALED if committed else Conduct.NOT_COMMITTED
            amount = self._ledger.slash(node_id, conduct, log.block_number)
            if not amount:
                continue
            slashed = logs.get(row)
            require(slashed is not None)
            assert slashed is not None
            expected: dict[str, Any] = {
                "roundId": audited.key.round_id,
                "nodeId": node_id,
                "conduct": conduct,
                "amount": amount,
            }
            require(slashed.address == self._registry_name and self._args(slashed) == expected)
            self.slashes += 1
            row += 1
        return row

    @property
    def _registry_name(self) -> str:
        return account(self._contracts[0])

    def _args(self, log: Log) -> dict[str, Any]:
        try:
            event = self._slashes.decode(log)
        except ValueError:  # not canonical
            raise NotPlain from None
        require(event is not None and event.name == "Slashed")
        assert event is not None
        return event.args

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
        packed_scores = b"".join([each.scores for each in group])
        self._check_commitments(group, packed_scores, items)
        flat = np.frombuffer(packed_scores, dtype=_SCORES).astype(np.uint16)
        matrix = flat.reshape(len(group), seats, items)
        drawn = _rows([e.trusts for e in group])
        try:
            agreed = aggregate(terms.rule, matrix, drawn, terms.trim)
        except ScoreAboveOne:
            raise NotPlain from None
        seen, middle = matrix, agreed
        if items > MAX_JUDGED:
            judged = np.stack([judged_items(items, [each.salts]) for each in group])
            seen = np.take_along_axis(matrix, judged[:, np.newaxis], axis=2)
            middle = np.take_along_axis(agreed, judged, axis=1)
        middle = pivot(terms.rule, seen, drawn, middle)
        distances = deviations(seen, middle)
        elapsed = np.array([e.elapsed for e in group], dtype=np.int64)
        shares = rewards.seat_shares(self._parameters, distances, elapsed)
        costs = [[batch.cost for batch in e.audited.opening.batches] for e in group]
        merits = rewards.batch_merits(self._parameters, agreed, sizes, np.array(costs, np.int64))
        trusts: list[list[int]] = [[] for _ in group]
        if terms.rule.weighs:
            current = _rows([e.current for e in group])
            disagreements = trust_rule.disagreements(seen, middle)
            weight = judged_count(items)
            trusts = trust_rule.updated(self._trust, current, disagreements, weight).tolist()
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

    def _check_commitments(self, group: list[Pending], scores: bytes, items: int) -> None:
        """Hash what all seats of some settlements revealed, and compare."""
        rounds, seats = len(group), len(group[0].seats)
        key = group[0].audited.key
        words = np.zeros((rounds, seats, 5, 32), dtype=np.uint8)
        words[:, :, 0] = np.frombuffer(word(key.chain_id), np.uint8)
        words[:, :, 1] = np.frombuffer(word(key.contract), np.uint8)
        ids = np.array([each.audited.key.round_id for each in group], dtype=">u8")
        words[:, :, 2, 24:] = ids.view(np.uint8).reshape(rounds, 1, 8)
        nodes = np.array([each.ids for each in group], dtype=">u4")
        words[:, :, 3, 28:] = nodes.view(np.uint8).reshape(rounds, seats, 4)
        salts = np.frombuffer(b"".join([each.salts for each in group]), np.uint8)
        words[:, :, 4] = salts.reshape(rounds, seats, 32)
        rows = np.frombuffer(scores, np.uint8).reshape(rounds, seats, 2 * items)
        whole = np.concatenate([words.reshape(rounds, seats, 160), rows], axis=2)
        content, width = whole.tobytes(), whole.shape[2]
        hashed = keccaks([content[i : i + width] for i in range(0, len(content), width)])
        require(hashed == [each for settled in group for each in settled.commitments])

    def _end(self, each: Pending, seats: tuple[int, ...], batches: tuple[int, ...]) -> None:
        """Compare what a round paid, and end it."""
        audited = each.audited
        assert audited.drawn is not None
        round_id, opening, drawn = audited.key.round_id, audited.opening, audited.drawn
        due: list[Paid] = [
            (round_id, drawn.ids[seat], _EVALUATOR, account(drawn.owners[seat]), amount)
            for seat, amount in zip(each.seats, seats, strict=True)
            if amount
        ]
        due += [
            (round_id, batch.node_id, _INFERENCE, batch.owner, amount)
            for batch, amount in zip(opening.batches, batches, strict=True)
            if amount
        ]
        require(due == each.paid)
        refund = opening.terms.deposit - sum(seats) - sum(batches) - opening.terms.settlement_fee
        require(refund == each.refund)
        step = settled_step(
            settler=each.settler,
            settled_at=each.settled_at,
            seats=each.bits,
            revealed=each.revealed,
            scores=each.scores,
            consensus=each.consensus,
            deviations=each.deviations,
            rewards=seats + batches,
            refund=refund,
        )
        audited.digest = fold(audited.digest, step)
        paid = tuple((node_id, role, owner, amount) for _, node_id, role, owner, amount in due)
        audited.ended = Ended(len(each.seats), paid, each.settler, refund)
        audited.settler, audited.drawn = each.settler, None
        audited.commits.clear()
        audited.bulk.clear()


@lru_cache(maxsize=1 << 16)
def seats_of(bits: int) -> tuple[int, ...]:
    """Return the seats of a bitmap."""
    return tuple(seat for seat in range(bits.bit_length()) if bits >> seat & 1)


def _rows(rows: list[list[int]]) -> NDArray[np.uint32]:
    return np.array(rows, dtype=np.uint32)

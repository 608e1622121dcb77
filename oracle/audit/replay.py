"""
The audit itself: every log of a deployment in its order, and then what the chain has stored.

Each log goes to the part that knows what it has to say; what no part expects is a mismatch, as is
a log that cannot be read. Transactions are closed one by one, so that money is compared after
each. With a `Reader` the end state of both contracts is compared word by word; without, logs alone
are. What no comparison reaches, and no payout depends on: the position of a log in its block beyond
the order, who sent a contract tokens unasked, and a rotation that changes nothing.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deploy.artifacts import load
from oracle.audit.bulk import COMPARED, COMPARED_OF_SLASH, Bulk
from oracle.audit.bulk_columns import (
    DRAWN,
    EVENTS,
    MOVED,
    OPENED,
    OTHER,
    SETTLED,
    Columns,
    NotPlain,
    require,
    whole_blocks,
)
from oracle.audit.clock import Clock
from oracle.audit.fetch import BranchAbandoned
from oracle.audit.findings import Findings, Where
from oracle.audit.ledger import Ledger
from oracle.audit.reader import Reader
from oracle.audit.record import Records
from oracle.audit.report import Report, report
from oracle.audit.rounds import Rounds
from oracle.audit.solvency import Vault
from oracle.audit.sources import ChainSource, Source
from oracle.audit.storage import compare
from oracle.chain.deployment import Deployment
from oracle.chain.log_table import LogTable
from oracle.chain.logs import Event, EventDecoder, Log
from oracle.core.reveals import RevealRefused

if TYPE_CHECKING:
    from web3 import Web3

_TRANSFER = (
    {
        "type": "event",
        "name": "Transfer",
        "anonymous": False,
        "inputs": [
            {"name": "from", "type": "address", "indexed": True},
            {"name": "to", "type": "address", "indexed": True},
            {"name": "value", "type": "uint256", "indexed": False},
        ],
    },
)
ATTEMPTS = 5
"""How often an audit begins again because the chain was reorganised under it."""

Handler = Callable[[Event, Where], None]
Progress = Callable[[int, int], None]
"""Hears of the block that the audit has reached, and of the number of logs so far."""


def run(
    web3: Web3,
    deployment: Deployment,
    block: int | None = None,
    progress: Progress | None = None,
    cache: Path | None = None,
    records: Records | None = None,
) -> Report:
    """
    Audit a deployment up to `block`, by default the latest one; `records` keeps the rounds.

    What was read before is taken from `cache`, a directory. Nothing is called wrong before it was
    read twice, the second time from the node alone. Raises `BranchAbandoned` for a chain that does
    not settle, and what `Fetcher` and `ChainReader` raise.
    """
    report = _run(lambda: ChainSource(web3, deployment, block, cache), progress, records)
    if report.right:
        return report
    return _run(lambda: ChainSource(web3, deployment, block), progress, records)


def _run(
    source: Callable[[], ChainSource], progress: Progress | None, records: Records | None
) -> Report:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            made = source()
            report = audit(made, progress, records)
            made.check()  # storage, too, was read of the block that it was to be
            return report
        except BranchAbandoned:
            if attempt == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def audit(
    source: Source, progress: Progress | None = None, records: Records | None = None
) -> Report:
    """
    Audit all logs of a source, and what the chain has stored after them.

    `records` keeps the rounds, which are then not audited in bulk.
    """
    if records is None:
        with suppress(NotPlain):
            return audit_in_bulk(source, progress)
    logs = _logs(source, source.reader, progress)
    return _Replay(source.deployment, source.reader, records).of(logs)


def audit_in_bulk(source: Source, progress: Progress | None = None) -> Report:
    """Audit a source that has nothing wrong, fast; raise `NotPlain` for any other."""
    return _Replay(source.deployment, source.reader).of_tables(source.tables(), progress)


def replay(
    deployment: Deployment,
    logs: Iterable[Log],
    reader: Reader | None,
    records: Records | None = None,
) -> Report:
    """
    Audit `logs` in chain order; `records` keeps the rounds.

    Without a `reader` nothing is asked of a chain: seeds, block times, digests and storage are
    then compared only as far as logs contradict each other.
    """
    return _Replay(deployment, reader, records).of(logs)


class _Replay:
    def __init__(
        self, deployment: Deployment, reader: Reader | None, records: Records | None = None
    ) -> None:
        self._deployment = deployment
        self._reader = reader
        self._findings = findings = Findings()
        self._clock = clock = Clock(findings, reader)
        self._vaults = [
            Vault(name, contract.address, findings)
            for name, contract in (
                ("NodeRegistry", deployment.registry),
                ("QualityRounds", deployment.rounds),
            )
        ]
        parameters = deployment.registry_parameters
        self._ledger = Ledger(parameters, findings, clock, self._vaults[0], reader)
        self._rounds = Rounds(
            deployment, findings, clock, self._vaults[1], self._ledger, reader, records
        )
        self._decoders = {
            deployment.token: EventDecoder(_TRANSFER),
            deployment.registry.address: EventDecoder(load("NodeRegistry").abi),
            deployment.rounds.address: EventDecoder(load("QualityRounds").abi),
        }
        self._handlers: dict[str, Mapping[str, Handler]] = {
            deployment.token: {"Transfer": self._transfer},
            deployment.registry.address: {
                **self._ledger.handlers,
                **self._rounds.registry_handlers,
            },
            deployment.rounds.address: self._rounds.handlers,
        }

    def of_tables(self, tables: Iterable[LogTable], progress: Progress | None) -> Report:
        """Audit logs in bulk; raise `NotPlain` unless everything is as it has to be."""
        with _without_collecting():
            return self._of_tables(tables, progress)

    def _of_tables(self, tables: Iterable[LogTable], progress: Progress | None) -> Report:
        counts: Counter[str] = Counter()
        latest: tuple[int, int] | None = None
        seen = 0
        assert self._reader is not None
        bulk = Bulk(self._rounds, self._ledger, self._vaults, self._deployment)
        for table in whole_blocks(tables):
            self._reader.enter(table)
            self._check_places(table, latest)
            self._of_table(table, bulk, counts)
            latest = int(table.number[-1]), int(table.index[-1])
            seen += len(table)
            if progress is not None:
                progress(latest[0], seen)
        counts["Slashed"] += bulk.slashes
        compared = sum(each * counts[EVENTS[kind]] for kind, each in COMPARED.items())
        compared += COMPARED_OF_SLASH * bulk.slashes
        self._findings.comparisons += compared + max(counts.total() - 1, 0)
        report = self._finish(counts, self._reader.block)
        require(report.right)
        return report

    def _check_places(self, table: LogTable, latest: tuple[int, int] | None) -> None:
        """Raise `NotPlain` unless the logs follow each other within the blocks of the audit."""
        numbers = table.number[table.block].astype(np.int64)
        index = table.index.astype(np.int64)
        later = (np.diff(numbers) > 0) | ((np.diff(numbers) == 0) & (np.diff(index) > 0))
        first = int(numbers[0]), int(index[0])
        require(bool(later.all()) and (latest is None or first > latest))
        assert self._reader is not None
        require(self._deployment.start_block <= first[0])
        require(int(numbers[-1]) <= self._reader.block)

    def _of_table(self, table: LogTable, bulk: Bulk, counts: Counter[str]) -> None:
        kinds, columns, logs = bulk.take_apart(table)
        times = table.time[table.block].tolist()
        latest: Log | None = None
        following = 0
        for row, log in logs.items():
            if row < following:
                continue
            if latest is not None and log.transaction_hash != latest.transaction_hash:
                self._close(latest)
            latest, kind = log, kinds[row]
            self._clock.at(log.block_number, log.block_hash, times[row])
            if kind == MOVED:
                bulk.move(log)
            elif kind == OPENED:
                bulk.open(log)
            elif kind == DRAWN:
                bulk.draw(log, columns, row)
            elif kind == SETTLED:
                following = bulk.settle(log, row, logs, kinds, columns, times[row])
            else:
                require(kind == OTHER)
                counts[self._rare(log, row, columns)] += 1
            require(not self._findings.mismatches)
        self._close(latest)
        columns.close(self._rounds, self._deployment.rounds_parameters)
        bulk.flush()
        require(not self._findings.mismatches)
        for kind, name in EVENTS.items():
            counts[name] += kinds.count(kind)

    def _rare(self, log: Log, row: int, columns: Columns) -> str:
        """Take a log as the careful replay does, and return its name."""
        self._findings.comparisons += 2  # its block is one of those audited, and of that hash
        if log.address == self._deployment.rounds.address and len(log.topics) > 1:
            audited = self._rounds.get(int.from_bytes(log.topics[1]))
            if audited is not None:
                columns.attach(audited, self._deployment.rounds_parameters, row)
                audited.spell_out()
        return self._handle(log, Where(transaction=log.transaction_hash))

    def of(self, logs: Iterable[Log]) -> Report:
        """Audit logs one by one, and name whatever is wrong."""
        counts: Counter[str] = Counter()
        latest: Log | None = None
        for log in logs:
            where = Where(transaction=log.transaction_hash)
            if not self._findings.expect(where, "blockNumber", True, self._covers(log)):
                continue
            if latest is None or log.transaction_hash != latest.transaction_hash:
                self._close(latest)
            self._clock.enter(where, log)
            if latest is not None:
                follows = _place(log) > _place(latest)
                self._findings.expect(where, "order of the logs", True, follows)
            latest = log
            name = self._handle(log, where)
            counts[name] += 1
        self._close(latest)
        self._rounds.record_running()
        if self._reader is not None:
            last = self._reader.block
        else:
            last = self._deployment.start_block if latest is None else latest.block_number
        return self._finish(counts, last)

    def _finish(self, counts: Mapping[str, int], last: int) -> Report:
        if self._reader is not None:
            compare(
                self._findings,
                self._deployment,
                self._ledger,
                self._rounds,
                self._vaults,
                self._reader,
            )
        return report(
            self._deployment,
            self._findings,
            self._ledger,
            self._rounds,
            {name: count for name, count in counts.items() if count},
            last_block=last,
            on_chain=self._reader is not None,
        )

    def _covers(self, log: Log) -> bool:
        """Return whether a log is of a block that is audited."""
        first = self._deployment.start_block
        return first <= log.block_number and (
            self._reader is None or log.block_number <= self._reader.block
        )

    def _handle(self, log: Log, where: Where) -> str:
        try:
            event = self._decoders[log.address].decode(log)
        except Exception as error:  # a log may hold any bytes
            self._findings.expect(where, "log can be read", True, f"no: {error}")
            return "unreadable"
        if event is None:
            if log.address != self._deployment.token:
                self._findings.expect(where, "log is of a known kind", True, False)
            return "other"
        place = Where(
            transaction=log.transaction_hash,
            round=event.args.get("roundId"),
            seat=event.args.get("seat"),
            node=event.args.get("nodeId"),
        )
        try:
            self._handlers[log.address][event.name](event, place)
        except RevealRefused as error:
            place = replace(place, seat=error.seat)
            self._findings.expect(place, event.name, "possible", str(error))
        except (ValueError, ArithmeticError, LookupError) as error:
            # What core refuses cannot have happened.
            self._findings.expect(place, event.name, "possible", str(error))
        return event.name

    def _transfer(self, event: Event, where: Where) -> None:
        for vault in self._vaults:
            vault.transfer(event.args["from"], event.args["to"], event.args["value"])

    def _close(self, latest: Log | None) -> None:
        if latest is None:
            return
        where = Where(transaction=latest.transaction_hash)
        self._rounds.close(where)
        for vault in self._vaults:
            vault.close(where)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Leave garbage to reference counts: a fifth of the time goes into looking for cycles."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _place(log: Log) -> tuple[int, int]:
    return log.block_number, log.log_index


def _logs(source: Source, reader: Reader, progress: Progress | None) -> Iterator[Log]:
    count = 0
    for table in source.tables():
        reader.enter(table)
        yield from table.logs()
        count += len(table)
        if progress is not None and len(table):
            progress(int(table.number[-1]), count)

"""
The row of scores of each seat: the one on the disk, or one that is being made.

This module decides that a row comes from the disk if there is one, since that is what the seat
committed to or is about to; only otherwise the workload is scored, beside the loop. What keeps it
from being scored is told once.
"""

from __future__ import annotations

from collections.abc import Callable

from oracle.core.facts import Opening
from oracle.service.errands import Errands
from oracle.service.fetching import NotFetched
from oracle.service.logging import Logger
from oracle.service.metrics import DaemonMetrics
from oracle.service.scores import ScoreStore, SeatKey

THREADS = 4
"""Workloads that are fetched at a time."""

Score = Callable[[Opening, str], bytes]


class Rows:
    """
    Rows of `store`, and what `score` makes of a round's opening and URI in `threads` threads.

    Whatever `score` raises leaves the seat without a row, until a later attempt succeeds.
    """

    def __init__(
        self,
        store: ScoreStore,
        score: Score,
        *,
        metrics: DaemonMetrics,
        log: Logger,
        threads: int = THREADS,
    ) -> None:
        self.store = store
        self._score = score
        self._metrics = metrics
        self._log = log
        self._scoring: Errands[SeatKey, bytes] = Errands(threads)
        self._reasons: dict[SeatKey, str] = {}

    def row(self, key: SeatKey, opening: Opening, uri: str) -> bytes | None:
        """Return a seat's row; `None` while there is none yet."""
        kept = self.store.find(key)
        if kept is not None:
            return kept
        row = self._scoring.result(key, lambda: self._score(opening, uri))
        failure = self._scoring.failure(key)
        if row is None and failure is not None:
            self._tell(key, failure)
        return row

    def why_none(self, key: SeatKey) -> str:
        """Say why a seat has no row or did not use it."""
        return self._reasons.get(key, "It was not scored or sent in time.")

    def forget(self, unwanted: Callable[[SeatKey], bool]) -> None:
        """Drop what is being made for these seats; what is on the disk stays."""
        self._scoring.forget(unwanted)
        self._reasons = {key: why for key, why in self._reasons.items() if not unwanted(key)}

    def _tell(self, key: SeatKey, failure: Exception) -> None:
        reason = " ".join(str(failure).split()) or type(failure).__name__
        if self._reasons.get(key) == reason:
            return
        self._reasons[key] = reason
        self._metrics.count_error(failure)
        self._log.error(
            "not_scored",
            round=key.round.round_id,
            node=key.node_id,
            error=type(failure).__name__,
            message=reason,
            # An evaluator may raise anything; what is expected needs no more than its sentence.
            exc_info=None if isinstance(failure, (NotFetched, ValueError)) else failure,
        )

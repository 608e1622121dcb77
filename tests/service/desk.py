"""An intake that can be asked over HTTP, for a round on a board."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from oracle.service.board import BoardHolder
from oracle.service.intake import Intake, intake_application
from oracle.service.logging import logger
from oracle.service.metrics import OracleMetrics
from oracle.service.rate import RateLimit
from oracle.service.reveals import RevealStore
from oracle.service.serving import serving
from tests.service.rounds import DEPLOYMENT, board_with, document, facts_of, running

EVERY_SEAT = (0, 1, 2, 3, 4)
PATIENCE = 60  # seconds
CODES = (
    "stored",
    "known",
    "commitment_mismatch",
    "invalid_scores",
    "unknown_seat",
    "other_node",
)


class Desk:
    """An intake behind a port, its board and its store."""

    def __init__(self, store: RevealStore) -> None:
        self.board = BoardHolder()
        self.store = store
        self.metrics = OracleMetrics()
        self.intake = Intake(self.board, store, DEPLOYMENT, self.metrics, logger())
        self.client = httpx.Client()
        self.clear()

    @contextmanager
    def open(self, limit: RateLimit) -> Iterator[Desk]:
        app = intake_application(self.intake, limit)
        with serving(app, "127.0.0.1", 0) as url, httpx.Client(base_url=url) as self.client:
            self.client.timeout = PATIENCE
            yield self

    def clear(self) -> None:
        """Keep nothing and count from here; all five seats have committed."""
        self.store.drop(self.store.rounds())
        self.board.current = board_with(running(facts_of(*EVERY_SEAT)))
        self._counted: dict[str, float] = {}
        self._counted = {code: self.counted(code) for code in CODES}

    def hand_over(self, seat: int, **changes: Any) -> Any:
        return self.post(document(seat, **changes).model_dump_json())

    def post(self, body: str | bytes | Iterator[bytes]) -> Any:
        return self.client.post("/v1/reveals", content=body)

    def counted(self, code: str) -> float:
        """How often a reveal came to this since the desk was cleared."""
        count = self.metrics.registry.get_sample_value("poq_reveals_total", {"code": code}) or 0
        return count - self._counted.get(code, 0)

"""
Reveals on their way to the oracles, until their rounds end.

Each oracle is asked on its own, beside the loop, so that one that hangs keeps nobody waiting. One
that took a reveal is given it again after a while: it may have lost it, and taking it twice costs
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Counter

from oracle.core.facts import Reveal
from oracle.service.documents import RevealFile, reveal_file
from oracle.service.errands import Errands
from oracle.service.handover import NotDelivered, deliver
from oracle.service.logging import Logger
from oracle.service.scores import SeatKey

_Errand = tuple[SeatKey, str, int]
"""Whose reveal goes where, and for which seat: a reorganisation may draw the panel anew."""

AGAIN = 60.0
"""Seconds after which a reveal that was taken is handed over once more."""
THREADS = 4


class Couriers:
    """Carries reveals to the oracles at `urls`; false if there are none."""

    def __init__(
        self,
        urls: Sequence[str],
        registry: CollectorRegistry,
        log: Logger,
        *,
        deliver: Callable[[str, RevealFile], str] = deliver,
        threads: int = THREADS,
    ) -> None:
        self._urls = tuple(urls)
        self._log = log
        self._deliver = deliver
        self._errands: Errands[_Errand, str] = Errands(threads, again=AGAIN)
        self._told: dict[_Errand, str] = {}
        self._deliveries = Counter(
            "poq_deliveries",
            "Reveals handed to oracles, by what changed in their answers.",
            ["code"],
            registry=registry,
        )

    def __bool__(self) -> bool:
        return bool(self._urls)

    def carry(self, key: SeatKey, reveal: Reveal) -> None:
        """See to it that every oracle is handed a seat's reveal."""
        for url in self._urls:
            errand = key, url, reveal.seat
            taken = self._errands.result(errand, partial(self._hand_over, url, key, reveal))
            failure = self._errands.failure(errand)
            if failure is not None:
                code = failure.code if isinstance(failure, NotDelivered) else "failed"
                self._tell(key, reveal, url, code, " ".join(str(failure).split()))
            elif taken is not None:
                self._tell(key, reveal, url, "taken", "")

    def forget(self, unwanted: Callable[[SeatKey], bool]) -> None:
        """Drop the reveals of these seats."""
        self._errands.forget(lambda errand: unwanted(errand[0]))
        self._told = {each: code for each, code in self._told.items() if not unwanted(each[0])}

    def _hand_over(self, url: str, key: SeatKey, reveal: Reveal) -> str:
        return self._deliver(url, reveal_file(key.round, key.node_id, reveal))

    def _tell(self, key: SeatKey, reveal: Reveal, url: str, code: str, message: str) -> None:
        errand = key, url, reveal.seat
        if self._told.get(errand) == code:
            return
        self._told[errand] = code
        self._deliveries.labels(code).inc()
        say = self._log.info if code == "taken" else self._log.warning
        say(
            "delivery",
            round=key.round.round_id,
            seat=reveal.seat,
            node=key.node_id,
            oracle=urlsplit(url).netloc.rpartition("@")[2],
            code=code,
            message=message,
        )

"""
Work that takes long or fails often, done beside the loop.

A loop that downloads or scores could miss a deadline of another round. So such work is an errand:
it is named by a key, runs in a thread of its own, and is done again after a growing pause if it
fails. Only the loop looks at what came of it. Threads end with the process, in the middle of
whatever they do: an errand leaves nothing half-written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from time import monotonic
from typing import Generic, TypeVar

FIRST_PAUSE = 1.0  # seconds, doubled after each failure
LONGEST_PAUSE = 60.0

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Errands(Generic[K, T]):
    """
    Errands that `threads` threads see to; with none, the caller's does.

    `again` is after how many seconds an errand that succeeded is done once more, `None` for never.
    A failure may say how long to wait in an attribute `retry_after`, in seconds.
    """

    def __init__(
        self,
        threads: int,
        *,
        again: float | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._threads = threads
        self._again = again
        self._clock = clock
        self._errands: dict[K, _Errand[T]] = {}
        self._queue: SimpleQueue[tuple[Future[T], Callable[[], T]]] = SimpleQueue()
        self._started = 0

    def result(self, key: K, work: Callable[[], T]) -> T | None:
        """Return what the last success came to, if any, and see to it that `work` is done."""
        errand = self._errands.setdefault(key, _Errand())
        self._collect(errand)
        if errand.running is None and self._clock() >= errand.due:
            errand.running = Future()
            self._start(errand.running, work)
            self._collect(errand)
        return errand.result

    def failure(self, key: K) -> Exception | None:
        """Return why the last attempt failed; nothing if it did not, or there was none."""
        errand = self._errands.get(key)
        return None if errand is None else errand.failure

    def forget(self, unwanted: Callable[[K], bool]) -> None:
        """Drop the errands of these keys, with what they came to."""
        for key in [key for key in self._errands if unwanted(key)]:
            del self._errands[key]

    def _collect(self, errand: _Errand[T]) -> None:
        done = errand.running
        if done is None or not done.done():
            return
        errand.running = None
        error = done.exception()
        if error is None:
            errand.result, errand.failure, errand.pause = done.result(), None, FIRST_PAUSE
            errand.due = float("inf") if self._again is None else self._clock() + self._again
        else:
            errand.failure = error if isinstance(error, Exception) else Exception(repr(error))
            wait = max(errand.pause, float(getattr(error, "retry_after", None) or 0.0))
            errand.due = self._clock() + wait
            errand.pause = min(2 * errand.pause, LONGEST_PAUSE)

    def _start(self, future: Future[T], work: Callable[[], T]) -> None:
        if self._threads == 0:
            _do(future, work)
            return
        self._queue.put((future, work))
        if self._started < self._threads:
            self._started += 1
            threading.Thread(target=self._serve, daemon=True, name="errands").start()

    def _serve(self) -> None:
        while True:
            _do(*self._queue.get())


@dataclass(slots=True)
class _Errand(Generic[T]):
    running: Future[T] | None = None
    result: T | None = None
    failure: Exception | None = None
    due: float = field(default=float("-inf"))
    pause: float = FIRST_PAUSE


def _do(future: Future[T], work: Callable[[], T]) -> None:
    try:
        future.set_result(work())
    except Exception as error:
        future.set_exception(error)

"""Errands are done beside the loop, one at a time a key, and again after a pause if they fail."""

from __future__ import annotations

import threading
from time import monotonic, sleep

from oracle.service.errands import FIRST_PAUSE, LONGEST_PAUSE, Errands


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Work:
    def __init__(self) -> None:
        self.done = 0
        self.failure: Exception | None = None

    def __call__(self) -> int:
        self.done += 1
        if self.failure is not None:
            raise self.failure
        return self.done


def test_what_failed_waits_longer_each_time_and_then_not_longer_still() -> None:
    clock, work = Clock(), Work()
    errands: Errands[str, int] = Errands(0, clock=clock)
    work.failure = ValueError("no")
    pause = FIRST_PAUSE
    for attempt in range(1, 10):
        assert errands.result("a", work) is None
        assert (work.done, errands.failure("a")) == (attempt, work.failure)
        clock.now += pause - 0.01
        errands.result("a", work)
        assert work.done == attempt
        clock.now += 0.01
        pause = min(2 * pause, LONGEST_PAUSE)
    work.failure = None
    assert errands.result("a", work) == 10
    assert errands.failure("a") is None


def test_a_failure_that_says_how_long_to_wait_is_heeded() -> None:
    clock, work = Clock(), Work()
    errands: Errands[str, int] = Errands(0, clock=clock)
    work.failure = ValueError()
    work.failure.retry_after = 100.0  # type: ignore[attr-defined]
    errands.result("a", work)
    clock.now = 99.0
    errands.result("a", work)
    assert work.done == 1
    clock.now = 100.0
    errands.result("a", work)
    assert work.done == 2


def test_what_succeeded_is_done_once_more_only_where_that_is_wanted() -> None:
    clock, work = Clock(), Work()
    once: Errands[str, int] = Errands(0, clock=clock)
    often: Errands[str, int] = Errands(0, again=60.0, clock=clock)
    assert (once.result("a", work), often.result("a", work)) == (1, 2)
    clock.now = 59.0
    assert (once.result("a", work), often.result("a", work)) == (1, 2)
    clock.now = 60.0
    assert (once.result("a", work), often.result("a", work)) == (1, 3)


def test_what_is_forgotten_is_done_anew() -> None:
    work = Work()
    errands: Errands[str, int] = Errands(0)
    errands.result("a", work)
    errands.result("b", work)
    errands.forget(lambda key: key == "a")
    assert (errands.result("a", work), errands.result("b", work)) == (3, 2)


def test_an_errand_that_hangs_keeps_neither_the_loop_nor_another_waiting() -> None:
    errands: Errands[str, str] = Errands(2)
    release = threading.Event()

    def hang() -> str:
        release.wait(60)
        return "late"

    try:
        assert errands.result("slow", hang) is None
        deadline = monotonic() + 60
        while errands.result("quick", lambda: "done") is None and monotonic() < deadline:
            sleep(0.01)
        assert errands.result("quick", lambda: "done") == "done"
        assert errands.result("slow", hang) is None
    finally:
        release.set()

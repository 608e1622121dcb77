"""What an error, a signal or a hanging node does to a daemon's loop."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from oracle.chain.follower import ReorganisedPastFinality
from oracle.chain.rpc import RpcUnreachable, WrongChain
from oracle.service import logging
from oracle.service.health import Health, Pulse
from oracle.service.loop import CHECK, Loop, Troubles, ended_by_signals
from oracle.service.metrics import DaemonMetrics

POLL = 0.01


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What was logged, a dict a line."""
    stream = io.StringIO()
    logging.configure(stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.configure()


class Ticks:
    """A loop whose ticks do what they are given, one after the other, and then end it."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.metrics = DaemonMetrics()
        self.health = Health([CHECK], Pulse())
        self.seen: list[str] = []
        self._outcomes = list(outcomes)
        self.loop = Loop(
            self._tick,
            poll=POLL,
            health=self.health,
            metrics=self.metrics,
            log=logging.logger(),
        )

    def _tick(self) -> None:
        self.seen.append(self.health.problems[CHECK])
        outcome = self._outcomes.pop(0)
        if not self._outcomes:
            self.loop.stop()
        if outcome is not None:
            raise outcome

    def count(self, end: str) -> float | None:
        return self.metrics.registry.get_sample_value("poq_ticks_total", {"end": end})


def unreachable() -> RpcUnreachable:
    return RpcUnreachable("http://secret@node.example/key", "no reply")


def test_a_tick_that_fails_is_tried_again(lines: Callable[[], list[dict[str, Any]]]) -> None:
    ticks = Ticks(None, unreachable(), unreachable(), None)
    ticks.loop.run()
    assert (ticks.count("done"), ticks.count("failed")) == (2, 2)
    assert ticks.metrics.registry.get_sample_value("poq_rpc_errors_total") == 2
    assert [bool(problem) for problem in ticks.seen] == [True, False, True, True]
    assert ticks.health.ready


def test_the_same_trouble_is_told_once_and_its_end_too(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    Ticks(*(4 * [unreachable()]), None, None).loop.run()
    told = lines()
    assert [line["event"] for line in told] == ["tick_failed", "recovered"]
    assert (told[0]["level"], told[0]["error"]) == ("warning", "RpcUnreachable")
    assert told[1]["times"] == 4
    assert "secret" not in str(told)


def test_a_mistake_in_a_tick_is_told_with_its_place_and_does_not_end_the_loop(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    ticks = Ticks(ZeroDivisionError("oops"), None)
    ticks.loop.run()
    assert ticks.count("done") == 1
    [mistake, _] = lines()
    assert mistake["level"] == "error"
    assert "_tick" in mistake["exception"]


@pytest.mark.parametrize(
    "fatal", [ReorganisedPastFinality(5, b"\1" * 32, b"\2" * 32), WrongChain(1, 2)]
)
def test_what_no_later_tick_can_mend_ends_the_loop(fatal: Exception) -> None:
    ticks = Ticks(fatal, None)
    with pytest.raises(type(fatal)):
        ticks.loop.run()


def test_the_pause_grows_while_ticks_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = Ticks(*(14 * [unreachable()]), None, None)
    pauses: list[float] = []
    monkeypatch.setattr(ticks.health.pulse, "beat", pauses.append)

    class Impatient:
        """A queue that has nothing, at once, until something is put into it."""

        def get(self, timeout: float) -> None:
            from queue import Empty

            if ticks._outcomes:
                raise Empty

        def put(self, _: None) -> None: ...

    monkeypatch.setattr(ticks.loop, "_stopped", Impatient())
    ticks.loop.run()
    waited = pauses[1::2]
    assert waited[:3] == [2 * POLL, 4 * POLL, 8 * POLL]
    assert max(waited) == 30
    assert waited[-1] == POLL


def test_another_thread_can_end_the_loop() -> None:
    ticks = Ticks(*(10_000 * [None]))
    thread = threading.Thread(target=ticks.loop.run)
    thread.start()
    ticks.loop.stop()
    thread.join(60)
    assert not thread.is_alive()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_loop(number: signal.Signals) -> None:
    handler = signal.getsignal(number)
    ticked: list[int] = []

    def tick() -> None:
        ticked.append(1)
        if len(ticked) == 3:
            os.kill(os.getpid(), number)

    loop = Loop(
        tick,
        poll=POLL,
        health=Health([CHECK], Pulse()),
        metrics=DaemonMetrics(),
        log=logging.logger(),
    )
    with ended_by_signals(loop):
        loop.run()
    assert len(ticked) == 3
    assert signal.getsignal(number) is handler


def test_a_signal_breaks_off_a_tick_that_hangs() -> None:
    def hang() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(3_600)

    loop = Loop(
        hang,
        poll=POLL,
        health=Health([CHECK], Pulse()),
        metrics=DaemonMetrics(),
        log=logging.logger(),
    )
    with ended_by_signals(loop):
        loop.run()


def test_what_follows_a_loop_that_a_signal_ended_is_not_broken_off() -> None:
    loop = Loop(
        lambda: os.kill(os.getpid(), signal.SIGTERM),
        poll=POLL,
        health=Health([CHECK], Pulse()),
        metrics=DaemonMetrics(),
        log=logging.logger(),
    )
    with ended_by_signals(loop):
        loop.run()
        time.sleep(5 * POLL)  # the alarm rings meanwhile


def test_a_trouble_that_changes_is_told_again(lines: Callable[[], list[dict[str, Any]]]) -> None:
    troubles = Troubles(logging.logger())
    for error in (unreachable(), unreachable(), ValueError("other"), unreachable()):
        troubles.report(7, error, "round_failed", round=7)
    assert [line["error"] for line in lines()] == ["RpcUnreachable", "ValueError", "RpcUnreachable"]
    assert {line["round"] for line in lines()} == {7}


def test_troubles_of_other_keys_are_told_and_forgotten_apart(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    troubles = Troubles(logging.logger())
    troubles.report(7, unreachable(), "round_failed")
    troubles.report(8, unreachable(), "round_failed")
    troubles.forget(lambda key: key == 7)
    troubles.clear(7)
    troubles.clear(8)
    assert [line["event"] for line in lines()] == ["round_failed", "round_failed", "recovered"]

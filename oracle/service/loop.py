"""
The loop of a daemon: tick, wait, again, until it is told to end.

This module decides what an error does to a daemon. One that no later tick can mend ends it. Every
other is told once, counted, and the tick is tried again after a growing pause; so a node that is
away for a night costs two lines of log. What a tick does is the daemon's own affair, and so is that
it can be interrupted anywhere: a signal that finds a tick hanging does not wait for it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from time import monotonic
from types import FrameType

from web3.exceptions import Web3Exception

from oracle.chain.errors import Reverted
from oracle.chain.fees import FeeTooHigh
from oracle.chain.follower import ReorganisedPastFinality
from oracle.chain.logs import LogsUnavailable, NodeBehind, NotCanonical
from oracle.chain.rounds import LogMissing
from oracle.chain.rpc import RpcUnreachable, WrongChain
from oracle.chain.transactions import Refused, Unfunded
from oracle.service.health import Health
from oracle.service.logging import Logger
from oracle.service.metrics import DaemonMetrics

FATAL: tuple[type[Exception], ...] = (ReorganisedPastFinality, WrongChain)
"""What no later tick can mend: the chain is not the one that it was, or was meant."""
PASSING: tuple[type[Exception], ...] = (
    RpcUnreachable,
    Web3Exception,
    LogsUnavailable,
    NodeBehind,
    NotCanonical,
    LogMissing,
    Reverted,
    Refused,
    Unfunded,
    FeeTooHigh,
)
"""What may be over by itself, or be mended from outside; nothing is wrong with this program."""
LONGEST_PAUSE = 30.0  # seconds
CHECK = "tick"
"""The check of `Health` that the last tick went well."""


class Loop:
    """
    Call `tick` every `poll` seconds in this thread until `stop`.

    A tick that fails is called again after twice the pause before, `LONGEST_PAUSE` at most.
    """

    def __init__(
        self,
        tick: Callable[[], None],
        *,
        poll: float,
        health: Health,
        metrics: DaemonMetrics,
        log: Logger,
    ) -> None:
        self.poll = poll
        self._tick = tick
        self._health = health
        self._metrics = metrics
        self._troubles = Troubles(log)
        # Unlike an Event, a signal handler can put into it at any moment.
        self._stopped: SimpleQueue[None] = SimpleQueue()
        self.running = False

    def run(self) -> None:
        """Return when stopped; raise one of `FATAL`."""
        pause = self.poll
        self.running = True
        try:
            while True:
                self._health.pulse.beat(pause)
                pause = self.poll if self._succeeds() else min(2 * pause, LONGEST_PAUSE)
                self._health.pulse.beat(pause)
                try:
                    return self._stopped.get(timeout=pause)
                except Empty:
                    continue
        except _Overdue:
            return
        finally:
            self.running = False

    def stop(self) -> None:
        """End the loop after the tick that is running; from any thread or signal handler."""
        self._stopped.put(None)

    def _succeeds(self) -> bool:
        began = monotonic()
        try:
            self._tick()
        except FATAL:
            raise
        except Exception as error:
            self._metrics.ticks.labels("failed").inc()
            self._metrics.count_error(error)
            self._health.report(CHECK, f"{type(error).__name__}: {error}")
            self._troubles.report(CHECK, error, "tick_failed")
            return False
        finally:
            self._metrics.tick_seconds.observe(monotonic() - began)
        self._metrics.ticks.labels("done").inc()
        self._health.report(CHECK)
        self._troubles.clear(CHECK)
        return True


class Troubles:
    """
    What goes wrong again and again, told once: when it begins, when it changes, when it is over.

    A trouble has a key, such as a round's id.
    """

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._open: dict[Hashable, tuple[str, int]] = {}

    def report(self, key: Hashable, error: Exception, event: str, **fields: object) -> None:
        """Log `error` as `event`, unless the same one is known under this key."""
        sentence = " ".join(str(error).split())
        kind = f"{type(error).__name__}: {sentence}"
        before, times = self._open.get(key, ("", 0))
        self._open[key] = (kind, times + 1)
        if kind == before:
            return
        if isinstance(error, PASSING):
            self._log.warning(event, error=type(error).__name__, message=sentence, **fields)
        else:
            # A mistake in this program: say where.
            self._log.error(
                event, error=type(error).__name__, message=sentence, exc_info=error, **fields
            )

    def clear(self, key: Hashable) -> None:
        """Say that a trouble is over, if there was one."""
        if (known := self._open.pop(key, None)) is not None:
            self._log.info("recovered", what=key, error=known[0], times=known[1])

    def forget(self, keys: Callable[[Hashable], bool]) -> None:
        """Forget, without a word, the troubles whose key is no longer anybody's concern."""
        for key in [each for each in self._open if keys(each)]:
            del self._open[key]


@contextmanager
def ended_by_signals(loop: Loop) -> Iterator[None]:
    """
    Let SIGTERM and SIGINT end `loop`, which runs in this thread, while the context lasts.

    A tick that still runs one poll after the signal is broken off.
    """

    def end(signum: int, frame: FrameType | None) -> None:
        loop.stop()
        signal.setitimer(signal.ITIMER_REAL, loop.poll, loop.poll)

    def break_off(signum: int, frame: FrameType | None) -> None:
        if loop.running:
            raise _Overdue

    handlers = {signal.SIGTERM: end, signal.SIGINT: end, signal.SIGALRM: break_off}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


class _Overdue(BaseException):
    """A tick did not end in time after a signal."""

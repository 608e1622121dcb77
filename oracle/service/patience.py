"""
How long something that failed is left alone before it is tried again.

Each key waits for itself: twice as long after each failure, up to a limit, so that what cannot
succeed costs the node little and what can is not kept from it for long.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from time import monotonic

LONGEST_PAUSE = 30.0  # seconds


class Patience:
    """`first` is the pause after one failure; `clock` is in seconds."""

    def __init__(self, first: float, *, clock: Callable[[], float] = monotonic) -> None:
        self._first = first
        self._clock = clock
        self._waits: dict[Hashable, tuple[float, float]] = {}

    def rests(self, key: Hashable) -> bool:
        """Say whether it is too early to try this again."""
        _, until = self._waits.get(key, (0.0, 0.0))
        return self._clock() < until

    def failed(self, key: Hashable) -> None:
        """Let it rest, longer than the time before."""
        pause, _ = self._waits.get(key, (self._first / 2, 0.0))
        pause = min(2 * pause, LONGEST_PAUSE)
        self._waits[key] = (pause, self._clock() + pause)

    def keep(self, keys: Callable[[Hashable], bool]) -> None:
        """Forget every key but these."""
        self._waits = {key: wait for key, wait in self._waits.items() if keys(key)}

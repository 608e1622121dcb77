"""
How often one client may ask.

A token bucket for each address; of IPv6, for each network of 64 bits, which is what one client is
given. The addresses that are remembered are bounded, too: the one that asked longest ago goes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from time import monotonic

MOST_CLIENTS = 10_000
_NETWORK_BITS = 64


class RateLimit:
    """`rate` requests a second for each client, and `burst` at once. Safe for threads."""

    def __init__(
        self, rate: float, burst: float, *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Count a request of a client; return 0, or the seconds after which it may ask again."""
        client = _client(address)
        with self._lock:
            now = self._clock()
            left, at = self._left.pop(client, (self._burst, now))
            left = min(self._burst, left + (now - at) * self._rate)
            allowed = left >= 1
            self._left[client] = (left - 1 if allowed else left, now)
            if len(self._left) > MOST_CLIENTS:
                self._left.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._rate


def _client(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(int(parsed) >> (parsed.max_prefixlen - _NETWORK_BITS))
    return address

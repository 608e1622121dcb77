"""
Reading ahead: a thread waits for the node while what it gave before is being replayed.

The order is that of the iterator, an error comes where it would have come, and whoever stops
listening stops the thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from queue import Full, Queue
from typing import Generic, TypeVar

Item = TypeVar("Item")

DEPTH = 2
"""Items that wait at most: enough to hide the waiting, little enough to hold in memory."""
_PATIENCE = 0.1  # seconds between two looks at whether anybody still listens


class _End(Generic[Item]):
    """What comes after the last item: nothing, or an error."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def ahead(items: Iterable[Item], depth: int = DEPTH) -> Iterator[Item]:
    """Yield `items`, of which up to `depth` are made before they are asked for."""
    queue: Queue[Item | _End[Item]] = Queue(depth)
    unheard = threading.Event()

    def put(item: Item | _End[Item]) -> bool:
        while not unheard.is_set():
            try:
                queue.put(item, timeout=_PATIENCE)
            except Full:
                continue
            return True
        return False

    def work() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as raised:  # it is raised again where the items are used
            error = raised
        put(_End(error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item = queue.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        unheard.set()
        thread.join()

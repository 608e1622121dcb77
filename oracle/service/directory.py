"""
A daemon's own directory: private, and of one process at a time.

What is in it may let others copy scores that are not public yet, so nobody else can look into it.
Two processes that write the same journal would sign the same nonces, so the second one is refused.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = "lock"
_PRIVATE = 0o700


class DirectoryUnusable(Exception):
    """Raised when a data directory cannot be made, or another process is using it."""


@contextmanager
def claimed(path: Path) -> Iterator[Path]:
    """Make the directory if it is not there, keep other processes out, and yield it."""
    try:
        path.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        path.chmod(_PRIVATE)
        lock = (path / LOCK).open("w")
    except OSError as error:
        raise DirectoryUnusable(f"{path} cannot be used: {error.strerror}.") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryUnusable(
                f"{path} is in use by another process: give each one a directory of its own."
            ) from None
        yield path

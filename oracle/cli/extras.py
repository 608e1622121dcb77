"""
Parts of this program that not everybody installs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from oracle.cli.exits import Exit, Stop


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Import what the extra called `extra` brings; end the command where it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise Stop(
            Exit.USAGE,
            f"This command needs {error.name}: pip install 'proof-of-quality[{extra}]'.",
        ) from None

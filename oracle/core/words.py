"""Words of 32 bytes, as ABI encoding has them and the protocol's hashes take them."""

from __future__ import annotations


def word(value: int | str) -> bytes:
    """Return a number from 0 to 2²⁵⁶ − 1, or an account, as 32 big-endian bytes."""
    return (int(value, 16) if isinstance(value, str) else value).to_bytes(32)

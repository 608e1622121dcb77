"""Words of 32 bytes, as ABI encoding has them and the protocol's hashes take them, and accounts."""

from __future__ import annotations

from functools import lru_cache

from eth_utils.address import to_checksum_address

_REMEMBERED = 1 << 16


def word(value: int | str) -> bytes:
    """Return a number from 0 to 2²⁵⁶ − 1, or an account, as 32 big-endian bytes."""
    return (int(value, 16) if isinstance(value, str) else value).to_bytes(32)


@lru_cache(maxsize=_REMEMBERED)
def account(packed: bytes) -> str:
    """Return the EIP-55 form of 20 bytes."""
    return str(to_checksum_address(packed))

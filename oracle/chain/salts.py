"""
A seat's salt, from its operator's key alone.

This module decides the one context that salts are derived in, so that a commitment made by one
tool can be revealed by another. After an operator was rotated, the key that committed reveals.
"""

from __future__ import annotations

from oracle.chain.keys import Signer
from oracle.core.commitment import derive_salt
from oracle.core.facts import RoundKey

_CONTEXT = b"Proof of Quality: salts of commitments"


def salt_of(operator: Signer, key: RoundKey, node_id: int) -> bytes:
    """Return the 32 bytes that this operator salts its node's commitment in this round with."""
    return derive_salt(operator.derive_secret(_CONTEXT), key, node_id)

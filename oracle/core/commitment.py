"""
What a seat commits to, and the salt that nobody can lose.

One hash over one encoding binds scores to chain, contract, round and node. A node derives its salt
from a secret of its own, so that it can reveal after any loss of memory; where the secret is kept
is not decided here. Section 3 of docs/protocol.md; twin of `QualityRounds.commitment`.
"""

from __future__ import annotations

from oracle.core.facts import RoundKey
from oracle.core.keccak import keccak
from oracle.core.words import word

_SECRET_BYTES = 32


def commitment(key: RoundKey, node_id: int, salt: bytes, scores: bytes) -> bytes:
    """Return `keccak(chainId ‖ contract ‖ roundId ‖ nodeId ‖ salt ‖ scores)`, scores packed."""
    return keccak(binding(key, node_id) + salt + scores)


def derive_salt(secret: bytes, key: RoundKey, node_id: int) -> bytes:
    """
    Return `keccak(secret ‖ chainId ‖ contract ‖ roundId ‖ nodeId)`, all as 32-byte words.

    `secret` is 32 random bytes that the node keeps; raises `ValueError` for any other length.
    """
    if len(secret) != _SECRET_BYTES:
        raise ValueError(f"a secret has {_SECRET_BYTES} bytes, not {len(secret)}")
    return keccak(secret + binding(key, node_id))


def binding(key: RoundKey, node_id: int) -> bytes:
    """Return the words that bind a hash to chain, contract, round and node, in this order."""
    return word(key.chain_id) + word(key.contract) + word(key.round_id) + word(node_id)

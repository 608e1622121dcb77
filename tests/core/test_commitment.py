from __future__ import annotations

from dataclasses import replace

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from oracle.core.commitment import commitment, derive_salt
from oracle.core.facts import RoundKey
from tests.core.rounds import KEY, account

SALT, SECRET = keccak(text="salt"), keccak(text="secret")
OTHERS = [
    (replace(KEY, chain_id=1), 3),
    (replace(KEY, contract=account("another")), 3),
    (replace(KEY, round_id=8), 3),
    (KEY, 4),
]


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_secret_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"32 bytes, not {length}"):
        derive_salt(bytes(length), KEY, 3)


@pytest.mark.parametrize(("key", "node"), OTHERS)
def test_a_commitment_is_worth_nothing_elsewhere(key: RoundKey, node: int) -> None:
    assert commitment(key, node, SALT, b"\0\1") != commitment(KEY, 3, SALT, b"\0\1")


@pytest.mark.parametrize(("key", "node"), OTHERS)
def test_a_salt_is_used_once(key: RoundKey, node: int) -> None:
    assert derive_salt(SECRET, key, node) != derive_salt(SECRET, KEY, 3)
    assert derive_salt(SECRET, KEY, 3) != derive_salt(SALT, KEY, 3)


@given(st.binary(max_size=100), st.integers(1, 2**32 - 1))
def test_a_commitment_hashes_five_words_and_the_scores(scores: bytes, node: int) -> None:
    words = encode(
        ["uint256", "address", "uint256", "uint32", "bytes32"],
        [KEY.chain_id, KEY.contract, KEY.round_id, node, SALT],
    )
    assert commitment(KEY, node, SALT, scores) == keccak(words + scores)


def test_a_salt_hashes_the_secret_and_four_words() -> None:
    words = encode(
        ["bytes32", "uint256", "address", "uint256", "uint32"],
        [SECRET, KEY.chain_id, KEY.contract, KEY.round_id, 3],
    )
    assert derive_salt(SECRET, KEY, 3) == keccak(words)

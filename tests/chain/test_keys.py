"""Keys: nothing readable by others, nothing printed, nothing overwritten."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from oracle.chain.keys import (
    KeyUnusable,
    Signer,
    read_keystore,
    read_password,
    write_keystore,
)

KEY = "0x" + "ab" * 32
SECRET = "ab" * 32


@pytest.mark.parametrize("key", ["", "0x12", "0x" + "zz" * 32, "0x" + "00" * 32, SECRET + "ff"])
def test_a_bad_private_key_is_refused_without_quoting_it(key: str) -> None:
    with pytest.raises(KeyUnusable) as caught:
        Signer.from_private_key(key)
    assert key == "" or key not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("key", [SECRET[:-1], "0x" + SECRET[1:], "0x0" + SECRET, f" {SECRET}"])
def test_a_key_with_a_digit_too_few_or_too_many_is_not_taken_for_another(key: str) -> None:
    """Found by a canary: what lacked a digit was padded with zero, and was somebody else's key."""
    with pytest.raises(KeyUnusable, match="is not 32 bytes in hex"):
        Signer.from_private_key(key)


def test_a_signer_shows_its_address_and_not_its_key() -> None:
    signer = Signer.from_private_key(KEY)
    shown = f"{signer!r} {signer} {[signer]}"
    assert signer.address in shown
    assert SECRET not in shown.lower()
    assert not hasattr(signer, "__dict__")


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text("mine")
    with pytest.raises(KeyUnusable, match="never overwritten"):
        write_keystore(path, Signer.from_private_key(KEY), "pass")
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"crypto": {}}', "\x00", '{"version": 3}'])
def test_what_is_no_keystore_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(content)
    with pytest.raises(KeyUnusable, match="is not a Web3 keystore"):
        read_keystore(path, "pass")


def test_a_missing_keystore_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyUnusable, match="No such file"):
        read_keystore(tmp_path / "none.json", "pass")


def test_a_wrong_password_does_not_open_a_keystore(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    write_keystore(path, Signer.from_private_key(KEY), "pass")
    with pytest.raises(KeyUnusable, match="password does not open"):
        read_keystore(path, "Pass")


def test_a_keystore_is_readable_by_its_owner_alone_and_opens_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    signer = Signer.from_private_key(KEY)
    write_keystore(path, signer, "pass")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    assert SECRET not in path.read_text()
    assert Account.decrypt(json.loads(path.read_text()), "pass").hex() == SECRET
    assert read_keystore(path, "pass").address == signer.address


@pytest.mark.parametrize("content", [b"", b"\n", b"\nsecret", b"\xff\xfe"])
def test_a_password_file_without_a_password_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)
    with pytest.raises(KeyUnusable):
        read_password(path)


@pytest.mark.parametrize("content", ["pass word", "pass word\n", "pass word\r\n", "pass word\nx"])
def test_a_password_is_the_first_line_of_its_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "password"
    path.write_bytes(content.encode())
    assert read_password(path) == "pass word"


def test_new_accounts_differ() -> None:
    assert Signer.create().address != Signer.create().address


def test_a_derived_secret_depends_on_key_and_context_alone() -> None:
    signer, other = Signer.from_private_key(KEY), Signer.from_private_key("0x" + "cd" * 32)
    assert signer.derive_secret(b"a") == Signer.from_private_key(KEY).derive_secret(b"a")
    secrets = {signer.derive_secret(b"a"), signer.derive_secret(b"b"), other.derive_secret(b"a")}
    assert len(secrets) == 3
    assert {len(secret) for secret in secrets} == {32}


def test_a_signed_message_recovers_to_the_signer() -> None:
    signer = Signer.from_private_key(KEY)
    message = encode_defunct(text="hello")
    signed = signer.sign_message(message)
    assert Account.recover_message(message, signature=signed.signature) == signer.address

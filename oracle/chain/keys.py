"""
Keys: where they are kept, how they are read, and what signs with them.

This module decides that a secret lives in an encrypted file readable by its owner alone (Web3
Secret Storage v3, which cast, geth and wallets open too) and that nothing prints it. A bare private
key is for development.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.datastructures import SignedMessage, SignedTransaction
from eth_account.messages import SignableMessage
from eth_account.signers.local import LocalAccount
from eth_utils import keccak

from oracle.core import json_text

PRIVATE = 0o600
_KEY = re.compile("(?:0x)?[0-9a-fA-F]{64}")


class KeyUnusable(Exception):
    """A key, keystore or password file cannot be used; the message says which and why."""


class Signer:
    """An account that signs on this machine. Neither its `repr` nor its errors hold the secret."""

    __slots__ = ("_account",)

    def __init__(self, account: LocalAccount) -> None:
        self._account = account

    @classmethod
    def from_private_key(cls, private_key: str) -> Signer:
        """Return the signer of 32 bytes in hex; for development. Raise `KeyUnusable`."""
        try:
            if _KEY.fullmatch(private_key) is None:  # what is shorter would be padded
                raise ValueError
            return cls(Account.from_key(private_key))
        except Exception:  # its own message quotes the key
            raise KeyUnusable("The private key is not 32 bytes in hex of a valid key.") from None

    @classmethod
    def create(cls) -> Signer:
        """Return a new account from this machine's randomness."""
        return cls(Account.from_key(secrets.token_bytes(32)))

    @property
    def address(self) -> str:
        """The checksummed address."""
        return str(self._account.address)

    def sign_transaction(self, transaction: dict[str, Any]) -> SignedTransaction:
        """Sign a complete transaction."""
        return self._account.sign_transaction(transaction)

    def sign_message(self, message: SignableMessage) -> SignedMessage:
        """Sign an EIP-191 or EIP-712 message."""
        return self._account.sign_message(message)

    def derive_secret(self, context: bytes) -> bytes:
        """
        Return 32 bytes that only this key and `context` determine.

        `keccak(private key ‖ keccak(context))`: whoever still has the key can have it again, and
        nobody else can guess it. One context, one secret.
        """
        return bytes(keccak(self._account.key + keccak(context)))

    def encrypt(self, password: str, *, work: int | None = None) -> dict[str, Any]:
        """Return the keystore of this key under `password`; `work` is scrypt's N, the usual one."""
        return dict(self._account.encrypt(password, iterations=work))

    def __repr__(self) -> str:
        return f"Signer({self.address})"


def write_keystore(path: Path, signer: Signer, password: str, *, work: int | None = None) -> None:
    """
    Write an encrypted keystore that only its owner can read.

    It is there completely or not at all, and never replaces another: `KeyUnusable` if `path`
    exists. Less `work` (scrypt's N, a power of two) than usual is for keys that are no secret.
    """
    content = json.dumps(signer.encrypt(password, work=work)).encode()
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        raise KeyUnusable(f"{path} exists; a keystore is never overwritten.") from None
    finally:
        draft.unlink()


def read_keystore(path: Path, password: str) -> Signer:
    """Return the signer of an encrypted keystore; raise `KeyUnusable`."""
    try:
        keystore = json_text.parse(path.read_text(encoding="utf-8"))
        return Signer(Account.from_key(Account.decrypt(keystore, password)))
    except OSError as error:
        raise KeyUnusable(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        if "MAC mismatch" in str(error):
            raise KeyUnusable(f"The password does not open {path}.") from None
        raise KeyUnusable(f"{path} is not a Web3 keystore.") from None
    except (AttributeError, KeyError, NotImplementedError, OverflowError, TypeError):
        raise KeyUnusable(f"{path} is not a Web3 keystore.") from None


def read_password(path: Path) -> str:
    """Return the first line of a password file, without its line end; raise `KeyUnusable`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise KeyUnusable(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise KeyUnusable(f"{path} is not text.") from None
    password = text.split("\n", 1)[0].removesuffix("\r")
    if not password:
        raise KeyUnusable(f"{path} is empty.")
    return password

"""
Find the key that a command signs with, and the accounts that people call by a name.

A name is that of a keystore in one directory, as `cast` keeps them. A password comes from a file or
from the terminal, never from the command line.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from oracle.cli.exits import Exit, Stop
from oracle.cli.options import KEYSTORES, Signing
from oracle.cli.output import Output
from oracle.core import json_text

if TYPE_CHECKING:
    from oracle.chain.keys import Signer


def signer_of(options: Signing, output: Output) -> Signer:
    """Return the signer that the options name; raise `Stop` or `KeyUnusable`."""
    from oracle.chain.keys import Signer, read_keystore

    if options.private_key is not None:
        output.warn("a key on the command line is readable by everybody on this machine.")
        return Signer.from_private_key(options.private_key)
    path = keystore_of(options)
    if path is None:
        raise Stop(Exit.KEY, "No key to sign with: name one with --account or --keystore.")
    return read_keystore(path, password_of(options.password_file))


def keystore_of(options: Signing) -> Path | None:
    """Return the keystore file that the options name, if they name one."""
    if options.private_key is not None:
        return None
    if options.account is None and (options.keystore is None or options.keystore.is_dir()):
        return None
    return _keystore(options.keystore, options.account)


def password_of(path: Path | None, *, new: bool = False) -> str:
    """Return the password in a file, or ask for it where there is somebody to ask."""
    from oracle.chain.keys import read_password

    if path is not None:
        return read_password(path)
    if not sys.stdin.isatty():
        raise Stop(Exit.KEY, "No password: name its file with --password-file.")
    from getpass import getpass

    password = getpass("Password: ", sys.stderr)
    if new and getpass("Again: ", sys.stderr) != password:
        raise Stop(Exit.KEY, "The two passwords differ.")
    return password


def directory_of(keystore: Path | None) -> Path:
    """Return the directory that keystores are looked up in by name."""
    return (keystore or KEYSTORES).expanduser()


def address_of(text: str, keystore: Path | None) -> str:
    """Return the account that `text` is, or is the keystore's name of."""
    from eth_utils import is_address, to_checksum_address

    if is_address(text):
        address = to_checksum_address(text)
        if text not in {address, address.lower()}:
            raise Stop(Exit.USAGE, f"{text} has a wrong checksum: a digit may be mistyped.")
        return address
    return stored_address(_keystore(keystore, text))


def stored_address(path: Path) -> str:
    """Return the account that a keystore says it holds."""
    from eth_utils import is_address, to_checksum_address

    try:
        address = json_text.parse(path.read_text(encoding="utf-8"))["address"]
    except OSError:
        raise Stop(
            Exit.USAGE, f"{path.name!r} is neither an account nor a keystore in {path.parent}."
        ) from None
    except (ValueError, KeyError, TypeError):
        raise Stop(Exit.KEY, f"{path} is not a Web3 keystore with an address.") from None
    if not is_address(address):
        raise Stop(Exit.KEY, f"{path} is not a Web3 keystore with an address.")
    return to_checksum_address(address)


def _keystore(keystore: Path | None, name: str | None) -> Path:
    if name is None or (keystore is not None and keystore.is_file()):
        return directory_of(keystore)
    return directory_of(keystore) / name

"""
`poq keys`: make, import and list encrypted keystores, by name in one directory.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oracle.cli.exits import Exit, Stop
from oracle.cli.options import Printing, with_options
from oracle.cli.signing import directory_of, password_of, stored_address

if TYPE_CHECKING:
    from oracle.chain.keys import Signer

PASSWORD = "password"
"""The name of the password file that `keys devnet` leaves beside the keystores."""
LITTLE_WORK = 4096
"""To open a key that everybody knows may be quick."""

Directory = Annotated[
    Path | None,
    typer.Option(
        "--keystore",
        envvar="ETH_KEYSTORE",
        help="The directory of keystores, by default ~/.foundry/keystores.",
    ),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", envvar="ETH_PASSWORD", help="A file with the password."),
]
Name = Annotated[str, typer.Argument(help="The name to call the account by.")]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Make, import and list keystores.", no_args_is_help=True)
    for name, command in (
        ("new", new),
        ("import", import_),
        ("list", list_),
        ("devnet", devnet),
    ):
        group.command(name)(with_options(command))
    app.add_typer(group, name="keys")


def new(
    name: Name,
    printing: Printing,
    keystore: Directory = None,
    password_file: PasswordFile = None,
) -> None:
    """
    Make a new key and keep it encrypted.

    Example: poq keys new evaluator --keystore keys --password-file keys/password
    """
    from oracle.chain.keys import Signer

    signer = Signer.create()
    path = _store(keystore, name, signer, password_of(password_file, new=True))
    printing.output().data("key", {"name": name, "address": signer.address, "path": str(path)})


def import_(
    name: Name,
    printing: Printing,
    keystore: Directory = None,
    password_file: PasswordFile = None,
    private_key_file: Annotated[
        Path | None,
        typer.Option("--private-key-file", help="A file with the key in hex; asked for if left."),
    ] = None,
) -> None:
    """
    Keep a key that exists already, encrypted. The key is read from a file or the terminal.

    Example: poq keys import evaluator --private-key-file key.hex --password-file keys/password
    """
    from oracle.chain.keys import Signer, read_password

    if private_key_file is not None:
        private_key = read_password(private_key_file)
    elif sys.stdin.isatty():
        from getpass import getpass

        private_key = getpass("Private key: ", sys.stderr)
    else:
        raise Stop(Exit.KEY, "No key to import: name its file with --private-key-file.")
    signer = Signer.from_private_key(private_key)
    path = _store(keystore, name, signer, password_of(password_file, new=True))
    printing.output().data("key", {"name": name, "address": signer.address, "path": str(path)})


def list_(printing: Printing, keystore: Directory = None) -> None:
    """
    List the keystores of a directory and their accounts. Needs no password.

    Example: poq keys list --keystore keys
    """
    directory = directory_of(keystore)
    rows = []
    for path in sorted(directory.glob("[!.]*")) if directory.is_dir() else ():
        if path.is_file() and path.name != PASSWORD:
            rows.append({"name": path.name, "address": stored_address(path)})
    printing.output().table(
        "keys", ["name", "address"], rows, f"There are no keystores in {directory}."
    )


def devnet(
    directory: Annotated[Path, typer.Argument(help="Where the keystores go.")],
    names: Annotated[list[str], typer.Argument(help="What to call the first accounts.")],
    printing: Printing,
) -> None:
    """
    Write keystores of the local chain's funded accounts, and a file with their password.

    Everybody knows these keys: they are for `poq devnet` and anvil alone.

    Example: poq keys devnet keys requester evaluator-1 evaluator-2 evaluator-3
    """
    from oracle.chain.devnet import accounts
    from oracle.chain.keys import Signer, read_password

    if len(set(names)) != len(names) or PASSWORD in names:
        raise Stop(Exit.USAGE, f"Names have to differ, from each other and from {PASSWORD!r}.")
    _make(directory)
    path = directory / PASSWORD
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(18) + "\n")
    password = read_password(path)
    rows = []
    for name, account in zip(names, accounts(len(names)), strict=True):
        _store(directory, name, Signer(account), password, work=LITTLE_WORK)
        rows.append({"name": name, "address": account.address})
    printing.output().table("keys", ["name", "address"], rows)


def _store(
    keystore: Path | None, name: str, signer: Signer, password: str, work: int | None = None
) -> Path:
    from oracle.chain.keys import write_keystore

    if not name or Path(name).name != name or name.startswith("."):
        raise Stop(Exit.USAGE, f"{name!r} is no name of a file.")
    directory = directory_of(keystore)
    _make(directory)
    write_keystore(directory / name, signer, password, work=work)
    return directory / name


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Stop(Exit.USAGE, f"{directory} cannot be made: {error.strerror}.") from None

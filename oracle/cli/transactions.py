"""
`poq tx`: what a daemon signed, what became of it, and how to hurry or stop what waits.

Daemons do all of this by themselves; these commands are for the operator who looks. They read the
journal in a daemon's data directory, which may go on running.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oracle.cli.exits import Exit, Stop
from oracle.cli.options import Printing, Signing, with_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from oracle.chain.journal import Entry, Journal
    from oracle.chain.sender import Sender

DataDirectory = Annotated[
    Path,
    typer.Option("--data-dir", envvar="POQ_DATA_DIR", help="The data directory of the daemon."),
]
Purpose = Annotated[str, typer.Argument(help="What it is for, or its nonce; as `tx list` says.")]
MaxFee = Annotated[
    str | None,
    typer.Option("--max-fee", help="Raise the cap on a unit of gas, as in 300gwei."),
]
COLUMNS = ["nonce", "purpose", "status", "block", "feePerGas", "hash", "reason"]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        help="Look at a daemon's transactions, hurry or cancel them.", no_args_is_help=True
    )
    for name, command in (
        ("list", list_),
        ("status", status),
        ("bump", bump),
        ("cancel", cancel),
    ):
        group.command(name)(with_options(command))
    app.add_typer(group, name="tx")


def list_(
    printing: Printing,
    data_dir: DataDirectory,
    pending: Annotated[bool, typer.Option("--pending", help="Only what waits.")] = False,
) -> None:
    """
    List what was signed, oldest first.

    Example: poq tx list --data-dir oracle
    """
    from oracle.chain.journal import Status

    entries = _journal(data_dir).entries()
    chosen = [each for each in entries if not pending or each.status is Status.PENDING]
    printing.output().table(
        "transactions", COLUMNS, [_row(each) for each in chosen], "There is nothing."
    )


def status(printing: Printing, data_dir: DataDirectory, purpose: Purpose) -> None:
    """
    Show one purpose with each transaction that was signed for it.

    Example: poq tx status "settle 12" --data-dir oracle
    """
    entry = _find(_journal(data_dir), purpose)
    output = printing.output()
    versions = [
        {
            "hash": "0x" + each.hash.hex(),
            "feePerGas": str(each.fee_per_gas),
            "tipPerGas": str(each.tip_per_gas),
            "cancels": each.cancels,
            "signedAt": _date(each.signed_at),
        }
        for each in entry.versions
    ]
    content = _row(entry) | {
        "chainId": entry.chain_id,
        "sender": entry.sender,
        "maxFeePerGas": str(entry.max_fee_per_gas),
        "createdAt": _date(entry.created_at),
    }
    if output.as_json:
        output.data("transaction", content | {"versions": versions})
        return
    output.data("transaction", content)
    output.table("versions", ["hash", "feePerGas", "tipPerGas", "cancels", "signedAt"], versions)


def bump(
    signing: Signing, data_dir: DataDirectory, purpose: Purpose, max_fee: MaxFee = None
) -> None:
    """
    Pay more for what waits, at the same nonce and within its cap.

    Example: poq tx bump "settle 12" --max-fee 300gwei --data-dir oracle --account oracle
    """
    _act(signing, data_dir, purpose, max_fee, lambda sender, name: sender.bump(name))


def cancel(
    signing: Signing, data_dir: DataDirectory, purpose: Purpose, max_fee: MaxFee = None
) -> None:
    """
    Outbid what waits by a transfer of nothing to oneself.

    A daemon that still needs it signs it anew once this is in a block.

    Example: poq tx cancel "settle 12" --data-dir oracle --account oracle
    """
    _act(signing, data_dir, purpose, max_fee, lambda sender, name: sender.cancel(name))


def _act(
    signing: Signing,
    data_dir: Path,
    purpose: str,
    max_fee: str | None,
    act: Callable[[Sender, str], Entry],
) -> None:
    from oracle.chain.fees import FeePolicy
    from oracle.chain.rpc import WrongChain
    from oracle.chain.sender import Sender
    from oracle.cli.amounts import parse_amount
    from oracle.cli.session import reverts, signing_session

    journal = _journal(data_dir)
    entry = _find(journal, purpose)
    session, signer = signing_session(signing)
    if entry.chain_id != session.chain_id:
        raise WrongChain(entry.chain_id, session.chain_id)
    if entry.sender != signer.address:
        raise Stop(Exit.KEY, f"{entry.purpose!r} is signed by {entry.sender}: name its key.")
    if max_fee is not None:
        entry = journal.raise_cap(entry, parse_amount(max_fee))
    policy = FeePolicy(entry.max_fee_per_gas)
    acted = act(Sender(session.web3, signer, journal, reverts(), policy), entry.purpose)
    session.output.data("transaction", _row(acted))


def _journal(data_dir: Path) -> Journal:
    from oracle.chain.journal import FILE, Journal

    path = data_dir / FILE
    if not path.is_file():
        raise Stop(Exit.USAGE, f"There is no {path}: name a daemon's data directory.")
    return Journal(path)


def _find(journal: Journal, purpose: str) -> Entry:
    """Return the newest entry of a purpose or a nonce; raise `Stop`."""
    found = [each for each in journal.entries() if purpose in (each.purpose, str(each.nonce))]
    if not found:
        raise Stop(Exit.USAGE, f"Nothing was signed for {purpose!r}.")
    return found[-1]


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "nonce": entry.nonce,
        "purpose": entry.purpose,
        "status": "cancelling" if _is_cancelling(entry) else str(entry.status),
        "block": entry.block,
        "feePerGas": str(entry.newest.fee_per_gas),
        "hash": "0x" + entry.hash.hex(),
        "reason": entry.reason,
    }


def _is_cancelling(entry: Entry) -> bool:
    from oracle.chain.journal import Status

    return entry.status is Status.PENDING and entry.cancelling


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")

"""
`poq token`: balances, and minting where the token is the mock.
"""

from __future__ import annotations

from typing import Annotated

import typer

from oracle.cli.keys import Directory
from oracle.cli.options import Reading, Writing, with_options


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Balances; minting of the mock token.", no_args_is_help=True)
    group.command("mint")(with_options(mint))
    group.command("balance")(with_options(balance))
    app.add_typer(group, name="token")


def mint(
    amount: Annotated[str, typer.Argument(help="For each account: wei, or as in 10ether.")],
    accounts: Annotated[list[str], typer.Argument(help="Addresses, or names of keystores.")],
    writing: Writing,
) -> None:
    """
    Give accounts new tokens. Only the mock token lets anybody do that.

    Example: poq token mint 10000ether evaluator-1 evaluator-2 --account deployer
    """
    from oracle.chain import calls
    from oracle.cli.amounts import parse_amount, tokens
    from oracle.cli.session import Writer

    session = Writer(writing)
    wei = parse_amount(amount)
    for account in [session.account(name) for name in accounts]:
        data = calls.encode_call("mint", ("address", "uint256"), (account, wei))
        call = calls.Call(session.deployment.token, data)
        session.send(call, f"{tokens(wei)} tokens minted for {account}")


def balance(
    accounts: Annotated[list[str], typer.Argument(help="Addresses, or names of keystores.")],
    reading: Reading,
    keystore: Directory = None,
) -> None:
    """
    Show what accounts have of the token, and what finished rounds owe them.

    Example: poq token balance evaluator-1 evaluator-2 --keystore keys
    """
    from oracle.cli.session import Session
    from oracle.cli.signing import address_of

    session = Session(reading)
    rows = []
    for name in accounts:
        address = address_of(name, keystore)
        held, credit = session.balance(address), session.state.credit(address)
        rows.append({"account": address, "balance": str(held), "credit": str(credit)})
    session.output.table("balances", ["account", "balance", "credit"], rows)

"""
`poq devnet`: a local chain behind a port, with accounts whose keys everybody knows.
"""

from __future__ import annotations

import signal
import sys
import threading
from typing import Annotated, Any

import typer

from oracle.cli.exits import Exit, Stop
from oracle.cli.options import Printing, with_options


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("devnet")(with_options(devnet))


def devnet(
    printing: Printing,
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535)] = 8545,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    accounts: Annotated[int, typer.Option("--accounts", min=1, max=200)] = 10,
    block_time: Annotated[
        float | None,
        typer.Option("--block-time", min=0.1, help="Also mine an empty block every n seconds."),
    ] = None,
    anvil: Annotated[bool, typer.Option("--anvil", help="Run the installed anvil.")] = False,
) -> None:
    """
    Serve a local chain until interrupted, and print its accounts and their keys.

    The chain mines a block for each transaction, at once, and forgets everything when it ends.

    Example: poq devnet --port 8545
    """
    output = printing.output()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    signal.signal(signal.SIGINT, lambda *_: ended.set())
    try:
        with _serving(host, port, accounts, block_time, anvil) as url:
            from oracle.chain.devnet import CHAIN_ID
            from oracle.chain.devnet import accounts as derived

            keys = [
                {"address": each.address, "privateKey": "0x" + each.key.hex().removeprefix("0x")}
                for each in derived(accounts)
            ]
            lines = [
                f"Chain {CHAIN_ID} at {url}. Everybody knows these keys:",
                *(f"  {key['address']}  {key['privateKey']}" for key in keys),
            ]
            output.data("devnet", {"url": url, "chainId": CHAIN_ID, "accounts": keys}, lines)
            sys.stdout.flush()
            output.say("Press Ctrl-C to stop.")
            ended.wait()
    except OSError as error:
        raise Stop(Exit.USAGE, f"Cannot listen on {host}:{port}: {error.strerror}.") from None


def _serving(host: str, port: int, accounts: int, block_time: float | None, anvil: bool) -> Any:
    try:
        from oracle.chain import devnet_server
        from oracle.chain.devnet import Devnet
    except ModuleNotFoundError as error:
        raise Stop(
            Exit.USAGE,
            f"The local chain needs {error.name}: pip install 'proof-of-quality[devnet]'.",
        ) from None
    if anvil:
        if block_time is not None or accounts != 10:
            raise Stop(Exit.USAGE, "--anvil takes neither --block-time nor --accounts.")
        return devnet_server.serve_anvil(host=host, port=port)
    chain = Devnet(accounts, clock=devnet_server.wall_clock)
    return devnet_server.serve(chain, host=host, port=port, block_time=block_time)

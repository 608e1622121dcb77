"""
A node of our own that forks, reorganises, restarts and changes its fees: anvil behind a port.

Blocks come when the test says so, or with each transaction; time is what the test makes of it.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from eth_account.signers.local import LocalAccount

from oracle.chain.devnet import accounts

CHAIN_ID = 31337
START_SECONDS = 60
ACCOUNTS = 40
BASE_FEE = 10**9


class Anvil:
    """Talks to a running anvil. Amounts are wei, times seconds."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.accounts: tuple[LocalAccount, ...] = accounts(ACCOUNTS)
        self._session = requests.Session()

    def ask(self, method: str, *params: Any) -> Any:
        """Return the answer to one request; raise `AssertionError` for an error."""
        body: Any = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = self._session.post(self.url, json=body, timeout=60).json()
        assert "error" not in answer, (method, answer)
        return answer["result"]

    @property
    def height(self) -> int:
        return int(self.ask("eth_blockNumber"), 16)

    @property
    def now(self) -> int:
        return int(self.ask("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def mine(self, blocks: int = 1) -> None:
        """Mine blocks, the pool's transactions in the first."""
        for _ in range(blocks):
            self.ask("evm_mine")

    def automine(self, on: bool) -> None:
        """Mine a block with each transaction, or only when told."""
        self.ask("evm_setAutomine", on)

    def pass_time(self, seconds: int) -> None:
        """Mine a block that is so much younger than the latest."""
        self.ask("evm_increaseTime", seconds)
        self.mine()

    def reorganise(self, depth: int) -> None:
        """Replace the latest `depth` blocks by empty ones; their transactions are lost."""
        self.ask("anvil_reorg", depth, [])

    def base_fee(self, fee: int) -> None:
        """Set the base fee of the next block."""
        self.ask("anvil_setNextBlockBaseFeePerGas", hex(fee))

    def fund(self, address: str, amount: int) -> None:
        """Set what an account has of the chain's coin."""
        self.ask("anvil_setBalance", address, hex(amount))

    def sent_by(self, address: str) -> int:
        """Return how many transactions of an account are in blocks."""
        return int(self.ask("eth_getTransactionCount", address, "latest"), 16)


@contextmanager
def running(program: Path, *options: str) -> Iterator[Anvil]:
    """Run anvil while the context lasts."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command: list[str] = [
        str(program),
        *("--port", str(port), "--accounts", str(ACCOUNTS), "--chain-id", str(CHAIN_ID)),
        *("--hardfork", "prague", "--slots-in-an-epoch", "1", "--order", "fifo", "--silent"),
        *("--block-base-fee-per-gas", str(BASE_FEE), "--gas-limit", "30000000"),
        *("--balance", "1000000"),
        *options,
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            anvil = Anvil(f"http://127.0.0.1:{port}")
            _wait_for(anvil, process)
            yield anvil
        finally:
            process.kill()


def _wait_for(anvil: Anvil, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            assert int(anvil.ask("eth_chainId"), 16) == CHAIN_ID
            return
        except requests.ConnectionError:
            assert process.poll() is None, "anvil ended"
            assert time.monotonic() < deadline, "anvil does not answer"
            time.sleep(0.02)

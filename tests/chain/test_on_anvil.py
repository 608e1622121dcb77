"""The follower and the sender on a real node that reorganises, drops and restarts."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3

from deploy.artifacts import Artifact
from oracle.chain.batches import Refusal, ask
from oracle.chain.calls import Call
from oracle.chain.deployment import Deployment
from oracle.chain.devnet import CHAIN_ID, MNEMONIC, Devnet
from oracle.chain.fees import FeePolicy
from oracle.chain.follower import Follower
from oracle.chain.journal import Journal, Status
from oracle.chain.keys import Signer
from oracle.chain.rpc import RpcUnreachable, connect
from oracle.chain.sender import Sender
from tests.chain.test_follower import told
from tests.chain.test_rounds import Network, deploy_network, reveals_of

SEED = 11
DEPTHS = (1, 5, 64)
TRANSACTIONS = 12
DEADLINE = 60.0  # seconds
CAP = 10**12


class Anvil:
    """A node of its own, mining at once, with the accounts that everybody knows."""

    def __init__(self, program: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = ["--port", str(port), "--mnemonic", MNEMONIC, "--hardfork", "prague", "--silent"]
        self.process = subprocess.Popen([program, *options])
        self.url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                self.web3: Web3 = connect(self.url, chain_id=CHAIN_ID, attempts=1)
                return
            except RpcUnreachable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def ask(self, method: str, *params: Any) -> Any:
        [answer] = ask(self.web3, [(method, list(params))])
        assert not isinstance(answer, Refusal), answer
        return answer

    def stop(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def node(anvil: Path) -> Iterator[Anvil]:
    node = Anvil(anvil)
    yield node
    node.stop()


@pytest.fixture
def network(node: Anvil, mock_token: Artifact) -> Network:
    # Its accounts are those of the node: only their keys are used.
    return deploy_network(Devnet(), node.web3, mock_token)


def sender_of(network: Network, journal: Journal, patience: float = 0.0) -> Sender:
    signer = Signer(network.devnet.accounts[0])
    policy = FeePolicy(CAP, patience=patience)
    return Sender(network.web3, signer, journal, network.reverts, policy)


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_reorganisation_of_a_round_leaves_what_a_fresh_start_finds(
    node: Anvil, network: Network, depth: int
) -> None:
    deployment: Deployment = network.deployment
    follower = Follower(network.web3, deployment)
    node.ask("anvil_mine", hex(80))
    network.open()
    network.draw()
    network.commit(reveals_of(range(4)))
    drawn = follower.advance()
    assert drawn.round(1) == drawn.state().round(1)
    assert drawn.round(1).committed == 0b1111
    node.ask("anvil_reorg", depth, [])
    view = follower.advance()
    assert told(view) == told(Follower(network.web3, deployment).advance())
    assert view.round(1) == view.state().round(1)
    assert view.rounds == view.state().round_count() == (1 if depth < 6 else 0)


def test_everything_is_sent_once_through_reorganisations_and_restarts(
    node: Anvil, network: Network, tmp_path: Path
) -> None:
    dice = random.Random(SEED)
    web3, path = network.web3, tmp_path / "transactions.sqlite"
    node.ask("evm_setAutomine", False)
    sender = sender_of(network, Journal(path))
    follower = Follower(web3, network.deployment)
    holders = [Web3.to_checksum_address(dice.randbytes(20)) for _ in range(TRANSACTIONS)]
    for i, holder in enumerate(holders):
        call = network_mint(network, holder)
        sender.send(f"mint {i}", call)
        event = dice.choice(["nothing", "mine", "mine", "reorganise", "drop", "restart"])
        if event == "mine":
            node.ask("evm_mine")
        elif event == "reorganise":
            node.ask("anvil_reorg", dice.randint(1, 4), [])
        elif event == "drop":
            node.ask("anvil_dropAllTransactions")
        elif event == "restart":
            sender = sender_of(network, Journal(path))
        sender.advance(follower.advance())
    purposes = [f"mint {i}" for i in range(TRANSACTIONS)]
    deadline = time.monotonic() + DEADLINE
    while any(sender.find(each).status is not Status.MINED for each in purposes):  # type: ignore[union-attr]
        assert time.monotonic() < deadline
        node.ask("evm_mine")
        sender.advance(follower.advance())
    assert [balance_of(network, holder) for holder in holders] == [1] * TRANSACTIONS
    node.ask("anvil_mine", hex(65))
    sender.advance(follower.advance())
    entries = Journal(path).entries()
    assert {each.status for each in entries} <= {Status.FINAL, Status.CANCELLED}
    first = min(each.nonce for each in entries)
    assert sorted(each.nonce for each in entries) == list(range(first, first + len(entries)))


def test_a_fee_spike_is_followed_up_to_the_cap(
    node: Anvil, network: Network, tmp_path: Path
) -> None:
    node.ask("evm_setAutomine", False)
    sender = sender_of(network, Journal(tmp_path / "transactions.sqlite"))
    follower = Follower(network.web3, network.deployment)
    sender.send("mint", network_mint(network, network.devnet.accounts[9].address))
    base = int(node.web3.eth.get_block("latest")["baseFeePerGas"])
    node.ask("anvil_setNextBlockBaseFeePerGas", hex(20 * base))
    node.ask("evm_mine")
    deadline = time.monotonic() + DEADLINE
    while sender.find("mint").status is Status.PENDING:  # type: ignore[union-attr]
        assert time.monotonic() < deadline
        sender.advance(follower.advance())
        node.ask("evm_mine")
    entry = sender.find("mint")
    assert entry is not None
    assert (entry.status, len(entry.hashes) > 1) == (Status.MINED, True)
    assert max(each.fee_per_gas for each in entry.versions) <= CAP


def network_mint(network: Network, holder: str) -> Call:
    data = network.web3.eth.contract(abi=_MINT).encode_abi("mint", [holder, 1])
    return Call(network.deployment.token, bytes.fromhex(data[2:]))


def balance_of(network: Network, holder: str) -> int:
    token: Any = network.web3.eth.contract(
        Web3.to_checksum_address(network.deployment.token), abi=_MINT
    )
    return int(token.functions.balanceOf(holder).call())


_MINT: Any = [
    {
        "type": "function",
        "name": "mint",
        "stateMutability": "nonpayable",
        "inputs": [{"name": "to", "type": "address"}, {"name": "amount", "type": "uint256"}],
        "outputs": [],
    },
    {
        "type": "function",
        "name": "balanceOf",
        "stateMutability": "view",
        "inputs": [{"name": "of", "type": "address"}],
        "outputs": [{"name": "", "type": "uint256"}],
    },
]

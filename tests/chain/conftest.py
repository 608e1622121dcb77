"""A token on the local chain, and an account that sends transactions to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from web3 import Web3
from web3.contract import Contract

from deploy.artifacts import Artifact, load
from oracle.chain.devnet import Devnet
from oracle.chain.errors import RevertDecoder
from oracle.chain.keys import Signer
from oracle.chain.transactions import Transactor

TEST_ARTIFACTS = Path(__file__).resolve().parent.parent / "contracts" / "artifacts"


@pytest.fixture(scope="session")
def mock_token() -> Artifact:
    return load("MockToken", TEST_ARTIFACTS)


@pytest.fixture
def transactor(chain: Web3, devnet: Devnet, mock_token: Artifact) -> Transactor:
    signer = Signer(devnet.accounts[0])
    return Transactor(chain, signer, RevertDecoder(mock_token.abi), timeout=5, poll=0.01)


@pytest.fixture
def deploy_token(mock_token: Artifact) -> Callable[[Transactor], Contract]:
    def deploy(transactor: Transactor) -> Contract:
        receipt = transactor.transact(None, mock_token.bytecode)
        assert receipt is not None
        address = receipt["contractAddress"]
        assert address is not None
        return transactor.web3.eth.contract(address, abi=mock_token.abi)

    return deploy


@pytest.fixture
def token(deploy_token: Callable[[Transactor], Contract], transactor: Transactor) -> Contract:
    return deploy_token(transactor)

"""Tests talk to this machine only: a test that reaches for the network fails at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import loopback

if TYPE_CHECKING:
    from web3 import Web3

    from oracle.chain.devnet import Devnet

pytest_plugins = ["tests.figures", "tests.canary", "pytester"]

loopback.install()


@pytest.fixture
def devnet() -> Devnet:
    """Make a fresh local chain, the same for every test; about 5 ms."""
    from oracle.chain.devnet import Devnet

    return Devnet()


@pytest.fixture
def chain(devnet: Devnet) -> Web3:
    """Connect to the test's local chain. The keys are in `devnet.accounts`."""
    from oracle.chain.devnet_rpc import connect

    return connect(devnet)


@pytest.fixture(scope="session")
def anvil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program of a local node that forks, reorganises and restarts, or skip."""
    return _foundry("anvil", tmp_path_factory)


@pytest.fixture(scope="session")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program that tests Solidity in Solidity, or skip."""
    return _foundry("forge", tmp_path_factory)


def _foundry(tool: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from filelock import FileLock

    from deploy.packages import NotInstalled, foundry

    # The workers of one run share what is above their own directories.
    with FileLock(tmp_path_factory.getbasetemp().parent / "npm.lock"):
        try:
            return foundry(tool)
        except NotInstalled as reason:
            pytest.skip(f"{tool} is not here: {reason}")

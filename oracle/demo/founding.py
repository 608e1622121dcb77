"""
Contracts, funded accounts and registered nodes on a chain that another process runs.

For networks of services: everybody's key is one of the local chain's, which everybody knows, and
is kept in a keystore as a real one would be. Owner and operator of a node are the same here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from web3 import Web3

from deploy.artifacts import load
from deploy.deploy import deploy, deploy_mock_token
from deploy.parameters import load_parameters
from oracle.chain import calls
from oracle.chain.deployment import Deployment, write_deployment
from oracle.chain.devnet import accounts
from oracle.chain.errors import RevertDecoder
from oracle.chain.keys import Signer, write_keystore
from oracle.chain.rpc import connect
from oracle.chain.state import State
from oracle.chain.transactions import Transactor
from oracle.core.facts import Role
from oracle.core.parameters import RoundsParameters

FUNDS = 10_000 * 10**18
"""What everybody but the deployer is given of the mock token, wei."""
LITTLE_WORK = 2
"""Of the keystores: their keys are no secret."""
PASSWORD = "known to everybody"


@dataclass(frozen=True, slots=True)
class Founded:
    """A deployment with its nodes' ids, and the settings with which `poq` finds all of it."""

    web3: Web3
    deployment: Deployment
    signers: Mapping[str, Signer]
    nodes: Mapping[str, int]
    settings: Mapping[str, str]

    def state(self) -> State:
        """Return both contracts at the latest block."""
        return State(self.web3, self.deployment)

    def send(self, name: str, call: calls.Call) -> None:
        """Send a call of somebody's and wait for it."""
        transactor_of(self.web3, self.signers[name]).transact(call.to, call.data)


def found(
    url: str,
    directory: Path,
    roles: Mapping[str, Role],
    others: Sequence[str] = ("requester", "settler"),
    rounds: RoundsParameters | None = None,
) -> Founded:
    """
    Deploy to the local chain at `url`, and write keystores and the deployment below `directory`.

    `roles` are the nodes by the names of their accounts; `others` have an account only.
    """
    web3 = connect(url)
    names = ("deployer", *others, *roles)
    signers = {name: Signer(each) for name, each in zip(names, accounts(len(names)), strict=True)}
    keys = directory / "keys"
    keys.mkdir(parents=True, mode=0o700)
    (keys / "password").write_text(PASSWORD + "\n")
    for name, signer in signers.items():
        write_keystore(keys / name, signer, PASSWORD, work=LITTLE_WORK)

    deployer = transactor_of(web3, signers["deployer"])
    defaults = load_parameters("local")
    token = deploy_mock_token(deployer)
    deployment = deploy(deployer, defaults.registry, rounds or defaults.rounds, token)
    write_deployment(directory / "deployments", deployment)
    for name in names[1:]:
        mint = calls.encode_call("mint", ("address", "uint256"), (signers[name].address, FUNDS))
        deployer.transact(token, mint)
    nodes = {}
    stake = deployment.registry_parameters.stake
    for name, role in roles.items():
        owner = transactor_of(web3, signers[name])
        for call in (
            calls.token(deployment, "approve", deployment.registry.address, stake),
            calls.registry(deployment, "register", role, signers[name].address),
        ):
            owner.transact(call.to, call.data)
        nodes[name] = State(web3, deployment).node_count()
    settings = {
        "ETH_RPC_URL": url,
        "ETH_KEYSTORE": str(keys),
        "ETH_PASSWORD": str(keys / "password"),
        "POQ_DEPLOYMENTS": str(directory / "deployments"),
    }
    return Founded(web3, deployment, signers, nodes, settings)


def transactor_of(web3: Web3, signer: Signer) -> Transactor:
    """Return what sends for a signer, and looks for the receipt often."""
    reverts = RevertDecoder(load("QualityRounds").abi, load("NodeRegistry").abi)
    return Transactor(web3, signer, reverts, poll=0.02)

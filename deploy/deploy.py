"""
Put the two contracts on a chain, each knowing the other, and remember how far that got.

The registry is told the address of the rounds contract before that exists: a contract's address
follows from its creator and the creator's nonce, so the two creations have to follow each other.
This module decides their order, what is done again after a crash, and when a deployment counts as
complete. It chooses no parameter and asks nobody for consent.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_abi import encode
from eth_typing import ChecksumAddress
from eth_utils import keccak, to_checksum_address
from eth_utils.abi import collapse_if_tuple
from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import TransactionNotFound
from web3.types import Nonce, TxReceipt
from web3.utils.address import get_create_address

from deploy.artifacts import ARTIFACTS, load
from deploy.journal import Creation, Journal
from deploy.mock_token import mock_token
from deploy.parameters import ParameterSet
from deploy.parameters import load_parameters as load_parameters
from oracle.chain import calls
from oracle.chain.deployment import (
    DeployedContract,
    Deployment,
    path_of,
    read_deployment,
    write_deployment,
)
from oracle.chain.transactions import Signed, Transactor
from oracle.core.parameters import RegistryParameters, RoundsParameters

JOURNAL = "journal.jsonl"
STANDARD_INPUT = "standard-json-input.json"


class AlreadyDeployed(Exception):
    """There is a deployment on this chain already, and nobody asked to replace it."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} exists: the contracts are deployed already; --force replaces it.")


class NonceTaken(Exception):
    """Another transaction of the deployer came between the two creations."""

    def __init__(self, sender: str, nonce: int) -> None:
        super().__init__(
            f"Another transaction of {sender} took the nonce {nonce} while the contracts were "
            "being deployed; deploy again, with a key that nothing else uses meanwhile."
        )


class NoToken(Exception):
    """There is no contract at the address that was given for the token."""

    def __init__(self, address: str) -> None:
        super().__init__(f"There is no contract at {address}, which is given as the token.")


class DeploymentBroken(Exception):
    """What is on the chain is not what was meant; the message says which part."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The addresses that a deployment would have if nothing else happened before it."""

    token: str
    registry: str
    rounds: str


def deploy(
    transactor: Transactor,
    registry: RegistryParameters,
    rounds: RoundsParameters,
    token: str,
    *,
    journal: Journal | None = None,
) -> Deployment:
    """
    Deploy both contracts for an ERC-20 `token` and check that they know each other.

    With a journal, a deployment that was interrupted is completed, if it had the same token and
    parameters and the deployer's nonces still allow it. Raises `NoToken`, `NonceTaken`,
    `DeploymentBroken`, and what `Transactor.transact` raises.
    """
    web3 = transactor.web3
    if not web3.eth.get_code(to_checksum_address(token)):
        raise NoToken(token)
    creator = _Creator(transactor, journal or Journal())
    first = _unfinished_registry(creator, token, registry)
    if first is None:
        nonce = creator.next_nonce
        promised = _address_of(creator.sender, nonce + 1)
        registry_arguments = _registry_arguments(token, promised, registry)
        code = _creation_code("NodeRegistry", registry_arguments)
        first = creator.create("registry", code, nonce), nonce, registry_arguments
    registry_receipt, nonce, registry_arguments = first
    registry_address = _created(registry_receipt)
    rounds_arguments = _rounds_arguments(token, registry_address, rounds)
    code = _creation_code("QualityRounds", rounds_arguments)
    rounds_receipt = creator.resume("rounds", code) or creator.create("rounds", code, nonce + 1)
    deployment = Deployment(
        chain_id=web3.eth.chain_id,
        start_block=registry_receipt["blockNumber"],
        token=to_checksum_address(token),
        registry=_deployed(web3, registry_address, registry_arguments),
        rounds=_deployed(web3, _created(rounds_receipt), rounds_arguments),
        registry_parameters=registry,
        rounds_parameters=rounds,
    )
    _check_acquaintance(web3, deployment)
    return deployment


def deploy_mock_token(transactor: Transactor, journal: Journal | None = None) -> str:
    """Deploy the mock token, or find the one that `journal` tells of, and return its address."""
    creator = _Creator(transactor, journal or Journal())
    code = mock_token().bytecode
    receipt = creator.resume("token", code) or creator.create("token", code, creator.next_nonce)
    return _created(receipt)


def deploy_into(
    directory: Path,
    transactor: Transactor,
    parameters: ParameterSet,
    token: str | None,
    *,
    force: bool = False,
) -> Deployment:
    """
    Deploy, and write all that is known of it below `directory`; without a token, mock one.

    Call again after any failure. `force` replaces an earlier deployment; its file is kept under
    another name. Raises `AlreadyDeployed` and what `deploy` raises.
    """
    chain_id = transactor.web3.eth.chain_id
    path = path_of(directory, chain_id)
    if path.exists() and not force:
        raise AlreadyDeployed(path)
    journal = Journal(path.with_name(JOURNAL))
    if force:
        journal.abandon()
        if path.exists():
            earlier = read_deployment(directory, chain_id)
            path.rename(path.with_name(f"replaced-{earlier.rounds.address}.json"))
    if token is None:
        token = deploy_mock_token(transactor, journal)
    deployment = deploy(transactor, parameters.registry, parameters.rounds, token, journal=journal)
    shutil.copyfile(ARTIFACTS / STANDARD_INPUT, path.with_name(STANDARD_INPUT))
    write_deployment(directory, deployment)
    return deployment


def rehearse(transactor: Transactor, registry: RegistryParameters, token: str | None) -> Plan:
    """
    Return what a deployment would be, after creating the registry on the node in thought alone.

    The rounds contract cannot be tried: it asks a registry that is not there. `transactor` has to
    be one for dry runs.
    """
    creator = _Creator(transactor, Journal())
    nonce = creator.next_nonce
    if token is None:
        token = _address_of(creator.sender, nonce)
        nonce += 1
    plan = Plan(
        token=token,
        registry=_address_of(creator.sender, nonce),
        rounds=_address_of(creator.sender, nonce + 1),
    )
    arguments = _registry_arguments(token, plan.rounds, registry)
    transactor.transact(None, _creation_code("NodeRegistry", arguments))
    return plan


class _Creator:
    """Creates contracts, and finds out what became of creations that are in the journal."""

    def __init__(self, transactor: Transactor, journal: Journal) -> None:
        self.sender = to_checksum_address(transactor.signer.address)
        self.journal = journal
        self._transactor = transactor
        self._web3 = transactor.web3

    @property
    def next_nonce(self) -> int:
        return self._web3.eth.get_transaction_count(self.sender, "pending")

    def create(self, step: str, code: bytes, nonce: int) -> TxReceipt:
        """Create a contract with this very nonce."""

        def record(signed: Signed) -> None:
            if signed.nonce != nonce:
                raise NonceTaken(self.sender, nonce)
            self.journal.record(
                Creation(
                    step=step,
                    sender=self.sender,
                    nonce=nonce,
                    code=_hash(code),
                    hash="0x" + signed.hash.hex(),
                    raw="0x" + signed.raw.hex(),
                )
            )

        receipt = self._transactor.transact(None, code, journal=record)
        if receipt is None:
            raise ValueError("a dry run deploys nothing: rehearse instead")
        return receipt

    def resume(self, step: str, code: bytes) -> TxReceipt | None:
        """Return the receipt of the same creation if it was, or still can be, mined."""
        for creation in reversed(self.journal.creations(step, self.sender)):
            if creation.code == _hash(code) and (receipt := self.outcome(creation)) is not None:
                return receipt
        return None

    def outcome(self, creation: Creation) -> TxReceipt | None:
        """Return the receipt of a journalled creation, sending it again if the chain lost it."""
        try:
            mined = self._web3.eth.get_transaction_receipt(HexBytes(creation.hash))
            if mined["status"] == 0:
                return None
        except TransactionNotFound:
            if self._web3.eth.get_transaction_count(self.sender) != creation.nonce:
                return None
            self._transactor.send(bytes(HexBytes(creation.raw)))
        return self._transactor.wait(bytes(HexBytes(creation.hash)))

    def can_follow(self, nonce: int) -> bool:
        """Return whether a contract is, or can still be, created with this nonce."""
        address = _address_of(self.sender, nonce)
        unused = self._web3.eth.get_transaction_count(self.sender) <= nonce
        return unused or bool(self._web3.eth.get_code(address))


def _unfinished_registry(
    creator: _Creator, token: str, parameters: RegistryParameters
) -> tuple[TxReceipt, int, bytes] | None:
    """Return receipt, nonce and arguments of a registry whose rounds contract can still follow."""
    for creation in reversed(creator.journal.creations("registry", creator.sender)):
        promised = _address_of(creator.sender, creation.nonce + 1)
        arguments = _registry_arguments(token, promised, parameters)
        if creation.code != _hash(_creation_code("NodeRegistry", arguments)):
            continue
        if not creator.can_follow(creation.nonce + 1):
            continue
        receipt = creator.outcome(creation)
        if receipt is not None:
            return receipt, creation.nonce, arguments
    return None


def _registry_arguments(token: str, rounds: str, parameters: RegistryParameters) -> bytes:
    return _encoded("NodeRegistry", token, rounds, parameters.as_tuple())


def _rounds_arguments(token: str, registry: str, parameters: RoundsParameters) -> bytes:
    return _encoded("QualityRounds", token, registry, parameters.as_tuple())


def _encoded(contract: str, *arguments: Any) -> bytes:
    [constructor] = [entry for entry in load(contract).abi if entry["type"] == "constructor"]
    return encode([collapse_if_tuple(field) for field in constructor["inputs"]], arguments)


def _creation_code(contract: str, arguments: bytes) -> bytes:
    return load(contract).bytecode + arguments


def _hash(code: bytes) -> str:
    return "0x" + keccak(code).hex()


def _address_of(sender: str, nonce: int) -> ChecksumAddress:
    """Return the address of the contract that `sender` creates with `nonce`."""
    return get_create_address(to_checksum_address(sender), Nonce(nonce))


def _created(receipt: TxReceipt) -> str:
    address = receipt["contractAddress"]
    if address is None:
        raise DeploymentBroken("The node's receipt of a creation names no contract.")
    return to_checksum_address(address)


def _deployed(web3: Web3, address: str, arguments: bytes) -> DeployedContract:
    code = bytes(web3.eth.get_code(to_checksum_address(address)))
    if not code:
        raise DeploymentBroken(f"There is no code at {address}; the node may be behind: try again.")
    return DeployedContract(address, keccak(code), arguments)


def _check_acquaintance(web3: Web3, deployment: Deployment) -> None:
    registry, rounds = deployment.registry.address, deployment.rounds.address
    for call, expected in (
        (calls.registry(deployment, "ROUNDS"), rounds),
        (calls.registry(deployment, "TOKEN"), deployment.token),
        (calls.rounds(deployment, "REGISTRY"), registry),
        (calls.rounds(deployment, "TOKEN"), deployment.token),
    ):
        answer = web3.eth.call({"to": to_checksum_address(call.to), "data": HexBytes(call.data)})
        found = to_checksum_address(answer[-20:])
        if found != expected:
            raise DeploymentBroken(
                f"The contract at {call.to} knows {found} instead of {expected}."
            )

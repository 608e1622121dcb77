"""Deploying: what is refused, what a crash leaves behind, and what ends up on the chain."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from eth_utils import keccak
from web3 import Web3

from deploy.artifacts import ARTIFACTS, load
from deploy.deploy import (
    AlreadyDeployed,
    NonceTaken,
    NoToken,
    deploy,
    deploy_into,
    deploy_mock_token,
    rehearse,
)
from deploy.journal import JournalMalformed
from deploy.parameters import load_parameters
from oracle.chain.deployment import path_of, read_deployment
from oracle.chain.devnet import Devnet
from oracle.chain.errors import RevertDecoder, Reverted
from oracle.chain.keys import Signer
from oracle.chain.state import State
from oracle.chain.transactions import Transactor

PARAMETERS = load_parameters("local")
CHAIN = 31337

MakeTransactor = Callable[..., Transactor]


class Killed(BaseException):
    """The process ends here."""


class Interrupted(Transactor):
    """Is killed before or after sending its n-th transaction."""

    def __init__(self, *rest: object, before: int = 0, after: int = 0, **options: object) -> None:
        super().__init__(*rest, **options)  # type: ignore[arg-type]
        self._before, self._after, self._sent = before, after, 0

    def send(self, raw: bytes) -> None:
        self._sent += 1
        if self._sent == self._before:
            raise Killed
        super().send(raw)
        if self._sent == self._after:
            raise Killed


@pytest.fixture
def make(chain: Web3, devnet: Devnet) -> MakeTransactor:
    def transactor(**options: object) -> Transactor:
        kind = Interrupted if {"before", "after"} & options.keys() else Transactor
        reverts = RevertDecoder(load("QualityRounds").abi, load("NodeRegistry").abi)
        signer = Signer(devnet.accounts[0])
        return kind(chain, signer, reverts, timeout=5, poll=0.001, **options)  # type: ignore[arg-type]

    return transactor


def steps(directory: Path) -> list[str]:
    lines = path_of(directory, CHAIN).with_name("journal.jsonl").read_text().splitlines()
    return [json.loads(line).get("step", "abandoned") for line in lines]


def test_a_second_deployment_is_refused_and_changes_nothing(
    tmp_path: Path, make: MakeTransactor, devnet: Devnet
) -> None:
    deploy_into(tmp_path, make(), PARAMETERS, None)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    height = devnet.height
    with pytest.raises(AlreadyDeployed, match="--force replaces it"):
        deploy_into(tmp_path, make(), PARAMETERS, None)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before
    assert devnet.height == height


def test_parameters_that_the_constructor_refuses_cost_nothing(
    tmp_path: Path, make: MakeTransactor
) -> None:
    registry = replace(PARAMETERS.registry, slash_sink="0x" + 40 * "0")
    with pytest.raises(Reverted, match="slashSink makes no sense"):
        deploy_into(tmp_path, make(), replace(PARAMETERS, registry=registry), None)
    assert not path_of(tmp_path, CHAIN).exists()


def test_a_transaction_between_the_two_creations_is_noticed_before_the_second_is_sent(
    make: MakeTransactor, devnet: Devnet, chain: Web3
) -> None:
    transactor = make()
    token = deploy_mock_token(transactor)
    count = chain.eth.get_transaction_count(devnet.accounts[0].address)
    send = transactor.send

    def send_and_interfere(raw: bytes) -> None:
        send(raw)
        make().transact(devnet.accounts[1].address, b"", value=1)

    transactor.send = send_and_interfere  # type: ignore[method-assign]
    with pytest.raises(NonceTaken):
        deploy(transactor, PARAMETERS.registry, PARAMETERS.rounds, token)
    assert chain.eth.get_transaction_count(devnet.accounts[0].address) == count + 2


def test_a_token_that_is_no_contract_is_refused_before_anything_is_sent(
    make: MakeTransactor, devnet: Devnet
) -> None:
    with pytest.raises(NoToken, match="no contract at 0xf39F"):
        deploy(make(), PARAMETERS.registry, PARAMETERS.rounds, make().signer.address)
    assert devnet.height == 0


def test_a_journal_that_something_else_wrote_is_refused(
    tmp_path: Path, make: MakeTransactor
) -> None:
    path = path_of(tmp_path, CHAIN).with_name("journal.jsonl")
    path.parent.mkdir(parents=True)
    path.write_text('{"step": "registry"}\n')
    with pytest.raises(JournalMalformed, match="line 1"):
        deploy_into(tmp_path, make(), PARAMETERS, None)


def test_a_line_that_a_crash_cut_short_does_not_spoil_the_journal(
    tmp_path: Path, make: MakeTransactor
) -> None:
    with pytest.raises(Killed):
        deploy_into(tmp_path, make(after=1), PARAMETERS, None)
    path = path_of(tmp_path, CHAIN).with_name("journal.jsonl")
    with path.open("a") as file:
        file.write('{"step": "regi')
    deploy_into(tmp_path, make(), PARAMETERS, None)
    assert steps(tmp_path) == ["token", "registry", "rounds"]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("transaction", [1, 2, 3])
def test_a_deployment_killed_around_any_transaction_is_completed_without_a_second_one(
    tmp_path: Path, make: MakeTransactor, chain: Web3, moment: str, transaction: int
) -> None:
    with pytest.raises(Killed):
        deploy_into(tmp_path, make(**{moment: transaction}), PARAMETERS, None)
    deployment = deploy_into(tmp_path, make(), PARAMETERS, None)
    assert read_deployment(tmp_path, CHAIN) == deployment
    assert chain.eth.get_transaction_count(make()._sender) == 3
    assert steps(tmp_path) == ["token", "registry", "rounds"]


def test_other_parameters_after_a_crash_begin_with_a_new_registry(
    tmp_path: Path, make: MakeTransactor
) -> None:
    with pytest.raises(Killed):
        deploy_into(tmp_path, make(after=2), PARAMETERS, None)
    registry = replace(PARAMETERS.registry, exit_delay=20_000)
    deployment = deploy_into(tmp_path, make(), replace(PARAMETERS, registry=registry), None)
    assert deployment.registry_parameters.exit_delay == 20_000
    assert steps(tmp_path) == ["token", "registry", "registry", "rounds"]


def test_a_registry_whose_rounds_address_is_lost_is_left_behind(
    tmp_path: Path, make: MakeTransactor, devnet: Devnet
) -> None:
    with pytest.raises(Killed):
        deploy_into(tmp_path, make(after=2), PARAMETERS, None)
    make().transact(devnet.accounts[1].address, b"", value=1)
    deploy_into(tmp_path, make(), PARAMETERS, None)
    assert steps(tmp_path) == ["token", "registry", "registry", "rounds"]


def test_force_replaces_a_deployment_and_keeps_its_file(
    tmp_path: Path, make: MakeTransactor
) -> None:
    first = deploy_into(tmp_path, make(), PARAMETERS, None)
    old = path_of(tmp_path, CHAIN).read_bytes()
    second = deploy_into(tmp_path, make(), PARAMETERS, None, force=True)
    assert second.rounds.address != first.rounds.address
    assert read_deployment(tmp_path, CHAIN) == second
    kept = path_of(tmp_path, CHAIN).with_name(f"replaced-{first.rounds.address}.json")
    assert kept.read_bytes() == old


def test_a_forced_deployment_that_was_killed_is_completed_without_force(
    tmp_path: Path, make: MakeTransactor, chain: Web3
) -> None:
    deploy_into(tmp_path, make(), PARAMETERS, None)
    with pytest.raises(Killed):
        deploy_into(tmp_path, make(after=2), PARAMETERS, None, force=True)
    deploy_into(tmp_path, make(), PARAMETERS, None)
    assert chain.eth.get_transaction_count(make()._sender) == 6


def test_a_rehearsal_says_where_the_contracts_will_be_and_sends_nothing(
    tmp_path: Path, make: MakeTransactor, devnet: Devnet
) -> None:
    plan = rehearse(make(dry_run=True), PARAMETERS.registry, None)
    assert devnet.height == 0
    deployment = deploy_into(tmp_path, make(), PARAMETERS, None)
    assert plan.token == deployment.token
    assert plan.registry == deployment.registry.address
    assert plan.rounds == deployment.rounds.address


def test_a_deployment_is_what_the_chain_says_it_is(
    tmp_path: Path, make: MakeTransactor, chain: Web3
) -> None:
    deployment = deploy_into(tmp_path, make(), PARAMETERS, None)
    state = State(chain, deployment)
    assert state.registry_parameters() == PARAMETERS.registry == deployment.registry_parameters
    assert state.rounds_parameters() == PARAMETERS.rounds == deployment.rounds_parameters
    for contract, name in (
        (deployment.registry, "NodeRegistry"),
        (deployment.rounds, "QualityRounds"),
    ):
        code = bytes(chain.eth.get_code(Web3.to_checksum_address(contract.address)))
        assert contract.code_hash == keccak(code)
        [creation] = [
            bytes(transaction["input"])
            for number in range(chain.eth.block_number + 1)
            for transaction in chain.eth.get_block(number, True)["transactions"]
            if not isinstance(transaction, bytes)
            and chain.eth.get_transaction_receipt(transaction["hash"])["contractAddress"]
            == contract.address
        ]
        assert creation == load(name).bytecode + contract.constructor_arguments
    copied = path_of(tmp_path, CHAIN).with_name("standard-json-input.json").read_bytes()
    assert copied == (ARTIFACTS / "standard-json-input.json").read_bytes()

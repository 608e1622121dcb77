"""The deployment file: what it refuses to be read as, and that it survives a round trip."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oracle.chain.deployment import (
    DeployedContract,
    Deployment,
    DeploymentMalformed,
    DeploymentNotFound,
    path_of,
    read_deployment,
    write_deployment,
)
from oracle.core.parameters import RegistryParameters, RoundsParameters, TrustParameters

REGISTRY = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
ROUNDS = "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"
TOKEN = "0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0"

DEPLOYMENT = Deployment(
    chain_id=31337,
    start_block=7,
    token=TOKEN,
    registry=DeployedContract(REGISTRY, bytes(range(32)), b"\x01\x02"),
    rounds=DeployedContract(ROUNDS, bytes(range(32, 64)), b""),
    registry_parameters=RegistryParameters(
        stake=2**96 - 1,
        exit_delay=100_000,
        no_commit_slash=10**17,
        no_reveal_slash=2 * 10**17,
        slash_sink=TOKEN,
        trust=TrustParameters(5_000, 20_000, 200, 15_000, 20, 100_000, 1_000_000),
    ),
    rounds_parameters=RoundsParameters(0, 600, 601, 602, 2**128 - 1, 10_000, 1_000, 9_999),
)

Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda file: file.update(version=2), "its version is 2, not 1"),
        (lambda file: file.update(chainId=1), "it is about chain 1"),
        (lambda file: file.update(chainId=True), "chainId is True instead of a number"),
        (lambda file: file.update(startBlock=-1), "startBlock is -1 instead of a number"),
        (lambda file: file.pop("rounds"), "it has no 'rounds'"),
        (lambda file: file.update(registry=[]), "registry is [] instead of a JSON object"),
        (lambda file: file.update(token=TOKEN.lower()), "instead of a checksummed address"),
        (lambda file: file["rounds"].update(codeHash="0x00"), "codeHash has 1 bytes instead of 32"),
        (lambda file: file["rounds"].update(codeHash="0xzz"), "codeHash is '0xzz' instead of data"),
        (lambda file: file["rounds"].update(codeHash=5), "codeHash is 5 instead of data in hex"),
        (
            lambda file: file["parameters"]["registry"].update(stake=5),
            "stake is 5 instead of an amount in wei, as a string",
        ),
        (
            lambda file: file["parameters"]["registry"].update(stake="-5"),
            "stake is '-5' instead of an amount in wei, as a string",
        ),
        (
            lambda file: file["parameters"]["registry"].pop("trust"),
            "it has no 'trust'",
        ),
        (
            lambda file: file["parameters"]["registry"]["trust"].update(gain="5"),
            "gain is '5' instead of a number",
        ),
        (
            lambda file: file["parameters"]["rounds"].pop("drawDelay"),
            "it has no 'drawDelay'",
        ),
    ],
)
def test_a_file_that_says_something_else_is_refused_with_the_reason(
    tmp_path: Path, change: Change, reason: str
) -> None:
    path = write_deployment(tmp_path, DEPLOYMENT)
    file = json.loads(path.read_text())
    change(file)
    path.write_text(json.dumps(file))
    with pytest.raises(DeploymentMalformed) as caught:
        read_deployment(tmp_path, 31337)
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '"x"', "\x00"])
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    path = write_deployment(tmp_path, DEPLOYMENT)
    path.write_text(text)
    with pytest.raises(DeploymentMalformed):
        read_deployment(tmp_path, 31337)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    write_deployment(tmp_path, DEPLOYMENT).write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(DeploymentMalformed):
        read_deployment(tmp_path, 31337)


def test_a_chain_without_a_deployment_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeploymentNotFound, match="no deployment on chain 5") as caught:
        read_deployment(tmp_path, 5)
    assert caught.value.chain_id == 5


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    path = write_deployment(tmp_path, DEPLOYMENT)
    assert path == path_of(tmp_path, 31337) == tmp_path / "31337" / "deployment.json"
    assert read_deployment(tmp_path, 31337) == DEPLOYMENT


def test_a_deployment_replaces_the_older_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_deployment(tmp_path, DEPLOYMENT)
    newer = replace(DEPLOYMENT, start_block=8)
    path = write_deployment(tmp_path, newer)
    assert read_deployment(tmp_path, 31337) == newer
    assert list(path.parent.iterdir()) == [path]


def test_the_same_deployment_is_the_same_bytes_and_its_amounts_are_exact(tmp_path: Path) -> None:
    first = write_deployment(tmp_path / "a", DEPLOYMENT).read_bytes()
    second = write_deployment(tmp_path / "b", DEPLOYMENT).read_bytes()
    assert first == second
    parameters = json.loads(first)["parameters"]
    assert parameters["registry"]["stake"] == str(2**96 - 1)
    assert parameters["rounds"]["leastEvaluatorPay"] == str(2**128 - 1)

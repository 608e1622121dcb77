"""
Where a deployment of the contracts lives on its chain, as a file that everybody can check.

This module decides the form of `deployments/<chainId>/deployment.json` and reads and writes it. It
does not ask a chain whether the file is true: that takes a node, and is verification.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from eth_utils import is_checksum_address, is_hex

from oracle.core import json_text
from oracle.core.parameters import RegistryParameters, RoundsParameters, TrustParameters

FILE = "deployment.json"
VERSION = 1
_AMOUNTS = frozenset({"stake", "noCommitSlash", "noRevealSlash", "leastEvaluatorPay"})
_HASH_BYTES = 32

Parameters = TypeVar("Parameters", RegistryParameters, RoundsParameters, TrustParameters)


class DeploymentNotFound(Exception):
    """Nothing is known of a deployment on this chain."""

    def __init__(self, chain_id: int, path: Path) -> None:
        super().__init__(f"There is no deployment on chain {chain_id}: {path} does not exist.")
        self.chain_id = chain_id


class DeploymentMalformed(Exception):
    """A deployment file does not say what it has to."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} is no deployment file: {reason}.")


@dataclass(frozen=True, slots=True)
class DeployedContract:
    """A contract on a chain. `code_hash` is keccak256 of its code, arguments are ABI-encoded."""

    address: str
    code_hash: bytes
    constructor_arguments: bytes


@dataclass(frozen=True, slots=True)
class Deployment:
    """The two contracts, their token and parameters. No log of theirs is before `start_block`."""

    chain_id: int
    start_block: int
    token: str
    registry: DeployedContract
    rounds: DeployedContract
    registry_parameters: RegistryParameters
    rounds_parameters: RoundsParameters


def path_of(directory: Path, chain_id: int) -> Path:
    """Return where below `directory` the deployment on a chain is kept."""
    return directory / str(chain_id) / FILE


def read_deployment(directory: Path, chain_id: int) -> Deployment:
    """Return the deployment on a chain; raise `DeploymentNotFound` or `DeploymentMalformed`."""
    path = path_of(directory, chain_id)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DeploymentNotFound(chain_id, path) from None
    deployment = from_bytes(content, path)
    if deployment.chain_id != chain_id:
        raise DeploymentMalformed(path, f"it is about chain {deployment.chain_id}")
    return deployment


def write_deployment(directory: Path, deployment: Deployment) -> Path:
    """
    Write the deployment as canonical JSON, completely or not at all, and return its path.

    An older file of the same chain is replaced.
    """
    path = path_of(directory, deployment.chain_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{FILE}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(to_bytes(deployment))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return path


def to_bytes(deployment: Deployment) -> bytes:
    """Return the deployment as canonical JSON."""
    return (json.dumps(_as_json(deployment), indent=2, sort_keys=True) + "\n").encode()


def from_bytes(content: bytes, path: Path) -> Deployment:
    """Return the deployment that is the content of a file; raise `DeploymentMalformed`."""
    try:
        return _parse(json_text.parse(content))
    except KeyError as error:
        raise DeploymentMalformed(path, f"it has no {error}") from None
    except json.JSONDecodeError as error:
        raise DeploymentMalformed(path, f"it is not JSON ({error})") from None
    except ValueError as error:
        raise DeploymentMalformed(path, str(error)) from None


def _as_json(deployment: Deployment) -> dict[str, Any]:
    return {
        "version": VERSION,
        "chainId": deployment.chain_id,
        "startBlock": deployment.start_block,
        "token": deployment.token,
        "registry": _contract_as_json(deployment.registry),
        "rounds": _contract_as_json(deployment.rounds),
        "parameters": {
            "registry": _parameters_as_json(deployment.registry_parameters),
            "rounds": _parameters_as_json(deployment.rounds_parameters),
        },
    }


def _contract_as_json(contract: DeployedContract) -> dict[str, str]:
    return {
        "address": contract.address,
        "codeHash": "0x" + contract.code_hash.hex(),
        "constructorArguments": "0x" + contract.constructor_arguments.hex(),
    }


def _parameters_as_json(
    parameters: RegistryParameters | RoundsParameters | TrustParameters,
) -> dict[str, Any]:
    """Return the parameters under the contract's names; amounts are strings, as JSON needs."""
    answer: dict[str, Any] = {}
    for field in fields(parameters):
        key, value = _camel(field.name), getattr(parameters, field.name)
        if isinstance(value, TrustParameters):
            answer[key] = _parameters_as_json(value)
        else:
            answer[key] = str(value) if key in _AMOUNTS else value
    return answer


def _parse(content: Any) -> Deployment:
    file = _object("the file", content)
    if file["version"] != VERSION:
        raise ValueError(f"its version is {file['version']}, not {VERSION}")
    parameters = _object("parameters", file["parameters"])
    return Deployment(
        chain_id=_natural("chainId", file["chainId"]),
        start_block=_natural("startBlock", file["startBlock"]),
        token=_account("token", file["token"]),
        registry=_parse_contract("registry", file["registry"]),
        rounds=_parse_contract("rounds", file["rounds"]),
        registry_parameters=_parse_parameters(RegistryParameters, parameters["registry"]),
        rounds_parameters=_parse_parameters(RoundsParameters, parameters["rounds"]),
    )


def _parse_contract(key: str, content: Any) -> DeployedContract:
    contract = _object(key, content)
    code_hash = _data("codeHash", contract["codeHash"])
    if len(code_hash) != _HASH_BYTES:
        raise ValueError(f"codeHash has {len(code_hash)} bytes instead of {_HASH_BYTES}")
    return DeployedContract(
        address=_account("address", contract["address"]),
        code_hash=code_hash,
        constructor_arguments=_data("constructorArguments", contract["constructorArguments"]),
    )


def _parse_parameters(kind: type[Parameters], content: Any) -> Parameters:
    given = _object(kind.__name__, content)
    values: dict[str, Any] = {}
    for field in fields(kind):
        key = _camel(field.name)
        if field.name == "trust":
            values["trust"] = _parse_parameters(TrustParameters, given[key])
        elif field.name == "slash_sink":
            values["slash_sink"] = _account(key, given[key])
        else:
            values[field.name] = _natural(key, given[key])
    return kind(**values)


def _object(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{key} is {str(value)[:40]} instead of a JSON object")
    return value


def _natural(key: str, value: Any) -> int:
    """Return a number that is one in JSON, or the decimal string of an amount."""
    if key in _AMOUNTS:
        if isinstance(value, str) and value.isascii() and value.isdecimal():
            return int(value)
        raise ValueError(f"{key} is {value!r} instead of an amount in wei, as a string")
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{key} is {value!r} instead of a number")
    return value


def _account(key: str, value: Any) -> str:
    if not isinstance(value, str) or not is_checksum_address(value):
        raise ValueError(f"{key} is {value!r} instead of a checksummed address")
    return value


def _data(key: str, value: Any) -> bytes:
    if isinstance(value, str) and value.startswith("0x") and is_hex(value):
        return bytes.fromhex(value[2:])
    raise ValueError(f"{key} is {value!r} instead of data in hex")


def _camel(snake: str) -> str:
    first, *rest = snake.split("_")
    return first + "".join(word.capitalize() for word in rest)

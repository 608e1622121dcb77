"""
Calls of the contracts as data: whom to send what.

This module encodes and decides nothing; `transactions` sends. Arguments are positional, in the
order and the types of the ABI; structs are tuples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi import encode
from eth_utils import function_signature_to_4byte_selector
from eth_utils.abi import collapse_if_tuple

from deploy.artifacts import load
from oracle.chain.deployment import Deployment

_ERC20 = {
    "approve": ("address", "uint256"),
    "transfer": ("address", "uint256"),
    "balanceOf": ("address",),
    "allowance": ("address", "address"),
}


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the contract at `to`."""

    to: str
    data: bytes


def registry(deployment: Deployment, function: str, *arguments: Any) -> Call:
    """Return a call of `NodeRegistry`."""
    return Call(deployment.registry.address, _encoded("NodeRegistry", function, arguments))


def rounds(deployment: Deployment, function: str, *arguments: Any) -> Call:
    """Return a call of `QualityRounds`."""
    return Call(deployment.rounds.address, _encoded("QualityRounds", function, arguments))


def token(deployment: Deployment, function: str, *arguments: Any) -> Call:
    """Return a call of the token, which is any ERC-20."""
    return Call(deployment.token, encode_call(function, _ERC20[function], arguments))


def encode_call(function: str, kinds: tuple[str, ...], arguments: tuple[Any, ...]) -> bytes:
    """Return the selector and the encoded arguments of a function with parameters of `kinds`."""
    selector = function_signature_to_4byte_selector(f"{function}({','.join(kinds)})")
    return selector + encode(kinds, arguments)


def outputs(contract: str, function: str) -> tuple[str, ...]:
    """Return the types of what a function of a contract answers."""
    return _functions(contract, "outputs")[function]


def _encoded(contract: str, function: str, arguments: tuple[Any, ...]) -> bytes:
    return encode_call(function, _functions(contract, "inputs")[function], arguments)


@cache
def _functions(contract: str, side: str) -> dict[str, tuple[str, ...]]:
    return {
        entry["name"]: tuple(collapse_if_tuple(field) for field in entry[side])
        for entry in load(contract).abi
        if entry["type"] == "function"
    }

"""The libraries' functions as plain calls, on a fast EVM inside this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eth_abi import decode
from eth_utils.abi import collapse_if_tuple
from pyrevm import EVM

from deploy.artifacts import load
from oracle.chain.calls import encode_call
from oracle.chain.errors import RevertDecoder, Reverted

ARTIFACTS = Path(__file__).resolve().parent / "artifacts"
CALLER = "0x" + "11" * 20
GAS = 10**9


class Harness:
    """A deployed test contract; calling it returns the decoded answer or raises `Reverted`."""

    def __init__(self, name: str) -> None:
        artifact = load(name, ARTIFACTS)
        self._functions = {
            entry["name"]: (
                tuple(collapse_if_tuple(field) for field in entry["inputs"]),
                tuple(collapse_if_tuple(field) for field in entry["outputs"]),
            )
            for entry in artifact.abi
            if entry["type"] == "function"
        }
        self._errors = RevertDecoder(artifact.abi, load("QualityRounds").abi)
        self._evm = EVM(gas_limit=2**63, spec_id="PRAGUE")
        self._evm.set_balance(CALLER, 10**30)
        self._address = self._evm.deploy(CALLER, artifact.bytecode)

    def __call__(self, function: str, *arguments: Any) -> Any:
        kinds, results = self._functions[function]
        data = encode_call(function, kinds, arguments)
        try:
            answer = self._evm.message_call(
                caller=CALLER, to=self._address, calldata=data, gas=GAS, is_static=True
            )
        except RuntimeError as error:
            raise self._errors.decode(_revert_data(str(error)), str(error)) from None
        values = decode(results, bytes(answer))
        return values[0] if len(values) == 1 else values


def _revert_data(message: str) -> bytes:
    _, found, rest = message.partition("output: 0x")
    return bytes.fromhex(rest.split()[0].rstrip(",}")) if found else b""


__all__ = ["Harness", "Reverted"]

"""Contracts as plain calls, on a fast EVM inside this process: no blocks, keys or logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eth_abi import decode, encode
from eth_utils.abi import collapse_if_tuple
from pyrevm import EVM

from deploy.artifacts import Artifact, load
from oracle.chain.calls import encode_call
from oracle.chain.devnet import data_floor
from oracle.chain.errors import RevertDecoder, Reverted

ARTIFACTS = Path(__file__).resolve().parent / "artifacts"
CALLER = "0x" + "11" * 20
GAS = 10**9


def bare_evm() -> EVM:
    """Return an EVM with nothing on it and no limit to what a call may use."""
    evm = EVM(gas_limit=2**63, spec_id="PRAGUE")
    evm.set_balance(CALLER, 10**30)
    return evm


class Contract:
    """
    A contract that `CALLER` deployed on `evm`.

    Calling it returns the decoded answer or raises `Reverted`; so does deploying it.
    """

    def __init__(self, evm: EVM, artifact: Artifact, *arguments: Any) -> None:
        self._evm = evm
        self._functions = {
            entry["name"]: (
                tuple(collapse_if_tuple(field) for field in entry["inputs"]),
                tuple(collapse_if_tuple(field) for field in entry["outputs"]),
            )
            for entry in artifact.abi
            if entry["type"] == "function"
        }
        constructors = [entry["inputs"] for entry in artifact.abi if entry["type"] == "constructor"]
        kinds = [collapse_if_tuple(field) for fields in constructors for field in fields]
        known = load("QualityRounds"), load("NodeRegistry"), load("MockToken", ARTIFACTS)
        self._errors = RevertDecoder(artifact.abi, *(one.abi for one in known))
        try:
            self.address: str = evm.deploy(CALLER, artifact.bytecode + encode(kinds, arguments))
        except RuntimeError as error:
            raise self._reverted(error) from None
        self.gas = 0

    def __call__(
        self, function: str, *arguments: Any, sender: str = CALLER, static: bool = False
    ) -> Any:
        """
        Call `function`; afterwards `gas` is what it used.

        All that earlier calls touched is still warm here. A transaction uses more: up to 22,100 for
        each word of storage that it touches.
        """
        _, results = self._functions[function]
        answer = self.send(self.encode(function, *arguments), sender=sender, static=static)
        values = decode(results, answer)
        return values[0] if len(values) == 1 else values

    def encode(self, function: str, *arguments: Any) -> bytes:
        """Return the calldata of a call of `function`."""
        kinds, _ = self._functions[function]
        return encode_call(function, kinds, arguments)

    def send(self, data: bytes, *, sender: str = CALLER, static: bool = False) -> bytes:
        """Call with `data`, whatever it is, and return the answer undecoded."""
        try:
            answer = self._evm.message_call(
                caller=sender, to=self.address, calldata=data, gas=GAS, is_static=static
            )
        except RuntimeError as error:
            raise self._reverted(error) from None
        result = self._evm.result
        assert result is not None  # there was a call
        self.gas = max(result.gas_used, data_floor(data))
        return bytes(answer)

    def _reverted(self, error: RuntimeError) -> Reverted:
        _, found, rest = str(error).partition("output: 0x")
        data = bytes.fromhex(rest.split()[0].rstrip(",}")) if found else b""
        return self._errors.decode(data, str(error))


class Harness(Contract):
    """A test contract of pure functions on an EVM of its own."""

    def __init__(self, name: str) -> None:
        super().__init__(bare_evm(), load(name, ARTIFACTS))

    def __call__(
        self, function: str, *arguments: Any, sender: str = CALLER, static: bool = True
    ) -> Any:
        return super().__call__(function, *arguments, sender=sender, static=static)


__all__ = ["CALLER", "Contract", "Harness", "Reverted", "bare_evm"]

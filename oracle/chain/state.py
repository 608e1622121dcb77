"""
What the two contracts say of themselves at one block, in the types of the core.

This module only reads, and all that one `State` reads is of the same block, so that two answers
never contradict each other. What may be done with them, `oracle.core.phases` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eth_abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils import to_checksum_address
from hexbytes import HexBytes

from oracle.chain import calls
from oracle.chain.deployment import Deployment
from oracle.core.facts import Phase, Role, RoundKey, RoundState
from oracle.core.parameters import RegistryParameters, RoundsParameters, TrustParameters

if TYPE_CHECKING:
    from web3 import Web3


class UnknownNode(Exception):
    """No such node was ever registered."""

    def __init__(self, node_id: int) -> None:
        super().__init__(f"There is no node {node_id}.")
        self.node_id = node_id


@dataclass(frozen=True, slots=True)
class Node:
    """
    A node as the registry stores it.

    `position` is its one-based place in the list of active evaluators, 0 while it is not listed;
    `exitable_at` the second from which a leaving node's stake can be withdrawn, 0 while it has not
    left; `stake` is wei.
    """

    node_id: int
    owner: str
    role: Role
    position: int
    exitable_at: int
    operator: str
    stake: int


class State:
    """
    Both contracts at `block`, by default the latest one when this is made.

    `pin` names the block in requests where its number may not do: by its hash (EIP-1898), so that
    no reorganisation comes between two reads. Reading a block whose state the node has forgotten
    raises what web3 raises, and an answer that is none `RpcUnreachable`.
    """

    def __init__(
        self, web3: Web3, deployment: Deployment, block: int | None = None, *, pin: Any = None
    ) -> None:
        self.block = web3.eth.block_number if block is None else block
        self._pin = self.block if pin is None else pin
        self._web3 = web3
        self._deployment = deployment

    def key(self, round_id: int) -> RoundKey:
        """Return what every hash of the round is bound to."""
        return RoundKey(self._deployment.chain_id, self._deployment.rounds.address, round_id)

    # Nodes

    def registry_parameters(self) -> RegistryParameters:
        """Return the parameters of the registry."""
        stake, delay, no_commit, no_reveal, sink, trust = self._registry("parameters")
        return RegistryParameters(stake, delay, no_commit, no_reveal, sink, TrustParameters(*trust))

    def node_count(self) -> int:
        """Return the number of nodes ever registered; ids run from 1 to this."""
        return int(self._registry("nodeCount"))

    def node(self, node_id: int) -> Node:
        """Return a node; raise `UnknownNode`."""
        owner, role, *rest = self._registry("nodeOf", node_id)
        if role == Role.NONE:
            raise UnknownNode(node_id)
        return Node(node_id, owner, Role(role), *rest)

    def trust(self, node_id: int, domain: bytes) -> int:
        """Return a node's trust in a domain of 32 bytes, in TRUST_ONE."""
        return int(self._registry("trustOf", node_id, domain))

    def evaluators(self) -> tuple[int, ...]:
        """Return the ids of the active evaluators in the order of their list."""
        population = self._registry("populationAt", self.block)
        return tuple(
            self._registry("evaluatorAt", place, self.block) for place in range(population)
        )

    def slashed_balance(self) -> int:
        """Return the slashed stake that waits to be swept, wei."""
        return int(self._registry("slashedBalance"))

    # Rounds

    def rounds_parameters(self) -> RoundsParameters:
        """Return the parameters of the rounds contract."""
        return RoundsParameters(*self._rounds("parameters"))

    def round_count(self) -> int:
        """Return the number of rounds ever opened; ids run from 1 to this."""
        return int(self._rounds("roundCount"))

    def round(self, round_id: int) -> RoundState:
        """Return where a round stands; all but the phase is zero unless the round is running."""
        phase = Phase(self._rounds("phaseOf", round_id))
        return RoundState(phase, *self._rounds("stateOf", round_id))

    def digest(self, round_id: int) -> bytes:
        """Return the digest of a round's log."""
        return bytes(self._rounds("digestOf", round_id))

    def seat(self, round_id: int, seat: int) -> int:
        """Return the id of the node in a seat of a running round, 0 if there is none."""
        return int(self._rounds("seatOf", round_id, seat))

    def credit(self, account: str) -> int:
        """Return what an account can withdraw, wei."""
        return int(self._rounds("creditOf", account))

    def _registry(self, function: str, *arguments: Any) -> Any:
        call = calls.registry(self._deployment, function, *arguments)
        return self._answer(call, "NodeRegistry", function)

    def _rounds(self, function: str, *arguments: Any) -> Any:
        call = calls.rounds(self._deployment, function, *arguments)
        return self._answer(call, "QualityRounds", function)

    def _answer(self, call: calls.Call, contract: str, function: str) -> Any:
        # web3's own contracts make a number of a block's hash.
        transaction: Any = {"to": call.to, "data": HexBytes(call.data)}
        answer = bytes(self._web3.eth.call(transaction, self._pin))
        try:
            values = _checksummed(decode(calls.outputs(contract, function), answer))
        except DecodingError:
            from oracle.chain.rpc import RpcUnreachable

            reason = f"it says that {function} is 0x{answer[:8].hex()}"
            raise RpcUnreachable(str(self._web3.provider), reason) from None
        return values[0] if len(values) == 1 else values


def _checksummed(value: Any) -> Any:
    """Return what a contract answered with its accounts as EIP-55 strings; it has no others."""
    if isinstance(value, tuple):
        return tuple(map(_checksummed, value))
    return to_checksum_address(value) if isinstance(value, str) else value

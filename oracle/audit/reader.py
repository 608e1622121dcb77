"""
What the audit asks the chain, where there is one at hand.

Logs prove a deployment's payouts only together with what the chain keeps: the hashes and times of
blocks, one digest a round, and the state that the logs have led to. All answers are of one block.
This module reads; `storage` and the replay compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from hexbytes import HexBytes
from web3.exceptions import Web3RPCError

from oracle.chain import calls
from oracle.chain.deployment import Deployment
from oracle.chain.state import Node, State, UnknownNode
from oracle.core.facts import RoundState
from oracle.core.parameters import RegistryParameters, RoundsParameters
from oracle.core.phases import NOBODY

if TYPE_CHECKING:
    from web3 import Web3


@dataclass(frozen=True, slots=True)
class Header:
    """The hash and the second of a block, and the hashes of its transactions."""

    block_hash: bytes
    timestamp: int
    transactions: frozenset[bytes]


class Reader(Protocol):
    """The chain at the end of `block`. Ids that are asked for exist."""

    @property
    def block(self) -> int: ...

    def header(self, block: int) -> Header: ...
    def balance(self, account: str) -> int: ...
    def registry_parameters(self) -> RegistryParameters: ...
    def node_count(self) -> int: ...
    def node(self, node_id: int) -> Node: ...
    def trust(self, node_id: int, domain: bytes) -> int: ...
    def slashed_balance(self) -> int: ...
    def rounds_parameters(self) -> RoundsParameters: ...
    def round_count(self) -> int: ...
    def round(self, round_id: int) -> RoundState: ...
    def digest(self, round_id: int) -> bytes: ...
    def credit(self, account: str) -> int: ...

    def operator(self, node_id: int, block: int) -> str | None:
        """Return a node's operator at the end of a past block, `None` where that is forgotten."""
        ...


class ChainReader(State):
    """A `Reader` of a node at a block, by default the latest one when this is made."""

    def __init__(self, web3: Web3, deployment: Deployment, block: int | None = None) -> None:
        super().__init__(web3, deployment, block)
        self._web3 = web3
        self._token = deployment.token
        self._deployed = deployment

    def header(self, block: int) -> Header:
        """Return the header of a block."""
        found = self._web3.eth.get_block(block)
        transactions = frozenset(bytes(cast(HexBytes, each)) for each in found["transactions"])
        return Header(bytes(found["hash"]), int(found["timestamp"]), transactions)

    def balance(self, account: str) -> int:
        """Return what an account holds of the token, wei."""
        call = calls.token(self._deployed, "balanceOf", account)
        answer = self._web3.eth.call(
            {"to": self._web3.to_checksum_address(call.to), "data": call.data}, self.block
        )
        return int.from_bytes(answer)

    def operator(self, node_id: int, block: int) -> str | None:
        """Return a node's operator at the end of a past block, `None` where that is forgotten."""
        try:
            return State(self._web3, self._deployed, block).node(node_id).operator
        except UnknownNode:
            return NOBODY
        except Web3RPCError:
            return None

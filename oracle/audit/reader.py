"""
What the audit asks the chain, where there is one at hand.

Logs prove a deployment's payouts only together with what the chain keeps: the hashes and times of
blocks, one digest a round, and the state that the logs have led to. All answers are of one block,
and what there is much of is asked for in batches. This module reads; `storage` and the replay
compare.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from eth_utils import function_signature_to_4byte_selector

from deploy.artifacts import load
from oracle.audit.fetch import Header, headers
from oracle.chain.abi_words import WORD
from oracle.chain.batches import Refusal, ask
from oracle.chain.deployment import Deployment
from oracle.chain.log_table import LogTable, starts
from oracle.chain.logs import EventDecoder
from oracle.chain.state import Node, State
from oracle.core.facts import Phase, Role, RoundState
from oracle.core.parameters import RegistryParameters, RoundsParameters
from oracle.core.phases import NOBODY
from oracle.core.words import account, word

if TYPE_CHECKING:
    from web3 import Web3

__all__ = ["ChainReader", "Header", "Reader", "StorageUnavailable"]

_ROUND_OPENED = next(
    topic
    for topic, name in EventDecoder(load("QualityRounds").abi).names.items()
    if name == "RoundOpened"
)
_NODE_OF = function_signature_to_4byte_selector("nodeOf(uint32)")
_TRUST_OF = function_signature_to_4byte_selector("trustOf(uint32,bytes32)")
_PHASE_OF = function_signature_to_4byte_selector("phaseOf(uint256)")
_STATE_OF = function_signature_to_4byte_selector("stateOf(uint256)")
_DIGEST_OF = function_signature_to_4byte_selector("digestOf(uint256)")
_CREDIT_OF = function_signature_to_4byte_selector("creditOf(address)")
_BALANCE_OF = function_signature_to_4byte_selector("balanceOf(address)")


def table_headers(table: LogTable) -> dict[int, Header]:
    """Return the headers of a table's blocks; it was checked that their transactions are theirs."""
    columns = zip(table.number.tolist(), table.block_hash, table.time.tolist(), strict=True)
    return {number: Header(row.tobytes(), time) for number, row, time in columns}


def draw_blocks(table: LogTable) -> list[int]:
    """Return the draw blocks of the rounds that open in a table."""
    wide = (table.topic_count > 0) & (table.size >= WORD)
    topics, data = starts(table.topic_count)[:-1][wide], starts(table.size)[:-1][wide]
    opened = (table.topics[topics] == np.frombuffer(_ROUND_OPENED, np.uint8)).all(axis=1)
    return [int.from_bytes(table.data[at : at + WORD].tobytes()) for at in data[opened].tolist()]


class StorageUnavailable(Exception):
    """The node does not say what a contract has stored at a block."""

    def __init__(self, block: int, reason: str) -> None:
        super().__init__(f"The node does not give the state of block {block}: {reason}.")
        self.block = block


class Reader(Protocol):
    """The chain at the end of `block`. Ids that are asked for exist; answers are in their order."""

    @property
    def block(self) -> int: ...

    def enter(self, table: LogTable) -> None:
        """Learn the blocks of the logs that come next, and those whose hashes seed their draws."""
        ...

    def header(self, block: int) -> Header: ...
    def registry_parameters(self) -> RegistryParameters: ...
    def node_count(self) -> int: ...
    def nodes(self, node_ids: Sequence[int]) -> list[Node]: ...
    def trusts(self, of: Sequence[tuple[int, bytes]]) -> list[int]:
        """Return the trust of each node in a domain."""
        ...

    def slashed_balance(self) -> int: ...
    def rounds_parameters(self) -> RoundsParameters: ...
    def round_count(self) -> int: ...
    def rounds(self, round_ids: Sequence[int]) -> list[RoundState]: ...
    def digests(self, round_ids: Sequence[int]) -> list[bytes]: ...
    def credits(self, accounts: Sequence[str]) -> list[int]: ...
    def balances(self, accounts: Sequence[str]) -> list[int]:
        """Return what each account holds of the token, wei."""
        ...

    def operator(self, node_id: int, block: int) -> str | None:
        """Return a node's operator at the end of a past block, `None` where that is forgotten."""
        ...


class ChainReader(State):
    """
    A `Reader` of a node at a block, by default the latest one when this is made.

    Its methods raise `StorageUnavailable`, `NodeBehind` and `RpcUnreachable`.
    """

    def __init__(self, web3: Web3, deployment: Deployment, block: int | None = None) -> None:
        super().__init__(web3, deployment, block)
        self._web3 = web3
        self._deployed = deployment
        self._headers: dict[int, Header] = {}

    def enter(self, table: LogTable) -> None:
        """Learn the blocks of a table, and ask for those that it draws by; forget all others."""
        self._headers = table_headers(table)
        drawn = sorted(set(draw_blocks(table)) - self._headers.keys())
        self._learn([block for block in drawn if block <= self.block])

    def header(self, block: int) -> Header:
        """Return the header of a block."""
        if block not in self._headers:
            self._learn([block])
        return self._headers[block]

    def _learn(self, blocks: Sequence[int]) -> None:
        self._headers.update(zip(blocks, headers(self._web3, blocks), strict=True))

    def nodes(self, node_ids: Sequence[int]) -> list[Node]:
        """Return nodes by their ids."""
        contract = self._deployed.registry.address
        answers = self._calls(contract, [_NODE_OF + word(node_id) for node_id in node_ids], 6)
        return [
            Node(
                node_id,
                account(owner[12:]),
                Role(int.from_bytes(role)),
                int.from_bytes(position),
                int.from_bytes(exitable_at),
                account(operator[12:]),
                int.from_bytes(stake),
            )
            for node_id, (owner, role, position, exitable_at, operator, stake) in zip(
                node_ids, answers, strict=True
            )
        ]

    def trusts(self, of: Sequence[tuple[int, bytes]]) -> list[int]:
        """Return the trust of each node in a domain, in TRUST_ONE."""
        data = [_TRUST_OF + word(node_id) + domain for node_id, domain in of]
        return self._numbers(self._deployed.registry.address, data)

    def rounds(self, round_ids: Sequence[int]) -> list[RoundState]:
        """Return where rounds stand."""
        contract = self._deployed.rounds.address
        phases = self._numbers(contract, [_PHASE_OF + word(each) for each in round_ids])
        states = self._calls(contract, [_STATE_OF + word(each) for each in round_ids], 6)
        return [
            RoundState(Phase(phase), *map(int.from_bytes, state))
            for phase, state in zip(phases, states, strict=True)
        ]

    def digests(self, round_ids: Sequence[int]) -> list[bytes]:
        """Return the digests of rounds' logs."""
        data = [_DIGEST_OF + word(each) for each in round_ids]
        return [digest for (digest,) in self._calls(self._deployed.rounds.address, data, 1)]

    def credits(self, accounts: Sequence[str]) -> list[int]:
        """Return what accounts can withdraw, wei."""
        data = [_CREDIT_OF + word(each) for each in accounts]
        return self._numbers(self._deployed.rounds.address, data)

    def balances(self, accounts: Sequence[str]) -> list[int]:
        """Return what accounts hold of the token, wei."""
        return self._numbers(self._deployed.token, [_BALANCE_OF + word(each) for each in accounts])

    def operator(self, node_id: int, block: int) -> str | None:
        """Return a node's operator at the end of a past block, `None` where that is forgotten."""
        past = ChainReader(self._web3, self._deployed, block)
        try:
            [node] = past.nodes([node_id])
        except StorageUnavailable:
            return None
        return node.operator if node.owner != NOBODY else NOBODY

    def _numbers(self, contract: str, data: Sequence[bytes]) -> list[int]:
        return [int.from_bytes(answer) for (answer,) in self._calls(contract, data, 1)]

    def _calls(
        self, contract: str, data: Sequence[bytes], words: int
    ) -> Iterator[tuple[bytes, ...]]:
        """Yield the `words` that each call returns."""
        at = hex(self.block)
        requests: list[tuple[str, list[Any]]] = [
            ("eth_call", [{"to": contract, "data": "0x" + each.hex()}, at]) for each in data
        ]
        for answer in ask(self._web3, requests):
            if isinstance(answer, Refusal):
                raise StorageUnavailable(self.block, answer)
            found = bytes.fromhex(str(answer)[2:])
            if len(found) != words * WORD:
                raise StorageUnavailable(self.block, f"{len(found)} bytes instead of {words} words")
            yield tuple(found[i : i + WORD] for i in range(0, len(found), WORD))

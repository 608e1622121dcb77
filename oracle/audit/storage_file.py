"""
What a chain answered to an audit, as a JSON file, so that the audit can be repeated without it.

A recording reader passes every question on and keeps the answers; a recorded one gives them again,
and refuses what was never asked. Amounts are strings; a closed round, like most are, takes no more
than its digest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

from oracle.audit.reader import Header, Reader, table_headers
from oracle.chain.log_table import LogTable
from oracle.chain.state import Node
from oracle.core import json_text
from oracle.core.facts import Phase, Role, RoundState
from oracle.core.parameters import RegistryParameters, RoundsParameters, TrustParameters

VERSION = 1
_CLOSED = RoundState(Phase.CLOSED, 0, 0, 0, 0, 0, 0)


class NotRecorded(Exception):
    """An audit from a file asks what was not asked when the file was made."""

    def __init__(self, what: str) -> None:
        super().__init__(f"The file does not say {what}: its logs are not those it was made with.")


@dataclass(slots=True)
class Answers:
    """What a chain said of one deployment at the end of `block`."""

    block: int
    block_hash: bytes
    headers: dict[int, Header] = field(default_factory=dict)
    registry_parameters: RegistryParameters | None = None
    rounds_parameters: RoundsParameters | None = None
    node_count: int = 0
    round_count: int = 0
    slashed_balance: int = 0
    nodes: dict[int, Node] = field(default_factory=dict)
    trusts: dict[tuple[int, bytes], int] = field(default_factory=dict)
    rounds: dict[int, RoundState] = field(default_factory=dict)
    digests: dict[int, bytes] = field(default_factory=dict)
    credits: dict[str, int] = field(default_factory=dict)
    balances: dict[str, int] = field(default_factory=dict)
    operators: dict[tuple[int, int], str | None] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return canonical JSON."""
        content = {
            "version": VERSION,
            "block": self.block,
            "blockHash": "0x" + self.block_hash.hex(),
            "headers": [
                [number, "0x" + header.block_hash.hex(), header.timestamp]
                for number, header in sorted(self.headers.items())
            ],
            "registryParameters": _flat(self.registry_parameters),
            "roundsParameters": _flat(self.rounds_parameters),
            "nodeCount": self.node_count,
            "roundCount": self.round_count,
            "slashedBalance": str(self.slashed_balance),
            "nodes": [
                [*astuple(node)[:-1], str(node.stake)] for _, node in sorted(self.nodes.items())
            ],
            "trusts": [
                [node_id, "0x" + domain.hex(), trust]
                for (node_id, domain), trust in sorted(self.trusts.items())
            ],
            "closedRounds": sorted(key for key, each in self.rounds.items() if each == _CLOSED),
            "rounds": [
                [key, *astuple(each)]
                for key, each in sorted(self.rounds.items())
                if each != _CLOSED
            ],
            "digests": [[key, "0x" + each.hex()] for key, each in sorted(self.digests.items())],
            "credits": {key: str(each) for key, each in self.credits.items()},
            "balances": {key: str(each) for key, each in self.balances.items()},
            "operators": [[*key, each] for key, each in sorted(self.operators.items())],
        }
        return (json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Answers:
        """Return the answers that `to_bytes` wrote; raise `ValueError`, `KeyError`, `TypeError`."""
        parsed = json_text.parse(content)
        if parsed["version"] != VERSION:
            raise ValueError(f"its version is {parsed['version']}, not {VERSION}")
        return cls(
            block=int(parsed["block"]),
            block_hash=_bytes(parsed["blockHash"]),
            headers={
                int(number): Header(_bytes(block_hash), int(time))
                for number, block_hash, time in parsed["headers"]
            },
            registry_parameters=_registry_parameters(*parsed["registryParameters"]),
            rounds_parameters=RoundsParameters(*map(int, parsed["roundsParameters"])),
            node_count=int(parsed["nodeCount"]),
            round_count=int(parsed["roundCount"]),
            slashed_balance=int(parsed["slashedBalance"]),
            nodes={each[0]: _node(*each) for each in parsed["nodes"]},
            trusts={
                (node_id, _bytes(domain)): int(trust) for node_id, domain, trust in parsed["trusts"]
            },
            rounds=dict.fromkeys(parsed["closedRounds"], _CLOSED)
            | {
                key: RoundState(Phase(phase), *map(int, rest))
                for key, phase, *rest in parsed["rounds"]
            },
            digests={key: _bytes(digest) for key, digest in parsed["digests"]},
            credits={key: int(each) for key, each in parsed["credits"].items()},
            balances={key: int(each) for key, each in parsed["balances"].items()},
            operators={(node, block): each for node, block, each in parsed["operators"]},
        )


class RecordingReader:
    """A `Reader` that keeps what another one answers."""

    def __init__(self, reader: Reader, block_hash: bytes) -> None:
        self._reader = reader
        self._entered: dict[int, Header] = {}
        self.answers = Answers(reader.block, block_hash)
        self.block = reader.block

    def enter(self, table: LogTable) -> None:
        """Pass a table on."""
        self._reader.enter(table)
        self._entered = table_headers(table)

    def header(self, block: int) -> Header:
        """Return a header, kept unless the table has it."""
        found = self._reader.header(block)
        if block not in self._entered:
            self.answers.headers[block] = found
        return found

    def registry_parameters(self) -> RegistryParameters:
        """Return the registry's parameters."""
        self.answers.registry_parameters = self._reader.registry_parameters()
        return self.answers.registry_parameters

    def rounds_parameters(self) -> RoundsParameters:
        """Return the parameters of the rounds contract."""
        self.answers.rounds_parameters = self._reader.rounds_parameters()
        return self.answers.rounds_parameters

    def node_count(self) -> int:
        """Return the number of nodes."""
        self.answers.node_count = self._reader.node_count()
        return self.answers.node_count

    def round_count(self) -> int:
        """Return the number of rounds."""
        self.answers.round_count = self._reader.round_count()
        return self.answers.round_count

    def slashed_balance(self) -> int:
        """Return the slashed stake that waits to be swept, wei."""
        self.answers.slashed_balance = self._reader.slashed_balance()
        return self.answers.slashed_balance

    def nodes(self, node_ids: Sequence[int]) -> list[Node]:
        """Return nodes by their ids."""
        return _kept(self.answers.nodes, node_ids, self._reader.nodes(node_ids))

    def trusts(self, of: Sequence[tuple[int, bytes]]) -> list[int]:
        """Return the trust of each node in a domain."""
        return _kept(self.answers.trusts, of, self._reader.trusts(of))

    def rounds(self, round_ids: Sequence[int]) -> list[RoundState]:
        """Return where rounds stand."""
        return _kept(self.answers.rounds, round_ids, self._reader.rounds(round_ids))

    def digests(self, round_ids: Sequence[int]) -> list[bytes]:
        """Return the digests of rounds' logs."""
        return _kept(self.answers.digests, round_ids, self._reader.digests(round_ids))

    def credits(self, accounts: Sequence[str]) -> list[int]:
        """Return what accounts can withdraw, wei."""
        return _kept(self.answers.credits, accounts, self._reader.credits(accounts))

    def balances(self, accounts: Sequence[str]) -> list[int]:
        """Return what accounts hold of the token, wei."""
        return _kept(self.answers.balances, accounts, self._reader.balances(accounts))

    def operator(self, node_id: int, block: int) -> str | None:
        """Return a node's operator at the end of a past block."""
        found = self._reader.operator(node_id, block)
        self.answers.operators[node_id, block] = found
        return found


class RecordedReader:
    """A `Reader` of what was recorded; its methods raise `NotRecorded`."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self._entered: dict[int, Header] = {}
        self.block = answers.block

    def enter(self, table: LogTable) -> None:
        """Learn the blocks of a table."""
        self._entered = table_headers(table)

    def header(self, block: int) -> Header:
        """Return the header of a block."""
        known = self._entered.get(block) or self.answers.headers.get(block)
        if known is None:
            raise NotRecorded(f"what block {block} is")
        return known

    def registry_parameters(self) -> RegistryParameters:
        """Return the registry's parameters."""
        if self.answers.registry_parameters is None:
            raise NotRecorded("the registry's parameters")
        return self.answers.registry_parameters

    def rounds_parameters(self) -> RoundsParameters:
        """Return the parameters of the rounds contract."""
        if self.answers.rounds_parameters is None:
            raise NotRecorded("the parameters of the rounds contract")
        return self.answers.rounds_parameters

    def node_count(self) -> int:
        """Return the number of nodes."""
        return self.answers.node_count

    def round_count(self) -> int:
        """Return the number of rounds."""
        return self.answers.round_count

    def slashed_balance(self) -> int:
        """Return the slashed stake that waits to be swept, wei."""
        return self.answers.slashed_balance

    def nodes(self, node_ids: Sequence[int]) -> list[Node]:
        """Return nodes by their ids."""
        return _recalled("node", self.answers.nodes, node_ids)

    def trusts(self, of: Sequence[tuple[int, bytes]]) -> list[int]:
        """Return the trust of each node in a domain."""
        return _recalled("the trust of", self.answers.trusts, of)

    def rounds(self, round_ids: Sequence[int]) -> list[RoundState]:
        """Return where rounds stand."""
        return _recalled("where round", self.answers.rounds, round_ids)

    def digests(self, round_ids: Sequence[int]) -> list[bytes]:
        """Return the digests of rounds' logs."""
        return _recalled("the digest of round", self.answers.digests, round_ids)

    def credits(self, accounts: Sequence[str]) -> list[int]:
        """Return what accounts can withdraw, wei."""
        # An account that was not asked about had no reason to have credit.
        return [self.answers.credits.get(account, 0) for account in accounts]

    def balances(self, accounts: Sequence[str]) -> list[int]:
        """Return what accounts hold of the token, wei."""
        return _recalled("the balance of", self.answers.balances, accounts)

    def operator(self, node_id: int, block: int) -> str | None:
        """Return a node's operator at the end of a past block."""
        return self.answers.operators.get((node_id, block))


def _kept(answers: dict[Any, Any], keys: Sequence[Any], found: list[Any]) -> list[Any]:
    answers.update(zip(keys, found, strict=True))
    return found


def _recalled(what: str, answers: dict[Any, Any], keys: Sequence[Any]) -> list[Any]:
    for key in keys:
        if key not in answers:
            raise NotRecorded(f"{what} {key}")
    return [answers[key] for key in keys]


def _flat(parameters: RegistryParameters | RoundsParameters | None) -> list[Any]:
    """Return the fields in their order, those of a struct within in its place."""
    if parameters is None:
        return []
    flat: list[Any] = []
    for value in parameters.as_tuple():
        flat += value if isinstance(value, tuple) else [value]
    return [str(value) for value in flat]


def _registry_parameters(
    stake: str, delay: str, no_commit: str, no_reveal: str, sink: str, *trust: str
) -> RegistryParameters:
    return RegistryParameters(
        stake=int(stake),
        exit_delay=int(delay),
        no_commit_slash=int(no_commit),
        no_reveal_slash=int(no_reveal),
        slash_sink=sink,
        trust=TrustParameters(*map(int, trust)),
    )


def _node(
    node_id: int, owner: str, role: int, position: int, exitable: int, operator: str, stake: str
) -> Node:
    return Node(node_id, owner, Role(role), position, exitable, operator, int(stake))


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))

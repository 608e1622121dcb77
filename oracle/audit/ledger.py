"""
The registry as its logs tell it: nodes, stakes, trust, and the list of active evaluators.

Each log is held against what the registry can have done: amounts, the order of a node's life, and
times. Slashes and trust are not taken from logs: rounds compute them and move them here. A log that
cannot be true is reported and, where that makes sense, applied all the same, so that one wrong log
is one mismatch. Section 2 of docs/protocol.md; twin of `NodeRegistry.sol`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from oracle.audit.clock import Clock
from oracle.audit.findings import Findings, Where
from oracle.audit.reader import Reader
from oracle.audit.roster import Roster
from oracle.audit.solvency import Vault
from oracle.chain.logs import Event
from oracle.chain.state import Node
from oracle.core.facts import Conduct, Role
from oracle.core.parameters import RegistryParameters
from oracle.core.phases import NOBODY
from oracle.core.units import TRUST_ONE


@dataclass(slots=True)
class _Entry:
    """A node; its place on the list is the roster's to know."""

    owner: str
    role: Role
    operator: str
    operator_since: int  # block
    stake: int
    packed: bytes
    exitable_at: int = 0


class Ledger:
    """All nodes by id. What moves through `vault` is the registry's money."""

    def __init__(
        self,
        parameters: RegistryParameters,
        findings: Findings,
        clock: Clock,
        vault: Vault,
        reader: Reader | None,
    ) -> None:
        self._parameters = parameters
        self._findings = findings
        self._clock = clock
        self._vault = vault
        self._reader = reader
        self._entries: dict[int, _Entry] = {}
        self._trusts: dict[tuple[bytes, int], int] = {}
        self._evaluators: dict[str, set[int]] = {}
        self.roster = Roster()
        self.slashed_balance = 0
        self.handlers: Mapping[str, Callable[[Event, Where], None]] = {
            "NodeRegistered": self._registered,
            "OperatorRotated": self._rotated,
            "StakeToppedUp": self._topped_up,
            "NodeExited": self._exited,
            "StakeWithdrawn": self._withdrawn,
            "SlashesSwept": self._swept,
        }

    def __len__(self) -> int:
        return len(self._entries)

    def nodes(self) -> Iterator[Node]:
        """Yield every node as storage has to hold it, by ascending id."""
        for node_id, entry in sorted(self._entries.items()):
            yield Node(
                node_id,
                entry.owner,
                entry.role,
                self.roster.position(node_id),
                entry.exitable_at,
                entry.operator,
                entry.stake,
            )

    def trusts(self) -> Iterator[tuple[bytes, int, int]]:
        """Yield domain, node id and trust wherever a settlement moved it, in that order."""
        for (domain, node_id), trust in sorted(self._trusts.items()):
            yield domain, node_id, trust

    def owner(self, node_id: int) -> str:
        """Return the owner of a node, the zero address if it was never registered."""
        entry = self._entries.get(node_id)
        return NOBODY if entry is None else entry.owner

    def evaluators_of(self, owners: Iterable[str]) -> set[int]:
        """Return the evaluators, active or not, that some accounts own."""
        return {node for owner in owners for node in self._evaluators.get(owner, ())}

    def packed(self, node_id: int) -> bytes:
        """Return id and owner of a known node as a packed panel has them."""
        return self._entries[node_id].packed

    def offers_inference(self, node_id: int) -> bool:
        """Return whether the node is an inference node that has not left."""
        entry = self._entries.get(node_id)
        return entry is not None and entry.role is Role.INFERENCE and not entry.exitable_at

    def trust(self, node_id: int, domain: bytes) -> int:
        """Return the current trust of a node in a domain, in TRUST_ONE."""
        return self._trusts.get((domain, node_id), TRUST_ONE)

    def move_trust(self, node_id: int, domain: bytes, trust: int) -> None:
        """Set the trust of a node in a domain."""
        self._trusts[domain, node_id] = trust

    def slash(self, node_id: int, conduct: Conduct, block: int) -> int:
        """Slash an absent seat's node and return what it lost, at most what it had."""
        entry = self._entries.get(node_id)
        due = (
            self._parameters.no_commit_slash
            if conduct is Conduct.NOT_COMMITTED
            else self._parameters.no_reveal_slash
        )
        if entry is None or not (amount := min(entry.stake, due)):
            return 0
        entry.stake -= amount
        self.slashed_balance += amount
        self.roster.leave(node_id, block)
        return amount

    def _registered(self, event: Event, where: Where) -> None:
        args, expect = event.args, self._findings.expect
        expect(where, "NodeRegistered.nodeId", len(self._entries) + 1, args["nodeId"])
        expect(where, "NodeRegistered.stake", self._parameters.stake, args["stake"])
        expect(where, "NodeRegistered.operator", False, args["operator"] == NOBODY)
        possible = args["role"] in (Role.EVALUATOR, Role.INFERENCE)
        if not expect(where, "NodeRegistered.role", True, possible):
            return
        if not expect(where, "NodeRegistered", False, args["nodeId"] in self._entries):
            return
        role, block = Role(args["role"]), event.log.block_number
        self._entries[args["nodeId"]] = _Entry(
            args["owner"],
            role,
            args["operator"],
            block,
            self._parameters.stake,
            args["nodeId"].to_bytes(4) + bytes.fromhex(args["owner"][2:]),
        )
        if role is Role.EVALUATOR:
            self.roster.join(args["nodeId"], block)
            self._evaluators.setdefault(args["owner"], set()).add(args["nodeId"])
        self._vault.receive(args["owner"], self._parameters.stake)

    def _rotated(self, event: Event, where: Where) -> None:
        entry = self._staying(event, where)
        if entry is None:
            return
        block = event.log.block_number
        self._findings.expect(
            where, "OperatorRotated.operator", False, event.args["operator"] == NOBODY
        )
        if self._reader is not None and entry.operator_since < block:
            # Nothing else bears witness to an operator that was replaced.
            past = self._reader.operator(event.args["nodeId"], block - 1)
            if past is not None:
                self._findings.expect(where, "operatorOf before", past, entry.operator)
        entry.operator, entry.operator_since = event.args["operator"], block

    def _topped_up(self, event: Event, where: Where) -> None:
        entry = self._staying(event, where)
        if entry is None:
            return
        missing = self._parameters.stake - entry.stake
        self._findings.expect(where, "StakeToppedUp", True, missing > 0)
        self._findings.expect(where, "StakeToppedUp.amount", missing, event.args["amount"])
        entry.stake = self._parameters.stake
        node_id = event.args["nodeId"]
        if entry.role is Role.EVALUATOR and not self.roster.position(node_id):
            self.roster.join(node_id, event.log.block_number)
        self._vault.receive(event.args["payer"], missing)

    def _exited(self, event: Event, where: Where) -> None:
        entry = self._staying(event, where)
        if entry is None:
            return
        entry.exitable_at = event.args["exitableAt"]
        left_at = entry.exitable_at - self._parameters.exit_delay
        block = event.log.block_number
        self._clock.check(where, "NodeExited.exitableAt − exitDelay", left_at)
        self.roster.leave(event.args["nodeId"], block)

    def _withdrawn(self, event: Event, where: Where) -> None:
        entry = self._known(event, where)
        if entry is None:
            return
        now = self._clock.time
        waited = entry.exitable_at and (now is None or now >= entry.exitable_at)
        self._findings.expect(where, "StakeWithdrawn after the exit delay", True, bool(waited))
        self._findings.expect(where, "StakeWithdrawn.owner", entry.owner, event.args["owner"])
        self._findings.expect(where, "StakeWithdrawn.amount", entry.stake, event.args["amount"])
        self._vault.pay(entry.owner, entry.stake)
        entry.stake = 0

    def _swept(self, event: Event, where: Where) -> None:
        args, expect = event.args, self._findings.expect
        expect(where, "SlashesSwept.sink", self._parameters.slash_sink, args["sink"])
        expect(where, "SlashesSwept.amount", self.slashed_balance, args["amount"])
        self._vault.pay(self._parameters.slash_sink, self.slashed_balance)
        self.slashed_balance = 0

    def _known(self, event: Event, where: Where) -> _Entry | None:
        entry = self._entries.get(event.args["nodeId"])
        known = "known" if entry is not None else "unknown"
        self._findings.expect(where, f"{event.name}.nodeId", "known", known)
        return entry

    def _staying(self, event: Event, where: Where) -> _Entry | None:
        entry = self._known(event, where)
        if entry is not None and entry.exitable_at:
            self._findings.expect(where, f"{event.name}.nodeId", "staying", "gone")
        return entry

"""
A large deployment's evidence, as the contracts would have logged and stored it.

Nothing runs here: the rounds are built by `oracle.core` from seeded scores, and every log, digest,
trust, credit and balance follows from them as on chain, so that an audit has all of its work to do.
Waves of rounds run at the same time; one seat in two hundred is silent and is slashed. Written by
other code than what reads it: the encoder is `eth_abi`'s or spelled out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from eth_abi import encode
from eth_utils.abi import collapse_if_tuple

from deploy.artifacts import load
from deploy.parameters import load_parameters
from oracle.audit.fetch import TRANSFER, Header
from oracle.audit.storage_file import Answers
from oracle.chain.deployment import DeployedContract, Deployment
from oracle.chain.log_table import LogTable, Raw, build
from oracle.chain.logs import EventDecoder
from oracle.chain.state import Node
from oracle.core.commitment import commitment, derive_salt
from oracle.core.consensus import Rule
from oracle.core.facts import (
    Batch,
    Commit,
    Conduct,
    Draw,
    DrawnRound,
    Opening,
    Phase,
    Reveal,
    Role,
    RoundKey,
    RoundState,
    Seat,
    Terms,
    pack_panel,
)
from oracle.core.keccak import keccak
from oracle.core.panel import draw_panel, draw_seed
from oracle.core.settlement import settle
from oracle.core.units import ONE, TRUST_ONE, pack
from oracle.core.words import account, word

EVALUATORS, INFERENCE = 400, 8
PANEL, ITEMS, BATCHES = 11, 20, 4
CONCURRENT = 16
SILENT = 200
"""One seat in this many does not commit."""
SECONDS = 12
LOGS_A_TABLE = 1 << 15
DOMAINS = tuple(name.ljust(32, b"\0") for name in (b"qa", b"summarization"))
CLOSED = RoundState(Phase.CLOSED, 0, 0, 0, 0, 0, 0)


def address(name: str) -> str:
    """Return an account that is made up."""
    return account(keccak(name.encode())[:20])


@dataclass
class Deployed:
    """Writes the logs of a deployment, a block at a time."""

    seed: int = 0
    rows: list[Raw] = field(default_factory=list)

    def __post_init__(self) -> None:
        parameters = load_parameters("local")
        self.rng = np.random.default_rng(self.seed)
        nothing = {"code_hash": bytes(32), "constructor_arguments": b""}
        self.deployment = Deployment(
            chain_id=31_337,
            start_block=1,
            token=address("token"),
            registry=DeployedContract(address=address("registry"), **nothing),
            rounds=DeployedContract(address=address("rounds"), **nothing),
            registry_parameters=parameters.registry,
            rounds_parameters=parameters.rounds,
        )
        self.block, self.index, self.transaction = 1, 0, bytes(32)
        self.sent = 0
        self.trusts: dict[tuple[bytes, int], int] = {}
        self.stakes: Counter[int] = Counter()
        self.credits: Counter[str] = Counter()
        self.digests: dict[int, bytes] = {}
        self.headers: dict[int, Header] = {}
        self.slashed = 0
        self.listed: list[int] = []
        self._entries = {
            entry["name"]: (contract, topic, entry["inputs"])
            for name, contract in (
                ("NodeRegistry", self.deployment.registry),
                ("QualityRounds", self.deployment.rounds),
            )
            for topic, event in EventDecoder(load(name).abi).names.items()
            for entry in load(name).abi
            if entry["type"] == "event" and entry["name"] == event
        }

    # Blocks and logs

    def time(self, block: int) -> int:
        """Return the second of a block."""
        return 1_700_000_000 + SECONDS * block

    def block_hash(self, block: int) -> bytes:
        """Return the hash of a block."""
        return keccak(b"block" + word(block))

    def mine(self, blocks: int = 1) -> None:
        """Go on by some blocks."""
        self.block += blocks
        self.index = 0

    def send(self) -> None:
        """Begin a transaction."""
        self.sent += 1
        self.transaction = keccak(b"transaction" + word(self.sent))

    def log(self, contract: str, topics: tuple[bytes, ...], data: bytes) -> None:
        """Write a log of the current transaction."""
        self.rows.append(
            (
                self.block,
                self.block_hash(self.block),
                self.time(self.block),
                self.index,
                bytes.fromhex(contract[2:]),
                self.transaction,
                topics,
                data,
            )
        )
        self.index += 1

    def emit(self, name: str, **args: Any) -> None:
        """Write a log of one of the contracts."""
        contract, topic, inputs = self._entries[name]
        indexed = (
            args[each["name"]]
            if isinstance(args[each["name"]], bytes)
            else word(args[each["name"]])
            for each in inputs
            if each["indexed"]
        )
        plain = [each for each in inputs if not each["indexed"]]
        values = [args[each["name"]] for each in plain]
        static = all(each["type"] not in ("bytes", "string") for each in plain) and len(plain) < 3
        data = (
            b"".join(value if isinstance(value, bytes) else word(value) for value in values)
            if static
            else encode([collapse_if_tuple(each) for each in plain], values)
        )
        self.log(contract.address, (topic, *indexed), data)

    def transfer(self, sender: str, receiver: str, amount: int) -> None:
        """Write a log of the token."""
        self.log(self.deployment.token, (TRANSFER, word(sender), word(receiver)), word(amount))

    # Nodes and rounds

    def join(self, role: Role) -> None:
        """Register a node."""
        self.send()
        node_id = len(self.stakes) + 1
        stake = self.deployment.registry_parameters.stake
        owner = address(f"owner {node_id}")
        operator = address(f"operator {node_id}")
        self.emit(
            "NodeRegistered", nodeId=node_id, owner=owner, role=role, operator=operator, stake=stake
        )
        self.transfer(owner, self.deployment.registry.address, stake)
        self.stakes[node_id] = stake
        if role is Role.EVALUATOR:
            self.listed.append(node_id)

    def open(self, round_id: int) -> Opening:
        """Open a round."""
        self.send()
        inference = self.rng.permutation(INFERENCE)[:BATCHES]
        batches = tuple(
            Batch(
                node_id=EVALUATORS + 1 + i,
                owner=address(f"owner {EVALUATORS + 1 + i}"),
                items=ITEMS // BATCHES,
                cost=int(self.rng.integers(0, ONE // 2)),
                outputs_hash=keccak(b"outputs" + word(round_id) + word(i)),
            )
            for i in inference.tolist()
        )
        uri = f"ipfs://workload/{round_id:012}"
        terms = Terms(
            domain=DOMAINS[round_id % len(DOMAINS)],
            rule=Rule.TRUST_WEIGHTED_MEAN,
            trim=0,
            panel_size=PANEL,
            quorum=PANEL // 2 + 1,
            oracle="0x" + 40 * "0",
            workload_hash=keccak(b"workload" + word(round_id)),
            inference_budget=100 * 10**18,
            evaluator_budget=100 * 10**18,
            settlement_fee=10**18,
        )
        draw_block = self.block + self.deployment.rounds_parameters.draw_delay
        self.headers[draw_block] = Header(self.block_hash(draw_block), self.time(draw_block))
        requester = address(f"requester {round_id % 7}")
        self.emit(
            "RoundOpened",
            roundId=round_id,
            requester=requester,
            drawBlock=draw_block,
            terms=terms.as_tuple(),
            batches=[batch.as_tuple() for batch in batches],
            uri=uri,
        )
        self.transfer(requester, self.deployment.rounds.address, terms.deposit)
        return Opening(requester, draw_block, terms, batches, keccak(uri.encode()))

    def draw(self, round_id: int, opening: Opening, listed: list[int]) -> DrawnRound:
        """Draw the panel from those `listed` before the round was opened."""
        self.send()
        contract = self.deployment.rounds.address
        seed = draw_seed(self.block_hash(opening.draw_block), contract, round_id)
        domain = opening.terms.domain
        panel = tuple(
            Seat(
                listed[at],
                address(f"owner {listed[at]}"),
                self.trusts.get((domain, listed[at]), TRUST_ONE),
            )
            for at in draw_panel(seed, len(listed), PANEL, lambda at: False)
        )
        draw = Draw(self.time(self.block), seed, panel)
        self.emit(
            "PanelDrawn",
            roundId=round_id,
            drawnAt=draw.drawn_at,
            seed=seed,
            panel=pack_panel(panel),
        )
        key = RoundKey(self.deployment.chain_id, contract, round_id)
        return DrawnRound(key, opening, draw, (), 0)

    def commit(self, facts: DrawnRound, seat: int, scores: Any) -> tuple[Commit, Reveal]:
        """Commit a seat to its scores."""
        self.send()
        node_id = facts.draw.panel[seat].node_id
        salt = derive_salt(keccak(word(node_id)), facts.key, node_id)
        reveal = Reveal(seat, salt, pack(scores))
        hashed = commitment(facts.key, node_id, salt, reveal.scores)
        now = self.time(self.block)
        self.emit(
            "ScoresCommitted",
            roundId=facts.key.round_id,
            seat=seat,
            nodeId=node_id,
            committedAt=now,
            commitment=hashed,
        )
        return Commit(seat, now, hashed), reveal

    def settle(self, facts: DrawnRound, reveals: list[Reveal]) -> None:
        """Settle a round with the seats that committed."""
        self.send()
        round_id, domain = facts.key.round_id, facts.opening.terms.domain
        settlement = settle(facts, self.deployment.rounds_parameters, reveals)
        settler, now = address("settler"), self.time(self.block)
        self.emit(
            "RoundSettled",
            roundId=round_id,
            settler=settler,
            settledAt=now,
            seats=settlement.seats,
            salts=[reveal.salt for reveal in settlement.reveals],
            scores=b"".join(reveal.scores for reveal in settlement.reveals),
            consensus=settlement.consensus,
            deviations=pack(np.array(settlement.deviations, dtype=np.uint16)),
            refund=settlement.refund,
        )
        for paid in settlement.payments():
            self.emit(
                "RewardCredited",
                roundId=round_id,
                nodeId=paid.node_id,
                role=paid.role,
                account=paid.account,
                amount=paid.amount,
            )
            self.credits[paid.account] += paid.amount
        for outcome in settlement.outcomes:
            if outcome.conduct is not Conduct.PRESENT:
                self._slash(round_id, outcome.node_id, outcome.conduct)
        panel = [seat.node_id for seat in facts.draw.panel]
        current = {node_id: self.trusts.get((domain, node_id), TRUST_ONE) for node_id in panel}
        moved = settlement.new_trusts(self.deployment.registry_parameters.trust, current)
        self.emit(
            "TrustUpdated",
            roundId=round_id,
            domain=domain,
            trusts=b"".join(node.to_bytes(4) + trust.to_bytes(4) for node, trust in moved.items()),
        )
        self.trusts |= {(domain, node_id): trust for node_id, trust in moved.items()}
        self.credits[settler] += settlement.fee
        self.credits[facts.opening.requester] += settlement.refund
        self.digests[round_id] = settlement.digest(settler, now)

    def _slash(self, round_id: int, node_id: int, conduct: Conduct) -> None:
        due = self.deployment.registry_parameters.no_commit_slash
        amount = min(due, self.stakes[node_id])
        if not amount:
            return
        self.emit("Slashed", roundId=round_id, nodeId=node_id, conduct=conduct, amount=amount)
        self.stakes[node_id] -= amount
        self.slashed += amount
        if node_id in self.listed:
            at = self.listed.index(node_id)
            last = self.listed.pop()
            if last != node_id:
                self.listed[at] = last

    def top_up(self, node_id: int) -> None:
        """Fill a slashed stake, so that the node is listed again."""
        self.send()
        missing = self.deployment.registry_parameters.stake - self.stakes[node_id]
        payer = address(f"owner {node_id}")
        self.emit("StakeToppedUp", nodeId=node_id, payer=payer, amount=missing)
        self.transfer(payer, self.deployment.registry.address, missing)
        self.stakes[node_id] += missing
        self.listed.append(node_id)

    # Evidence

    def wave(self, first: int) -> None:
        """Run some rounds at the same time, from opening to settlement."""
        ids = range(first, first + CONCURRENT)
        stake = self.deployment.registry_parameters.stake
        for node_id in sorted(each for each in self.stakes if self.stakes[each] < stake):
            self.top_up(node_id)
        self.mine()
        listed = list(self.listed)
        openings = [self.open(round_id) for round_id in ids]
        self.mine(self.deployment.rounds_parameters.draw_delay + 1)
        facts = [
            self.draw(each, opening, listed) for each, opening in zip(ids, openings, strict=True)
        ]
        quality = self.rng.integers(0, ONE + 1, (CONCURRENT, 1, ITEMS))
        noise = self.rng.integers(-800, 801, (CONCURRENT, PANEL, ITEMS))
        scores = np.clip(quality + noise, 0, ONE).astype(np.uint16)
        silent = self.rng.integers(0, SILENT, (CONCURRENT, PANEL)) == 0
        commits: list[list[Commit]] = [[] for _ in ids]
        reveals: list[list[Reveal]] = [[] for _ in ids]
        for seat in range(PANEL):
            self.mine()
            for i in range(CONCURRENT):
                if not silent[i, seat]:
                    commit, reveal = self.commit(facts[i], seat, scores[i, seat])
                    commits[i].append(commit)
                    reveals[i].append(reveal)
        windows = self.deployment.rounds_parameters
        waited = windows.commit_window + windows.reveal_window
        self.mine(waited // SECONDS + 2)
        for i in range(CONCURRENT):
            whole = DrawnRound(facts[i].key, facts[i].opening, facts[i].draw, tuple(commits[i]), 0)
            self.settle(whole, reveals[i])
        self.mine()

    def tables(self, logs: int) -> Iterator[LogTable]:
        """Yield the logs of a whole deployment, at least so many."""
        for role, count in ((Role.EVALUATOR, EVALUATORS), (Role.INFERENCE, INFERENCE)):
            for _ in range(count):
                self.join(role)
        self.mine()
        written, first = 0, 1
        while written + len(self.rows) < logs:
            self.wave(first)
            first += CONCURRENT
            while len(self.rows) >= LOGS_A_TABLE:
                yield build(self.rows[:LOGS_A_TABLE])
                written += LOGS_A_TABLE
                del self.rows[:LOGS_A_TABLE]
        yield build(self.rows)
        self.rows.clear()

    def answers(self) -> Answers:
        """Return what the contracts have stored after all logs."""
        positions = {node_id: at + 1 for at, node_id in enumerate(self.listed)}
        registry, rounds = self.deployment.registry.address, self.deployment.rounds.address
        return Answers(
            block=self.block,
            block_hash=self.block_hash(self.block),
            headers=dict(self.headers),
            registry_parameters=self.deployment.registry_parameters,
            rounds_parameters=self.deployment.rounds_parameters,
            node_count=len(self.stakes),
            round_count=len(self.digests),
            slashed_balance=self.slashed,
            nodes={
                node_id: Node(
                    node_id,
                    address(f"owner {node_id}"),
                    Role.EVALUATOR if node_id <= EVALUATORS else Role.INFERENCE,
                    positions.get(node_id, 0),
                    0,
                    address(f"operator {node_id}"),
                    stake,
                )
                for node_id, stake in self.stakes.items()
            },
            trusts={(node_id, domain): each for (domain, node_id), each in self.trusts.items()},
            rounds=dict.fromkeys(self.digests, CLOSED),
            digests=dict(self.digests),
            credits=dict(self.credits),
            balances={
                registry: sum(self.stakes.values()) + self.slashed,
                rounds: sum(self.credits.values()),
            },
        )

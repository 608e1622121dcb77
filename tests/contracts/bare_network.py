"""
A deployment on a bare EVM: the real contracts, with blocks and time that a test sets at will.

A hundred times faster than `oracle.demo.network`, for what takes thousands of calls. It keeps a
round's facts itself, from what the core says should happen: there are no logs to read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils import keccak, to_checksum_address
from pyrevm import BlockEnv
from web3.types import Nonce
from web3.utils.address import get_create_address

from deploy.artifacts import load
from oracle.core.commitment import commitment, derive_salt
from oracle.core.facts import (
    Batch,
    Commit,
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
)
from oracle.core.history import commit_proof
from oracle.core.panel import draw_panel, draw_seed
from oracle.core.parameters import RegistryParameters, RoundsParameters
from oracle.core.units import ScoreVector, pack
from tests.contracts.harness import ARTIFACTS, CALLER, Contract, bare_evm

CHAIN_ID = 1
FUNDS = 2**200
BLOCK_SECONDS = 12


@cache
def account(name: str) -> LocalAccount:
    """Return the account that everybody knows by this name."""
    signer: LocalAccount = Account.from_key(keccak(text=name))
    return signer


class BareNetwork:
    """Token, registry and rounds; `nodes` maps ids to owners."""

    def __init__(
        self,
        registry: RegistryParameters,
        rounds: RoundsParameters,
        token: str = "MockToken",
    ) -> None:
        self.evm = bare_evm()
        self.registry_parameters, self.rounds_parameters = registry, rounds
        self.number, self.now = 1_000, 1_700_000_000
        self.pass_blocks(1)
        self.token = Contract(self.evm, load(token, ARTIFACTS))
        nonce = self.evm.basic(CALLER).nonce
        promised = get_create_address(to_checksum_address(CALLER), Nonce(nonce + 1))
        self.registry = Contract(
            self.evm, load("NodeRegistry"), self.token.address, promised, registry.as_tuple()
        )
        self.rounds = Contract(
            self.evm,
            load("QualityRounds"),
            self.token.address,
            self.registry.address,
            rounds.as_tuple(),
        )
        self.nodes: dict[int, str] = {}
        self.fund(CALLER)

    # Blocks and time

    def pass_blocks(self, blocks: int, seconds: int | None = None) -> None:
        """Move on by `blocks`, which take `seconds` in all."""
        self.number += blocks
        self.now += BLOCK_SECONDS * blocks if seconds is None else seconds
        self.evm.set_block_env(BlockEnv(number=self.number, timestamp=self.now))

    def pass_time_to(self, second: int) -> None:
        """Move on by one block, to a second that is not over yet."""
        self.pass_blocks(1, max(0, second - self.now))

    # Nodes

    def fund(self, owner: str) -> None:
        """Give an account tokens that both contracts may take."""
        self.token("mint", owner, FUNDS)
        for spender in (self.registry, self.rounds):
            self.token("approve", spender.address, FUNDS, sender=owner)

    def join(self, role: Role, owner: str) -> int:
        """Register a node; its operator is `account("operator <id>")`."""
        node_id = len(self.nodes) + 1
        operator = self.operator(node_id)
        assert self.registry("register", role, operator.address, sender=owner) == node_id
        self.nodes[node_id] = owner
        return node_id

    def operator(self, node_id: int) -> LocalAccount:
        """Return the hot key of a node."""
        return account(f"operator {node_id}")

    def top_up(self) -> None:
        """Fill every slashed stake, so that the list of evaluators is complete again."""
        for node_id in self.nodes:
            if self.registry("nodeOf", node_id)[5] < self.registry_parameters.stake:
                self.registry("topUp", node_id)

    def trusts(self, panel: Iterable[Seat], domain: bytes) -> dict[int, int]:
        """Return the trust of each seat's node by id, as it is now."""
        return {seat.node_id: self.registry("trustOf", seat.node_id, domain) for seat in panel}

    # A round

    def key(self, round_id: int) -> RoundKey:
        """Return what the hashes of a round are bound to."""
        return RoundKey(CHAIN_ID, to_checksum_address(self.rounds.address), round_id)

    def state(self, round_id: int) -> RoundState:
        """Return what the contract keeps of a round."""
        phase = Phase(self.rounds("phaseOf", round_id))
        return RoundState(phase, *self.rounds("stateOf", round_id))

    def digest(self, round_id: int) -> bytes:
        """Return the round's digest on chain."""
        return bytes(self.rounds("digestOf", round_id))

    def batch(self, node_id: int, items: int, cost: int = 0) -> Batch:
        """Return a batch of an inference node."""
        outputs = keccak(text=f"outputs {node_id} {items} {cost}")
        return Batch(node_id, to_checksum_address(self.nodes[node_id]), items, cost, outputs)

    def open(self, terms: Terms, batches: tuple[Batch, ...], requester: str) -> tuple[int, Opening]:
        """Open a round with signed receipts; return its id and what its digest is made of."""
        receipts = []
        for batch in batches:
            digest = self.registry(
                "receiptDigest", batch.as_tuple(), requester, terms.workload_hash
            )
            signed = self.operator(batch.node_id).unsafe_sign_hash(digest)
            receipts.append(bytes(signed.signature))
        rows = [batch.as_tuple() for batch in batches]
        round_id = self.rounds("open", terms.as_tuple(), rows, receipts, "uri", sender=requester)
        draw_block = self.number + self.rounds_parameters.draw_delay
        return round_id, Opening(requester, draw_block, terms, batches, keccak(text="uri"))

    def expected_draw(self, round_id: int, opening: Opening) -> Draw:
        """Return what drawing the round right now has to give; raise `TooFewEvaluators`."""
        seed = draw_seed(
            bytes(self.evm.block_hash(opening.draw_block)), self.rounds.address, round_id
        )
        at = opening.draw_block - self.rounds_parameters.draw_delay - 1
        population = self.registry("populationAt", at)
        ids = [self.registry("evaluatorAt", place, at) for place in range(population)]
        owners = {batch.owner for batch in opening.batches}
        places = draw_panel(
            seed, population, opening.terms.panel_size, lambda i: self.nodes[ids[i]] in owners
        )
        panel = tuple(
            Seat(
                ids[place],
                self.nodes[ids[place]],
                self.registry("trustOf", ids[place], opening.terms.domain),
            )
            for place in places
        )
        return Draw(self.now, seed, panel)

    def draw(self, round_id: int, opening: Opening) -> DrawnRound:
        """Draw the panel; return the round's facts."""
        drawn = self.expected_draw(round_id, opening)
        self.rounds("draw", round_id, opening.as_tuple())
        return DrawnRound(self.key(round_id), opening, drawn, (), 0)

    def reveal_of(self, facts: DrawnRound, seat: int, scores: ScoreVector) -> Reveal:
        """Return a seat's salt and scores."""
        node_id = facts.draw.panel[seat].node_id
        secret = keccak(text=f"secret {node_id}")
        return Reveal(seat, derive_salt(secret, facts.key, node_id), pack(scores))

    def commit(self, facts: DrawnRound, reveal: Reveal) -> DrawnRound:
        """Commit a seat now; return the facts with it."""
        node_id = facts.draw.panel[reveal.seat].node_id
        hashed = commitment(facts.key, node_id, reveal.salt, reveal.scores)
        operator = self.operator(node_id).address
        self.rounds("commit", facts.key.round_id, reveal.seat, hashed, sender=operator)
        return replace(facts, commits=(*facts.commits, Commit(reveal.seat, self.now, hashed)))

    def reveal_on_chain(self, facts: DrawnRound, reveal: Reveal) -> DrawnRound:
        """Reveal a seat on chain; return the facts with it."""
        proof = commit_proof(facts, reveal.seat).as_tuple()
        self.rounds("reveal", facts.key.round_id, reveal.seat, proof, reveal.salt, reveal.scores)
        return replace(facts, revealed=facts.revealed | 1 << reveal.seat)

"""
A network on a local chain inside this process: contracts, nodes, requesters, and time.

This module plays every part honestly and one step at a time, so that the demo and the tests decide
what happens: who commits what, who stays silent, who lies. Everything goes through signed
transactions and is read back from logs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from eth_utils import keccak
from numpy.typing import NDArray
from web3.types import TxReceipt

from deploy.artifacts import load
from deploy.deploy import deploy, deploy_mock_token
from deploy.parameters import load_parameters
from oracle.chain import calls
from oracle.chain.deployment import Deployment
from oracle.chain.devnet import Devnet
from oracle.chain.devnet_rpc import connect
from oracle.chain.errors import RevertDecoder
from oracle.chain.keys import Signer
from oracle.chain.receipts import sign_receipt
from oracle.chain.rounds import RoundHistory, round_history
from oracle.chain.state import State
from oracle.chain.transactions import Transactor
from oracle.core.cancellation import cancel, cancel_undrawn
from oracle.core.commitment import commitment, derive_salt
from oracle.core.consensus import Rule
from oracle.core.facts import Batch, Reveal, Role, RoundKey, Terms
from oracle.core.history import commit_proof
from oracle.core.parameters import RegistryParameters, RoundsParameters
from oracle.core.settlement import Settlement, settle
from oracle.core.units import pack

NOBODY = "0x" + 40 * "0"
FUNDS = 10**30
"""What every account is given of the mock token, wei."""


@dataclass(frozen=True, slots=True)
class Party:
    """A registered node and the two keys that act for it."""

    node_id: int
    role: Role
    owner: Signer
    operator: Signer


class Network:
    """
    A deployment on a fresh local chain.

    `parties` are the nodes by id. `requester` and `settler` are accounts of their own. Methods
    that send raise what `Transactor.transact` raises.
    """

    def __init__(
        self,
        *,
        accounts: int = 48,
        registry: RegistryParameters | None = None,
        rounds: RoundsParameters | None = None,
        token: str | None = None,
    ) -> None:
        self.devnet = Devnet(accounts)
        self.web3 = connect(self.devnet)
        self.reverts = RevertDecoder(load("QualityRounds").abi, load("NodeRegistry").abi)
        self._signers = iter([Signer(account) for account in self.devnet.accounts])
        self.deployer, self.requester, self.settler = (next(self._signers) for _ in range(3))
        transactor = self.transactor(self.deployer)
        defaults = load_parameters("local")
        self.deployment: Deployment = deploy(
            transactor,
            registry or defaults.registry,
            rounds or defaults.rounds,
            token or deploy_mock_token(transactor),
        )
        self.parties: dict[int, Party] = {}
        self.fund(self.requester, self.deployment.rounds.address)

    # Sending and reading

    def transactor(self, signer: Signer) -> Transactor:
        """Return what sends for `signer`."""
        return Transactor(self.web3, signer, self.reverts, timeout=5, poll=0.001)

    def send(self, signer: Signer, call: calls.Call) -> TxReceipt:
        """Send a call and return its receipt."""
        receipt = self.transactor(signer).transact(call.to, call.data)
        assert receipt is not None  # only a dry run returns nothing
        return receipt

    def registry(self, signer: Signer, function: str, *arguments: Any) -> TxReceipt:
        """Call the registry."""
        return self.send(signer, calls.registry(self.deployment, function, *arguments))

    def rounds(self, signer: Signer, function: str, *arguments: Any) -> TxReceipt:
        """Call the rounds contract."""
        return self.send(signer, calls.rounds(self.deployment, function, *arguments))

    def state(self) -> State:
        """Return both contracts at the latest block."""
        return State(self.web3, self.deployment)

    def history(self, round_id: int) -> RoundHistory:
        """Return a round as its logs tell it."""
        return round_history(self.web3, self.deployment, round_id)

    def key(self, round_id: int) -> RoundKey:
        """Return what the hashes of a round are bound to."""
        return RoundKey(self.deployment.chain_id, self.deployment.rounds.address, round_id)

    @property
    def now(self) -> int:
        """The second of the latest block."""
        return int(self.web3.eth.get_block("latest")["timestamp"])

    # Nodes

    def account(self) -> Signer:
        """Return an account that nobody has used yet."""
        return next(self._signers)

    def fund(self, signer: Signer, spender: str) -> None:
        """Give an account mock tokens that `spender` may take."""
        token = self.deployment.token
        mint = calls.encode_call("mint", ("address", "uint256"), (signer.address, FUNDS))
        self.send(signer, calls.Call(token, mint))
        self.send(signer, calls.token(self.deployment, "approve", spender, FUNDS))

    def join(self, role: Role, owner: Signer | None = None) -> Party:
        """Register a node with an operator key of its own; the owner is new unless given."""
        if owner is None:
            owner = self.account()
            self.fund(owner, self.deployment.registry.address)
        operator = self.account()
        self.registry(owner, "register", role, operator.address)
        party = Party(self.state().node_count(), role, owner, operator)
        self.parties[party.node_id] = party
        return party

    # A round

    def batch(
        self, party: Party, items: int, cost: int = 0, outputs_hash: bytes = bytes(32)
    ) -> Batch:
        """Return a batch of an inference node; `cost` is in ONE."""
        return Batch(party.node_id, party.owner.address, items, cost, outputs_hash)

    def terms(self, **changes: Any) -> Terms:
        """Return plain terms with `changes`: the default rule, a panel of three, large budgets."""
        fields: dict[str, Any] = {
            "domain": b"qa".ljust(32, b"\0"),
            "rule": Rule.TRUST_WEIGHTED_MEAN,
            "trim": 0,
            "panel_size": 3,
            "oracle": NOBODY,
            "workload_hash": keccak(text="workload"),
            "inference_budget": 10**21,
            "evaluator_budget": 10**21,
            "settlement_fee": 10**18,
        }
        fields |= changes
        fields.setdefault("quorum", fields["panel_size"] // 2 + 1)
        return Terms(**fields)

    def open(
        self, terms: Terms, batches: Iterable[Batch], uri: str = "file:///workload.jsonl"
    ) -> int:
        """Open a round with the receipts of the nodes' operators, and return its id."""
        batches = tuple(batches)
        receipts = [
            sign_receipt(
                self.parties[batch.node_id].operator,
                self.deployment,
                batch,
                self.requester.address,
                terms.workload_hash,
            )
            for batch in batches
        ]
        rows = [batch.as_tuple() for batch in batches]
        self.rounds(self.requester, "open", terms.as_tuple(), rows, receipts, uri)
        return self.state().round_count()

    def draw(self, round_id: int) -> tuple[Party, ...]:
        """Draw the panel and return its nodes, seat by seat."""
        opening = self.history(round_id).opening
        while self.devnet.height < opening.draw_block:
            self.devnet.mine()
        self.rounds(self.settler, "draw", round_id, opening.as_tuple())
        return self.panel(round_id)

    def panel(self, round_id: int) -> tuple[Party, ...]:
        """Return the nodes of a drawn round, seat by seat."""
        seats = self.history(round_id).drawn().draw.panel
        return tuple(self.parties[seat.node_id] for seat in seats)

    def reveal_of(self, round_id: int, seat: int, scores: NDArray[np.uint16]) -> Reveal:
        """Return what a seat keeps until it reveals: its salt and its packed scores."""
        party = self.panel(round_id)[seat]
        secret = party.operator.derive_secret(b"salt")
        salt = derive_salt(secret, self.key(round_id), party.node_id)
        return Reveal(seat, salt, pack(scores))

    def commit(self, round_id: int, seat: int, scores: NDArray[np.uint16]) -> Reveal:
        """Commit a seat to its scores, (items,) in ONE, and return its reveal."""
        party = self.panel(round_id)[seat]
        reveal = self.reveal_of(round_id, seat, scores)
        hashed = commitment(self.key(round_id), party.node_id, reveal.salt, reveal.scores)
        self.rounds(party.operator, "commit", round_id, seat, hashed)
        return reveal

    def commit_all(
        self, round_id: int, scores: Mapping[int, NDArray[np.uint16]]
    ) -> tuple[Reveal, ...]:
        """Commit the seats of `scores`, in its order, and return their reveals."""
        return tuple(self.commit(round_id, seat, row) for seat, row in scores.items())

    def reveal_on_chain(self, round_id: int, reveal: Reveal) -> TxReceipt:
        """Reveal a seat on chain."""
        proof = commit_proof(self.history(round_id).drawn(), reveal.seat)
        return self.rounds(
            self.panel(round_id)[reveal.seat].operator,
            "reveal",
            round_id,
            reveal.seat,
            proof.as_tuple(),
            reveal.salt,
            reveal.scores,
        )

    def settlement(self, round_id: int, reveals: Iterable[Reveal]) -> Settlement:
        """Return what the oracle computes from the round's logs and these reveals."""
        drawn = self.history(round_id).drawn()
        return settle(drawn, self.deployment.rounds_parameters, reveals)

    def settle(self, round_id: int, reveals: Iterable[Reveal]) -> Settlement:
        """Settle a round as the oracle, and return what was settled."""
        settlement = self.settlement(round_id, reveals)
        self.rounds(self.settler, "settle", *settlement.arguments())
        return settlement

    def cancel(self, round_id: int) -> TxReceipt:
        """Cancel a drawn round."""
        arguments = cancel(self.history(round_id).drawn()).arguments
        return self.rounds(self.settler, "cancel", *arguments)

    def cancel_undrawn(self, round_id: int) -> TxReceipt:
        """Cancel a round that was not drawn in time."""
        arguments = cancel_undrawn(self.key(round_id), self.history(round_id).opening).arguments
        return self.rounds(self.settler, "cancelUndrawn", *arguments)

    # Time

    def pass_time(self, seconds: int) -> None:
        """Let the next block be `seconds` younger than the latest."""
        self.devnet.increase_time(seconds)
        self.devnet.mine()

"""A stream of transactions through anything: what holds at each step, and what holds at last."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from web3.types import RPCEndpoint, RPCResponse

from oracle.chain.errors import RevertDecoder, Reverted
from oracle.chain.fees import FeePolicy, FeeTooHigh
from oracle.chain.journal import Journal, Status
from oracle.chain.keys import Signer
from oracle.chain.rpc import RpcUnreachable
from oracle.chain.sender import Sender
from tests.chain import fake_node
from tests.chain.fake_node import FakeNode, Sent, read, view_of
from tests.chain.test_sender import CAP, KEY, PATIENCE, Clock, call

PURPOSES = 4
FINALITY = 6
EXAMPLES = 25
MANY_EXAMPLES = 2_000
STEPS = 40
SEED = 5
ENOUGH = 200
"""Ticks within which everything has to come to rest once nothing goes wrong any more."""


class Crash(BaseException):
    """The process ends here."""


class CrashingNode(FakeNode):
    """A node whose client dies at a request: before the node hears of it, or after."""

    left: int | None = None
    heard = False

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        if self.left is None:
            return super().make_request(method, params)
        self.left -= 1
        if self.left > 0:
            return super().make_request(method, params)
        self.left = None
        if self.heard:
            super().make_request(method, params)
        raise Crash


class Machine(RuleBasedStateMachine):
    """Two senders of one key share a journal; a third user of the key has none."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "transactions.sqlite"
        self.node = CrashingNode()
        self.clock = Clock()
        self.wanted: set[int] = set()
        self.senders = [self.fresh(), self.fresh()]

    def fresh(self) -> Sender:
        self.journal = Journal(self.path)
        policy = FeePolicy(CAP, patience=PATIENCE)
        signer = Signer.from_private_key(KEY)
        return Sender(
            self.node.web3, signer, self.journal, RevertDecoder(), policy, clock=self.clock
        )

    def attempt(self, who: int, what: Any) -> None:
        try:
            what(self.senders[who])
        except (Reverted, FeeTooHigh, RpcUnreachable):
            pass
        except Crash:
            silent, self.node.silent = self.node.silent, False
            self.senders[who] = self.fresh()
            self.node.silent = silent

    @rule(who=st.integers(0, 1), purpose=st.integers(0, PURPOSES - 1))
    def send(self, who: int, purpose: int) -> None:
        self.wanted.add(purpose)
        self.attempt(who, lambda sender: sender.send(f"do {purpose}", call(purpose)))

    @rule(who=st.integers(0, 1))
    def advance(self, who: int) -> None:
        view = view_of(self.node, FINALITY)
        self.attempt(who, lambda sender: sender.advance(view))

    @rule(left=st.integers(1, 12), heard=st.booleans())
    def arrange_a_crash(self, left: int, heard: bool) -> None:
        self.node.left, self.node.heard = left, heard

    @rule(empty=st.booleans())
    def mine(self, empty: bool) -> None:
        self.node.mine(empty=empty)

    @rule(depth=st.integers(1, FINALITY - 1), keep=st.booleans())
    def reorganise(self, depth: int, keep: bool) -> None:
        self.node.reorganise(depth, keep=keep)

    @rule()
    def restart_the_node(self) -> None:
        self.node.forget()

    @rule(fault=st.sampled_from(["silent", "deaf", "losing"]), on=st.booleans())
    def trouble(self, fault: str, on: bool) -> None:
        setattr(self.node, fault, on)

    @rule(factor=st.sampled_from([1, 2, 20, 400]))
    def change_the_fee(self, factor: int) -> None:
        self.node.base_fee = 10**9 * factor

    @rule()
    def wait(self) -> None:
        self.clock.now += PATIENCE

    @rule(purpose=st.integers(0, PURPOSES + 3))
    def use_the_key_elsewhere(self, purpose: int) -> None:
        self.accept(KEY, purpose)

    @rule(purpose=st.integers(0, PURPOSES - 1))
    def let_somebody_else_do_it(self, purpose: int) -> None:
        self.accept("0x" + "33" * 32, purpose)

    def accept(self, key: str, purpose: int) -> None:
        account = Account.from_key(key)
        nonce = self.node.nonce(account.address)
        while (account.address, nonce) in self.node.mempool:
            nonce += 1
        fields = {
            "chainId": fake_node.CHAIN_ID,
            "nonce": nonce,
            "to": "0x" + "22" * 20,
            "data": purpose.to_bytes(32),
            "value": 0,
            "gas": 50_000,
            "maxFeePerGas": 10**12,
            "maxPriorityFeePerGas": 10**10,
        }
        self.node.accept(read(bytes(account.sign_transaction(fields).raw_transaction)))

    @invariant()
    def no_offer_is_above_the_cap(self) -> None:
        assert all(sent.fee <= CAP for sent in self.node.received)

    @invariant()
    def what_is_new_at_a_nonce_outbids_what_was_there(self) -> None:
        offers: dict[int, Sent] = {}
        known: set[bytes] = set()
        for sent in self.node.received:
            old = offers.get(sent.nonce)
            if old is not None and sent.hash not in known and self.is_ours(sent, old):
                assert sent.fee * 10 >= old.fee * 11
            known.add(sent.hash)
            offers[sent.nonce] = sent

    def is_ours(self, new: Sent, old: Sent) -> bool:
        """Return whether both belong to one entry: a nonce may be given anew once it was lost."""
        return any({new.hash, old.hash} <= set(entry.hashes) for entry in self.journal.entries())

    @invariant()
    def what_a_node_has_seen_is_in_the_journal(self) -> None:
        written = {hash_ for entry in self.journal.entries() for hash_ in entry.hashes}
        assert {sent.hash for sent in self.node.received} <= written

    def teardown(self) -> None:
        """Let nothing go wrong any more: everything is done once, and every nonce is accounted."""
        node, sender = self.node, self.senders[0]
        node.silent = node.deaf = node.losing = False
        node.left, node.base_fee = None, 10**9
        for _ in range(ENOUGH):
            self.clock.now += PATIENCE
            for purpose in sorted(self.wanted):
                self.attempt(0, lambda each, p=purpose: each.send(f"do {p}", call(p)))
            sender.advance(view_of(node, FINALITY))
            node.mine()
            if self.is_at_rest():
                break
        assert self.is_at_rest(), [
            (each.purpose, each.nonce, each.status, each.reason) for each in self.journal.entries()
        ]
        done = node.done()
        assert len(done) == len(set(done))
        assert {call(purpose).data for purpose in self.wanted} <= set(done)
        self.every_entry_is_what_the_chain_says()
        self.directory.cleanup()

    def is_at_rest(self) -> bool:
        address = self.senders[0].address
        return not self.journal.unsettled(fake_node.CHAIN_ID, address) and {
            call(purpose).data for purpose in self.wanted
        } <= set(self.node.done())

    def every_entry_is_what_the_chain_says(self) -> None:
        address = self.senders[0].address
        chain = {
            sent.nonce: (sent, ok)
            for block in self.node.blocks
            for sent, ok in block.sent
            if sent.sender == address
        }
        assert sorted(chain) == list(range(len(chain)))
        for entry in self.journal.entries():
            sent, succeeded = chain[entry.nonce]
            if entry.status is Status.REPLACED:
                assert sent.hash not in entry.hashes
                continue
            version = next(each for each in entry.versions if each.hash == sent.hash)
            expected = Status.FINAL if succeeded else Status.FAILED
            assert entry.status is (Status.CANCELLED if version.cancels else expected)


def run(examples: int) -> None:
    run_state_machine_as_test(
        seed(SEED)(Machine),
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_whatever_happens_everything_is_done_once_and_every_nonce_is_accounted_for() -> None:
    run(EXAMPLES)


@pytest.mark.reliability
def test_whatever_happens_many_times(record_property: Any) -> None:
    run(MANY_EXAMPLES)
    record_property(
        "figure",
        {
            "name": "histories of one key's transactions",
            "value": str(MANY_EXAMPLES),
            "goal": "3000",
        },
    )

"""A stream of transactions: what is sent once, again, for more, or never."""

from __future__ import annotations

from pathlib import Path

import pytest
from eth_account import Account

from oracle.chain.block_store import Block
from oracle.chain.calls import Call
from oracle.chain.errors import RevertDecoder, Reverted
from oracle.chain.fees import FeePolicy, FeeTooHigh
from oracle.chain.journal import Entry, Journal, Status
from oracle.chain.keys import Signer
from oracle.chain.rpc import RpcUnreachable
from oracle.chain.sender import HASTE, NotPending, Sender
from oracle.chain.transactions import Unfunded
from tests.chain import fake_node
from tests.chain.fake_node import FakeNode, read, view_of

KEY = "0x" + "11" * 32
CONTRACT = "0x" + "22" * 20
CAP = 10**11
PATIENCE = 30.0


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "transactions.sqlite")


@pytest.fixture
def sender(node: FakeNode, journal: Journal, clock: Clock) -> Sender:
    return sender_of(node, journal, clock)


def sender_of(node: FakeNode, journal: Journal, clock: Clock) -> Sender:
    policy = FeePolicy(CAP, patience=PATIENCE)
    signer = Signer.from_private_key(KEY)
    return Sender(node.web3, signer, journal, RevertDecoder(), policy, clock=clock)


def call(content: int) -> Call:
    return Call(CONTRACT, content.to_bytes(32))


def found(sender: Sender, purpose: str) -> Entry:
    entry = sender.find(purpose)
    assert entry is not None
    return entry


def by_somebody_else(node: FakeNode, content: int, *, fee: int = 10**10) -> None:
    """Use the key's next nonce without the journal."""
    account = Account.from_key(KEY)
    signed = account.sign_transaction(
        {
            "chainId": fake_node.CHAIN_ID,
            "nonce": node.nonce(account.address),
            "to": CONTRACT,
            "data": content.to_bytes(32),
            "value": 0,
            "gas": 50_000,
            "maxFeePerGas": fee,
            "maxPriorityFeePerGas": fee,
        }
    )
    node.accept(read(bytes(signed.raw_transaction)))


def test_what_would_revert_is_neither_signed_nor_sent(sender: Sender, node: FakeNode) -> None:
    sender.send("a", call(1))
    node.mine()
    with pytest.raises(Reverted):
        sender.send("b", call(1))
    assert sender.find("b") is None
    assert len(node.received) == 1


def test_above_the_cap_nothing_is_signed(sender: Sender, node: FakeNode) -> None:
    node.base_fee = CAP + 1
    with pytest.raises(FeeTooHigh, match=f"'a' waits: .* {CAP + 1} wei, and at most {CAP}"):
        sender.send("a", call(1))
    assert (sender.find("a"), node.received) == (None, [])
    sender.send("a", call(1), max_fee_per_gas=2 * CAP)
    assert node.received[0].fee == 2 * CAP


def test_who_cannot_pay_signs_nothing(
    sender: Sender, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_node, "BALANCE", 5)
    with pytest.raises(Unfunded, match="has 5 wei"):
        sender.send("a", call(1))
    assert sender.find("a") is None


def test_a_silent_node_gets_nothing_signed(sender: Sender, node: FakeNode) -> None:
    node.silent = True
    with pytest.raises(RpcUnreachable):
        sender.send("a", call(1))
    assert sender.find("a") is None


def test_a_purpose_is_served_once(sender: Sender, node: FakeNode) -> None:
    first = sender.send("a", call(1))
    assert sender.send("a", call(2)) == first
    node.mine()
    [mined] = sender.advance(view_of(node))
    assert (mined.status, mined.block) == (Status.MINED, 1)
    assert sender.send("a", call(3)).hashes == first.hashes
    for _ in range(64):
        node.mine()
    [final] = sender.advance(view_of(node))
    assert (final.status, final.settled) == (Status.FINAL, True)
    assert sender.send("a", call(4)).hashes == first.hashes
    assert sender.advance(view_of(node)) == ()
    assert len(node.received) == 1


def test_a_node_that_takes_a_transaction_and_does_not_say_so_has_it_once(
    sender: Sender, node: FakeNode
) -> None:
    node.deaf = True
    entry = sender.send("a", call(1))
    assert (entry.status, entry.reason) == (
        Status.PENDING,
        "The node at fake gave no answer: no reply.",
    )
    node.deaf = False
    sender.advance(view_of(node))
    assert len(node.received) == 1


def test_what_a_node_lost_is_sent_again_as_the_same_bytes(sender: Sender, node: FakeNode) -> None:
    node.losing = True
    entry = sender.send("a", call(1))
    sender.advance(view_of(node))
    node.losing = False
    sender.advance(view_of(node))
    assert [sent.hash for sent in node.received] == [entry.hash] * 3
    node.mine()
    assert [each.status for each in sender.advance(view_of(node))] == [Status.MINED]


def test_what_was_journalled_before_a_crash_is_sent_after_it(
    sender: Sender, node: FakeNode, journal: Journal, clock: Clock
) -> None:
    class Crash(BaseException):
        pass

    def crash(raw: str) -> str:
        raise Crash

    node._eth_sendRawTransaction = crash  # type: ignore[method-assign]
    with pytest.raises(Crash):
        sender.send("a", call(1))
    del node._eth_sendRawTransaction
    again = sender_of(node, journal, clock)
    entry = again.send("a", call(1))
    assert node.received == []
    again.advance(view_of(node))
    assert [sent.hash for sent in node.received] == [entry.hash]


def test_what_a_reorganisation_threw_out_is_sent_again(sender: Sender, node: FakeNode) -> None:
    entry = sender.send("a", call(1))
    node.mine()
    sender.advance(view_of(node))
    node.reorganise(1, keep=False)
    [pending] = sender.advance(view_of(node))
    assert pending.status is Status.PENDING
    node.mine()
    [mined] = sender.advance(view_of(node))
    assert (mined.status, mined.hash) == (Status.MINED, entry.hash)
    assert node.done() == [call(1).data]


def test_what_makes_no_sense_after_a_reorganisation_frees_its_purpose_and_fills_its_nonce(
    sender: Sender, node: FakeNode
) -> None:
    sender.send("a", call(1))
    sender.send("b", call(2))
    node.mine()
    sender.advance(view_of(node))
    node.reorganise(1, keep=False)
    other = Signer.from_private_key("0x" + "33" * 32)
    journal = Journal()
    rival = Sender(node.web3, other, journal, RevertDecoder(), FeePolicy(CAP))
    rival.send("a", call(1))
    node.mine()
    sender.advance(view_of(node))
    assert found(sender, "a").cancelling
    node.mine()
    changed = sender.advance(view_of(node))
    assert [(each.purpose, each.status) for each in changed] == [
        ("a", Status.CANCELLED),
        ("b", Status.MINED),
    ]
    assert sorted(node.done()) == [call(1).data, call(2).data]


def test_a_nonce_that_somebody_else_took_is_noticed_and_the_purpose_sent_anew(
    sender: Sender, node: FakeNode
) -> None:
    node.losing = True
    lost = sender.send("a", call(1))
    node.losing = False
    by_somebody_else(node, 7)
    node.mine()
    [replaced] = sender.advance(view_of(node))
    assert (replaced.status, replaced.nonce) == (Status.REPLACED, 0)
    assert "took nonce 0" in replaced.reason
    again = sender.send("a", call(1))
    assert (again.status, again.nonce) == (Status.PENDING, 1)
    assert again.hash != lost.hash
    node.mine()
    assert [each.status for each in sender.advance(view_of(node))] == [Status.MINED]


def test_a_pending_transaction_of_somebody_else_is_gone_around(
    sender: Sender, node: FakeNode
) -> None:
    by_somebody_else(node, 7)
    assert sender.send("a", call(1)).nonce == 1


def test_a_nonce_that_nobody_fills_any_more_is_filled(sender: Sender, node: FakeNode) -> None:
    by_somebody_else(node, 7)
    sender.send("a", call(1))
    node.mempool.pop((sender.address, 0))
    sender.advance(view_of(node))
    node.mine()
    assert node.nonce(sender.address) == 2
    sender.advance(view_of(node))
    assert found(sender, "a").status is Status.MINED
    assert found(sender, "fill nonce 0").status is Status.CANCELLED


def test_what_failed_in_its_block_says_so_and_may_be_sent_again(
    sender: Sender, node: FakeNode
) -> None:
    entry = sender.send("a", call(1))
    sent = node.mempool[sender.address, 0]
    node.blocks.append(
        fake_node.FakeBlock(Block(1, b"\1" * 32, node.head.hash, 12), ((sent, False),))
    )
    node.forget()
    [failed] = sender.advance(view_of(node))
    assert (failed.status, failed.block) == (Status.FAILED, 1)
    assert failed.reason == "It failed in its block; a repetition before it does not."
    again = sender.send("a", call(1))
    assert (again.nonce, again.status) == (1, Status.PENDING)
    assert again.hash != entry.hash


def test_what_was_sent_anew_is_not_sent_a_second_time_by_a_reorganisation(
    sender: Sender, node: FakeNode
) -> None:
    sender.send("a", call(1))
    sent = node.mempool[sender.address, 0]
    node.blocks.append(
        fake_node.FakeBlock(Block(1, b"\1" * 32, node.head.hash, 12), ((sent, False),))
    )
    node.forget()
    sender.advance(view_of(node))
    sender.send("a", call(1))
    node.reorganise(1, keep=False)
    node.forget()
    sender.advance(view_of(node))
    assert node.mempool[sender.address, 0].data == b""
    assert node.mempool[sender.address, 1].data == call(1).data
    node.mine()
    assert node.done() == [call(1).data]


def test_what_waits_too_long_is_paid_more_for_at_the_same_nonce(
    sender: Sender, node: FakeNode, clock: Clock
) -> None:
    first = sender.send("a", call(1))
    node.base_fee *= 20
    sender.advance(view_of(node))
    clock.now += PATIENCE
    sender.advance(view_of(node))
    assert len(node.received) == 1
    for _ in range(HASTE):
        node.mine()
    sender.advance(view_of(node))
    old, new = node.received
    assert (new.nonce, new.data) == (old.nonce, old.data)
    assert new.fee * 10 >= old.fee * 11
    assert new.tip * 10 >= old.tip * 11
    assert new.fee >= 2 * node.base_fee
    node.mine()
    [mined] = sender.advance(view_of(node))
    assert mined.hashes == (first.hash, new.hash)
    assert node.done() == [call(1).data]


def test_no_bump_goes_above_the_cap_and_what_waits_says_so(
    sender: Sender, node: FakeNode, clock: Clock
) -> None:
    sender.send("a", call(1))
    sender.advance(view_of(node))
    node.base_fee = 2 * CAP
    clock.now += PATIENCE
    for _ in range(HASTE):
        node.mine()
    [waiting] = sender.advance(view_of(node))
    assert waiting.status is Status.PENDING
    assert f"at most {CAP} is allowed" in waiting.reason
    assert sender.advance(view_of(node)) == ()
    sender.send("a", call(1), max_fee_per_gas=10 * CAP)
    sender.advance(view_of(node))
    assert CAP < node.received[-1].fee <= 10 * CAP
    node.mine()
    [mined] = sender.advance(view_of(node))
    assert (mined.status, mined.reason) == (Status.MINED, "")


def test_what_waits_and_makes_no_sense_any_more_is_outbid_before_it_can_fail(
    sender: Sender, node: FakeNode
) -> None:
    sender.send("a", call(1))
    sender.advance(view_of(node))
    node.base_fee *= 20
    rival = Signer.from_private_key("0x" + "33" * 32)
    Sender(node.web3, rival, Journal(), RevertDecoder(), FeePolicy(CAP)).send("b", call(2))
    held = node.mempool.pop((sender.address, 0))
    Sender(node.web3, rival, Journal(), RevertDecoder(), FeePolicy(CAP)).send("a", call(1))
    node.mempool[sender.address, 0] = held
    for _ in range(HASTE):
        node.mine()
    sender.advance(view_of(node))
    assert found(sender, "a").cancelling
    node.mine()
    assert [each.status for each in sender.advance(view_of(node))] == [Status.CANCELLED]


def test_a_cancelled_purpose_moves_nothing_and_may_be_sent_again(
    sender: Sender, node: FakeNode
) -> None:
    with pytest.raises(NotPending, match="'a' was never sent, not pending"):
        sender.cancel("a")
    sender.send("a", call(1))
    assert sender.cancel("a").cancelling
    assert sender.cancel("a").hash == sender.find("a").hash  # type: ignore[union-attr]
    node.mine()
    [cancelled] = sender.advance(view_of(node))
    assert cancelled.status is Status.CANCELLED
    with pytest.raises(NotPending, match="'a' is cancelled"):
        sender.bump("a")
    assert node.done() == []
    sender.send("a", call(1))
    node.mine()
    assert node.done() == [call(1).data]


def test_a_bump_by_hand_pays_more_at_once(sender: Sender, node: FakeNode) -> None:
    sender.send("a", call(1))
    bumped = sender.bump("a")
    assert len(bumped.hashes) == 2
    assert node.mempool[sender.address, 0].hash == bumped.hash


def test_a_node_on_another_branch_changes_nothing(sender: Sender, node: FakeNode) -> None:
    sender.send("a", call(1))
    before = view_of(node)
    node.mine()
    assert sender.advance(before) == ()
    assert found(sender, "a").status is Status.PENDING


def test_a_settled_entry_keeps_no_bytes(sender: Sender, node: FakeNode) -> None:
    sender.send("a", call(1))
    for _ in range(65):
        node.mine()
    [final] = sender.advance(view_of(node))
    assert final.settled
    assert final.newest.raw == final.call.data == b""

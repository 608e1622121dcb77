"""A round over a workload is opened once, whatever goes wrong and however often it is tried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from oracle.chain import calls
from oracle.chain.errors import Reverted
from oracle.chain.follower import Follower
from oracle.chain.journal import Journal
from oracle.chain.receipts import sign_receipt
from oracle.chain.rpc import RpcUnreachable
from oracle.chain.sender import FeePolicy, Sender
from oracle.core.facts import Role, Terms
from oracle.demo.network import Network, Party
from oracle.service.opening import Opened, Opener

CAP = 10**12


class Requester:
    """Whoever pays, with a journal on disk; `restarted` is the same after a crash."""

    def __init__(self, network: Network, author: Party, directory: Path) -> None:
        self.network, self.author, self.directory = network, author, directory
        self.restarted()

    def restarted(self, *, disk: bool = True) -> None:
        network = self.network
        if not disk:
            (self.directory / "journal").unlink()
        self.journal = Journal(self.directory / "journal")
        self.sender = Sender(
            network.web3, network.requester, self.journal, network.reverts, FeePolicy(CAP)
        )
        self.opener = Opener(
            network.web3,
            network.deployment,
            follower=Follower(network.web3, network.deployment),
            sender=self.sender,
            pause=lambda seconds: None,
            timeout=5.0,
        )

    @property
    def terms(self) -> Terms:
        return self.network.terms()

    def open(self, *, again: bool = False) -> Opened:
        batch = self.network.batch(self.author, 5)
        terms = self.terms
        receipt = sign_receipt(
            self.author.operator,
            self.network.deployment,
            batch,
            self.network.requester.address,
            terms.workload_hash,
        )
        return self.opener.open(terms, [batch], [receipt], "file:///w", again=again)

    @property
    def count(self) -> int:
        return self.network.state().round_count()


@pytest.fixture(scope="module")
def network() -> Network:
    network = Network(accounts=12)
    network.join(Role.INFERENCE)
    for _ in range(3):
        network.join(Role.EVALUATOR)
    spender = network.deployment.rounds.address
    network.send(network.requester, calls.token(network.deployment, "approve", spender, 0))
    network.devnet.mine()  # undoing executes the latest block again
    return network


@pytest.fixture
def requester(network: Network, tmp_path: Path) -> Iterator[Requester]:
    snapshot = network.devnet.snapshot()
    made = Requester(network, network.parties[1], tmp_path)
    with closing(made.journal):
        yield made
    network.devnet.revert(snapshot)


def test_a_second_try_finds_the_round_and_opens_none(requester: Requester) -> None:
    assert requester.open() == Opened(1, is_new=True)
    assert requester.open() == Opened(1, is_new=False)
    requester.restarted()
    assert requester.open() == Opened(1, is_new=False)
    requester.restarted(disk=False)
    assert requester.open() == Opened(1, is_new=False)
    assert requester.count == 1


def test_another_round_over_the_same_workload_is_opened_if_that_is_said(
    requester: Requester,
) -> None:
    requester.open()
    assert requester.open(again=True) == Opened(2, is_new=True)
    assert requester.open() == Opened(2, is_new=False)


def test_a_crash_after_sending_is_gone_on_with_and_not_paid_twice(
    requester: Requester, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = requester.sender.send

    def send_and_die(purpose: str, call: calls.Call) -> object:
        entry = sent(purpose, call)
        if purpose.startswith("open "):
            raise KeyboardInterrupt
        return entry

    monkeypatch.setattr(requester.sender, "send", send_and_die)
    with pytest.raises(KeyboardInterrupt):
        requester.open()
    requester.restarted()
    assert requester.open() == Opened(1, is_new=False)
    assert requester.count == 1


def test_a_node_that_lags_makes_nobody_pay_twice(
    requester: Requester, monkeypatch: pytest.MonkeyPatch
) -> None:
    requester.open()
    requester.restarted()
    seen = [[], [1]]
    monkeypatch.setattr(requester.opener, "rounds_over", lambda workload_hash: seen.pop(0))
    assert requester.open() == Opened(1, is_new=True)
    assert requester.count == 1


def test_what_the_chain_refuses_leaves_nothing_open(
    requester: Requester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Requester, "terms", property(lambda self: self.network.terms(quorum=1)))
    with pytest.raises(Reverted):
        requester.open()
    assert requester.count == 0


def test_a_node_that_cannot_be_reached_leaves_nothing_open(
    requester: Requester, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(purpose: str, call: calls.Call) -> None:
        raise RpcUnreachable("http://node", "nobody there")

    with monkeypatch.context() as patch:
        patch.setattr(requester.sender, "send", unreachable)
        with pytest.raises(RpcUnreachable):
            requester.open()
    assert requester.count == 0
    assert requester.open().is_new


def test_no_more_is_approved_than_the_deposit(requester: Requester) -> None:
    requester.open()
    network = requester.network
    owner, spender = network.requester.address, network.deployment.rounds.address
    call = calls.token(network.deployment, "allowance", owner, spender)
    to = network.web3.to_checksum_address(call.to)
    left = network.web3.eth.call({"to": to, "data": "0x" + call.data.hex()})  # type: ignore[typeddict-item]
    assert int.from_bytes(left) == 0


def test_an_approval_that_was_spent_elsewhere_is_given_again(requester: Requester) -> None:
    name = f"approve {requester.terms.workload_hash.hex()} 1 1"
    spender = requester.network.deployment.rounds.address
    approval = calls.token(requester.network.deployment, "approve", spender, 1)
    requester.opener._served(name, approval)
    assert requester.open().is_new

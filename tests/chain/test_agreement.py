"""Several nodes as one: what they have to say alike, and what becomes of those that do not."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from eth_utils import keccak
from web3 import Web3
from web3.types import RPCEndpoint, RPCResponse

from oracle.chain.agreement import ASIDE, LAG, AgreeingProvider, NoAgreement
from oracle.chain.calls import Call
from oracle.chain.errors import RevertDecoder
from oracle.chain.fees import FeePolicy
from oracle.chain.journal import Journal, Status
from oracle.chain.keys import Signer
from oracle.chain.rpc import AgreementImpossible, RpcUnreachable, connect
from oracle.chain.sender import Sender
from tests.chain.fake_node import FakeNode, view_of
from tests.chain.test_sender import CAP, KEY, Clock

MANY = 1_000
ACCOUNT = "0x" + "44" * 20


class OneOfMany(FakeNode):
    """A node with the same chain as the others, until it lies, lags or is left waiting."""

    def __init__(self, name: str, like: FakeNode | None = None) -> None:
        super().__init__()
        self.host = name
        self.asked: list[str] = []
        self.balance: int | None = None
        self.behind = 0
        self.gate: threading.Event | None = None
        if like is not None:
            self.blocks = like.blocks

    @property
    def head(self) -> Any:
        return self.blocks[-1 - self.behind].header

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        self.asked.append(method)
        if self.gate is not None:
            self.gate.wait(30)
        return super().make_request(method, params)

    def _eth_blockNumber(self) -> str:
        return hex(self.head.number)

    def _eth_getBalance(self, account: str, block: Any) -> str:
        return (
            super()._eth_getBalance(account, block) if self.balance is None else hex(self.balance)
        )


@pytest.fixture
def nodes() -> list[OneOfMany]:
    first = OneOfMany("a")
    for _ in range(20):
        first.mine()
    return [first, OneOfMany("b", first), OneOfMany("c", first)]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def together(nodes: list[OneOfMany], clock: Clock, agree: int | None = None) -> AgreeingProvider:
    return AgreeingProvider(nodes, agree, clock=clock)  # type: ignore[arg-type]


def left_out(provider: AgreeingProvider) -> dict[str, str]:
    return {each.host: each.left_out for each in provider.health if each.left_out}


def test_more_nodes_than_there_are_cannot_agree() -> None:
    with pytest.raises(AgreementImpossible, match="3 nodes have to agree, and 2 are given"):
        connect("http://127.0.0.1:1,http://127.0.0.1:2", agree=3)
    with pytest.raises(AgreementImpossible, match="2 nodes have to agree, and 1 are given"):
        connect("http://127.0.0.1:1", agree=2)


def test_urls_come_one_by_one_or_with_commas() -> None:
    web3 = connect(["http://127.0.0.1:1, http://127.0.0.1:2", "http://localhost:3"])
    assert isinstance(web3.provider, AgreeingProvider)
    assert [each.host for each in web3.provider.health] == ["127.0.0.1", "127.0.0.1", "localhost"]
    assert web3.provider.agree == 2


def test_a_liar_is_outvoted_and_left_out_for_a_time(nodes: list[OneOfMany], clock: Clock) -> None:
    nodes[0].balance = 1
    provider = together(nodes, clock)
    request = (RPCEndpoint("eth_getBalance"), [ACCOUNT, "0x3"])
    # Who answers after the others have agreed is not heard: he may be lucky for a while.
    for _ in range(MANY):
        assert provider.make_request(*request)["result"] == hex(10**24)
        if left_out(provider):
            break
    assert left_out(provider) == {"a": "its answer is not the others'"}
    nodes[0].asked.clear()
    assert provider.make_request(*request)["result"] == hex(10**24)
    assert nodes[0].asked == []
    clock.now += ASIDE
    assert left_out(provider) == {}


def test_without_agreement_there_is_no_answer(nodes: list[OneOfMany], clock: Clock) -> None:
    for balance, node in enumerate(nodes):
        node.balance = balance
    provider = together(nodes, clock)
    with pytest.raises(NoAgreement, match="1 of 3 nodes give the same answer to eth_getBalance"):
        provider.make_request(RPCEndpoint("eth_getBalance"), [ACCOUNT, "0x3"])
    assert isinstance(NoAgreement("eth_call", 1, 2, 3), RpcUnreachable)


def test_a_dead_minority_harms_nobody_and_a_dead_majority_is_told(
    nodes: list[OneOfMany], clock: Clock
) -> None:
    provider = together(nodes, clock)
    nodes[1].silent = True
    assert Web3(provider).eth.get_block("latest")["number"] == 20
    assert list(left_out(provider)) == ["b"]
    nodes[2].silent = True
    with pytest.raises(RpcUnreachable):
        Web3(provider).eth.get_block("latest")
    nodes[2].silent = nodes[1].silent = False
    assert Web3(provider).eth.get_block("latest")["number"] == 20


def test_a_node_that_hangs_is_not_waited_for(nodes: list[OneOfMany], clock: Clock) -> None:
    nodes[1].gate = threading.Event()
    provider = together(nodes, clock)
    assert Web3(provider).eth.block_number == 20
    assert left_out(provider) == {"b": "it is slow"}
    assert Web3(provider).eth.block_number == 20
    nodes[1].gate.set()


@pytest.mark.parametrize(("agree", "height"), [(1, 20), (2, 19), (3, 17)])
def test_the_latest_block_is_the_highest_that_enough_nodes_have(
    nodes: list[OneOfMany], clock: Clock, agree: int, height: int
) -> None:
    nodes[1].behind, nodes[2].behind = 1, 3
    web3 = Web3(together(nodes, clock, agree))
    assert web3.eth.block_number == height
    block = web3.eth.get_block("latest")
    assert block["number"] == height
    assert bytes(block["hash"]) == nodes[0].blocks[height].header.hash


def test_a_node_far_behind_is_left_out_and_one_a_little_behind_is_not(
    nodes: list[OneOfMany], clock: Clock
) -> None:
    nodes[1].behind, nodes[2].behind = 1, LAG + 1
    provider = together(nodes, clock, 1)
    assert Web3(provider).eth.block_number == 20
    assert left_out(provider) == {"c": f"it is {LAG + 1} blocks behind"}


def test_a_batch_is_agreed_on_request_by_request(nodes: list[OneOfMany], clock: Clock) -> None:
    nodes[0].balance = 5
    provider = together(nodes, clock)
    requests: list[tuple[RPCEndpoint, Any]] = [
        (RPCEndpoint("eth_getBalance"), [ACCOUNT, "0x3"]),
        (RPCEndpoint("eth_maxPriorityFeePerGas"), []),
        (RPCEndpoint("eth_getBlockByNumber"), ["latest", False]),
    ]
    answers = provider.make_batch_request(requests)
    assert isinstance(answers, list)
    assert answers[0]["result"] == hex(10**24)
    assert answers[1]["result"] == hex(10**8)
    assert answers[2]["result"]["number"] == hex(20)


def test_what_nodes_word_differently_is_the_same_answer(
    nodes: list[OneOfMany], clock: Clock
) -> None:
    class Wordy(OneOfMany):
        def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
            answer: Any = super().make_request(method, params)
            if isinstance(answer.get("result"), dict):
                answer["result"] |= {"size": "0x9", "hash": answer["result"]["hash"].upper()}
            return answer  # type: ignore[no-any-return]

    provider = together([nodes[0], Wordy("w", nodes[0])], clock, 2)
    assert provider.make_request(RPCEndpoint("eth_getBlockByNumber"), ["0x3", False])["result"]


def test_a_transaction_goes_to_every_node_and_one_that_takes_it_is_enough(
    nodes: list[OneOfMany], clock: Clock
) -> None:
    nodes[0].silent = False
    nodes[1].deaf = True
    signer = Signer.from_private_key(KEY)
    web3 = Web3(together(nodes, clock))
    sender = Sender(web3, signer, Journal(), RevertDecoder(), FeePolicy(CAP), clock=clock)
    entry = sender.send("a", Call("0x" + "22" * 20, keccak(b"a")))
    assert (entry.status, entry.reason) == (Status.PENDING, "")
    assert [len(node.received) for node in nodes] == [1, 1, 1]
    nodes[2].mine()
    [mined] = sender.advance(view_of(nodes[0]))
    assert mined.status is Status.MINED

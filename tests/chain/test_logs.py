"""Logs: complete whatever the node's limits, in order, and decoded by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from eth_abi import encode
from web3 import Web3
from web3.contract import Contract
from web3.types import RPCEndpoint

from oracle.chain import logs as logs_module
from oracle.chain.devnet import Devnet
from oracle.chain.devnet_rpc import DevnetProvider, DevnetRpc
from oracle.chain.logs import (
    EventDecoder,
    Log,
    LogsUnavailable,
    NodeBehind,
    NotCanonical,
    read_logs,
)
from oracle.chain.transactions import Transactor

HOLDER = "0x" + "22" * 20


class Limited(DevnetProvider):
    """A node that answers only ranges of `widest` blocks, and remembers what it was asked."""

    def __init__(self, rpc: DevnetRpc, widest: int) -> None:
        super().__init__(rpc)
        self.widest = widest
        self.asked: list[tuple[int, int]] = []

    def make_request(self, method: RPCEndpoint, params: Any) -> Any:
        if method == "eth_getLogs":
            first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
            self.asked.append((first, last))
            if last - first + 1 > self.widest:
                return {
                    "jsonrpc": "2.0",
                    "id": 1,
                    "error": {"code": -32005, "message": "range too wide"},
                }
        return super().make_request(method, params)


@pytest.fixture
def mint(transactor: Transactor, token: Contract) -> Callable[[int], None]:
    def mint(amount: int) -> None:
        transactor.transact(token.address, token.encode_abi("mint", [HOLDER, amount]))

    return mint


def limited(devnet: Devnet, widest: int) -> tuple[Web3, Limited]:
    provider = Limited(DevnetRpc(devnet), widest)
    return Web3(provider), provider


def test_a_node_that_is_behind_is_not_asked(chain: Web3) -> None:
    with pytest.raises(NodeBehind, match=r"at block 0; logs up to block 5"):
        list(read_logs(chain, [HOLDER], 0, 5))


def test_a_block_whose_logs_are_refused_is_named(devnet: Devnet) -> None:
    devnet.mine(9)
    web3, _ = limited(devnet, 0)
    with pytest.raises(LogsUnavailable, match="block 4: range too wide"):
        list(read_logs(web3, [HOLDER], 4, 9))


@pytest.mark.parametrize("widest", [1, 2, 3, 7, 100])
def test_every_log_comes_once_and_in_order_whatever_the_limit(
    devnet: Devnet, token: Contract, mint: Callable[[int], None], widest: int
) -> None:
    for amount in range(1, 8):
        mint(amount)
        devnet.mine(amount % 3)
    web3, provider = limited(devnet, widest)
    decoder = EventDecoder(token.abi)
    found = list(read_logs(web3, [token.address], 0, devnet.height))
    amounts = [event.args["value"] for event in map(decoder.decode, found) if event is not None]
    assert amounts == list(range(1, 8))
    answered = [(first, last) for first, last in provider.asked if last - first < widest]
    covered = [block for first, last in answered for block in range(first, last + 1)]
    assert covered == list(range(devnet.height + 1))


def test_a_suspiciously_long_answer_is_asked_for_in_halves(
    devnet: Devnet,
    token: Contract,
    mint: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for amount in range(1, 5):
        mint(amount)
    monkeypatch.setattr(logs_module, "TRUNCATED_AT", 2)
    web3, provider = limited(devnet, 100)
    found = list(read_logs(web3, [token.address], 0, devnet.height))
    assert len(found) == 4
    assert len(provider.asked) > 4


def test_an_empty_range_has_no_logs(chain: Web3) -> None:
    assert list(read_logs(chain, [HOLDER], 1, 0)) == []


def test_logs_of_other_events_and_addresses_are_left_out(
    chain: Web3, devnet: Devnet, token: Contract, mint: Callable[[int], None]
) -> None:
    mint(1)
    approval = Web3.keccak(text="Approval(address,address,uint256)")
    assert list(read_logs(chain, [token.address], 0, devnet.height, topics=[approval])) == []
    assert list(read_logs(chain, [HOLDER], 0, devnet.height)) == []
    transfers = EventDecoder(token.abi).topics
    assert len(list(read_logs(chain, [token.address], 0, devnet.height, topics=transfers))) == 1


def test_logs_with_other_indexed_values_are_left_out(
    chain: Web3, devnet: Devnet, token: Contract, mint: Callable[[int], None]
) -> None:
    mint(1)
    [log] = read_logs(chain, [token.address], 0, devnet.height)
    sender, receiver = log.topics[1:]

    def found(*indexed: Sequence[bytes]) -> list[Log]:
        return list(read_logs(chain, [token.address], 0, devnet.height, indexed=indexed))

    assert found([receiver]) == []
    assert found((), [sender]) == []
    assert found([sender, receiver]) == found((), [receiver]) == [log]


def test_data_that_no_contract_encodes_so_is_refused(
    chain: Web3, devnet: Devnet, token: Contract, mint: Callable[[int], None]
) -> None:
    mint(1)
    [log] = read_logs(chain, [token.address], 0, devnet.height)
    with pytest.raises(NotCanonical, match="Transfer"):
        EventDecoder(token.abi).decode(replace(log, data=log.data + bytes(32)))


def test_a_log_is_what_the_receipt_says(
    chain: Web3, devnet: Devnet, token: Contract, mint: Callable[[int], None]
) -> None:
    mint(5)
    [log] = read_logs(chain, [token.address], 0, devnet.height)
    [expected] = token.events.Transfer().get_logs(from_block=0)
    event = EventDecoder(token.abi).decode(log)
    assert event is not None
    assert event.name == expected["event"]
    assert event.args == dict(expected["args"])
    assert (log.address, log.block_number, log.log_index) == (
        expected["address"],
        expected["blockNumber"],
        expected["logIndex"],
    )
    assert log.block_hash == expected["blockHash"]
    assert log.transaction_hash == expected["transactionHash"]


def test_structs_arrays_and_hashed_topics_are_decoded_by_name() -> None:
    pair = [{"name": "node", "type": "address"}, {"name": "score", "type": "uint16"}]
    abi = [
        {
            "type": "event",
            "name": "Many",
            "inputs": [
                {"name": "id", "type": "uint256", "indexed": True},
                {"name": "pairs", "type": "tuple[]", "components": pair, "indexed": False},
                {"name": "uri", "type": "string", "indexed": True},
                {"name": "owners", "type": "address[2]", "indexed": False},
                {"name": "proof", "type": "bytes", "indexed": False},
            ],
        }
    ]
    one, two = "0x" + "ab" * 20, "0x" + "cd" * 20
    decoder = EventDecoder(abi)
    log = Log(
        address=HOLDER,
        topics=(*decoder.topics, (7).to_bytes(32, "big"), b"\x01" * 32),
        data=encode(
            ["(address,uint16)[]", "address[2]", "bytes"],
            [[(one, 3), (two, 4)], [one, two], b"\x00\xff"],
        ),
        block_number=1,
        block_hash=bytes(32),
        transaction_hash=bytes(32),
        log_index=0,
    )
    event = decoder.decode(log)
    assert event is not None
    checksummed = [Web3.to_checksum_address(one), Web3.to_checksum_address(two)]
    assert event.args == {
        "id": 7,
        "pairs": [{"node": checksummed[0], "score": 3}, {"node": checksummed[1], "score": 4}],
        "uri": b"\x01" * 32,
        "owners": checksummed,
        "proof": b"\x00\xff",
    }
    assert list(event.args) == ["id", "pairs", "uri", "owners", "proof"]


@pytest.mark.parametrize("topics", [(), (b"\x05" * 32,)])
def test_an_event_that_the_abi_does_not_know_is_none(
    topics: tuple[bytes, ...], token: Contract
) -> None:
    log = Log(HOLDER, topics, b"", 1, bytes(32), bytes(32), 0)
    assert EventDecoder(cast(Any, token.abi)).decode(log) is None

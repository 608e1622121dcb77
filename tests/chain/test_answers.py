"""Answers of a node: what has not the form that JSON-RPC gives it is not worked with."""

from __future__ import annotations

from typing import Any

import pytest
from web3 import Web3

from oracle.chain.answers import makes_sense
from oracle.chain.devnet import Devnet
from oracle.chain.devnet_rpc import DevnetRpc
from oracle.chain.devnet_server import serve
from oracle.chain.rpc import RpcUnreachable, connect

WORD, ADDRESS = "0x" + "ab" * 32, "0x" + "AB" * 20
LOG = {
    "address": ADDRESS,
    "blockHash": WORD,
    "blockNumber": "0x1",
    "data": "0x00",
    "logIndex": "0x0",
    "topics": [WORD, WORD],
    "transactionHash": WORD,
}
BLOCK = {"hash": WORD, "number": "0x1", "parentHash": WORD, "timestamp": "0x1", "nonce": None}
RECEIPT = {
    "blockHash": WORD,
    "blockNumber": "0x1",
    "gasUsed": "0x5208",
    "logs": [LOG],
    "status": "0x1",
    "to": ADDRESS,
    "transactionHash": WORD,
}


def result_of(method: str, result: Any, *params: Any) -> bool:
    return makes_sense(method, params, {"jsonrpc": "2.0", "id": 1, "result": result})


@pytest.mark.parametrize(
    "response",
    [
        None,
        [],
        "0x1",
        {},
        {"id": 1},
        {"error": None},
        {"error": {}},
        {"error": {"code": "3", "message": "no"}},
        {"error": {"code": 3, "message": None}},
        {"error": {"code": 3, "message": "no", "data": "0x0"}},
    ],
)
def test_what_is_no_response_makes_no_sense(response: Any) -> None:
    assert not makes_sense("eth_chainId", [], response)
    assert not makes_sense("evm_unknown", [], response)


@pytest.mark.parametrize("error", ["too busy", {"code": 3, "message": "no", "data": "0x00"}])
def test_an_error_makes_sense_whatever_was_asked(error: Any) -> None:
    assert makes_sense("eth_chainId", [], {"error": error})


@pytest.mark.parametrize(
    ("method", "bad"),
    [
        ("eth_chainId", [None, 1, "", "0x", "1", "0xzz", "0x1\0", "0x" + "1" * 17, ["0x1"], "0X1"]),
        ("eth_getBalance", [None, "0x", "-0x1", "0x" + "1" * 65]),
        ("eth_call", [None, "", "0x0", "0xzz", "00", {}]),
        ("eth_sendRawTransaction", [None, "0x", WORD[:-1], WORD + "0"]),
        ("eth_getLogs", [None, {}, [None], [{}], "0x"]),
        ("eth_getBlockByNumber", [[], "0x1", {}, {**BLOCK, "hash": None}]),
        ("eth_getTransactionReceipt", [[], {}, {**RECEIPT, "logs": None}]),
    ],
)
def test_a_result_of_another_form_makes_no_sense(method: str, bad: list[Any]) -> None:
    assert [each for each in bad if result_of(method, each)] == []


@pytest.mark.parametrize("field", LOG)
@pytest.mark.parametrize("wrong", [None, 1, "", "0x0g", [None], {}])
def test_a_log_with_a_wrong_field_makes_no_sense(field: str, wrong: Any) -> None:
    logs = [{**LOG, field: wrong}]
    assert not result_of("eth_getLogs", logs)
    assert not result_of("eth_getTransactionReceipt", {**RECEIPT, "logs": logs})


@pytest.mark.parametrize("field", ["hash", "number", "parentHash", "timestamp", "baseFeePerGas"])
def test_a_block_with_a_wrong_field_makes_no_sense(field: str) -> None:
    assert result_of("eth_getBlockByNumber", BLOCK)
    assert not result_of("eth_getBlockByNumber", {**BLOCK, field: "0x0g"})
    assert not result_of("eth_getBlockByNumber", {**BLOCK, "timestamp": "0x" + "f" * 10})
    assert not result_of("eth_getBlockByNumber", {**BLOCK, "transactions": [1]})


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("uncles", [{"value": []}]),
        ("uncles", "0x"),
        ("withdrawals", [[]]),
        ("withdrawals", [{"amount": "much"}]),
        ("transactions", [{}]),
    ],
)
def test_a_block_with_a_wrong_list_makes_no_sense(field: str, wrong: Any) -> None:
    assert not makes_sense("eth_getBlockByNumber", ["latest"], {"result": BLOCK | {field: wrong}})


def test_what_is_not_there_and_what_is_pending_makes_sense() -> None:
    for method in ("eth_getBlockByNumber", "eth_getTransactionReceipt", "eth_getTransactionByHash"):
        assert result_of(method, None)
    pending = {**BLOCK, "hash": None, "number": None}
    assert result_of("eth_getBlockByNumber", pending, "pending", False)
    assert not result_of("eth_getBlockByNumber", pending, "latest", False)


def test_a_local_chain_makes_sense(devnet: Devnet) -> None:
    chain = DevnetRpc(devnet)
    chain.request("evm_mine", [])
    sender = devnet.accounts[0].address
    for method, params in (
        ("eth_chainId", []),
        ("eth_gasPrice", []),
        ("eth_getBalance", [sender, "latest"]),
        ("eth_getCode", [sender, "latest"]),
        ("eth_getBlockByNumber", ["latest", True]),
        ("eth_getBlockByNumber", ["pending", False]),
        ("eth_getLogs", [{"fromBlock": "0x0", "toBlock": "latest"}]),
    ):
        assert result_of(method, chain.request(method, params), *params), method


@pytest.mark.parametrize("lie", ["0x7a690x7a69", None, "31337", {"value": "0x7a69"}])
def test_a_node_that_talks_nonsense_is_no_node(
    devnet: Devnet, monkeypatch: pytest.MonkeyPatch, lie: Any
) -> None:
    """Found by malformed answers: web3 read these, and its `ValueError` looked like our mistake."""
    request = DevnetRpc.request
    monkeypatch.setattr(
        DevnetRpc,
        "request",
        lambda self, method, params: (
            lie if method == "eth_chainId" else request(self, method, params)
        ),
    )
    with serve(devnet, port=0) as url:
        web3: Web3 = connect(url)
        with pytest.raises(RpcUnreachable, match="what it says to eth_chainId makes no sense"):
            _ = web3.eth.chain_id
        with pytest.raises(RpcUnreachable, match="eth_chainId makes no sense"):
            web3.provider.make_batch_request([("eth_chainId", []), ("eth_gasPrice", [])])  # type: ignore[attr-defined]

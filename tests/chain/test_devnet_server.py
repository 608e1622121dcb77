"""The local chain over HTTP: what a stranger's client gets from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from web3 import Web3
from web3.contract import Contract
from web3.exceptions import ContractCustomError

from deploy.artifacts import Artifact
from oracle.chain.devnet import CHAIN_ID, Devnet
from oracle.chain.devnet_server import AnvilMissing, serve, serve_anvil
from oracle.chain.errors import RevertDecoder, Reverted
from oracle.chain.keys import Signer
from oracle.chain.transactions import Transactor


@pytest.fixture
def url(devnet: Devnet) -> Iterator[str]:
    with serve(devnet, port=0) as url:
        yield url


@pytest.fixture
def remote(url: str) -> Iterator[Web3]:
    """Connect with web3's own provider, as a stranger would."""
    with requests.Session() as session:
        yield Web3(Web3.HTTPProvider(url, session=session))


@pytest.fixture
def remote_transactor(remote: Web3, devnet: Devnet, mock_token: Artifact) -> Transactor:
    signer = Signer(devnet.accounts[0])
    return Transactor(remote, signer, RevertDecoder(mock_token.abi), timeout=5, poll=0.01)


def post(url: str, body: Any) -> Any:
    return requests.post(url, json=body, timeout=5).json()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"id": 1, "method": "eth_sendTransaction", "params": [{}]}, -32601),
        ({"id": 1, "method": "eth_getBalance", "params": []}, -32602),
        ({"id": 1, "method": "eth_getBalance", "params": ["0x12", "latest"]}, -32602),
        ({"id": 1, "method": "eth_getBalance", "params": {"address": "0x"}}, -32600),
        ({"id": 1, "method": "eth_call", "params": [{}, "0x99"]}, -32000),
        ({"id": 1, "method": "eth_sendRawTransaction", "params": ["0x02"]}, -32000),
        ({"id": 1}, -32600),
        ([], -32600),
        ("nonsense", -32600),
    ],
)
def test_a_bad_request_is_answered_with_an_error(url: str, body: Any, code: int) -> None:
    assert post(url, body)["error"]["code"] == code


def test_what_is_not_json_is_answered_with_an_error(url: str) -> None:
    assert requests.post(url, data=b"{", timeout=5).json()["error"]["code"] == -32700


def test_a_huge_request_is_not_read(url: str) -> None:
    headers = {"Content-Length": str(2**40)}
    assert requests.post(url, headers=headers, timeout=5).status_code == 413


def test_a_batch_is_answered_one_by_one(url: str) -> None:
    answers = post(
        url,
        [
            {"jsonrpc": "2.0", "id": 7, "method": "eth_chainId"},
            {"jsonrpc": "2.0", "id": 8, "method": "nonsense", "params": []},
        ],
    )
    assert answers[0] == {"jsonrpc": "2.0", "id": 7, "result": hex(CHAIN_ID)}
    assert (answers[1]["id"], answers[1]["error"]["code"]) == (8, -32601)


def test_a_custom_error_reaches_a_client_with_its_data(
    remote_transactor: Transactor, deploy_token: Callable[[Transactor], Contract]
) -> None:
    token = deploy_token(remote_transactor)
    other = "0x" + "11" * 20
    with pytest.raises(ContractCustomError) as caught:
        token.functions.transfer(other, 5).call({"from": other})
    reverted = RevertDecoder(token.abi).decode(bytes.fromhex(str(caught.value.data)[2:]))
    assert isinstance(reverted, Reverted)
    assert reverted.name == "ERC20InsufficientBalance"
    assert reverted.arguments == {"sender": other, "balance": 0, "needed": 5}


def test_a_client_sees_over_http_what_it_sees_inside_the_process(
    remote_transactor: Transactor,
    remote: Web3,
    chain: Web3,
    deploy_token: Callable[[Transactor], Contract],
) -> None:
    token = deploy_token(remote_transactor)
    holder = "0x" + "22" * 20
    for amount in (3, 4):
        remote_transactor.transact(token.address, token.encode_abi("mint", [holder, amount]))
    assert token.functions.balanceOf(holder).call() == 7
    transaction_hash = remote.eth.get_block("latest")["transactions"][0]
    for ask in (
        lambda web3: web3.eth.get_block("latest"),
        lambda web3: web3.eth.get_block(0, full_transactions=True),
        lambda web3: web3.eth.get_block("latest", full_transactions=True),
        lambda web3: web3.eth.get_transaction(transaction_hash),
        lambda web3: web3.eth.get_transaction_receipt(transaction_hash),
        lambda web3: web3.eth.get_logs({"fromBlock": 0, "address": token.address}),
        lambda web3: web3.eth.fee_history(4, "latest", [50]),
        lambda web3: web3.eth.get_code(token.address),
        lambda web3: web3.eth.get_storage_at(token.address, 2),
        lambda web3: (web3.eth.gas_price, web3.eth.max_priority_fee, web3.eth.accounts),
    ):
        assert ask(remote) == ask(chain)


def test_logs_are_filtered_by_address_topic_and_block(
    remote_transactor: Transactor,
    remote: Web3,
    deploy_token: Callable[[Transactor], Contract],
) -> None:
    token = deploy_token(remote_transactor)
    holder, other = "0x" + "22" * 20, "0x" + "33" * 20
    for account in (holder, other):
        remote_transactor.transact(token.address, token.encode_abi("mint", [account, 1]))
    transfer = Web3.keccak(text="Transfer(address,address,uint256)").to_0x_hex()
    to_other = "0x" + other[2:].rjust(64, "0")

    def found(**wanted: Any) -> list[int]:
        return [log["blockNumber"] for log in remote.eth.get_logs({"fromBlock": 0, **wanted})]  # type: ignore[typeddict-item]

    assert found() == [2, 3]
    assert found(address=other) == []
    assert found(address=[token.address, other]) == [2, 3]
    assert found(toBlock=2) == [2]
    assert found(topics=[transfer]) == [2, 3]
    assert found(topics=[None, None, to_other]) == [3]
    assert found(topics=[[to_other, transfer]]) == [2, 3]
    assert found(topics=[None, None, None, to_other]) == []
    block_hash = remote.eth.get_block(2)["hash"]
    assert [log["blockNumber"] for log in remote.eth.get_logs({"blockHash": block_hash})] == [2]


def test_time_and_snapshots_are_in_the_hands_of_the_client(url: str, remote: Web3) -> None:
    def call(method: str, *params: Any) -> Any:
        return post(url, {"id": 1, "method": method, "params": params})["result"]

    snapshot = call("evm_snapshot")
    genesis = remote.eth.get_block(0)["timestamp"]
    call("evm_increaseTime", 60)
    call("evm_mine")
    assert remote.eth.get_block("latest")["timestamp"] == genesis + 61
    call("evm_setNextBlockTimestamp", hex(genesis + 1_000))
    call("evm_mine", 2)
    assert remote.eth.get_block("latest")["timestamp"] == genesis + 1_001
    assert call("evm_revert", snapshot) is True
    assert call("evm_revert", snapshot) is False
    assert remote.eth.block_number == 0


def test_blocks_come_by_themselves_when_asked_to() -> None:
    devnet = Devnet()
    deadline = time.monotonic() + 5
    with serve(devnet, port=0, block_time=0.01):
        while devnet.height < 3:
            assert time.monotonic() < deadline
    height = devnet.height
    assert height >= 3


def test_a_closed_port_is_free_again(devnet: Devnet) -> None:
    with serve(devnet, port=0) as url:
        port = int(url.rsplit(":", 1)[1])
    with serve(devnet, port=port) as again:
        assert again == url


def test_a_missing_anvil_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AnvilMissing, match="No anvil on PATH"), serve_anvil():
        pass

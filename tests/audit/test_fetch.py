"""Reading logs from nodes that limit, lag, contradict themselves or change their mind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3
from web3.types import RPCEndpoint

from oracle.audit.cache import ChunkCache
from oracle.audit.fetch import BranchAbandoned, Fetcher, NodeInconsistent, flattened
from oracle.audit.reader import ChainReader, StorageUnavailable
from oracle.audit.replay import run
from oracle.audit.sources import ChainSource
from oracle.chain.deployment import Deployment
from oracle.chain.devnet_rpc import DevnetProvider, DevnetRpc
from oracle.chain.log_table import LogTable, NotATable, join, rechunked
from oracle.chain.logs import Log, LogsUnavailable, NodeBehind
from oracle.core.facts import Role
from oracle.demo.network import Network

Answer = dict[str, Any]


class Node(DevnetProvider):
    """A node whose answers a test can bend; it remembers the ranges that it was asked for."""

    def __init__(self, rpc: DevnetRpc) -> None:
        super().__init__(rpc)
        self.bend: Callable[[str, Any, Any], Any] = lambda method, params, result: result
        self.asked: list[tuple[int, int]] = []

    def make_request(self, method: RPCEndpoint, params: Any) -> Any:
        answer: Any = super().make_request(method, params)
        if method == "eth_getLogs":
            self.asked.append((int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)))
        if "result" in answer:
            try:
                answer = {**answer, "result": self.bend(method, params, answer["result"])}
            except ValueError as refusal:
                answer = {"jsonrpc": "2.0", "id": 1, "error": {"code": -1, "message": str(refusal)}}
        return answer


@pytest.fixture(scope="module")
def network() -> Network:
    network = Network(accounts=16)
    for _ in range(4):
        network.join(Role.EVALUATOR)
        network.devnet.mine(3)
    return network


@pytest.fixture
def node(network: Network) -> Node:
    return Node(DevnetRpc(network.devnet))


@pytest.fixture
def web3(node: Node) -> Web3:
    return Web3(node)


def logs_of(network: Network) -> list[Log]:
    fetcher = Fetcher(network.web3, network.deployment)
    return list(flattened(fetcher.chunks(network.deployment.start_block, network.devnet.height)))


def read(web3: Web3, deployment: Deployment, **options: Any) -> list[Log]:
    fetcher = Fetcher(web3, deployment, pause=lambda seconds: None, **options)
    return list(flattened(fetcher.chunks(deployment.start_block, int(web3.eth.block_number))))


def is_widest(params: Any, widest: int) -> bool:
    first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
    return last - first + 1 > widest


# A node that refuses, or cuts off


@pytest.mark.parametrize("widest", [1, 2, 5])
def test_every_log_comes_once_whatever_ranges_a_node_answers(
    network: Network, node: Node, web3: Web3, widest: int
) -> None:
    def bend(method: str, params: Any, result: Any) -> Any:
        if method == "eth_getLogs" and is_widest(params, widest):
            raise ValueError("range too wide")
        return result

    node.bend = bend
    assert read(web3, network.deployment) == logs_of(network)
    assert len(logs_of(network)) == 8  # a transfer and a registration each


def test_an_answer_of_as_many_logs_as_a_node_gives_is_asked_for_in_halves(
    network: Network, node: Node, web3: Web3
) -> None:
    node.bend = lambda method, params, result: (
        result[:2] if method == "eth_getLogs" else result  # cut off without a word
    )
    assert read(web3, network.deployment, truncated_at=2) == logs_of(network)


def test_a_block_whose_logs_are_refused_is_named(network: Network, node: Node, web3: Web3) -> None:
    def bend(method: str, params: Any, result: Any) -> Any:
        if method == "eth_getLogs":
            raise ValueError("not today")
        return result

    node.bend = bend
    with pytest.raises(LogsUnavailable, match=r"block \d+: not today"):
        read(web3, network.deployment)


# A node that lags


def test_an_empty_answer_of_a_machine_that_lags_is_asked_for_again(
    network: Network, node: Node, web3: Web3
) -> None:
    lagging = [True, True, False]

    def bend(method: str, params: Any, result: Any) -> Any:
        if lagging[0] and method == "eth_getLogs":
            return []
        if lagging[0] and method == "eth_getBlockByNumber":
            lagging.pop(0)  # the batch ends with the range's last block, unknown to this machine
            return None
        return result

    node.bend = bend
    assert read(web3, network.deployment) == logs_of(network)
    assert lagging == [False]


def test_a_node_that_never_catches_up_is_named(network: Network, node: Node, web3: Web3) -> None:
    node.bend = lambda method, params, result: None if method == "eth_getBlockByNumber" else result
    with pytest.raises(NodeBehind):
        read(web3, network.deployment)


# A node that contradicts itself


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("blockHash", "0x" + 32 * "ab"),
        ("transactionHash", "0x" + 32 * "ab"),
        ("blockNumber", "0x0"),
    ],
)
def test_logs_of_other_blocks_or_transactions_are_not_taken(
    network: Network, node: Node, web3: Web3, field: str, value: str
) -> None:
    node.bend = lambda method, params, result: (
        [{**each, field: value} for each in result] if method == "eth_getLogs" else result
    )
    with pytest.raises(NodeInconsistent):
        read(web3, network.deployment)


def test_what_a_node_gets_right_the_second_time_is_taken(
    network: Network, node: Node, web3: Web3
) -> None:
    wrong = [True]

    def bend(method: str, params: Any, result: Any) -> Any:
        if method == "eth_getLogs" and result and wrong:
            wrong.clear()
            return [{**each, "blockHash": "0x" + 32 * "ab"} for each in result]
        return result

    node.bend = bend
    assert read(web3, network.deployment) == logs_of(network)


def test_logs_left_out_once_do_not_count_as_a_mismatch(
    network: Network, node: Node, web3: Web3
) -> None:
    missing = [True]

    def bend(method: str, params: Any, result: Any) -> Any:
        if method == "eth_getLogs" and result and missing:
            missing.clear()
            return result[1:]
        return result

    node.bend = bend
    assert run(web3, network.deployment).right
    assert not missing


def test_logs_left_out_again_are_a_mismatch(network: Network, node: Node, web3: Web3) -> None:
    node.bend = lambda method, params, result: result[1:] if method == "eth_getLogs" else result
    assert not run(web3, network.deployment).right


def test_storage_that_is_refused_is_said_to_be(network: Network, node: Node, web3: Web3) -> None:
    def bend(method: str, params: Any, result: Any) -> Any:
        if method == "eth_call":
            raise ValueError("pruned")
        return result

    node.bend = bend
    with pytest.raises(StorageUnavailable, match="pruned"):
        ChainReader(web3, network.deployment).nodes([1])


# A chain that is reorganised


def test_a_chain_that_changes_under_the_audit_is_noticed(
    network: Network, node: Node, web3: Web3
) -> None:
    source = ChainSource(web3, network.deployment)
    tables = source.tables()
    next(tables)
    node.bend = lambda method, params, result: (
        {**result, "hash": "0x" + 32 * "cd"} if method == "eth_getBlockByNumber" else result
    )
    with pytest.raises(BranchAbandoned):
        list(tables)


def test_an_audit_under_which_the_chain_changes_begins_again(
    network: Network, node: Node, web3: Web3
) -> None:
    changes = [True]

    def bend(method: str, params: Any, result: Any) -> Any:
        if method == "eth_call" and changes:  # the logs are read, and storage is next
            changes.clear()
            changed.append(True)
        if method == "eth_getBlockByNumber" and changed:
            changed.clear()
            return {**result, "hash": "0x" + 32 * "cd"}
        return result

    changed: list[bool] = []
    node.bend = bend
    assert run(web3, network.deployment).right
    assert not changes and not changed


def test_a_chain_that_never_settles_is_said_not_to(
    network: Network, node: Node, web3: Web3
) -> None:
    count = iter(range(10**6))
    node.bend = lambda method, params, result: (
        {**result, "hash": "0x" + next(count).to_bytes(32).hex()}
        if method == "eth_getBlockByNumber" and int(params[0], 16) == network.devnet.height
        else result
    )
    with pytest.raises(BranchAbandoned):
        run(web3, network.deployment)


# The cache


@pytest.fixture
def cached(network: Network, node: Node, web3: Web3, tmp_path: Path) -> Callable[[], list[Log]]:
    """What reads all logs through a cache, in ranges of five blocks."""

    def read_cached() -> list[Log]:
        node.asked.clear()
        fetcher = Fetcher(web3, network.deployment, widest=5, pause=lambda seconds: None)
        cache = ChunkCache(tmp_path, network.deployment)
        return list(flattened(cache.chunks(web3, fetcher, network.devnet.height)))

    return read_cached


def test_what_was_read_once_is_not_asked_for_again(
    network: Network, node: Node, cached: Callable[[], list[Log]]
) -> None:
    assert cached() == logs_of(network)
    assert node.asked
    assert cached() == logs_of(network)
    assert not node.asked


def test_a_reorganisation_rolls_the_cache_back_to_the_last_common_block(
    network: Network, node: Node, cached: Callable[[], list[Log]]
) -> None:
    cached()
    start = network.deployment.start_block
    fork = start + 12  # within the third chunk of five blocks

    def bend(method: str, params: Any, result: Any) -> Any:
        if method == "eth_getBlockByNumber" and int(params[0], 16) >= fork:
            return {**result, "hash": result["hash"][:-2] + "00"}
        if method == "eth_getLogs":
            return [
                {**each, "blockHash": each["blockHash"][:-2] + "00"}
                if int(each["blockNumber"], 16) >= fork
                else each
                for each in result
            ]
        return result

    node.bend = bend
    found = cached()
    assert min(first for first, _ in node.asked) == start + 10
    assert [log.block_hash[-1] == 0 for log in found] == [log.block_number >= fork for log in found]
    assert [(log.topics, log.data) for log in found] == [
        (log.topics, log.data) for log in logs_of(network)
    ]


def test_a_file_of_the_cache_that_was_changed_is_read_again(
    network: Network, node: Node, cached: Callable[[], list[Log]], tmp_path: Path
) -> None:
    cached()
    path = max(tmp_path.rglob("*.logs"), key=lambda each: each.stat().st_size)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert cached() == logs_of(network)
    assert node.asked


# Tables


def test_tables_are_the_same_bytes_however_they_were_read(network: Network, web3: Web3) -> None:
    def parts(widest: int) -> list[bytes]:
        fetcher = Fetcher(web3, network.deployment, widest=widest)
        chunks = fetcher.chunks(network.deployment.start_block, network.devnet.height)
        return [table.to_bytes() for table in rechunked((each.table for each in chunks), 3)]

    assert parts(1) == parts(4) == parts(1_000)
    tables = list(map(LogTable.from_bytes, parts(4)))
    assert [log for table in tables for log in table.logs()] == logs_of(network)
    assert list(join(tables).logs()) == logs_of(network)


@pytest.mark.parametrize("change", ["cut", "more", "magic", "length"])
def test_bytes_that_are_no_table_are_refused(network: Network, web3: Web3, change: str) -> None:
    [chunk] = Fetcher(web3, network.deployment).chunks(0, network.devnet.height)
    content = bytearray(chunk.table.to_bytes())
    if change == "cut":
        del content[-1:]
    elif change == "more":
        content += b"\0"
    elif change == "magic":
        content[0] ^= 1
    else:
        content[8] ^= 1
    with pytest.raises(NotATable):
        LogTable.from_bytes(bytes(content))

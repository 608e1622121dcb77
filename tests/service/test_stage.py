"""The harness: its node does what it is told, and its proxy breaks what it says it breaks."""

from __future__ import annotations

import json
from typing import Any

import requests

from oracle.chain import calls
from tests.service.anvil import Anvil
from tests.service.faults import EVERY, FAULTS, READS, WRITES, before
from tests.service.stage import Stage

KINDS = 15


def test_the_node_forgets_what_a_reorganisation_takes(stage: Stage) -> None:
    stage.open(2)
    stage.mined()
    assert len(stage.logs("RoundOpened")) == 2
    height = stage.anvil.height
    stage.anvil.reorganise(2)
    assert stage.anvil.height == height
    assert stage.logs("RoundOpened") == []


def test_the_node_waits_with_blocks_and_changes_its_fee(node: Anvil) -> None:
    node.automine(False)
    height = node.height
    node.base_fee(20 * 10**9)
    node.mine(3)
    assert node.height == height + 3
    block = node.ask("eth_getBlockByNumber", hex(height + 1), False)
    assert int(block["baseFeePerGas"], 16) == 20 * 10**9


def test_the_outcome_of_rounds_that_nobody_serves_is_that_they_have_not_ended(stage: Stage) -> None:
    stage.open(3)
    stage.mined()
    outcome = stage.outcome()
    assert (outcome.settled, outcome.cancelled, outcome.unended) == (0, 0, 3)
    assert outcome.mismatches == ()
    assert stage.anvil.sent_by(stage.requester.address) == 2 + 3


def _request(method: str, *params: Any) -> Any:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}


def _asked_for(where: str, stage: Stage) -> Any:
    """Return a request that a fault of this kind applies to, whose answer is not empty."""
    count = "0x" + calls.rounds(stage.deployment, "roundCount").data.hex()
    if where == "batch":
        second = {**_request("eth_chainId"), "id": 2}
        return [_request("eth_blockNumber"), second]
    return {
        EVERY: _request("eth_chainId"),
        READS: _request("eth_chainId"),
        WRITES: _request("eth_sendRawTransaction", "0x00"),
        "eth_getLogs": _request(
            "eth_getLogs", {"fromBlock": "0x0", "address": stage.deployment.rounds.address}
        ),
        "eth_getBlockByNumber": _request("eth_getBlockByNumber", "latest", False),
        "eth_getBlockByHash": _request(
            "eth_getBlockByHash",
            stage.anvil.ask("eth_getBlockByNumber", "latest", False)["hash"],
            False,
        ),
        "eth_chainId": _request("eth_chainId"),
        "eth_getTransactionReceipt": _request(
            "eth_getTransactionReceipt", stage.logs("RoundOpened")[0]["transactionHash"]
        ),
        "eth_call": _request(
            "eth_call", {"to": stage.deployment.rounds.address, "data": count}, "latest"
        ),
        "eth_getTransactionCount": _request(
            "eth_getTransactionCount", stage.requester.address, "latest"
        ),
    }[where]


def _answer(url: str, request: Any) -> tuple[int, Any]:
    answer = requests.post(url, json=request, timeout=20)
    return answer.status_code, json.loads(answer.content)


def test_each_fault_spoils_an_answer_and_is_counted(stage: Stage) -> None:
    stage.open(2)
    stage.mined()
    assert len(FAULTS) >= KINDS
    with before(stage.anvil.url, seed=1, time_out=0.1) as proxy:
        for fault, where in FAULTS.items():
            request = _asked_for(where, stage)
            right = _answer(stage.anvil.url, request)
            proxy.rate, proxy.faults = 1.0, (fault,)
            if fault.__name__ == "slow":
                assert _answer(proxy.url, request) == right
            else:
                assert _spoiled(proxy.url, request) != right, fault.__name__
            assert proxy.broken[fault.__name__] == 1
            proxy.rate = 0.0
            assert _answer(proxy.url, request) == right


def _spoiled(url: str, request: Any) -> Any:
    try:
        return _answer(url, request)
    except (requests.RequestException, ValueError) as error:
        return type(error)


def test_a_share_of_requests_is_spoiled_and_the_same_ones_each_time(stage: Stage) -> None:
    def spoiled() -> list[str]:
        with before(stage.anvil.url, seed=3, rate=0.3, time_out=0.0) as proxy:
            for _ in range(100):
                _spoiled(proxy.url, _request("eth_chainId"))
            return sorted(proxy.broken.elements())

    once = spoiled()
    assert 20 <= len(once) <= 40
    assert once == spoiled()

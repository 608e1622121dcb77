"""The local chain: what it refuses, what a call sees, time, snapshots, determinism."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from eth_utils import to_canonical_address
from web3 import Web3

from oracle.chain.devnet import (
    MAX_TRANSACTION_GAS,
    Call,
    Devnet,
    ExecutionReverted,
    TransactionRefused,
    data_floor,
)

# Deploys what follows it: PUSH1 n, DUP1, PUSH1 9, PUSH0, CODECOPY, PUSH0, RETURN.
DEPLOYER = "60{:02x}8060095f395ff3"
LAST_BLOCK_HASH = "60014303405f5260205ff3"  # blockhash(block.number - 1)
PREVRANDAO = "445f5260205ff3"


def sign(devnet: Devnet, index: int = 0, **changes: Any) -> bytes:
    account = devnet.accounts[index]
    transaction = {
        "chainId": devnet.chain_id,
        "nonce": devnet.state(devnet.height).get_nonce(to_canonical_address(account.address)),
        "gas": 100_000,
        "maxFeePerGas": 10**10,
        "maxPriorityFeePerGas": 1,
        "to": devnet.accounts[1].address,
        "value": 0,
    }
    return bytes(account.sign_transaction(transaction | changes).raw_transaction)


@pytest.fixture
def install(devnet: Devnet, chain: Web3) -> Callable[[str], bytes]:
    """Deploy runtime code given in hex and return its address."""

    def deploy(code: str) -> bytes:
        data = DEPLOYER.format(len(code) // 2) + code
        sent = devnet.send(sign(devnet, to=b"", data="0x" + data, gas=200_000))
        address = chain.eth.get_transaction_receipt(Web3.to_hex(sent))["contractAddress"]
        assert address is not None
        return to_canonical_address(address)

    return deploy


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"nonce": 1}, "nonce too high"),
        ({"gas": MAX_TRANSACTION_GAS + 1}, "gas limit too high"),
        ({"gas": 21_039, "data": "0x01"}, "floor data gas cost: 21039 < 21040"),
        ({"value": 10**30}, "cannot afford|insufficient|balance"),
        ({"chainId": 1}, "chain"),
    ],
)
def test_a_transaction_that_mainnet_refuses_is_refused(
    devnet: Devnet, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(TransactionRefused, match=f"(?i){reason}"):
        devnet.send(sign(devnet, **changes))
    assert devnet.height == 0


def test_a_transaction_is_not_mined_twice(devnet: Devnet) -> None:
    raw = sign(devnet)
    devnet.send(raw)
    with pytest.raises(TransactionRefused, match="nonce too low"):
        devnet.send(raw)


def test_what_is_no_transaction_is_refused(devnet: Devnet) -> None:
    with pytest.raises(TransactionRefused, match="undecodable"):
        devnet.send(b"\x02\x00")


def test_a_call_at_the_latest_block_cannot_read_its_hash_and_one_at_the_pending_block_can(
    devnet: Devnet, install: Callable[[str], bytes]
) -> None:
    call = Call(sender=bytes(20), to=install(LAST_BLOCK_HASH))
    devnet.mine(3)
    latest = devnet.height
    assert devnet.call(call, latest) == devnet.block(latest - 1).hash
    assert devnet.call(call, latest + 1) == devnet.block(latest).hash


def test_a_failing_call_carries_what_it_reverted_with(
    devnet: Devnet, install: Callable[[str], bytes]
) -> None:
    address = install("63deadbeef5f526004601cfd")
    with pytest.raises(ExecutionReverted) as caught:
        devnet.call(Call(bytes(20), address), devnet.height)
    assert caught.value.data == bytes.fromhex("deadbeef")
    with pytest.raises(ExecutionReverted) as caught:
        devnet.estimate_gas(Call(bytes(20), address), devnet.height + 1)
    assert caught.value.data == bytes.fromhex("deadbeef")


def test_running_out_of_gas_is_a_failure_without_data(
    devnet: Devnet, install: Callable[[str], bytes]
) -> None:
    endless = Call(bytes(20), install("5b5f56"), gas=100_000)
    with pytest.raises(ExecutionReverted, match="gas") as caught:
        devnet.estimate_gas(endless, devnet.height + 1)
    assert caught.value.data == b""


def test_an_estimate_is_what_the_transaction_uses(
    devnet: Devnet, chain: Web3, install: Callable[[str], bytes]
) -> None:
    address = install("4360005500")  # sstore(0, block.number)
    sender = to_canonical_address(devnet.accounts[0].address)
    gas = devnet.estimate_gas(Call(sender, address), devnet.height + 1)
    sent = devnet.send(sign(devnet, to=address, gas=gas))
    receipt = chain.eth.get_transaction_receipt(Web3.to_hex(sent))
    assert (receipt["status"], receipt["gasUsed"]) == (1, gas)
    with pytest.raises(ExecutionReverted):
        devnet.call(Call(sender, address, gas=21_500), devnet.height + 1)


def test_an_estimate_covers_the_floor_of_its_data(devnet: Devnet) -> None:
    data = bytes(100) + b"\x01" * 100
    receiver = to_canonical_address(devnet.accounts[1].address)
    assert data_floor(data) == 21_000 + 10 * 100 + 40 * 100
    assert devnet.estimate_gas(Call(bytes(20), receiver, data), 1) == data_floor(data)


def test_time_passes_only_when_told_to(devnet: Devnet) -> None:
    genesis = devnet.block(0).header.timestamp
    devnet.mine()
    devnet.increase_time(100)
    devnet.mine(2)
    assert [devnet.block(number).header.timestamp - genesis for number in range(1, 4)] == [
        1,
        102,
        103,
    ]
    with pytest.raises(ValueError, match="not after"):
        devnet.set_next_timestamp(genesis + 103)


def test_a_clock_dates_the_blocks_and_stays_ahead_by_what_was_added() -> None:
    now = [1_000]
    devnet = Devnet(clock=lambda: now[0])
    now[0] = 1_050
    devnet.mine()
    devnet.increase_time(500)
    devnet.mine()
    now[0] = 1_060
    devnet.mine()
    times = [devnet.block(number).header.timestamp for number in range(4)]
    assert times == [1_000, 1_050, 1_551, 1_560]


def test_reverting_forgets_blocks_and_transactions(devnet: Devnet) -> None:
    devnet.mine()
    kept = devnet.send(sign(devnet, value=1))
    snapshot = devnet.snapshot()
    later = devnet.snapshot()
    dropped = devnet.send(sign(devnet, value=2))
    devnet.mine(2)
    orphans = [devnet.block(number).hash for number in range(3, devnet.height + 1)]
    devnet.revert(snapshot)
    assert devnet.height == 2
    assert devnet.locate(kept)[0].number == 2
    with pytest.raises(KeyError):
        devnet.locate(dropped)
    for gone in (snapshot, later):
        with pytest.raises(KeyError):
            devnet.revert(gone)
    other = devnet.send(sign(devnet, value=3))
    assert devnet.locate(other)[0].number == 3
    with pytest.raises(KeyError):
        devnet.locate(dropped)
    assert devnet.block(3).header.parent_hash == devnet.block(2).hash
    assert devnet.block_by_hash(devnet.block(3).hash).number == 3
    for orphan in [*orphans, bytes(32)]:
        with pytest.raises(KeyError):
            devnet.block_by_hash(orphan)


def test_reverting_to_the_genesis_block_works(devnet: Devnet) -> None:
    snapshot = devnet.snapshot()
    devnet.send(sign(devnet, value=2))
    devnet.revert(snapshot)
    devnet.send(sign(devnet, value=3))
    assert devnet.height == 1


def test_two_chains_with_the_same_history_are_the_same_to_the_last_bit() -> None:
    heads = []
    for _ in range(2):
        devnet = Devnet()
        devnet.send(sign(devnet, value=7))
        devnet.mine(2)
        heads.append(devnet.block(devnet.height).hash)
    assert heads[0] == heads[1]


def test_prevrandao_changes_from_block_to_block(
    devnet: Devnet, install: Callable[[str], bytes]
) -> None:
    call = Call(bytes(20), install(PREVRANDAO))
    devnet.mine(5)
    seen = {devnet.call(call, number) for number in range(1, devnet.height + 1)}
    assert len(seen) == devnet.height

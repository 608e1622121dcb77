"""Transactions: what is not sent, and what is known about what was."""

from __future__ import annotations

from typing import Any

import pytest
from web3 import Web3
from web3.contract import Contract
from web3.types import RPCEndpoint

from deploy.artifacts import Artifact
from oracle.chain.devnet import Devnet
from oracle.chain.devnet_rpc import DevnetProvider, DevnetRpc
from oracle.chain.errors import RevertDecoder, Reverted
from oracle.chain.keys import Signer
from oracle.chain.transactions import Refused, Signed, Transactor, Unconfirmed, Unfunded

HOLDER = "0x" + "22" * 20


class Lossy(DevnetProvider):
    """A node that takes transactions and loses them, or answers them with an error."""

    error: str | None = None
    losing = True

    def make_request(self, method: RPCEndpoint, params: Any) -> Any:
        if method == "eth_sendRawTransaction" and self.losing:
            if self.error is not None:
                return {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": self.error}}
            return {"jsonrpc": "2.0", "id": 1, "result": "0x" + "00" * 32}
        return super().make_request(method, params)


@pytest.fixture
def lossy(devnet: Devnet) -> Lossy:
    return Lossy(DevnetRpc(devnet))


@pytest.fixture
def lossy_transactor(lossy: Lossy, devnet: Devnet) -> Transactor:
    signer = Signer(devnet.accounts[0])
    return Transactor(Web3(lossy), signer, RevertDecoder(), timeout=0.05, poll=0.01)


def test_what_would_revert_is_not_sent(
    transactor: Transactor, token: Contract, devnet: Devnet
) -> None:
    height = devnet.height
    with pytest.raises(Reverted, match="has 0 of the token, and 5 are needed") as caught:
        transactor.transact(token.address, token.encode_abi("transfer", [HOLDER, 5]))
    assert caught.value.name == "ERC20InsufficientBalance"
    assert caught.value.arguments["needed"] == 5
    assert devnet.height == height


def test_a_sender_without_money_is_told_so(chain: Web3, devnet: Devnet) -> None:
    transactor = Transactor(chain, Signer.create(), RevertDecoder())
    with pytest.raises(Unfunded, match="has 0 wei") as caught:
        transactor.transact(HOLDER, b"")
    assert caught.value.balance == 0
    assert devnet.height == 0


def test_a_sender_who_cannot_pay_the_gas_is_told_how_much(
    transactor: Transactor, chain: Web3
) -> None:
    poor = Signer.create()
    transactor.transact(poor.address, b"", value=21_000)
    with pytest.raises(Unfunded) as caught:
        Transactor(chain, poor, RevertDecoder()).transact(HOLDER, b"")
    assert caught.value.balance == 21_000 < caught.value.needed
    with pytest.raises(Unfunded, match="may cost 21001 wei"):
        Transactor(chain, poor, RevertDecoder()).transact(HOLDER, b"", value=21_001)


def test_a_dry_run_checks_everything_and_sends_nothing(
    chain: Web3, devnet: Devnet, token: Contract, mock_token: Artifact
) -> None:
    journal: list[Signed] = []
    signer = Signer(devnet.accounts[0])
    dry = Transactor(chain, signer, RevertDecoder(mock_token.abi), dry_run=True)
    height = devnet.height
    mint = token.encode_abi("mint", [HOLDER, 5])
    assert dry.transact(token.address, mint, journal=journal.append) is None
    with pytest.raises(Reverted):
        dry.transact(token.address, token.encode_abi("transfer", [HOLDER, 5]))
    assert (devnet.height, journal) == (height, [])


def test_a_transaction_is_journalled_before_it_is_sent(
    transactor: Transactor, token: Contract, devnet: Devnet
) -> None:
    heights: list[tuple[int, Signed]] = []
    height = devnet.height
    receipt = transactor.transact(
        token.address,
        token.encode_abi("mint", [HOLDER, 5]),
        journal=lambda signed: heights.append((devnet.height, signed)),
    )
    [(before, signed)] = heights
    assert before == height
    assert receipt is not None
    assert receipt["transactionHash"] == signed.hash
    assert signed.nonce == 1
    assert token.functions.balanceOf(HOLDER).call() == 5


def test_a_lost_transaction_is_unconfirmed_and_can_be_sent_again(
    lossy: Lossy, lossy_transactor: Transactor, devnet: Devnet
) -> None:
    journal: list[Signed] = []
    with pytest.raises(Unconfirmed, match=r"not confirmed after 0\.05 s") as caught:
        lossy_transactor.transact(HOLDER, b"", value=3, journal=journal.append)
    [signed] = journal
    assert caught.value.transaction_hash == signed.hash
    lossy.losing = False
    lossy_transactor.send(signed.raw)
    assert lossy_transactor.wait(signed.hash)["status"] == 1
    assert lossy_transactor.web3.eth.get_balance(Web3.to_checksum_address(HOLDER)) == 3


def test_too_few_confirmations_are_unconfirmed(chain: Web3, devnet: Devnet) -> None:
    signer = Signer(devnet.accounts[0])
    patient = Transactor(chain, signer, RevertDecoder(), confirmations=3, timeout=0.05, poll=0.01)
    journal: list[Signed] = []
    with pytest.raises(Unconfirmed):
        patient.transact(HOLDER, b"", journal=journal.append)
    devnet.mine(2)
    assert patient.wait(journal[0].hash)["blockNumber"] == 1


def test_what_the_node_refuses_is_said_in_its_words(
    lossy: Lossy, lossy_transactor: Transactor
) -> None:
    lossy.error = "replacement transaction underpriced"
    with pytest.raises(Refused, match=r"transaction: replacement transaction underpriced\.$"):
        lossy_transactor.transact(HOLDER, b"")


def test_bytes_that_the_node_knows_already_are_not_an_error(
    lossy: Lossy, lossy_transactor: Transactor
) -> None:
    lossy.error = "already known"
    lossy_transactor.send(b"\x02")


def test_a_transaction_that_failed_in_its_block_says_why(
    transactor: Transactor, token: Contract, devnet: Devnet
) -> None:
    owner = transactor.signer.address
    transactor.transact(token.address, token.encode_abi("mint", [owner, 5]))
    spend = transactor.prepare(token.address, token.encode_abi("transfer", [HOLDER, 5]))
    transactor.transact(token.address, token.encode_abi("transfer", [HOLDER, 1]))
    late = transactor.sign({**spend, "nonce": spend["nonce"] + 1})  # type: ignore[typeddict-item]
    transactor.send(late.raw)
    with pytest.raises(Reverted, match="has 4 of the token, and 5 are needed"):
        transactor.wait(late.hash)


def test_fees_leave_room_for_a_rising_base_fee(transactor: Transactor, chain: Web3) -> None:
    transaction = transactor.prepare(HOLDER, b"")
    base_fee = chain.eth.get_block("latest")["baseFeePerGas"]
    tip = chain.eth.max_priority_fee
    assert transaction["maxFeePerGas"] == 2 * base_fee + tip
    assert transaction["maxPriorityFeePerGas"] == tip
    assert "gasPrice" not in transaction


def test_a_chain_without_a_base_fee_gets_a_gas_price(devnet: Devnet) -> None:
    class Legacy(DevnetProvider):
        def make_request(self, method: RPCEndpoint, params: Any) -> Any:
            response: Any = super().make_request(method, params)
            if method == "eth_getBlockByNumber":
                del response["result"]["baseFeePerGas"]
            return response

    web3 = Web3(Legacy(DevnetRpc(devnet)))
    transactor = Transactor(web3, Signer(devnet.accounts[0]), RevertDecoder(), poll=0.01)
    transaction = transactor.prepare(HOLDER, b"")
    assert transaction["gasPrice"] == web3.eth.gas_price
    assert "maxFeePerGas" not in transaction
    assert transactor.transact(HOLDER, b"") is not None

"""
Calls and transactions: simulate, estimate, sign on this machine, send, wait.

This module decides the order of those steps and whether a transaction is sent at all: with
`dry_run` nothing ever is. What would revert is not sent. Nothing is sent again here: sending the
same bytes twice is harmless, and whoever keeps a journal of them decides when. No node ever signs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import ContractLogicError, TimeExhausted, Web3RPCError
from web3.types import TxParams, TxReceipt

from oracle.chain.errors import RevertDecoder, Reverted
from oracle.chain.keys import Signer

MAX_GAS = 2**24  # EIP-7825
TIMEOUT = 180.0
POLL = 0.5
KNOWN_ALREADY = ("already known", "already imported", "known transaction")


class Unconfirmed(Exception):
    """The transaction was sent and is not in a block yet. It may still get there."""

    def __init__(self, transaction_hash: bytes, seconds: float) -> None:
        super().__init__(
            f"Transaction 0x{transaction_hash.hex()} is not confirmed after {seconds:g} s; "
            "it may still be."
        )
        self.transaction_hash = transaction_hash


class Unfunded(Exception):
    """The sender cannot pay for the transaction."""

    def __init__(self, address: str, balance: int, needed: int) -> None:
        super().__init__(f"{address} has {balance} wei, and the transaction may cost {needed} wei.")
        self.balance = balance
        self.needed = needed


class Refused(Exception):
    """The node does not accept the transaction; the message is the node's."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A transaction that is ready to be sent, now or again."""

    hash: bytes
    raw: bytes
    nonce: int


class Transactor:
    """
    Send the transactions of one account to one chain.

    `reverts` decodes the errors of the contracts that are called. `confirmations` counts blocks,
    the transaction's own included. `timeout` and `poll` are in seconds.
    """

    def __init__(
        self,
        web3: Web3,
        signer: Signer,
        reverts: RevertDecoder,
        *,
        dry_run: bool = False,
        confirmations: int = 1,
        timeout: float = TIMEOUT,
        poll: float = POLL,
    ) -> None:
        self.web3 = web3
        self.signer = signer
        self.dry_run = dry_run
        self._reverts = reverts
        self._confirmations = confirmations
        self._timeout = timeout
        self._poll = poll
        self._chain_id = web3.eth.chain_id

    def transact(
        self,
        to: str | None,
        data: bytes,
        *,
        value: int = 0,
        journal: Callable[[Signed], None] | None = None,
    ) -> TxReceipt | None:
        """
        Send `data` to `to` (`None` creates a contract) and return the receipt once confirmed.

        `journal` gets the signed transaction before it is sent. In a dry run everything up to the
        signature happens, nothing is journalled or sent, and the answer is `None`. Raises
        `Reverted`, `Unfunded`, `Refused`, `Unconfirmed`, `RpcUnreachable`.
        """
        signed = self.sign(self.prepare(to, data, value=value))
        if self.dry_run:
            return None
        if journal is not None:
            journal(signed)
        self.send(signed.raw)
        return self.wait(signed.hash)

    def prepare(self, to: str | None, data: bytes, *, value: int = 0) -> TxParams:
        """
        Return a complete transaction that succeeds in the next block as far as the node can tell.

        Raises `Reverted` with what the contract says, and `Unfunded`.
        """
        balance = self.web3.eth.get_balance(self._sender)
        if balance < value or balance == 0:
            raise Unfunded(self.signer.address, balance, max(value, 1))
        transaction: TxParams = {"from": self._sender, "value": Web3.to_wei(value, "wei")}
        transaction["data"] = data
        if to is not None:
            transaction["to"] = Web3.to_checksum_address(to)
        transaction["gas"] = gas_needed(self.web3, transaction, self._reverts)
        transaction["nonce"] = self.web3.eth.get_transaction_count(self._sender, "pending")
        transaction["chainId"] = self._chain_id
        price = self._set_fees(transaction)
        needed = value + transaction["gas"] * price
        if balance < needed:
            raise Unfunded(self.signer.address, balance, needed)
        return transaction

    def sign(self, transaction: TxParams) -> Signed:
        """Return the signed bytes of a complete transaction."""
        fields = {key: content for key, content in transaction.items() if key != "from"}
        signed = self.signer.sign_transaction(fields)
        return Signed(bytes(signed.hash), bytes(signed.raw_transaction), transaction["nonce"])

    def send(self, raw: bytes) -> None:
        """Give signed bytes to the node, once. Bytes that it knows already are a success."""
        try:
            self.web3.eth.send_raw_transaction(raw)
        except Web3RPCError as error:
            message = _node_words(error)
            if not any(known in message.lower() for known in KNOWN_ALREADY):
                raise Refused(f"The node refuses the transaction: {message}.") from None

    def wait(self, transaction_hash: bytes) -> TxReceipt:
        """
        Return the receipt once its block has the wanted confirmations.

        Raises `Unconfirmed` after the time-out, and `Reverted` if the transaction failed.
        """
        deadline = time.monotonic() + self._timeout
        try:
            receipt = self.web3.eth.wait_for_transaction_receipt(
                HexBytes(transaction_hash),
                self._timeout,
                self._poll,
            )
        except TimeExhausted:
            raise Unconfirmed(transaction_hash, self._timeout) from None
        while self.web3.eth.block_number < receipt["blockNumber"] + self._confirmations - 1:
            if time.monotonic() > deadline:
                raise Unconfirmed(transaction_hash, self._timeout)
            time.sleep(self._poll)
        # A reorganisation may have moved it meanwhile, or dropped it.
        if self._confirmations > 1:
            receipt = self.web3.eth.get_transaction_receipt(HexBytes(transaction_hash))
        if receipt["status"] == 0:
            raise self._why(receipt)
        return receipt

    @property
    def _sender(self) -> Any:
        return Web3.to_checksum_address(self.signer.address)

    def _set_fees(self, transaction: TxParams) -> int:
        """Set the fee fields and return the most that a unit of gas may cost, in wei."""
        base_fee = self.web3.eth.get_block("latest").get("baseFeePerGas")
        if base_fee is None:
            transaction["gasPrice"] = self.web3.eth.gas_price
            return int(transaction["gasPrice"])
        tip = self.web3.eth.max_priority_fee
        # Enough for six full blocks in a row, each an eighth dearer.
        most = 2 * base_fee + tip
        transaction["maxPriorityFeePerGas"] = tip
        transaction["maxFeePerGas"] = Web3.to_wei(most, "wei")
        return most

    def _why(self, receipt: TxReceipt) -> Reverted:
        """Return why a mined transaction failed, by repeating it on the state before its block."""
        sent = self.web3.eth.get_transaction(receipt["transactionHash"])
        again: TxParams = {"from": sent["from"], "value": sent["value"], "data": sent["input"]}
        if sent.get("to"):
            again["to"] = sent["to"]
        try:
            simulate(self.web3, again, self._reverts, receipt["blockNumber"] - 1)
        except Reverted as reverted:
            return reverted
        return Reverted(
            "",
            {},
            f"Transaction 0x{receipt['transactionHash'].hex()} failed; a repetition does not.",
        )


def gas_needed(web3: Web3, transaction: TxParams, reverts: RevertDecoder) -> int:
    """Return the gas for a transaction in the next block, with a tenth to spare, or `Reverted`."""
    # Pending, because a draw reads the hash of the block that is the latest one now.
    simulate(web3, transaction, reverts)
    try:
        estimate = web3.eth.estimate_gas(transaction, "pending")
    except ContractLogicError as error:
        raise _reverted(error, reverts) from None
    return min(estimate + estimate // 10, MAX_GAS)


def simulate(
    web3: Web3, transaction: TxParams, reverts: RevertDecoder, block: Any = "pending"
) -> bytes:
    """Return what `transaction` would answer on `block`; raise `Reverted`."""
    try:
        return bytes(web3.eth.call(transaction, block))
    except ContractLogicError as error:
        raise _reverted(error, reverts) from None


def _reverted(error: ContractLogicError, reverts: RevertDecoder) -> Reverted:
    data: Any = error.data
    while isinstance(data, dict):  # some nodes wrap it
        data = data.get("data")
    is_hex = isinstance(data, str) and data.startswith("0x")
    return reverts.decode(bytes.fromhex(data[2:]) if is_hex else b"", error.message or "")


def _node_words(error: Web3RPCError) -> str:
    answer = error.rpc_response
    detail: Any = answer.get("error") if answer else None
    return str(detail["message"]) if isinstance(detail, dict) else str(error)

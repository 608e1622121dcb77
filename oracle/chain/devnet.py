"""
A local chain inside this process, for tests, the demo and `poq devnet`.

This module decides what a block of the local chain holds and when it is mined: one transaction a
block, at once. Everything is deterministic, prevrandao and time included, unless a clock is given.
It enforces what mainnet enforces and py-evm does not: a transaction's chain id, the cap on its
gas (EIP-7825) and the floor that its data costs (EIP-7623). It speaks Python; `devnet_rpc` speaks
JSON-RPC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from eth.abc import BlockAPI, BlockHeaderAPI, ComputationAPI, ReceiptAPI, SignedTransactionAPI
from eth.exceptions import HeaderNotFound, Revert, TransactionNotFound
from eth.vm.spoof import SpoofTransaction
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_tester import PyEVMBackend
from eth_utils import keccak, to_canonical_address

MNEMONIC = "test test test test test test test test test test test junk"
"""The mnemonic that anvil, hardhat and this chain share. Everybody has its keys."""

CHAIN_ID = 31_337
GENESIS_TIME = 1_767_225_600  # 2026-01-01
BLOCK_GAS_LIMIT = 30_000_000
BALANCE = 10_000 * 10**18
MAX_TRANSACTION_GAS = 2**24
BASE_TRANSACTION_GAS = 21_000
CALL_STIPEND = 2_300


class TransactionRefused(Exception):
    """The chain would not put this transaction into a block; the message says why."""


class ExecutionReverted(Exception):
    """A call or an estimate failed inside the EVM; `data` is what it reverted with."""

    def __init__(self, reason: str, data: bytes) -> None:
        super().__init__(reason)
        self.data = data


@dataclass(frozen=True, slots=True)
class Call:
    """A message to the chain that nobody signed. `to` is empty to create a contract."""

    sender: bytes
    to: bytes
    data: bytes = b""
    value: int = 0
    gas: int | None = None


@lru_cache
def accounts(count: int = 10, mnemonic: str = MNEMONIC) -> tuple[LocalAccount, ...]:
    """Return the first `count` accounts of `mnemonic`, in the order that other tools list them."""
    Account.enable_unaudited_hdwallet_features()
    return tuple(
        Account.from_mnemonic(mnemonic, account_path=f"m/44'/60'/0'/0/{index}")
        for index in range(count)
    )


def data_floor(data: bytes) -> int:
    """Return the least gas that a transaction with `data` pays (EIP-7623)."""
    zeros = data.count(0)
    return BASE_TRANSACTION_GAS + 10 * zeros + 40 * (len(data) - zeros)


class Devnet:
    """
    A chain with `count` accounts of the test mnemonic, each holding 10,000 ether.

    With `clock`, a block is never older than what the clock said when it was mined; without, each
    block is one second younger than its parent and `increase_time` is the only other way forward.
    Not safe for threads: whoever shares one locks it.
    """

    def __init__(
        self,
        count: int = 10,
        *,
        chain_id: int = CHAIN_ID,
        gas_limit: int = BLOCK_GAS_LIMIT,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self.accounts = accounts(count)
        self.chain_id = chain_id
        self._clock = clock
        self._ahead = 0
        genesis = PyEVMBackend.generate_genesis_params(
            {"gas_limit": gas_limit, "timestamp": clock() if clock else GENESIS_TIME}
        )
        funded = {"balance": BALANCE, "nonce": 0, "code": b"", "storage": {}}
        self._backend = PyEVMBackend(
            genesis_parameters=genesis,
            genesis_state={
                to_canonical_address(account.address): dict(funded) for account in self.accounts
            },
        )
        self._chain = self._backend.chain
        self._chain.chain_id = chain_id
        self._snapshots: list[bytes] = []
        self._start_block()

    # Blocks

    @property
    def height(self) -> int:
        """The number of the latest block."""
        return int(self._chain.header.block_number) - 1

    def block(self, number: int) -> BlockAPI:
        """Return a mined block, or the pending one for `height + 1`; raise `KeyError` if none."""
        if number == self.height + 1:
            self._follow_clock()
            pending: BlockAPI = self._chain.get_block()
            return pending
        if not 0 <= number <= self.height:
            raise KeyError(number)
        mined: BlockAPI = self._chain.get_canonical_block_by_number(number)
        return mined

    def block_by_hash(self, block_hash: bytes) -> BlockAPI:
        """Return the mined block with this hash; raise `KeyError` if the chain has none."""
        try:
            number = self._chain.get_block_header_by_hash(block_hash).block_number
        except HeaderNotFound:
            raise KeyError(block_hash) from None
        # A reverted snapshot leaves its blocks in the database.
        if number > self.height or self._chain.get_canonical_block_hash(number) != block_hash:
            raise KeyError(block_hash)
        return self.block(number)

    def receipts(self, block: BlockAPI) -> tuple[ReceiptAPI, ...]:
        """Return the receipts of a mined block, in the order of its transactions."""
        return tuple(block.get_receipts(self._chain.chaindb))

    def locate(self, transaction_hash: bytes) -> tuple[BlockAPI, int]:
        """Return the block of a mined transaction and its index there; raise `KeyError`."""
        try:
            number, index = self._chain.get_canonical_transaction_index(transaction_hash)
        except TransactionNotFound:
            raise KeyError(transaction_hash) from None
        # A reverted snapshot leaves its transactions in the index.
        if number <= self.height:
            block = self.block(number)
            if [sent.hash for sent in block.transactions[index : index + 1]] == [transaction_hash]:
                return block, index
        raise KeyError(transaction_hash)

    def mine(self, count: int = 1) -> None:
        """Mine `count` empty blocks."""
        for _ in range(count):
            self._follow_clock()
            self._mine()

    # Time

    def increase_time(self, seconds: int) -> int:
        """Make the next block `seconds` younger than it would be; return its timestamp."""
        self._follow_clock()
        self._ahead += seconds
        return self.set_next_timestamp(int(self._chain.header.timestamp) + seconds)

    def set_next_timestamp(self, timestamp: int) -> int:
        """Give the next block this timestamp; raise `ValueError` unless it is after the last's."""
        latest = int(self.block(self.height).header.timestamp)
        if timestamp <= latest:
            raise ValueError(f"timestamp {timestamp} is not after the latest block's {latest}")
        self._chain.set_header_timestamp(timestamp)
        return timestamp

    # Snapshots

    def snapshot(self) -> int:
        """Remember this state; return the number that `revert` takes."""
        self._snapshots.append(self._chain.get_canonical_block_hash(self.height))
        return len(self._snapshots) - 1

    def revert(self, snapshot: int) -> None:
        """Go back to a snapshot, once: it and all later ones are gone. Raise `KeyError` if none."""
        if not 0 <= snapshot < len(self._snapshots):
            raise KeyError(snapshot)
        head = self._chain.get_block_by_hash(self._snapshots[snapshot])
        del self._snapshots[snapshot:]
        database = self._chain.chaindb
        database._set_as_canonical_chain_head(database.db, head.header, head.header.parent_hash)
        self._chain.header = self._chain.create_header_from_parent(head.header)
        self._start_block()

    # State and execution

    def state(self, number: int) -> Any:
        """Return the state after block `number`; `height + 1` is the same as `height`."""
        return self._chain.get_vm(self.block(number).header).state

    def call(self, call: Call, number: int) -> bytes:
        """
        Return what `call` answers on the state after block `number`, free of charge.

        Inside, `block.number` is `number`: as on any other node, a call at the latest block cannot
        read that block's own hash; `height + 1`, the pending block, can. Raises
        `ExecutionReverted`.
        """
        computation = self._execute(call, call.gas or self._gas_limit, number)
        _raise_failure(computation)
        return bytes(computation.output)

    def estimate_gas(self, call: Call, number: int) -> int:
        """
        Return a gas limit that `call` succeeds with as a transaction in block `number`.

        It is exact for a call whose inner calls do not depend on the gas they get. Raises
        `ExecutionReverted`.
        """
        most = call.gas or min(self._gas_limit, MAX_TRANSACTION_GAS)
        generous = self._execute(call, most, number)
        _raise_failure(generous)
        used = most - int(generous.get_gas_remaining())
        floor = data_floor(call.data)
        # An inner call gets 63/64 of what is left, so the limit may have to exceed what is used.
        for limit in (max(used, floor), max((used + CALL_STIPEND) * 64 // 63, floor)):
            if limit < most and not self._execute(call, limit, number).is_error:
                return limit
        return most

    def send(self, raw: bytes) -> bytes:
        """
        Mine a signed transaction in a block of its own and return its hash.

        A transaction that reverts is mined all the same. Raises `TransactionRefused`.
        """
        self._follow_clock()
        try:
            transaction = self._chain.get_transaction_builder().decode(raw)
        except Exception as error:  # py-evm raises whatever its decoders raise
            raise TransactionRefused(f"undecodable transaction: {error}") from error
        self._require_acceptable(transaction)
        try:
            self._chain.apply_transaction(transaction)
        except Exception as error:  # likewise: each of its checks has an exception of its own
            raise TransactionRefused(str(error)) from error
        self._mine()
        return bytes(transaction.hash)

    @property
    def _gas_limit(self) -> int:
        return int(self._chain.header.gas_limit)

    def _require_acceptable(self, transaction: SignedTransactionAPI) -> None:
        """Raise what mainnet refuses a transaction for and py-evm does not, or not readably."""
        if transaction.chain_id not in {None, self.chain_id}:
            raise TransactionRefused(
                f"invalid chain id: {transaction.chain_id}, this is chain {self.chain_id}"
            )
        nonce = int(self.state(self.height).get_nonce(transaction.sender))
        if transaction.nonce != nonce:
            low_or_high = "low" if transaction.nonce < nonce else "high"
            raise TransactionRefused(
                f"nonce too {low_or_high}: the next nonce is {nonce}, the transaction has "
                f"{transaction.nonce}"
            )
        if transaction.gas > MAX_TRANSACTION_GAS:
            raise TransactionRefused(
                f"transaction gas limit too high: {transaction.gas} > {MAX_TRANSACTION_GAS}"
            )
        floor = data_floor(transaction.data)
        if transaction.gas < floor:
            raise TransactionRefused(
                f"insufficient gas for floor data gas cost: {transaction.gas} < {floor}"
            )

    def _execute(self, call: Call, gas: int, number: int) -> ComputationAPI:
        header: BlockHeaderAPI = self.block(number).header.copy(base_fee_per_gas=0)
        state = self._chain.get_vm(header).state
        unsigned = self._chain.get_transaction_builder().new_unsigned_dynamic_fee_transaction(
            chain_id=self.chain_id,
            nonce=state.get_nonce(call.sender),
            max_priority_fee_per_gas=0,
            max_fee_per_gas=0,
            gas=gas,
            to=call.to,
            value=call.value,
            data=call.data,
            access_list=(),
        )
        transaction = SpoofTransaction(unsigned, from_=call.sender)
        if gas < transaction.intrinsic_gas:
            raise ExecutionReverted("out of gas", b"")
        try:
            computation: ComputationAPI = state.apply_transaction(transaction)
        except Exception as error:  # see `send`
            raise TransactionRefused(str(error)) from error
        return computation

    def _follow_clock(self) -> None:
        if self._clock is not None:
            now = self._clock() + self._ahead
            if now > self._chain.header.timestamp:
                self._chain.set_header_timestamp(now)

    def _mine(self) -> None:
        parent: bytes = self._chain.header.parent_hash
        self._chain.mine_block(mix_hash=keccak(b"prevrandao" + parent))
        self._start_block()

    def _start_block(self) -> None:
        """Date the pending block; py-evm took the time from this machine."""
        latest = self._chain.get_canonical_head()
        self._chain.set_header_timestamp(int(latest.timestamp) + 1)


def _raise_failure(computation: ComputationAPI) -> None:
    if computation.is_error:
        if isinstance(computation.error, Revert):
            raise ExecutionReverted("execution reverted", bytes(computation.output))
        raise ExecutionReverted(str(computation.error), b"")

"""
JSON-RPC over the local chain: the methods that wallets, web3.py, ethers and cast need.

This module decides what each method answers, and nothing about blocks. The same table serves the
provider inside this process and the HTTP port, so a test that passes on one holds on the other.
Keys stay with their owners: there is no `eth_sendTransaction`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

from eth.abc import BlockAPI
from eth_abi import decode
from eth_abi.exceptions import DecodingError
from eth_tester.backends.pyevm.serializers import (
    serialize_block,
    serialize_transaction,
    serialize_transaction_receipt,
)
from eth_utils import ValidationError, to_canonical_address
from web3 import Web3
from web3.providers import BaseProvider
from web3.types import RPCEndpoint, RPCResponse

from oracle.chain.devnet import Call, Devnet, ExecutionReverted, TransactionRefused

METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
REFUSED = -32000
REVERTED = 3
PRIORITY_FEE = 10**9
ERROR_SELECTOR = bytes.fromhex("08c379a0")
_RENAMED = {"coinbase": "miner", "sha3_uncles": "sha3Uncles"}
_BLOOM_BYTES = 256
# What reading a parameter of the wrong type, form or length ends with.
_UNUSABLE = (AttributeError, KeyError, TypeError, ValueError, ValidationError)


class RpcError(Exception):
    """What JSON-RPC calls an error: a code, a message, and sometimes data."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def as_json(self) -> dict[str, Any]:
        """Return the `error` member of a response."""
        data = {} if self.data is None else {"data": self.data}
        return {"code": self.code, "message": self.message} | data


class DevnetRpc:
    """Answer JSON-RPC requests on `devnet`, one at a time whichever thread asks."""

    def __init__(self, devnet: Devnet) -> None:
        self.devnet = devnet
        self._lock = threading.Lock()

    def request(self, method: str, params: Sequence[Any]) -> Any:
        """Return the JSON value that `method` answers; raise `RpcError`."""
        answer = _METHODS.get(method)
        if answer is None:
            raise RpcError(METHOD_NOT_FOUND, f"the method {method} does not exist")
        try:
            with self._lock:
                return answer(self.devnet, *params)
        except ExecutionReverted as error:
            raise RpcError(REVERTED, _revert_message(error), "0x" + error.data.hex()) from error
        except TransactionRefused as error:
            raise RpcError(REFUSED, str(error)) from error
        except _UNUSABLE as error:
            raise RpcError(INVALID_PARAMS, f"invalid parameters of {method}: {error}") from error


class DevnetProvider(BaseProvider):
    """A web3 provider that answers from a chain in this process."""

    def __init__(self, rpc: DevnetRpc) -> None:
        super().__init__()
        self.rpc = rpc

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Answer as a node would; errors are part of the response."""
        response: dict[str, Any] = {"jsonrpc": "2.0", "id": 1}
        try:
            response["result"] = self.rpc.request(method, params)
        except RpcError as error:
            response["error"] = error.as_json()
        return cast(RPCResponse, response)

    def make_batch_request(
        self, batch_requests: list[tuple[RPCEndpoint, Any]]
    ) -> list[RPCResponse] | RPCResponse:
        """Answer requests in their order."""
        return [self.make_request(method, params) for method, params in batch_requests]

    def is_connected(self, show_traceback: bool = False) -> bool:
        """Return true: there is nothing to lose the connection to."""
        return True


def connect(devnet: Devnet) -> Web3:
    """Return a `Web3` on a chain of this process."""
    return Web3(DevnetProvider(DevnetRpc(devnet)))


def _revert_message(error: ExecutionReverted) -> str:
    if error.data.startswith(ERROR_SELECTOR):
        try:
            [reason] = decode(["string"], error.data[4:])
        except DecodingError:
            return str(error)
        return f"{error}: {reason}"
    return str(error)


# What comes in


def _integer(value: str | int) -> int:
    return value if isinstance(value, int) else int(value, 16)


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else bytes.fromhex(value.removeprefix("0x"))


def _number(devnet: Devnet, block: str | int | dict[str, str]) -> int:
    """
    Return the number of a block that is named, numbered, or given by its hash (EIP-1898).

    Every mined block is final here.
    """
    if isinstance(block, dict):
        if "blockNumber" in block:
            return _number(devnet, block["blockNumber"])
        try:
            return int(devnet.block_by_hash(_bytes(block["blockHash"])).number)
        except KeyError:
            raise RpcError(REFUSED, f"block {block.get('blockHash')} not found") from None
    if block in {"latest", "safe", "finalized"}:
        return devnet.height
    if block == "pending":
        return devnet.height + 1
    if block == "earliest":
        return 0
    number = _integer(block)
    if not 0 <= number <= devnet.height:
        raise RpcError(REFUSED, f"block {number} not found; the latest is {devnet.height}")
    return number


def _call(fields: dict[str, Any]) -> Call:
    data = fields.get("input", fields.get("data", "0x"))
    return Call(
        sender=to_canonical_address(fields["from"]) if fields.get("from") else bytes(20),
        to=to_canonical_address(fields["to"]) if fields.get("to") else b"",
        data=_bytes(data),
        value=_integer(fields.get("value", 0)),
        gas=_integer(fields["gas"]) if fields.get("gas") else None,
    )


# What goes out


def _json(value: Any) -> Any:
    """Return `value` as JSON-RPC writes it: quantities and data in hex, keys in camel case."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return hex(value)
        case bytes():
            return "0x" + value.hex()
        case dict():
            return {_key(key): _json(content) for key, content in value.items()}
        case _:
            return [_json(content) for content in value]


def _key(snake: str) -> str:
    first, *rest = _RENAMED.get(snake, snake).split("_")
    return first + "".join(word.capitalize() for word in rest)


def _address(value: bytes) -> bytes | None:
    return value or None


def _block(devnet: Devnet, block: BlockAPI, full: bool) -> dict[str, Any]:
    pending = block.number > devnet.height
    fields = serialize_block(block, False, pending)
    fields["logs_bloom"] = int(fields["logs_bloom"]).to_bytes(_BLOOM_BYTES, "big")
    answer: dict[str, Any] = _json(fields)
    if pending:
        answer |= {"hash": None, "nonce": None, "logsBloom": None}
    if full:
        answer["transactions"] = [
            _transaction(block, index) for index in range(len(block.transactions))
        ]
    return answer


def _transaction(block: BlockAPI, index: int) -> dict[str, Any]:
    fields = serialize_transaction(block, block.transactions[index], index, False)
    fields["to"] = _address(fields["to"])
    fields["input"] = fields.pop("data")
    answer: dict[str, Any] = _json(fields)
    return answer


def _receipt(devnet: Devnet, block: BlockAPI, index: int) -> dict[str, Any]:
    receipts = devnet.receipts(block)
    sent = block.transactions[index]
    fields = serialize_transaction_receipt(block, receipts, sent, index, False, None)
    del fields["state_root"]
    fields["to"] = _address(fields["to"])
    fields["logs"] = []
    fields["logs_bloom"] = int(receipts[index].bloom).to_bytes(_BLOOM_BYTES, "big")
    answer: dict[str, Any] = _json(fields)
    answer["logs"] = [
        log for log in _logs_of(devnet, block) if log["transactionIndex"] == hex(index)
    ]
    return answer


def _logs_of(devnet: Devnet, block: BlockAPI) -> list[dict[str, Any]]:
    emitted = [
        (index, log) for index, receipt in enumerate(devnet.receipts(block)) for log in receipt.logs
    ]
    return [
        _json(
            {
                "address": log.address,
                "topics": [topic.to_bytes(32, "big") for topic in log.topics],
                "data": log.data,
                "block_number": block.number,
                "block_hash": block.hash,
                "transaction_hash": block.transactions[index].hash,
                "transaction_index": index,
                "log_index": log_index,
                "removed": False,
            }
        )
        for log_index, (index, log) in enumerate(emitted)
    ]


# The methods


def _get_block_by_number(devnet: Devnet, block: str | int, full: bool = False) -> Any:
    try:
        number = _number(devnet, block)
    except RpcError:
        return None
    return _block(devnet, devnet.block(number), full)


def _get_block_by_hash(devnet: Devnet, block_hash: str, full: bool = False) -> Any:
    try:
        block = devnet.block_by_hash(_bytes(block_hash))
    except KeyError:
        return None
    return _block(devnet, block, full)


def _get_transaction(devnet: Devnet, transaction_hash: str) -> Any:
    try:
        return _transaction(*devnet.locate(_bytes(transaction_hash)))
    except KeyError:
        return None


def _get_receipt(devnet: Devnet, transaction_hash: str) -> Any:
    try:
        return _receipt(devnet, *devnet.locate(_bytes(transaction_hash)))
    except KeyError:
        return None


def _get_logs(devnet: Devnet, wanted: dict[str, Any]) -> Any:
    if "blockHash" in wanted:
        try:
            blocks = [devnet.block_by_hash(_bytes(wanted["blockHash"]))]
        except KeyError:
            raise RpcError(REFUSED, f"block {wanted['blockHash']} not found") from None
    else:
        first = _number(devnet, wanted.get("fromBlock", "latest"))
        last = min(_number(devnet, wanted.get("toBlock", "latest")), devnet.height)
        blocks = [devnet.block(number) for number in range(first, last + 1)]
    addresses = _any_of(wanted.get("address"))
    topics = [_any_of(topic) for topic in wanted.get("topics") or []]
    return [
        log
        for block in blocks
        if block.transactions
        for log in _logs_of(devnet, block)
        if (addresses is None or log["address"] in addresses)
        and len(log["topics"]) >= len(topics)
        and all(
            accepted is None or topic in accepted
            for topic, accepted in zip(log["topics"], topics, strict=False)
        )
    ]


def _any_of(wanted: str | Sequence[str] | None) -> set[str] | None:
    """Return what a filter accepts, in lower case; `None` is anything."""
    if not wanted:
        return None
    return {value.lower() for value in ([wanted] if isinstance(wanted, str) else wanted)}


def _fee_history(
    devnet: Devnet, count: str | int, newest: str | int, percentiles: Sequence[float] = ()
) -> Any:
    last = min(_number(devnet, newest), devnet.height)
    first = max(0, last + 1 - _integer(count))
    headers = [devnet.block(number).header for number in range(first, last + 1)]
    following = devnet.block(last + 1).header
    return {
        "oldestBlock": hex(first),
        "baseFeePerGas": [_json(header.base_fee_per_gas) for header in [*headers, following]],
        "gasUsedRatio": [header.gas_used / header.gas_limit for header in headers],
        "reward": [[hex(PRIORITY_FEE)] * len(percentiles) for _ in headers],
    }


def _mine(devnet: Devnet, count: str | int = 1) -> str:
    devnet.mine(_integer(count))
    return "0x0"


def _revert(devnet: Devnet, snapshot: str | int) -> bool:
    try:
        devnet.revert(_integer(snapshot))
    except KeyError:
        return False
    return True


def _state(devnet: Devnet, block: str | int) -> Any:
    return devnet.state(_number(devnet, block))


_METHODS: dict[str, Callable[..., Any]] = {
    "web3_clientVersion": lambda devnet: "proof-of-quality-devnet/py-evm",
    "net_version": lambda devnet: str(devnet.chain_id),
    "eth_chainId": lambda devnet: hex(devnet.chain_id),
    "eth_syncing": lambda devnet: False,
    "eth_accounts": lambda devnet: [account.address for account in devnet.accounts],
    "eth_blockNumber": lambda devnet: hex(devnet.height),
    "eth_maxPriorityFeePerGas": lambda devnet: hex(PRIORITY_FEE),
    "eth_gasPrice": lambda devnet: hex(
        devnet.block(devnet.height + 1).header.base_fee_per_gas + PRIORITY_FEE
    ),
    "eth_feeHistory": _fee_history,
    "eth_getBalance": lambda devnet, address, block="latest": hex(
        _state(devnet, block).get_balance(to_canonical_address(address))
    ),
    "eth_getTransactionCount": lambda devnet, address, block="latest": hex(
        _state(devnet, block).get_nonce(to_canonical_address(address))
    ),
    "eth_getCode": lambda devnet, address, block="latest": _json(
        bytes(_state(devnet, block).get_code(to_canonical_address(address)))
    ),
    "eth_getStorageAt": lambda devnet, address, slot, block="latest": _json(
        _state(devnet, block)
        .get_storage(to_canonical_address(address), _integer(slot))
        .to_bytes(32, "big")
    ),
    "eth_getBlockByNumber": _get_block_by_number,
    "eth_getBlockByHash": _get_block_by_hash,
    "eth_getTransactionByHash": _get_transaction,
    "eth_getTransactionReceipt": _get_receipt,
    "eth_getLogs": _get_logs,
    "eth_call": lambda devnet, fields, block="latest": _json(
        devnet.call(_call(fields), _number(devnet, block))
    ),
    # As in hardhat, an estimate is for the next block unless told otherwise.
    "eth_estimateGas": lambda devnet, fields, block="pending": hex(
        devnet.estimate_gas(_call(fields), _number(devnet, block))
    ),
    "eth_sendRawTransaction": lambda devnet, raw: _json(devnet.send(_bytes(raw))),
    "evm_mine": _mine,
    "evm_increaseTime": lambda devnet, seconds: hex(devnet.increase_time(_integer(seconds))),
    "evm_setNextBlockTimestamp": lambda devnet, timestamp: hex(
        devnet.set_next_timestamp(_integer(timestamp))
    ),
    "evm_snapshot": lambda devnet: hex(devnet.snapshot()),
    "evm_revert": _revert,
}

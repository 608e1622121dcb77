"""
What a node's answer has to look like before anybody works with it.

A node is somebody else's program. This module decides, for the methods that this project asks for,
whether an answer has the form that the JSON-RPC specification gives it; what it means, and whether
it is true, is for others to ask. Fields that nobody here knows are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def _hex(digits: str) -> re.Pattern[str]:
    return re.compile(f"0x[0-9a-fA-F]{{{digits}}}")


_AMOUNT = _hex("1,64")
_NATURAL = _hex("1,16")
_SECOND = _hex("1,9")  # no calendar goes further than that
_WORD = _hex("64")
_ADDRESS = _hex("40")
_DATA = _hex("0,")  # an even number of digits, see `_matches`

_SCALARS = {
    "eth_blockNumber": _NATURAL,
    "eth_call": _DATA,
    "eth_chainId": _NATURAL,
    "eth_estimateGas": _NATURAL,
    "eth_gasPrice": _AMOUNT,
    "eth_getBalance": _AMOUNT,
    "eth_getCode": _DATA,
    "eth_getStorageAt": _DATA,
    "eth_getTransactionCount": _NATURAL,
    "eth_maxPriorityFeePerGas": _AMOUNT,
    "eth_sendRawTransaction": _WORD,
}
_BLOCK = frozenset({"hash", "number", "parentHash", "timestamp"})
_OBJECTS = {
    "eth_getBlockByHash": _BLOCK,
    "eth_getBlockByNumber": _BLOCK,
    "eth_getTransactionByHash": frozenset({"hash", "from", "nonce", "input", "value"}),
    "eth_getTransactionReceipt": frozenset(
        {"blockHash", "blockNumber", "gasUsed", "logs", "status", "transactionHash"}
    ),
}
_LOG = frozenset(
    {"address", "blockHash", "blockNumber", "data", "logIndex", "topics", "transactionHash"}
)
_FIELDS = {
    name: pattern
    for pattern, names in (
        (_SECOND, "timestamp"),
        (
            _NATURAL,
            "amount blobGasUsed blockNumber chainId cumulativeGasUsed excessBlobGas gas gasLimit "
            "gasUsed index logIndex nonce number size status transactionIndex type v "
            "validatorIndex yParity",
        ),
        (
            _AMOUNT,
            "baseFeePerGas blobGasPrice difficulty effectiveGasPrice gasPrice maxFeePerBlobGas "
            "maxFeePerGas maxPriorityFeePerGas r s totalDifficulty value",
        ),
        (
            _WORD,
            "blockHash hash mixHash parentBeaconBlockRoot parentHash receiptsRoot requestsHash "
            "sha3Uncles stateRoot transactionHash transactionsRoot withdrawalsRoot",
        ),
        (_ADDRESS, "address contractAddress from miner to"),
        (_DATA, "data extraData input logsBloom root"),
    )
    for name in names.split()
}
_LISTS_OF_WORDS = ("blobVersionedHashes", "storageKeys", "uncles")
_LISTS_OF_OBJECTS = ("accessList", "authorizationList", "withdrawals")
_LOG_LINE = re.compile(
    " ".join(each.pattern for each in (_ADDRESS, _WORD, _DATA, _WORD, _NATURAL, _NATURAL))
    + f"(?: {_WORD.pattern})*"
)


def makes_sense(method: str, params: Sequence[Any], response: Any) -> bool:
    """Return whether `response` is a JSON-RPC response, an error or a result of this method."""
    if not isinstance(response, dict):
        return False
    if "error" in response:
        return _is_error(response["error"])
    if "result" not in response:
        return False
    result = response["result"]
    if (pattern := _SCALARS.get(method)) is not None:
        return _matches(pattern, result)
    if method == "eth_getLogs":
        return isinstance(result, list) and all(map(_is_log, result))
    if (required := _OBJECTS.get(method)) is not None:
        # What is pending has no place in the chain yet.
        pending = bool(params) and params[0] == "pending"
        return result is None or _is_object(result, frozenset() if pending else required)
    return True


def _is_error(error: Any) -> bool:
    """Return whether it is an error as JSON-RPC knows it, or the bare sentence of some nodes."""
    if isinstance(error, str):
        return True
    if not isinstance(error, Mapping) or not isinstance(error.get("message"), str):
        return False
    data = error.get("data")
    is_hex = isinstance(data, str) and data.startswith("0x")
    return isinstance(error.get("code"), int) and (not is_hex or _matches(_DATA, data))


def _is_object(value: Any, required: frozenset[str]) -> bool:
    if not isinstance(value, Mapping):
        return False
    if any(value.get(name) is None for name in required):
        return False
    for name, pattern in _FIELDS.items():
        found = value.get(name)
        if found is not None and not _matches(pattern, found):
            return False
    return (
        _is_list(value.get("logs"), _is_log)
        and _is_list(value.get("transactions"), _is_transaction)
        and all(_is_list(value.get(name), _is_word) for name in _LISTS_OF_WORDS)
        and all(_is_list(value.get(name), _is_part) for name in _LISTS_OF_OBJECTS)
    )


def _is_list(value: Any, member: Callable[[Any], bool]) -> bool:
    """Return whether it is a list of such members, or not there at all."""
    return value is None or (isinstance(value, list) and all(map(member, value)))


def _is_word(value: Any) -> bool:
    return _matches(_WORD, value)


def _is_part(value: Any) -> bool:
    return _is_object(value, frozenset())


def _is_transaction(value: Any) -> bool:
    return _is_word(value) or _is_object(value, frozenset({"hash"}))


def _is_log(value: Any) -> bool:
    """Return whether it is a log that is in a block; one pattern for all of it, for speed."""
    try:
        data, topics = value["data"], value["topics"]
        line = (
            f"{value['address']} {value['blockHash']} {data} "
            f"{value['transactionHash']} {value['blockNumber']} {value['logIndex']}"
        )
        if not isinstance(topics, list) or len(data) % 2:
            return False
        return _LOG_LINE.fullmatch(" ".join([line, *topics])) is not None
    except (KeyError, TypeError):
        return False


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        return False
    return pattern is not _DATA or len(value) % 2 == 0

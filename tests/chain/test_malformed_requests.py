"""What no node should be sent: the local chain answers it with an error and goes on."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from oracle.chain.devnet import Devnet
from oracle.chain.devnet_server import serve

SHORT_HASH = "0x" + 20 * "00"


@pytest.fixture(scope="module")
def connection() -> Iterator[http.client.HTTPConnection]:
    with serve(Devnet(), port=0) as url:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
        yield connection
        connection.close()


def ask(connection: http.client.HTTPConnection, body: str) -> Any:
    connection.request("POST", "/", body)
    return json.loads(connection.getresponse().read())


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_call", ["0x", None]),
        ("eth_call", [{"to": "0x12"}]),
        ("eth_estimateGas", [[]]),
        ("eth_getBlockByHash", [1.5]),
        ("eth_getBlockByHash", [SHORT_HASH]),
        ("eth_getBalance", ["0x12"]),
        ("eth_getLogs", [{"topics": [[[]]]}]),
        ("eth_getLogs", ["0x"]),
        ("eth_getTransactionByHash", [{}]),
        ("eth_getTransactionReceipt", [None]),
        ("eth_sendRawTransaction", [{}]),
        ("eth_chainId", [1, 2, 3]),
        ("evm_increaseTime", ["soon"]),
    ],
)
def test_malformed_parameters_are_answered_with_an_error(
    connection: http.client.HTTPConnection, method: str, params: list[Any]
) -> None:
    request = {"jsonrpc": "2.0", "id": 9, "method": method, "params": params}
    answer = ask(connection, json.dumps(request))
    assert answer["id"] == 9
    assert answer["error"]["code"] == -32602
    assert answer["error"]["message"].startswith(f"invalid parameters of {method}")


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":['])
def test_a_deeply_nested_request_does_not_end_the_process(
    connection: http.client.HTTPConnection, opening: str
) -> None:
    assert ask(connection, opening * 200_000)["error"]["code"] == -32700


def test_brackets_inside_strings_are_not_nesting(connection: http.client.HTTPConnection) -> None:
    text = '["\\"' * 10_000
    request = {"jsonrpc": "2.0", "id": text, "method": "eth_chainId", "params": []}
    assert ask(connection, json.dumps(request)) == {
        "jsonrpc": "2.0",
        "id": text,
        "result": hex(31_337),
    }

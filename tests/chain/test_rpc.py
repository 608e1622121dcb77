"""The connection: what is asked again, how often, how patiently, and what never is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from web3.types import RPCEndpoint

from oracle.chain.devnet import CHAIN_ID, Devnet
from oracle.chain.devnet_server import serve
from oracle.chain.rpc import ATTEMPTS, HttpProvider, RpcUnreachable, WrongChain, connect

READ, WRITE = RPCEndpoint("eth_blockNumber"), RPCEndpoint("eth_sendRawTransaction")
SECRET_PATH = "/v3/very-secret-api-key"

Answer = tuple[int, dict[str, str], Any]
GOOD: Answer = (200, {}, {"jsonrpc": "2.0", "id": 0, "result": "0x7"})


class Node(HTTPServer):
    """A node that gives the answers it was told to, in turn, then the last one for ever."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[Answer | None] = [GOOD]
        self.asked: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{SECRET_PATH}"


class _Handler(BaseHTTPRequestHandler):
    server: Node

    def do_POST(self) -> None:
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is None:  # hang up
            self.close_connection = True
            return
        status, headers, content = answer
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def node() -> Iterator[Node]:
    with Node() as node:
        thread = threading.Thread(target=node.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield node
        node.shutdown()
        thread.join()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def provider(node: Node, pauses: list[float]) -> HttpProvider:
    return HttpProvider(node.url, timeout=2, pause=pauses.append)


FAULTS: list[Answer | None] = [
    None,
    (429, {}, b""),
    (503, {}, b"busy"),
    (502, {}, b"<html>"),
    (500, {}, b"oops"),
    (200, {}, b"<html>"),
    (200, {}, b""),
    (200, {}, {"id": 0, "error": {"code": -32603, "message": "internal error"}}),
    (200, {}, {"id": 0, "error": {"code": -32005, "message": "daily request count exceeded"}}),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_transaction_is_never_sent_again(
    node: Node, provider: HttpProvider, fault: Answer | None
) -> None:
    node.answers = [fault, GOOD]
    with pytest.raises(RpcUnreachable):
        provider.make_request(WRITE, ["0x02"])
    with pytest.raises(RpcUnreachable):
        node.answers = [fault, GOOD]
        provider.make_batch_request([(READ, []), (WRITE, ["0x02"])])
    assert len(node.asked) == 2


@pytest.mark.parametrize("fault", FAULTS)
def test_a_read_is_repeated_until_it_is_answered(
    node: Node, provider: HttpProvider, pauses: list[float], fault: Answer | None
) -> None:
    node.answers = [fault, fault, GOOD]
    assert provider.make_request(READ, [])["result"] == "0x7"
    assert len(node.asked) == 3
    assert pauses == [0.25, 0.5]


@pytest.mark.parametrize("fault", FAULTS)
def test_patience_ends(
    node: Node, provider: HttpProvider, pauses: list[float], fault: Answer | None
) -> None:
    node.answers = [fault]
    with pytest.raises(RpcUnreachable) as caught:
        provider.make_request(READ, [])
    assert len(node.asked) == ATTEMPTS
    assert len(pauses) == ATTEMPTS - 1
    assert "127.0.0.1" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("fault", [(401, {}, b"who?"), (404, {}, {"a": 1})])
def test_what_waiting_does_not_mend_is_not_repeated(
    node: Node, provider: HttpProvider, fault: Answer
) -> None:
    node.answers = [fault]
    with pytest.raises(RpcUnreachable):
        provider.make_request(READ, [])
    assert len(node.asked) == 1


def test_a_node_that_hangs_is_given_up(node: Node) -> None:
    late = threading.Event()

    class Hanging(_Handler):
        def do_POST(self) -> None:
            late.wait(5)

    node.RequestHandlerClass = Hanging
    provider = HttpProvider(node.url, timeout=0.05, attempts=1)
    with pytest.raises(RpcUnreachable, match=r"no reply within 0\.05 s"):
        provider.make_request(READ, [])
    late.set()


def test_a_closed_port_is_unreachable() -> None:
    with Node() as node:
        url = node.url
    provider = HttpProvider(url, attempts=1)
    assert not provider.is_connected()
    with pytest.raises(RpcUnreachable, match="ConnectionError"):
        provider.make_request(READ, [])


def test_retry_after_is_honoured_in_seconds_and_as_a_date(
    node: Node, provider: HttpProvider, pauses: list[float]
) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    node.answers = [
        (429, {"Retry-After": "7"}, b""),
        (429, {"Retry-After": date}, b""),
        (503, {"Retry-After": "soon"}, b""),
        GOOD,
    ]
    provider.make_request(READ, [])
    assert pauses[0] == 7
    assert 15 < pauses[1] <= 20
    assert pauses[2] == 1.0


def test_a_node_that_wants_to_be_left_alone_for_long_is_given_up(
    node: Node, provider: HttpProvider, pauses: list[float]
) -> None:
    node.answers = [(429, {"Retry-After": "3600"}, b""), GOOD]
    with pytest.raises(RpcUnreachable, match="left alone for 3600 s"):
        provider.make_request(READ, [])
    assert pauses == []


@pytest.mark.parametrize("status", [200, 400])
def test_an_error_of_the_node_is_an_answer(node: Node, provider: HttpProvider, status: int) -> None:
    error = {"code": -32005, "message": "query returned more than 10000 results"}
    node.answers = [(status, {}, {"id": 0, "error": error})]
    assert provider.make_request(RPCEndpoint("eth_getLogs"), [{}])["error"] == error
    assert len(node.asked) == 1


def test_the_answers_to_a_batch_are_put_in_order(node: Node, provider: HttpProvider) -> None:
    node.answers = [(200, {}, [{"id": 1, "result": "0x2"}, {"id": 0, "result": "0x1"}])]
    answers = provider.make_batch_request([(READ, []), (READ, [])])
    assert isinstance(answers, list)
    assert [answer["result"] for answer in answers] == ["0x1", "0x2"]


def test_an_unknown_kind_of_url_is_refused() -> None:
    with pytest.raises(RpcUnreachable, match="http://"):
        connect("ftp://example.org")


def test_another_chain_than_the_expected_one_is_refused(devnet: Devnet) -> None:
    with serve(devnet, port=0) as url:
        with pytest.raises(WrongChain, match=f"Expected chain 1, .* on chain {CHAIN_ID}"):
            connect(url, chain_id=1)
        assert connect(url, chain_id=CHAIN_ID).eth.block_number == 0


def test_a_local_chain_needs_no_port() -> None:
    assert connect("eth-tester", chain_id=CHAIN_ID).eth.block_number == 0

"""
A proxy before a node that breaks a share of what passes, in every way that nodes were seen to.

Each request is broken with probability `rate`, in a way that applies to it, chosen by a seeded
generator. What is broken is counted by kind. Answers are made worse, never better: a node
that lies in a way that only a second node could tell is no fault of this proxy, but one kind of
agreement.
"""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

READS = "reads"
WRITES = "writes"
EVERY = "every"
SLOW_SECONDS = 0.3
NARROW = 0.25
STALE_BLOCKS = 3
_SEND = "eth_sendRawTransaction"

Json = Any


class Cut(Exception):
    """Ends a connection without an answer; `reset` instead of closing it in good order."""

    def __init__(self, *, reset: bool) -> None:
        self.reset = reset


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent back."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    promised: int | None = None
    """The content length that the header claims, if it is not the body's."""


Ask = Callable[[], bytes]
Fault = Callable[["Proxy", Json, Ask], Reply]


def _error(request: Json, code: int, message: str) -> Reply:
    def of(each: Json) -> Json:
        return {
            "jsonrpc": "2.0",
            "id": each.get("id"),
            "error": {"code": code, "message": message},
        }

    answer = [of(each) for each in request] if isinstance(request, list) else of(request)
    return Reply(json.dumps(answer).encode())


def _changed(
    request: Json, body: bytes, method: str, change: Callable[[Json, Json], Json]
) -> Reply:
    """Return the answer with the result of each request of `method` changed."""
    answer = json.loads(body)
    asked = {each["id"]: each for each in (request if isinstance(request, list) else [request])}
    for each in answer if isinstance(answer, list) else [answer]:
        if asked[each["id"]]["method"] == method and "result" in each:
            each["result"] = change(asked[each["id"]], each["result"])
    return Reply(json.dumps(answer).encode())


def reset(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    raise Cut(reset=True)


def hang_up(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    raise Cut(reset=False)


def time_out(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    proxy.ended.wait(proxy.time_out)
    raise Cut(reset=False)


def slow(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    proxy.ended.wait(SLOW_SECONDS)
    return Reply(ask())


def truncated(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    body = ask()
    return Reply(body[: len(body) // 2], promised=len(body))


def half_of_json(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    body = ask()
    return Reply(body[: len(body) // 2])


def not_json(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    return Reply(b"<html><body>It works!</body></html>", headers={"Content-Type": "text/html"})


def empty_body(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    return Reply(b"")


def too_many_requests(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    return Reply(b"slow down", 429, {"Retry-After": "0.1"})


def server_error(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    return Reply(b"oops", 500)


def bad_gateway(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    return Reply(b"<html>502 Bad Gateway</html>", 502)


def unavailable(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    return Reply(b"", 503, {"Retry-After": "0"})


def internal_error(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    return _error(request, -32603, "internal error")


def limit_exceeded(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    return _error(request, -32005, "daily request count exceeded, request rate limited")


def header_not_found(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    return _error(request, -32000, "header not found")


def empty_logs(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    return _changed(request, ask(), "eth_getLogs", lambda asked, logs: [])


def a_log_missing(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    def without_one(asked: Json, logs: Json) -> Json:
        return logs[:-1] if len(logs) < 2 else logs[: len(logs) // 2] + logs[len(logs) // 2 + 1 :]

    return _changed(request, ask(), "eth_getLogs", without_one)


def stale_head(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    """Answer an older block where the latest was asked for: the node lags."""
    height = int(proxy.upstream("eth_blockNumber"), 16)
    older = hex(max(height - STALE_BLOCKS, 0))

    def of(asked: Json, block: Json) -> Json:
        named = asked["params"][0]
        return proxy.upstream("eth_getBlockByNumber", older, False) if named == "latest" else block

    return _changed(request, ask(), "eth_getBlockByNumber", of)


def null_block(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    return _changed(request, ask(), "eth_getBlockByNumber", lambda asked, block: None)


def null_block_by_hash(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    return _changed(request, ask(), "eth_getBlockByHash", lambda asked, block: None)


def wrong_block_hash(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    def of(asked: Json, block: Json) -> Json:
        return block and {**block, "hash": "0x" + proxy.random.randbytes(32).hex()}

    return _changed(request, ask(), "eth_getBlockByNumber", of)


def wrong_chain(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    return _changed(request, ask(), "eth_chainId", lambda asked, chain: "0x1")


def null_receipt(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    return _changed(request, ask(), "eth_getTransactionReceipt", lambda asked, receipt: None)


def empty_call(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    return _changed(request, ask(), "eth_call", lambda asked, data: "0x")


def low_nonce(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    def lower(asked: Json, nonce: Json) -> Json:
        return hex(max(int(nonce, 16) - 1, 0))

    return _changed(request, ask(), "eth_getTransactionCount", lower)


def reordered(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    return Reply(json.dumps(json.loads(ask())[::-1]).encode())


def duplicated(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    answers = json.loads(ask())
    return Reply(json.dumps([answers[0], *answers]).encode())


def batch_cut_short(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    return Reply(json.dumps(json.loads(ask())[:-1]).encode())


def answer_lost(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    ask()
    raise Cut(reset=True)


def already_known(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    ask()
    return _error(request, -32000, "already known")


def never_forwarded(proxy: Proxy, request: Json, ask: Ask) -> Reply:
    """Say that a transaction was taken, and forget it."""
    from eth_utils import keccak

    raw = bytes.fromhex(request["params"][0][2:])
    answer = {"jsonrpc": "2.0", "id": request["id"], "result": "0x" + keccak(raw).hex()}
    return Reply(json.dumps(answer).encode())


FAULTS: dict[Fault, str] = {
    **dict.fromkeys(
        (
            reset, hang_up, time_out, slow, truncated, half_of_json, not_json, empty_body,
            too_many_requests, server_error, bad_gateway, unavailable, internal_error,
            limit_exceeded,
        ),
        EVERY,
    ),
    header_not_found: READS,
    **dict.fromkeys((empty_logs, a_log_missing), "eth_getLogs"),
    **dict.fromkeys((stale_head, null_block, wrong_block_hash), "eth_getBlockByNumber"),
    null_block_by_hash: "eth_getBlockByHash",
    wrong_chain: "eth_chainId",
    null_receipt: "eth_getTransactionReceipt",
    empty_call: "eth_call",
    low_nonce: "eth_getTransactionCount",
    **dict.fromkeys((reordered, duplicated, batch_cut_short), "batch"),
    **dict.fromkeys((answer_lost, already_known, never_forwarded), WRITES),
}  # fmt: skip
"""Each fault, and which requests it applies to."""


class Proxy:
    """
    Stands between clients and the node at `url`.

    `rate` is the share of requests that are broken; set it to 0 and everything passes. `faults`
    may be narrowed. `time_out` is how long the kind of that name keeps a client waiting, in
    seconds. `broken` counts by the fault's name.
    """

    def __init__(self, url: str, seed: int, *, rate: float = 0.0, time_out: float = 2.0) -> None:
        self.node = url
        self.random = random.Random(seed)
        self.rate = rate
        self.faults: tuple[Fault, ...] = tuple(FAULTS)
        self.time_out = time_out
        self.broken: Counter[str] = Counter()
        self.passed = 0
        self.ended = threading.Event()
        self.url = ""
        self._lock = threading.Lock()
        self._sessions = threading.local()

    def upstream(self, method: str, *params: Any) -> Any:
        """Return the node's own answer."""
        body: Json = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        return json.loads(self.forward(json.dumps(body).encode()))["result"]

    def forward(self, body: bytes) -> bytes:
        """Return the node's own answer to a request as it came."""
        session = getattr(self._sessions, "session", None)
        if session is None:
            session = self._sessions.session = requests.Session()
            session.headers["Content-Type"] = "application/json"
        content: bytes = session.post(self.node, data=body, timeout=60).content
        return content

    def reply(self, body: bytes) -> Reply:
        """Return what a client gets for `body`; raise `Cut`."""
        request = json.loads(body)
        with self._lock:
            fault = self._choice(request) if self.random.random() < self.rate else None
            if fault is None:
                self.passed += 1
            else:
                self.broken[fault.__name__] += 1
        if fault is None:
            return Reply(self.forward(body))
        return fault(self, request, lambda: self.forward(body))

    def _choice(self, request: Json) -> Fault:
        own = [fault for fault in self.faults if _applies(FAULTS[fault], request)]
        # Faults of one kind of request are rare among all, so they get a share of their own.
        narrow = [fault for fault in own if FAULTS[fault] not in {EVERY, READS}]
        return self.random.choice(narrow if narrow and self.random.random() < NARROW else own)


def _applies(where: str, request: Json) -> bool:
    if where == EVERY:
        return True
    if isinstance(request, list):
        methods = {each["method"] for each in request}
        return where == "batch" or where in methods or (where == READS and _SEND not in methods)
    method = request["method"]
    return where == method or where == (WRITES if method == _SEND else READS)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            reply = self.server.proxy.reply(body)
        except Cut as cut:
            if cut.reset:
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in ({"Content-Type": "application/json"} | reply.headers).items():
            self.send_header(name, value)
        promised = len(reply.body) if reply.promised is None else reply.promised
        self.send_header("Content-Length", str(promised))
        self.end_headers()
        self.wfile.write(reply.body)
        self.close_connection = promised != len(reply.body)

    def log_message(self, format: str, *args: Any) -> None: ...


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, proxy: Proxy) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""


@contextmanager
def before(url: str, seed: int, **options: float) -> Iterator[Proxy]:
    """Run a proxy before the node at `url` while the context lasts."""
    proxy = Proxy(url, seed, **options)
    with _Server(proxy) as server:
        proxy.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.ended.set()
            server.shutdown()
            thread.join()

"""
The local chain behind an HTTP port, for wallets and for services in other processes.

This module decides how requests reach the chain: JSON-RPC 2.0 over POST, single or in batches, one
at a time. It listens on this machine only unless told otherwise, and prints nothing.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from oracle.chain.devnet import CHAIN_ID, MNEMONIC, Devnet
from oracle.chain.devnet_rpc import DevnetRpc, RpcError
from oracle.core import json_text

HOST = "127.0.0.1"
PORT = 8545
MAX_REQUEST_BYTES = 8 * 2**20
SHUTDOWN_POLL = 0.02  # seconds
PARSE_ERROR = -32700
INVALID_REQUEST = -32600


class AnvilMissing(Exception):
    """anvil was asked for and is not installed."""

    def __init__(self) -> None:
        super().__init__("No anvil on PATH; install Foundry, or leave --anvil out.")


@contextmanager
def serve(
    devnet: Devnet, *, host: str = HOST, port: int = PORT, block_time: float | None = None
) -> Iterator[str]:
    """
    Serve `devnet` while the context lasts and yield its URL; port 0 picks a free one.

    With `block_time`, an empty block is mined every so many seconds, so that deadlines pass while
    nobody sends anything. Raises `OSError` if the port is taken.
    """
    rpc = DevnetRpc(devnet)
    server = _Server((host, port), rpc)
    stopped = threading.Event()
    threads = [threading.Thread(target=server.serve_forever, args=(SHUTDOWN_POLL,), daemon=True)]
    if block_time is not None:
        threads.append(
            threading.Thread(target=_mine_regularly, args=(rpc, block_time, stopped), daemon=True)
        )
    for thread in threads:
        thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        stopped.set()
        server.shutdown()
        server.server_close()
        for thread in threads:
            thread.join()


def wall_clock() -> int:
    """Return the time of this machine, in seconds; the clock of a chain that people watch."""
    return int(time.time())


@contextmanager
def serve_anvil(*, host: str = HOST, port: int = PORT) -> Iterator[str]:
    """Run the installed anvil with the same accounts and chain id; raise `AnvilMissing`."""
    anvil = shutil.which("anvil")
    if anvil is None:
        raise AnvilMissing
    options = ["--host", host, "--port", str(port), "--chain-id", str(CHAIN_ID)]
    with subprocess.Popen([anvil, "--silent", "--mnemonic", MNEMONIC, *options]) as process:
        try:
            yield f"http://{host}:{port}"
        finally:
            process.terminate()


def _mine_regularly(rpc: DevnetRpc, block_time: float, stopped: threading.Event) -> None:
    while not stopped.wait(block_time):
        rpc.request("evm_mine", [])


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], rpc: DevnetRpc) -> None:
        super().__init__(address, _Handler)
        self.rpc = rpc


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Answer one request or batch."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_REQUEST_BYTES:
            self.close_connection = True
            self.send_error(413)
            return
        try:
            request = json_text.parse(self.rfile.read(length))
        except ValueError:
            self._send(_failure(None, RpcError(PARSE_ERROR, "not JSON")))
            return
        if isinstance(request, list) and request:
            self._send([_answer(self.server.rpc, each) for each in request])
        else:
            self._send(_answer(self.server.rpc, request))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: what is printed is for the caller to decide."""

    def _send(self, response: Any) -> None:
        body = json.dumps(response).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _answer(rpc: DevnetRpc, request: Any) -> dict[str, Any]:
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        return _failure(None, RpcError(INVALID_REQUEST, "not a JSON-RPC request"))
    params = request.get("params", [])
    try:
        if not isinstance(params, list):
            raise RpcError(INVALID_REQUEST, "parameters are taken by position")
        result = rpc.request(request["method"], params)
    except RpcError as error:
        return _failure(request.get("id"), error)
    return {"jsonrpc": "2.0", "id": request.get("id"), "result": result}


def _failure(request_id: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "error": error.as_json()}

"""
Fetch a workload from wherever its requester put it, without being led astray.

The URI comes from a stranger. So a file is read only below one directory, a host is asked only
while all its addresses are public (unless private ones are allowed), and what comes is bounded in
bytes, seconds and redirects. The check is made on the very address that is connected to: a name
cannot mean one machine when it is checked and another when it is used. What the bytes say is no
concern of this module; that they have the round's hash is.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import httpcore

MOST_BYTES = 64 * 2**20
SECONDS = 60.0
"""What a whole download may take, redirects included."""
STEP_SECONDS = 10.0
"""What connecting may take, and each wait for more."""
REDIRECTS = 3
_HOST = re.compile(r"[a-z0-9.:_-]+")
_MOVED = frozenset({301, 302, 303, 307, 308})
_HEADERS = (("Accept-Encoding", "identity"), ("User-Agent", "proof-of-quality"))


class NotFetched(Exception):
    """The workload could not be had; the message is a sentence that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """
    Where workloads may come from.

    Files are read below `directory` only, or not at all. `allow_private` opens the addresses of
    this machine and of private networks. `most` is in bytes, `seconds` for all of one download.
    """

    directory: Path | None = None
    allow_private: bool = False
    most: int = MOST_BYTES
    seconds: float = SECONDS


def fetch(uri: str, expected_hash: bytes, sources: Sources) -> bytes:
    """Return the file at `uri` if its SHA-256 is `expected_hash`; raise `NotFetched`."""
    try:
        scheme = urlsplit(uri).scheme.lower()
    except ValueError:
        raise NotFetched(f"{uri[:200]!r} is no URI.") from None
    if scheme in {"http", "https"}:
        content = _download(uri, sources)
    elif scheme in {"", "file"}:
        content = _read(uri, sources)
    else:
        raise NotFetched(f"Workloads are not fetched by {scheme[:20]!r}, only http, https or file.")
    found = hashlib.sha256(content).digest()
    if found != expected_hash:
        raise NotFetched(
            f"The file at {uri[:200]} is not the round's workload: its SHA-256 is {found.hex()}, "
            f"expected {expected_hash.hex()}."
        )
    return content


# Files


def _read(uri: str, sources: Sources) -> bytes:
    if sources.directory is None:
        raise NotFetched("The workload is a file, and no directory of workloads is configured.")
    parts = urlsplit(uri)
    if parts.netloc not in {"", "localhost"}:
        raise NotFetched(f"The file is on another machine, {parts.netloc[:200]}.")
    path = unquote(parts.path) if parts.scheme else uri
    if not path or "\0" in path:
        raise NotFetched("The round says nowhere where its workload is.")
    try:
        directory = sources.directory.resolve(strict=True)
        # Where links lead counts, not what they are called.
        found = (directory / path).resolve(strict=True)
        if not found.is_relative_to(directory):
            raise NotFetched(f"{path[:200]} is not below {directory}.")
        if not found.is_file():
            raise NotFetched(f"{path[:200]} is no file.")
        with found.open("rb") as file:
            content = file.read(sources.most + 1)
    except OSError as error:
        raise NotFetched(f"{path[:200]} cannot be read: {error.strerror}.") from None
    _check_size(len(content), sources)
    return content


def _check_size(size: int, sources: Sources) -> None:
    if size > sources.most:
        raise NotFetched(f"The workload has more than {sources.most} bytes.")


# HTTP


def _download(uri: str, sources: Sources) -> bytes:
    with httpcore.ConnectionPool(
        ssl_context=ssl.create_default_context(),
        network_backend=_Careful(sources.allow_private, monotonic() + sources.seconds),
        max_keepalive_connections=0,
    ) as pool:
        for _ in range(REDIRECTS + 1):
            answer = _get(pool, uri, sources)
            if isinstance(answer, bytes):
                return answer
            uri = answer
    raise NotFetched(f"The workload was moved more than {REDIRECTS} times.")


def _get(pool: httpcore.ConnectionPool, uri: str, sources: Sources) -> bytes | str:
    """Return the content, or the address that it was moved to."""
    timeout = dict.fromkeys(("connect", "read", "write", "pool"), STEP_SECONDS)
    try:
        host = urlsplit(uri).hostname or ""
        if not _HOST.fullmatch(host):
            raise NotFetched(f"{uri[:200]!r} is no address.")
        with pool.stream("GET", uri, headers=_HEADERS, extensions={"timeout": timeout}) as response:
            if response.status in _MOVED:
                return _target(uri, response.headers)
            if response.status != 200:
                raise NotFetched(f"{host} answers with HTTP {response.status}.")
            content = bytearray()
            for chunk in response.iter_stream():
                content += chunk
                _check_size(len(content), sources)
            return bytes(content)
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        words = str(error) or type(error).__name__
        raise NotFetched(f"{host} cannot be asked: {words}.") from None
    except (httpcore.UnsupportedProtocol, ValueError):
        raise NotFetched(f"{uri[:200]!r} is no address.") from None


def _target(uri: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name.lower() == b"location":
            target = urljoin(uri, value.decode("ascii", "replace"))
            if urlsplit(target).scheme.lower() in {"http", "https"}:
                return target
            raise NotFetched("The workload was moved to what is no http address.")
    raise NotFetched("The workload was moved, and nobody says where.")


class _Careful(httpcore.NetworkBackend):
    """Connects to public addresses, unless private ones are allowed, and until `ends_at`."""

    def __init__(self, allow_private: bool, ends_at: float) -> None:
        self._allow_private = allow_private
        self._ends_at = ends_at
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of `host`; raise `NotFetched` if any is private."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise NotFetched(f"{host} has no address.") from None
        addresses = [str(entry[4][0]) for entry in found]
        if not self._allow_private:
            for address in addresses:
                if not _is_public(address):
                    raise NotFetched(
                        f"{host} is {address}, which is on a private network: say --allow-private "
                        "if that is meant."
                    )
        stream = self._backend.connect_tcp(
            addresses[0], port, _left(timeout, self._ends_at), local_address, socket_options
        )
        return _Timed(stream, self._ends_at)


class _Timed(httpcore.NetworkStream):
    """A stream that ends in time, however slowly the other side drips."""

    def __init__(self, stream: httpcore.NetworkStream, ends_at: float) -> None:
        self._stream = stream
        self._ends_at = ends_at

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, self._ends_at))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout, self._ends_at))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        timeout = _left(timeout, self._ends_at)
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, timeout), self._ends_at)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(timeout: float | None, ends_at: float) -> float:
    """Return what a step may take, in seconds; raise if there is no time left."""
    left = ends_at - monotonic()
    if left <= 0:
        raise NotFetched("The workload did not arrive in time.")
    return left if timeout is None else min(timeout, left)


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        # The IPv4 address that such a one stands for is the one that is reached.
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return _is_public(str(inner))
        if address in _NAT64:
            return _is_public(str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)))
    return address.is_global and not address.is_multicast


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

"""
Tests talk to this machine only: whatever reaches for the network fails at once.

A hook of the interpreter sees every way out that Python has, whichever library takes it: connecting
of any kind, datagrams, raw sockets, names to resolve. Python processes that tests start inherit it
(`tests/child`) with their environment. Programs that are not Python are not watched.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
INTERNET = frozenset({socket.AF_INET, socket.AF_INET6})
CHILD = Path(__file__).resolve().parent / "child"


class NetworkBlocked(RuntimeError):
    """A test tried to leave this machine. Not an `OSError`: tested code may handle those."""


def guard(event: str, arguments: tuple[Any, ...]) -> None:
    """Raise `NetworkBlocked` for an audit event that leads off this machine."""
    if not event.startswith("socket."):
        return
    match event, arguments:
        case (("socket.connect" | "socket.sendto" | "socket.sendmsg"), (one, address, *_)):
            if one.family in INTERNET and address is not None and address[0] not in LOOPBACK:
                raise NetworkBlocked(f"connecting to {address}")
        case "socket.__new__", (_, family, kind, *_):
            # What packet sockets are, only some systems have.
            packet = getattr(socket, "AF_PACKET", None)
            if family == packet or (family in INTERNET and kind == socket.SOCK_RAW):
                raise NetworkBlocked("opening a raw socket")
        case (("socket.getaddrinfo" | "socket.gethostbyname" | "socket.gethostbyaddr"), (host, *_)):
            name = host.decode() if isinstance(host, bytes) else host
            if name not in {None, *LOOPBACK}:
                raise NetworkBlocked(f"resolving {name}")
        case "socket.getnameinfo", ((host, *_), *_):
            if host not in LOOPBACK:
                raise NetworkBlocked(f"resolving {host}")


def install() -> None:
    """Watch this process from now on, for good, and the Python processes that it starts."""
    sys.addaudithook(guard)
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    paths = [str(CHILD), *(path for path in inherited if path not in {"", str(CHILD)})]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)

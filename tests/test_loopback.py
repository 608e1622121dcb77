"""No way off this machine that Python knows is open to a test, nor to what it starts."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

ELSEWHERE = ("192.0.2.1", 80)


def tcp() -> None:
    with socket.socket() as out:
        out.connect(ELSEWHERE)


def tcp_without_exceptions() -> None:
    with socket.socket() as out:
        out.connect_ex(ELSEWHERE)


def tcp_6() -> None:
    with socket.socket(socket.AF_INET6) as out:
        out.connect(("2001:db8::1", 80))


def udp() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as out:
        out.sendto(b"what", ELSEWHERE)


def udp_message() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as out:
        out.sendmsg([b"what"], [], 0, ELSEWHERE)


def raw() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


def name() -> None:
    socket.create_connection(("example.org", 80))


def old_name() -> None:
    socket.gethostbyname("example.org")


def in_a_loop() -> None:
    asyncio.run(connecting())


async def connecting() -> None:
    await asyncio.open_connection(*ELSEWHERE)


@pytest.mark.parametrize(
    "way", [tcp, tcp_without_exceptions, tcp_6, udp, udp_message, raw, name, old_name, in_a_loop]
)
def test_a_test_cannot_leave_this_machine(way: Callable[[], None]) -> None:
    # A worker inherits a hook of its own, so the class is known by its name only.
    with pytest.raises(RuntimeError) as stopped:
        way()
    assert type(stopped.value).__name__ == "NetworkBlocked"


def test_a_python_process_of_a_test_cannot_leave_this_machine() -> None:
    code = f"import socket; socket.create_connection({ELSEWHERE!r}, 1)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "NetworkBlocked: " in ran.stderr


def test_this_machine_can_be_reached() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as here,
        socket.create_connection(here.getsockname()),
        socket.socket(type=socket.SOCK_DGRAM) as out,
    ):
        out.sendto(b"what", here.getsockname())

"""A workload comes from where it may, has its hash and its bounds, or there is a reason why not."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic

import pytest

from oracle.service.fetching import NotFetched, Sources, _is_public, fetch

CONTENT = b"the workload"
HASH = hashlib.sha256(CONTENT).digest()
HERE = Sources(allow_private=True, seconds=20)

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def a_host(answer: Answer) -> Iterator[str]:
    """Serve whatever `answer` writes, and yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def sends(content: bytes) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    return answer


# What is refused


def test_other_bytes_than_the_rounds_are_refused_and_both_hashes_told(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"another workload")
    with pytest.raises(NotFetched, match=f"SHA-256 is [0-9a-f]{{64}}, expected {HASH.hex()}"):
        fetch("w", HASH, Sources(directory=tmp_path))


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "ftp://example.org/w",
        "data:,x",
        "http://",
        "http://[",
        "http://a b/",
        "//x/w",
        "file://x/w",
    ],
)
def test_what_is_no_place_for_a_workload_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(NotFetched):
        fetch(uri, HASH, Sources(directory=tmp_path, allow_private=True))


@pytest.mark.parametrize("uri", ["../secret", "file:///etc/passwd", "link", "a/../../secret", "."])
def test_no_file_outside_the_directory_is_read_not_even_through_a_link(
    tmp_path: Path, uri: str
) -> None:
    (tmp_path / "secret").write_bytes(CONTENT)
    inside = tmp_path / "inside"
    (inside / "a").mkdir(parents=True)
    (inside / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(NotFetched, match=r"not below|is no file"):
        fetch(uri, HASH, Sources(directory=inside))


def test_no_file_is_read_unless_a_directory_is_configured(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(CONTENT)
    with pytest.raises(NotFetched, match="no directory"):
        fetch(f"file://{tmp_path}/w", HASH, Sources())


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:127.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
    ],
)
def test_a_private_address_is_known_in_every_disguise(address: str) -> None:
    assert not _is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"])
def test_a_public_address_is_none(address: str) -> None:
    assert _is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1"])
def test_a_private_host_is_not_asked_whatever_it_is_called(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", 80))])
    asked: list[BaseHTTPRequestHandler] = []
    with a_host(asked.append) as url, pytest.raises(NotFetched, match="private network"):
        fetch(f"http://{host}:{url.rpartition(':')[2]}/w", HASH, Sources())
    assert asked == []


def test_a_name_with_one_private_address_among_public_ones_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import socket

    found = [(2, 1, 6, "", ("1.1.1.1", 80)), (2, 1, 6, "", ("10.0.0.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(NotFetched, match=r"10\.0\.0\.1"):
        fetch("http://example.org/w", HASH, Sources())


def test_more_bytes_than_allowed_are_not_read() -> None:
    sources = Sources(allow_private=True, most=len(CONTENT) - 1)
    with a_host(sends(CONTENT)) as url, pytest.raises(NotFetched, match="more than 11 bytes"):
        fetch(url, HASH, sources)


def test_a_larger_file_than_allowed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(CONTENT)
    with pytest.raises(NotFetched, match="more than 3 bytes"):
        fetch("w", HASH, Sources(directory=tmp_path, most=3))


@pytest.mark.parametrize("drip", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_host_that_drips_is_left_in_time(drip: bytes) -> None:
    ended = threading.Event()

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(drip)
        while not ended.wait(0.05):
            try:
                request.wfile.write(b"x")
                request.wfile.flush()
            except OSError:
                return

    began = monotonic()
    with a_host(answer) as url:
        try:
            with pytest.raises(NotFetched, match=r"in time|timed out"):
                fetch(url, HASH, Sources(allow_private=True, seconds=0.5))
        finally:
            ended.set()
    assert monotonic() - began < 20


def test_a_host_that_moves_it_forever_is_left() -> None:
    asked = 0

    def answer(request: BaseHTTPRequestHandler) -> None:
        nonlocal asked
        asked += 1
        request.send_response(302)
        request.send_header("Location", "/again")
        request.end_headers()

    with a_host(answer) as url, pytest.raises(NotFetched, match="moved more than 3 times"):
        fetch(url, HASH, HERE)
    assert asked == 4


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://x/"])
def test_a_move_to_another_kind_of_place_is_refused(target: str) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(301)
        request.send_header("Location", target)
        request.end_headers()

    with a_host(answer) as url, pytest.raises(NotFetched, match="no http address"):
        fetch(url, HASH, HERE)


def test_an_answer_that_is_no_success_is_told() -> None:
    with (
        a_host(lambda request: request.send_error(404)) as url,
        pytest.raises(NotFetched, match="answers with HTTP 404"),
    ):
        fetch(url, HASH, HERE)


@pytest.mark.parametrize(
    "garbage", [b"", b"no http\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx"]
)
def test_an_answer_that_is_no_http_is_one_sentence(garbage: bytes) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(garbage)

    with a_host(answer) as url, pytest.raises(NotFetched, match="cannot be asked"):
        fetch(url, HASH, HERE)


def test_nobody_at_the_address_is_one_sentence() -> None:
    with a_host(sends(b"")) as url:
        pass
    with pytest.raises(NotFetched, match="cannot be asked"):
        fetch(url, HASH, HERE)


# What is fetched


@pytest.mark.parametrize("form", ["w.jsonl", "file:w.jsonl", "file://{}/w%2Ejsonl", "{}/w.jsonl"])
def test_a_file_below_the_directory_is_read(tmp_path: Path, form: str) -> None:
    (tmp_path / "w.jsonl").write_bytes(CONTENT)
    assert fetch(form.format(tmp_path), HASH, Sources(directory=tmp_path)) == CONTENT


def test_a_file_is_downloaded_also_where_it_was_moved_to() -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.path == "/w":
            return sends(CONTENT)(request)
        request.send_response(302)
        request.send_header("Location", "/w")
        request.end_headers()
        return None

    with a_host(answer) as url:
        assert fetch(f"{url}/old", HASH, HERE) == CONTENT

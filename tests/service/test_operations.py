"""What operators see and rely on: probes, logs, the data directory, limits, waits."""

from __future__ import annotations

import asyncio
import io
import json
import logging as standard
import socket
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from oracle.service import logging
from oracle.service.directory import DirectoryUnusable, claimed
from oracle.service.health import LONGEST_TICK, POLLS, Health, Pulse, add_probes
from oracle.service.metrics import OracleMetrics
from oracle.service.patience import LONGEST_PAUSE, Patience
from oracle.service.rate import MOST_CLIENTS, RateLimit
from oracle.service.serving import CannotListen, application, serving


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


# Probes


def test_a_loop_is_alive_until_a_beat_is_overdue(clock: Clock) -> None:
    pulse = Pulse(clock=clock)
    pulse.beat(2.0)
    seen = []
    for seconds in (POLLS * 2.0 + LONGEST_TICK, 0.1):
        clock.now += seconds
        seen.append(pulse.alive)
    assert seen == [True, False]


def test_nothing_is_ready_that_was_not_checked(clock: Clock) -> None:
    health = Health(["node", "balance"], Pulse(clock=clock))
    seen = [health.ready]
    for report in (["node"], ["balance"], ["node", "It is away."]):
        health.report(*report)
        seen.append(health.ready)
    assert seen == [False, False, True, False]
    with pytest.raises(KeyError):
        health.report("nodes")


def test_what_is_not_alive_is_not_ready(clock: Clock) -> None:
    health = Health([], Pulse(clock=clock))
    seen = [health.ready]
    clock.now += 10 * LONGEST_TICK
    seen.append(health.ready)
    assert seen == [True, False]


def test_probes_answer_with_status_and_reason(clock: Clock) -> None:
    health, metrics = Health(["node"], Pulse(clock=clock)), OracleMetrics()
    app = application("test", "")
    add_probes(app, health, metrics.registry)
    with serving(app, "127.0.0.1", 0) as url, httpx.Client(base_url=url, timeout=60) as client:
        assert client.get("/healthz").status_code == 200
        unready = client.get("/readyz")
        assert unready.status_code == 503
        assert unready.json()["checks"] == {"node": "Not checked yet."}
        health.report("node")
        assert client.get("/readyz").json() == {
            "ready": True,
            "alive": True,
            "checks": {"node": ""},
        }
        clock.now += 10 * LONGEST_TICK
        assert client.get("/healthz").status_code == 503
        assert client.get("/readyz").json()["alive"] is False
        metrics.reveals.labels("stored").inc()
        text = client.get("/metrics").text
        assert 'poq_reveals_total{code="stored"} 1.0' in text
        names = {line.split("{")[0].split()[0] for line in text.splitlines() if line[0] != "#"}
        assert all(name.startswith("poq_") for name in names)


def test_two_daemons_in_one_process_count_apart() -> None:
    first, second = OracleMetrics(), OracleMetrics()
    first.settlements.inc()
    assert second.registry.get_sample_value("poq_settlements_total") == 0


def test_an_address_that_is_taken_is_told_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = pytest.raises(CannotListen, match=f"Cannot listen on 127.0.0.1:{port}")
        with refused, serving(application("test", ""), "127.0.0.1", port):
            pass


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow"])
def test_a_connection_on_which_nothing_is_asked_is_closed(
    monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr("oracle.service.serving.HEADER_SECONDS", 0.1)
    with serving(application("test", ""), "127.0.0.1", 0) as url:
        address = url.removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1])), timeout=60) as idle:
            idle.sendall(begun)
            assert idle.recv(1) == b""


def test_a_connection_that_is_used_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oracle.service.serving.HEADER_SECONDS", 1.5)
    app = application("test", "")

    @app.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(3.5)
        return "done"

    with serving(app, "127.0.0.1", 0) as url:
        assert httpx.get(f"{url}/slow", timeout=60).json() == "done"


# Logs


def test_a_log_is_one_json_object_a_line(clock: Clock) -> None:
    stream = io.StringIO()
    logging.configure(stream=stream)
    logging.logger(service="oracle").info("reveal_taken", round=7, seat=2, text="a\nb")
    logging.logger().debug("unseen")
    standard.getLogger("uvicorn.error").warning("from a %s", "library")
    standard.getLogger("urllib3").error("https://key@node.example")
    [taken, library] = map(json.loads, stream.getvalue().splitlines())
    assert (taken["event"], taken["round"], taken["seat"]) == ("reveal_taken", 7, 2)
    assert (taken["service"], taken["level"]) == ("oracle", "info")
    assert taken["time"].endswith("Z")
    assert (library["event"], library["message"]) == ("library", "from a library")
    logging.configure()


@pytest.mark.parametrize(
    ("options", "seen"),
    [({"quiet": True}, ["b"]), ({}, ["i", "b"]), ({"verbose": True}, ["d", "i", "b"])],
)
def test_more_or_less_is_logged_as_asked(options: dict[str, bool], seen: list[str]) -> None:
    stream = io.StringIO()
    logging.configure(stream=stream, **options)
    log = logging.logger()
    log.debug("d")
    log.info("i")
    log.warning("b")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == seen
    logging.configure()


# The data directory


def test_a_data_directory_is_private(tmp_path: Path) -> None:
    with claimed(tmp_path / "a" / "b") as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_second_process_is_kept_out_of_a_data_directory(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from oracle.service.directory import claimed\n"
        "with claimed(Path(sys.argv[1])): print('in', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "in\n"
        refused = pytest.raises(DirectoryUnusable, match="in use by another process")
        with refused, claimed(tmp_path):
            pass
        other.kill()
    with claimed(tmp_path):
        pass


def test_a_data_directory_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = pytest.raises(DirectoryUnusable, match="cannot be used: Not a directory")
    with refused, claimed(tmp_path / "file" / "data"):
        pass


# Limits and waits


def test_a_client_has_a_burst_and_then_a_rate(clock: Clock) -> None:
    limit = RateLimit(2, 3, clock=clock)
    assert [limit.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert limit.wait("b") == 0
    clock.now += 0.5
    assert [limit.wait("a"), limit.wait("a")] == [0, 0.5]
    clock.now += 1_000
    assert [limit.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_a_network_of_ipv6_is_one_client(clock: Clock) -> None:
    limit = RateLimit(1, 1, clock=clock)
    assert limit.wait("2001:db8::1") == 0
    assert limit.wait("2001:db8::ffff:2") > 0
    assert limit.wait("2001:db8:0:1::1") == 0


def test_the_clients_that_are_remembered_are_bounded(clock: Clock) -> None:
    limit = RateLimit(1, 1, clock=clock)
    for i in range(MOST_CLIENTS + 1):
        limit.wait(f"client {i}")
    assert limit.wait("client 0") == 0  # it was forgotten
    assert limit.wait(f"client {MOST_CLIENTS}") > 0


def test_what_fails_rests_longer_each_time(clock: Clock) -> None:
    patience = Patience(1, clock=clock)
    assert not patience.rests("a")
    waits = []
    for _ in range(7):
        patience.failed("a")
        began = clock.now
        while patience.rests("a"):
            clock.now += 1
        waits.append(clock.now - began)
    assert waits == [1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE]
    assert not patience.rests("b")
    patience.failed("a")
    patience.keep(lambda key: key != "a")
    assert not patience.rests("a")

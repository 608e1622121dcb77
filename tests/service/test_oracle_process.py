"""`poq oracle run` as a process: whole rounds over HTTP, killed on the way, ended by signals."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from oracle.chain.devnet import Devnet, accounts
from oracle.chain.devnet_server import serve
from oracle.cli.exits import Exit
from tests.cli.world import NAMES, World
from tests.service.process import PATIENCE, Daemon, wait_until

POLL = 0.1
OPTIONS = ("--port", 0, "--poll", POLL, "--finality", 4, "--withdraw", "--withdraw-least", 1)


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serve(Devnet(), port=0) as url:
        world = World(url, tmp_path_factory.mktemp("world"))
        world.found()
        world.prepare()
        yield world


@pytest.fixture
def world(founded: World) -> Iterator[World]:
    with founded.undone():
        yield founded


def oracle(world: World, data: Path, *options: object, by: str = "settler") -> Daemon:
    return Daemon(
        "oracle", "run", "--account", by, "--data-dir", data, *OPTIONS, *options, env=world.env
    )


def drawn(world: World) -> int:
    """Open a round and let whoever watches draw it."""
    round_id = world.open()
    for _ in range(3):
        world.ask("evm_mine")
    wait_until(lambda: phase(world, round_id) == "drawn", "drawn")
    return round_id


def phase(world: World, round_id: int) -> str:
    return str(world.done("round", "show", round_id)["phase"])


def hand_over(url: str, path: Path) -> str:
    """Hand a reveal over as soon as the oracle takes it, and return what it was to it."""

    def taken() -> str | None:
        answer = httpx.post(f"{url}/v1/reveals", content=path.read_bytes(), timeout=PATIENCE)
        if answer.status_code in (409, 503):
            return None
        assert answer.status_code in (200, 202), answer.text
        return str(answer.json()["status"])

    return str(wait_until(taken, "taken"))


def get(url: str, path: str) -> Any:
    return httpx.get(f"{url}{path}", timeout=PATIENCE)


def test_a_killed_oracle_goes_on_where_it_was_and_each_thing_is_done_once(
    world: World, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with oracle(world, data) as first:
        url = first.started()
        wait_until(lambda: get(url, "/readyz").status_code == 200, "ready")
        round_id = drawn(world)
        world.commit_all(round_id)
        assert [hand_over(url, world.reveal(i)) for i in (1, 2)] == ["stored", "stored"]
        shown = get(url, f"/v1/rounds/{round_id}").json()
        assert sum(seat["handedOver"] for seat in shown["seats"]) == 2
        first.kill()
    assert phase(world, round_id) == "drawn"
    with oracle(world, data) as second:
        url = second.started()
        assert hand_over(url, world.reveal(1)) == "known"
        assert hand_over(url, world.reveal(3)) == "stored"
        wait_until(lambda: phase(world, round_id) == "closed", "settled")

        def withdrawn() -> bool:
            world.ask("evm_mine")
            [balance] = world.done("token", "balance", "settler")["balances"]
            return balance["credit"] == "0" and int(balance["balance"]) == 10_001 * 10**18

        wait_until(withdrawn, "withdrawn")

        def forgotten() -> bool:
            world.ask("evm_mine")
            return "poq_reveals_held 0.0" in get(url, "/metrics").text

        wait_until(forgotten, "final")
        assert second.stop() == 0
    shown = world.done("round", "show", round_id)
    assert shown["ended"] == "settled"
    assert all(seat["settled"] for seat in shown["seats"])
    assert world.done("audit")["right"] is True
    for daemon in (first, second):
        assert daemon.events("tick_failed") == daemon.events("round_failed") == []
        told = "".join(daemon.written)
        assert "Traceback" not in told
        for account in accounts(len(NAMES)):
            assert account.key.hex().removeprefix("0x") not in told
    assert [line["purpose"] for line in first.events("sent")] == [f"draw {round_id}"]
    assert [line["purpose"] for line in second.events("sent")] == [
        f"settle {round_id}",
        "withdraw 1",
    ]


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--max-fee", "much"], Exit.USAGE, "'much' is no amount"),
        (["--withdraw", "--withdraw-least", "-1"], Exit.USAGE, "'-1' is no amount"),
        (["--least-fee", "0.5wei"], Exit.USAGE, "not a whole number of wei"),
        (["--poll", "0"], Exit.USAGE, "--poll"),
        (["--chain", "1"], Exit.UNSAFE_CHAIN, "Expected chain 1"),
        (["--deployments", "/nonexistent"], Exit.USAGE, "There is no deployment"),
        (["--account", "nobody"], Exit.KEY, "cannot be read"),
        (["--rpc-url", "http://127.0.0.1:1"], Exit.RPC, "gave no answer"),
        (["--data-dir", "/dev/null/data"], Exit.USAGE, "cannot be used"),
        (["--host", "192.0.2.1"], Exit.USAGE, "Cannot listen on 192.0.2.1"),
    ],
)
def test_what_it_cannot_start_with_is_told_in_a_sentence(
    world: World, tmp_path: Path, options: list[str], code: Exit, sentence: str
) -> None:
    data = tmp_path / "data"
    ran = world.poq("oracle", "run", "--account", "settler", "--data-dir", data, *options)
    assert ran.code == code, ran.err
    assert sentence in ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_within_two_polls(
    world: World, tmp_path: Path, number: signal.Signals
) -> None:
    poll = 20.0
    with oracle(world, tmp_path / "data", "--poll", poll) as daemon:
        daemon.started()
        began = time.monotonic()
        assert daemon.stop(number) == 0
        assert time.monotonic() - began < 2 * poll
        assert [json.loads(line)["event"] for line in daemon.written][-1] == "stopped"


def test_a_second_process_is_kept_out_of_its_directory(world: World, tmp_path: Path) -> None:
    with oracle(world, tmp_path / "data") as first:
        first.started()
        with oracle(world, tmp_path / "data") as second:
            assert second.ended() == Exit.USAGE
            [sentence] = second.written
            assert "is in use by another process" in sentence


def test_a_port_that_is_taken_is_told_in_a_sentence(world: World, tmp_path: Path) -> None:
    port = world.url.rpartition(":")[2]
    with oracle(world, tmp_path / "data", "--port", port) as daemon:
        assert daemon.ended() == Exit.USAGE
        [sentence] = daemon.written
        assert f"Cannot listen on 127.0.0.1:{port}" in sentence


def test_a_chain_that_was_reset_ends_it_with_8(world: World, tmp_path: Path) -> None:
    with oracle(world, tmp_path / "data") as daemon:
        url = daemon.started()
        snapshot = world.ask("evm_snapshot")
        for _ in range(8):
            world.ask("evm_mine")
        head = f"poq_head_block {world.height()}.0"
        wait_until(lambda: head in get(url, "/metrics").text, "seen")
        world.ask("evm_revert", snapshot)
        world.pass_time(5)
        for _ in range(12):
            world.ask("evm_mine")
        assert daemon.ended() == Exit.UNSAFE_CHAIN
        assert "deeper than its finality" in daemon.written[-1]
        assert "Traceback" not in "".join(daemon.written)

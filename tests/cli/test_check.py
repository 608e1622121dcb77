"""`poq check` finds each thing that would keep a service from its work, and says how to mend it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from oracle.cli.exits import Exit
from tests.cli.world import Argument, Ran, World

pytest.importorskip("httpx")

CANARY = "the-password-that-nobody-may-see"


def check(world: World, *arguments: Argument, by: str | None = "evaluator-1") -> tuple[int, Any]:
    ran = world.poq("check", *arguments, "--json", by=by)
    found = {row["check"]: row for row in ran.json["checks"]}
    assert ran.json["exit"] == ran.code
    assert ran.json["ok"] is (ran.code == 0)
    for row in found.values():
        assert bool(row["mend"]) is (row["status"] in {"failed", "warning"})
    return ran.code, found


@contextmanager
def an_oracle(status: int) -> Iterator[str]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_an_oracle_that_could_start_is_told_so(world: World, tmp_path: Path) -> None:
    code, found = check(world, "oracle", "--data-dir", tmp_path / "new" / "data", by="settler")
    assert code == 0
    assert {row["status"] for row in found.values()} == {"ok"}
    assert list(found) == ["rpc", "deployment", "sync", "secrets", "key", "balance", "data-dir"]
    assert not (tmp_path / "new").exists()


def test_an_evaluator_that_could_start_is_told_what_is_only_a_concern(world: World) -> None:
    with an_oracle(200) as url:
        code, found = check(world, "evaluator", "--oracle-url", url, "--node-id", 1)
    assert code == 0
    # In this world owners operate their nodes.
    assert {name for name, row in found.items() if row["status"] == "warning"} == {"operator"}


def test_people_read_a_line_a_check_and_the_way_to_mend_it(world: World) -> None:
    ran = world.poq("check", "evaluator", "--evaluator", "token-f1", by="evaluator-1")
    assert ran.code == Exit.USAGE
    assert ran.err == ""
    lines = ran.out.splitlines()
    assert lines[0].startswith("ok       rpc")
    [told] = [line for line in lines if line.startswith("failed   calibration")]
    assert "→ Fit one" in lines[lines.index(told) + 1]


def test_a_node_that_does_not_answer_hides_what_only_it_could_tell(world: World) -> None:
    code, found = check(world, "oracle", "--rpc-url", "http://127.0.0.1:1", by="settler")
    assert code == Exit.RPC
    assert found["rpc"]["status"] == "failed"
    assert {found[name]["status"] for name in ("deployment", "sync", "balance")} == {"skipped"}
    assert found["key"]["status"] == "ok"


def test_another_chain_than_the_one_that_was_meant_is_worst(world: World, tmp_path: Path) -> None:
    code, found = check(world, "oracle", "--chain", 1, "--password-file", tmp_path / "none")
    assert code == Exit.UNSAFE_CHAIN
    assert "Expected chain 1" in found["rpc"]["found"]
    assert found["key"]["status"] == "failed"


def test_other_code_than_was_deployed_is_found(world: World, tmp_path: Path) -> None:
    path = world.path("deployments/31337/deployment.json")
    elsewhere = tmp_path / "31337" / "deployment.json"
    elsewhere.parent.mkdir()
    content = path.read_text()
    address = world.done("keys", "list")["keys"][0]["address"]
    import json

    changed = json.loads(content)
    changed["rounds"]["address"] = address
    elsewhere.write_text(json.dumps(changed))
    code, found = check(world, "oracle", "--deployments", tmp_path, by="settler")
    assert code == Exit.UNSAFE_CHAIN
    assert "no code" in found["deployment"]["found"]


def test_no_deployment_is_found(world: World, tmp_path: Path) -> None:
    code, found = check(world, "oracle", "--deployments", tmp_path, by="settler")
    assert code == Exit.USAGE
    assert found["deployment"]["status"] == "failed"


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX")
@pytest.mark.parametrize("name", ["settler", "password"])
def test_a_secret_that_others_can_read_is_found(world: World, name: str) -> None:
    path = world.path("keys") / name
    path.chmod(0o640)
    try:
        code, found = check(world, "oracle", by="settler")
    finally:
        path.chmod(0o600)
    assert code == Exit.KEY
    assert "mode 0640, not 0600" in found["secrets"]["found"]


def test_a_password_that_opens_nothing_is_found_and_not_told(world: World, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text(CANARY)
    password.chmod(0o600)
    ran: Ran = world.poq("check", "oracle", "--password-file", password, by="settler")
    assert ran.code == Exit.KEY
    assert "does not open" in ran.out
    assert CANARY not in ran.out + ran.err


def test_no_key_is_found(world: World) -> None:
    code, found = check(world, "oracle", by=None)
    assert code == Exit.KEY
    assert "--account" in found["key"]["found"]


@pytest.mark.parametrize(
    ("by", "node_id", "failed", "code", "words"),
    [
        ("stranger", None, "node", Exit.REVERTED, "operates no evaluator node"),
        ("evaluator-1", 9, "node", Exit.USAGE, "There is no node 9"),
        ("inference-1", 4, "node", Exit.REVERTED, "role inference"),
        ("evaluator-1", 2, "operator", Exit.KEY, "The operator of node 2 is"),
    ],
)
def test_a_node_that_this_key_cannot_serve_is_found(
    world: World, by: str, node_id: int | None, failed: str, code: Exit, words: str
) -> None:
    named: list[Argument] = [] if node_id is None else ["--node-id", node_id]
    ended, found = check(world, "evaluator", *named, by=by)
    assert ended == code
    assert words in found[failed]["found"]


def test_a_node_that_left_is_found(world: World) -> None:
    world.done("node", "exit", 1, by="evaluator-1")
    code, found = check(world, "evaluator", "--node-id", 1)
    assert code == Exit.REVERTED
    assert "has left" in found["node"]["found"]


def test_a_slashed_node_is_found(drawn: World) -> None:
    for i in (1, 2):
        assert drawn.commit(1, i).code == 0
    drawn.pass_time(600)
    for i in (1, 2):
        assert drawn.open_reveal(1, i).code == 0
    assert drawn.settle(1, drawn.reveal(1), drawn.reveal(2)).code == 0
    code, found = check(drawn, "evaluator", by="evaluator-3")
    assert code == Exit.REVERTED
    assert "slashed" in found["node"]["found"]


def test_an_empty_purse_is_found(world: World) -> None:
    code, found = check(world, "oracle", "--rounds", 10**12, by="settler")
    assert code == Exit.KEY
    assert "rounds at today's fee" in found["balance"]["found"]
    code, found = check(world, "oracle", "--max-fee", "1000ether", by="settler")
    assert (code, found["balance"]["status"]) == (0, "warning")


def test_a_fee_above_the_cap_is_a_concern(world: World) -> None:
    code, found = check(world, "oracle", "--max-fee", "1wei", by="settler")
    assert code == 0
    assert "above the cap of 1" in found["balance"]["found"]


def test_a_directory_that_cannot_be_written_to_is_found(world: World, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    code, found = check(world, "oracle", "--data-dir", file, by="settler")
    assert code == Exit.USAGE
    assert "cannot be written to" in found["data-dir"]["found"]


def test_an_evaluator_that_does_not_load_is_found(world: World) -> None:
    code, found = check(world, "evaluator", "--evaluator", "oracle-of-delphi")
    assert code == Exit.USAGE
    assert "unknown evaluator" in found["evaluator"]["found"]
    assert found["calibration"]["status"] == "skipped"


def test_a_calibration_for_another_evaluator_is_found(world: World, tmp_path: Path) -> None:
    labelled, fitted = tmp_path / "labelled.jsonl", tmp_path / "chrf.json"
    world.done("workload", "example", "qa", "--calibration", "-o", labelled)
    world.done("calibrate", labelled, "--evaluator", "chrf", "-o", fitted)
    fits: list[Argument] = ["evaluator", "--calibration", fitted, "--evaluator"]
    assert check(world, *fits, "chrf")[1]["calibration"]["status"] == "ok"
    code, found = check(world, *fits, "token-f1")
    assert code == Exit.USAGE
    assert "calibration is for chrf" in found["calibration"]["found"]
    code, found = check(world, *fits, "chrf", "--calibration", fitted)
    assert code == Exit.USAGE
    assert "two calibrations for qa" in found["calibration"]["found"]


def test_oracles_that_take_no_reveals_are_found(world: World) -> None:
    gone = "http://127.0.0.1:1"
    with an_oracle(503) as unready, an_oracle(200) as ready:
        code, found = check(world, "evaluator", "--oracle-url", gone, "--oracle-url", unready)
        assert code == Exit.RPC
        assert "503" in found["oracles"]["found"]
        code, found = check(world, "evaluator", "--oracle-url", gone, "--oracle-url", ready)
        assert (code, found["oracles"]["status"]) == (0, "warning")

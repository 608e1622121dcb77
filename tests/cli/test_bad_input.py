"""Whatever is wrong with what was given: one sentence, its exit code, and nothing is lost."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.world import Argument, Ran, World, poq

Files = Callable[[str, str], Path]


def refused(ran: Ran, code: int, sentence: str) -> None:
    """Check that a command said one sentence, and what it said."""
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.count("\n") == 1, ran.err
    assert sentence in ran.err
    assert "Traceback" not in ran.err


@pytest.fixture
def files(tmp_path: Path) -> Files:
    def write(name: str, content: str) -> Path:
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        return path

    return write


def altered(path: Path, into: Path, **changes: Any) -> Path:
    """Write a document with some of its fields changed."""
    into.parent.mkdir(parents=True, exist_ok=True)
    into.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return into


# Without a chain


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "workload: the file is empty."),
        ("\n", "workload line 1: not valid JSON."),
        ("[]", "workload line 1: a JSON list, expected an object."),
        ('{"format": "poq-workload/1", "domain": "qa", "cost_ceiling_ms": 5}\n', "no items after"),
        ('{"format": "poq-workload/9", "domain": "qa", "cost_ceiling_ms": 5}\n', "format is"),
        (
            '{"format": "poq-workload/1", "domain": "qa", "cost_ceiling_ms": 5}\n{"id": "a"}\n',
            "workload line 2: field 'latency_ms' is missing.",
        ),
    ],
)
def test_a_workload_that_is_none_is_refused_with_its_line(
    files: Files, content: str, sentence: str, tmp_path: Path
) -> None:
    path = files("workload.jsonl", content)
    out = tmp_path / "scores.json"
    refused(poq("evaluate", path, "--evaluator", "token-f1", "-o", out), 2, sentence)
    refused(poq("workload", "show", path), 2, sentence)
    assert not out.exists()


def test_a_workload_that_is_not_there_is_named(tmp_path: Path) -> None:
    refused(poq("workload", "show", tmp_path / "none.jsonl"), 2, "none.jsonl: No such file")


@pytest.mark.parametrize(("score", "code"), [("nan", 2), ("inf", 2), ("1.01", 2), ("-0.1", 2)])
def test_a_score_that_is_no_share_is_not_turned_into_one(
    files: Files, tmp_path: Path, score: str, code: int
) -> None:
    workload = tmp_path / "qa.jsonl"
    nodes = ["--node", "use-sentence", "--prompts", "1"]
    assert poq("workload", "example", "qa", *nodes, "-o", workload).code == 0
    item = json.loads(workload.read_text().splitlines()[1])["id"]
    recorded = files("recorded.csv", f"id,node,score\n{item},use-sentence,{score}\n")
    out = tmp_path / "scores.json"
    ran = poq("evaluate", workload, "--evaluator", f"recorded:{recorded}", "-o", out)
    refused(ran, code, "recorded:recorded.csv row 1 has no id, node and score in [0, 1].")
    assert not out.exists()


def test_an_evaluator_that_nobody_knows_is_refused_and_the_others_are_named(
    world: World, tmp_path: Path
) -> None:
    arguments: list[Argument] = ["--evaluator", "oracle", "-o", tmp_path / "scores.json"]
    refused(
        world.poq("evaluate", world.path("qa.jsonl"), *arguments), 2, "expected one of token-f1"
    )


def test_a_calibration_of_another_evaluator_is_refused(world: World, tmp_path: Path) -> None:
    judged, fitted = tmp_path / "judged.jsonl", tmp_path / "fitted.json"
    world.done("workload", "example", "qa", "--calibration", "-o", judged)
    world.done("calibrate", judged, "--evaluator", "chrf", "-o", fitted)
    arguments: list[Argument] = [
        "--evaluator",
        "token-f1",
        "--calibration",
        fitted,
        "-o",
        tmp_path / "s.json",
    ]
    ran = world.poq("evaluate", world.path("qa.jsonl"), *arguments)
    refused(ran, 2, "calibration is for chrf in qa, not token-f1 in qa.")


def test_a_calibration_needs_judged_items(world: World, tmp_path: Path) -> None:
    out = tmp_path / "fitted.json"
    ran = world.poq("calibrate", world.path("qa.jsonl"), "--evaluator", "chrf", "-o", out)
    refused(ran, 2, "6 labelled items, at least 20 are needed.")


@pytest.mark.parametrize("amount", ["-1", "1.5", "1 ether", "1eth", "0.1wei", "", "1e18", "9" * 40])
def test_an_amount_that_is_none_is_refused(world: World, amount: str) -> None:
    height = world.height()
    ran = world.poq("token", "mint", "--account", "deployer", "--", amount, "requester")
    assert ran.code == 2
    assert "Traceback" not in ran.err
    assert world.height() == height


@pytest.mark.parametrize(
    "arguments",
    [
        ["deploy"],
        ["deploy", "--parameters", "local"],
        ["deploy", "--parameters", "local", "--mock-token", "--token", "0x" + 40 * "1"],
        ["reveal", "--round", "1", "--scores", "s.json"],
        ["round", "show", "0"],
        ["round", "draw", "one"],
        ["node", "register", "judge"],
        ["nodes"],
        ["audit", "--nothing"],
        ["devnet", "--port", "70000"],
    ],
)
def test_a_command_that_is_typed_wrong_exits_with_2(arguments: list[str]) -> None:
    ran = poq(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Traceback" not in ran.err


# The node


def test_a_node_that_cannot_be_reached_exits_with_4(world: World) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    ran = world.poq("round", "list", "--rpc-url", url)
    refused(ran, 4, "The node at 127.0.0.1 gave no answer: ConnectionError.")


def test_a_url_of_another_kind_exits_with_4(world: World) -> None:
    refused(world.poq("round", "list", "--rpc-url", "ftp://node"), 4, "neither with http://")


def test_another_chain_than_the_one_that_was_meant_exits_with_8(world: World) -> None:
    ran = world.poq("node", "exit", 1, "--chain", 1, by="evaluator-1")
    refused(ran, 8, "Expected chain 1, but the node is on chain 31337.")


def test_a_chain_without_a_deployment_is_named(world: World, tmp_path: Path) -> None:
    ran = world.poq("round", "list", "--deployments", tmp_path)
    refused(ran, 2, "There is no deployment on chain 31337")


def test_a_deployment_that_is_not_on_the_chain_exits_with_8(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.path("deployments"), tmp_path, dirs_exist_ok=True)
    path = tmp_path / "31337" / "deployment.json"
    content = json.loads(path.read_text())
    content["rounds"]["address"] = "0x000000000000000000000000000000000000dEaD"
    path.write_text(json.dumps(content))
    ran = world.poq("round", "list", "--deployments", tmp_path)
    refused(ran, 8, "There is no code at 0x000000000000000000000000000000000000dEaD")
    content["rounds"]["address"] = content["token"]
    path.write_text(json.dumps(content))
    ran = world.poq("round", "list", "--deployments", tmp_path)
    refused(ran, 8, "There is other code at")


def test_a_second_deployment_is_refused(world: World) -> None:
    ran = world.poq("deploy", "--parameters", "local", "--mock-token", by="deployer")
    refused(ran, 2, "the contracts are deployed already; --force replaces it.")


def test_parameters_that_make_no_sense_are_refused(world: World, files: Files) -> None:
    path = files("own.toml", "[rounds]\ncommit_window = 0\n")
    ran = world.poq("deploy", "--parameters", path, "--mock-token", by="deployer")
    refused(ran, 2, f"{path}: registry: Field required.")


# The key


def test_no_key_exits_with_7(world: World) -> None:
    refused(world.poq("node", "exit", 1), 7, "name one with --account or --keystore.")


def test_a_key_that_is_not_there_exits_with_7(world: World) -> None:
    refused(world.poq("node", "exit", 1, by="nobody"), 7, "nobody cannot be read: No such file")


def test_a_wrong_password_exits_with_7(world: World, files: Files) -> None:
    path = files("password", "guess\n")
    ran = world.poq("node", "exit", 1, "--password-file", path, by="evaluator-1")
    refused(ran, 7, "The password does not open")


def test_a_key_that_is_none_exits_with_7_and_is_not_repeated(world: World) -> None:
    ran = world.poq("node", "exit", 1, "--private-key", "0xcanary5ecret", "-v")
    assert ran.code == 7
    assert "canary" not in ran.out + ran.err


def test_a_key_without_ether_exits_with_7(world: World) -> None:
    new = poq("keys", "new", "poor", "--json", env=world.env)
    address = new.json["address"]
    world.done("token", "mint", "1000ether", "poor", by="deployer")
    ran = world.poq("node", "register", "evaluator", by="poor")
    refused(ran, 7, f"{address} has 0 wei")
    world.path("keys/poor").unlink()


def test_a_key_without_tokens_exits_with_7_before_anything_is_sent(world: World) -> None:
    height = world.height()
    ran = world.poq("node", "register", "evaluator", by="stranger")
    refused(ran, 7, "has 0 tokens, and 1000 are needed.")
    assert world.height() == height


def test_a_keystore_is_never_overwritten(world: World) -> None:
    before = world.path("keys/settler").read_bytes()
    ran = poq("keys", "new", "settler", env=world.env)
    refused(ran, 7, "exists; a keystore is never overwritten.")
    assert world.path("keys/settler").read_bytes() == before


def test_an_account_with_a_mistyped_digit_is_refused(world: World) -> None:
    ran = world.poq("token", "balance", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92267")
    refused(ran, 2, "wrong checksum")


# Nodes


@pytest.mark.parametrize(
    ("arguments", "by", "code", "sentence"),
    [
        (["node", "show", 9], None, 2, "There is no node 9."),
        (["node", "exit", 1], "stranger", 5, "Only the owner of node 1 may do this"),
        (["node", "withdraw", 1], "evaluator-1", 5, "has to leave before its stake"),
        (["node", "top-up", 1], "evaluator-1", 9, "The stake of node 1 is full."),
        (["withdraw"], "evaluator-1", 9, "No finished round owes anything to 0x"),
        (["round", "show", 1], None, 2, "There is no round 1: 0 were opened so far."),
        (["round", "draw", 7], "settler", 2, "There is no round 7"),
    ],
)
def test_what_a_node_or_round_cannot_do_is_said(
    world: World, arguments: list[Argument], by: str | None, code: int, sentence: str
) -> None:
    refused(world.poq(*arguments, by=by), code, sentence)


def test_a_stake_is_locked_until_the_exit_delay_is_over(world: World) -> None:
    world.done("node", "exit", 1, by="evaluator-1")
    ran = world.poq("node", "withdraw", 1, by="evaluator-1")
    refused(ran, 9, "Node 1's stake can be withdrawn in")
    world.pass_time(18_000)
    world.done("node", "withdraw", 1, by="evaluator-1")
    [balance] = world.done("token", "balance", "evaluator-1")["balances"]
    assert balance["balance"] == str(10_000 * 10**18)


# Opening


@pytest.mark.parametrize(
    ("changes", "code", "sentence"),
    [
        (["--quorum", 1], 5, "more than half and at most all of them, not 1."),
        (["--trim", 100], 5, "only for the trimmed mean; it was 100."),
        (["--evaluator-budget", "1"], 5, "is below the least pay for this round"),
        (["--inference-budget", "20000ether"], 7, "tokens, and 20101 are needed."),
        (["--oracle", "nobody"], 2, "'nobody' is neither an account nor a keystore"),
    ],
)
def test_terms_that_cannot_be_are_refused(
    world: World, changes: list[Argument], code: int, sentence: str
) -> None:
    ran = world.poq(*world.opening(*changes), by="requester")
    assert ran.code == code
    assert sentence in ran.err.splitlines()[-1]
    assert world.done("round", "list")["rounds"] == []


def test_a_receipt_that_is_missing_or_of_something_else_is_refused(
    world: World, tmp_path: Path
) -> None:
    one, two = world.path("receipts/1.json"), world.path("receipts/2.json")
    opening = [part for part in world.opening() if part not in world.receipts]

    def open_with(*paths: Path) -> Ran:
        given = [part for path in paths for part in ("--receipt", path)]
        return world.poq(*opening, *given, by="requester")

    refused(open_with(one), 2, "There is no receipt for 'use-sentence'.")
    other = altered(one, tmp_path / "other.json", cost=0)
    refused(open_with(one, two, other), 2, "two different receipts for 'gemma3-270m'.")
    refused(open_with(other, two), 2, "The receipt for 'gemma3-270m' says cost 0, and it is")
    world.receipt("gemma3-270m", 4, "inference-1", tmp_path / "theirs.json", to="stranger")
    refused(open_with(tmp_path / "theirs.json", two), 2, "says requester 0x")
    refused(open_with(world.path("qa.jsonl"), two), 2, "is no receipt file")
    signature = json.loads(two.read_text())["signature"]
    forged = altered(one, tmp_path / "forged.json", signature=signature)
    ran = open_with(forged, two)
    assert ran.code == 5
    assert "The receipt of node 4 is not signed by its operator" in ran.err


def test_only_the_operator_signs_a_receipt(world: World, tmp_path: Path) -> None:
    arguments: list[Argument] = [
        "--node-id",
        4,
        "--label",
        "gemma3-270m",
        "--requester",
        "requester",
    ]
    out = tmp_path / "receipt.json"
    workload = world.path("qa.jsonl")
    ran = world.poq("receipt", workload, *arguments, "-o", out, by="stranger")
    refused(ran, 7, "The operator of node 4 is 0x")
    arguments[3] = "gpt"
    ran = world.poq("receipt", workload, *arguments, "-o", out, by="inference-1")
    refused(ran, 2, "has no node 'gpt', only gemma3-270m, use-sentence.")
    assert not out.exists()


# Drawing and committing


def test_what_needs_a_panel_waits_for_the_draw(world: World) -> None:
    world.open()
    refused(world.commit(1, 1), 9, "Round 1 has no panel yet: draw it first.")
    refused(world.open_reveal(1, 1), 9, "Round 1 has no panel yet: draw it first.")
    refused(world.settle(1), 9, "Round 1 has no panel yet: draw it first.")
    ran = world.poq("round", "cancel", 1, by="requester")
    refused(ran, 9, "the panel can be drawn up to block")


def test_a_panel_is_drawn_once(drawn: World) -> None:
    ran = drawn.poq("round", "draw", 1, by="settler")
    refused(ran, 5, "Round 1 cannot be drawn: the round is drawn, not open.")


@pytest.mark.parametrize(
    ("scores", "sentence"),
    [
        ([10_001, 0, 0, 0, 0, 0], "scores.0: Input should be less than or equal to 10000."),
        ([-1, 0, 0, 0, 0, 0], "scores.0: Input should be greater than or equal to 0."),
        ([0.5, 0, 0, 0, 0, 0], "scores.0: Input should be a valid integer"),
        ([True, 0, 0, 0, 0, 0], "scores.0: Input should be a valid integer"),
        ([0] * 5, "has 5 scores; the round has 6 items."),
        ([0] * 7, "has 7 scores; the round has 6 items."),
        ([], "scores: List should have at least 1 item"),
    ],
)
def test_scores_that_are_none_are_not_committed(
    drawn: World, tmp_path: Path, scores: list[Any], sentence: str
) -> None:
    height = drawn.height()
    path = altered(drawn.scores(1), tmp_path / "scores.json", scores=scores)
    ran = drawn.poq("commit", "--round", 1, "--scores", path, by="evaluator-1")
    refused(ran, 2, sentence)
    assert drawn.height() == height


@pytest.mark.parametrize("content", ["", "[]", "{", "NaN", '{"scores": [NaN]}', "\x00"])
def test_a_file_that_holds_no_scores_is_not_committed(
    drawn: World, files: Files, content: str
) -> None:
    path = files("scores.json", content)
    ran = drawn.poq("commit", "--round", 1, "--scores", path, by="evaluator-1")
    refused(ran, 2, "scores.json is no scores file:")


def test_scores_of_another_workload_are_not_committed(drawn: World, tmp_path: Path) -> None:
    path = altered(drawn.scores(1), tmp_path / "s.json", workloadHash="0x" + 64 * "1")
    ran = drawn.poq("commit", "--round", 1, "--scores", path, by="evaluator-1")
    refused(ran, 2, "scores workload 0x1111")


def test_a_workload_file_with_the_wrong_hash_stops_a_commit(drawn: World, tmp_path: Path) -> None:
    path = tmp_path / "qa.jsonl"
    path.write_bytes(drawn.path("qa.jsonl").read_bytes() + b"\n")
    arguments: list[Argument] = ["--scores", drawn.scores(1), "--workload", path]
    ran = drawn.poq("commit", "--round", 1, *arguments, by="evaluator-1")
    refused(ran, 2, "workload: SHA-256 is")


def test_a_seat_commits_once(drawn: World) -> None:
    assert drawn.commit(1, 1).code == 0
    ran = drawn.commit(1, 1)
    refused(ran, 5, "committed already.")


def test_a_stranger_cannot_commit(drawn: World) -> None:
    arguments: list[Argument] = ["--round", 1, "--scores", drawn.scores(1)]
    refused(drawn.poq("commit", *arguments, by="stranger"), 7, "operates no node in the panel of 1")
    ran = drawn.poq("commit", *arguments, "--node-id", 1, by="stranger")
    refused(ran, 5, "Only the operator of node 1 may do this")
    ran = drawn.poq("commit", *arguments, "--node-id", 4, by="inference-1")
    refused(ran, 2, "Node 4 has no seat in round 1.")


def test_a_commit_after_the_window_is_too_late(drawn: World) -> None:
    drawn.pass_time(600)
    refused(drawn.commit(1, 1), 5, "cannot commit: commits closed at")


# Revealing


def test_a_reveal_before_commits_are_closed_is_too_early(drawn: World) -> None:
    assert drawn.commit(1, 1).code == 0
    refused(drawn.open_reveal(1, 1), 9, "Round 1 waits for 2 commits")
    arguments: list[Argument] = ["--round", 1, "--scores", drawn.scores(1), "--on-chain"]
    ran = drawn.poq("reveal", *arguments, by="evaluator-1")
    refused(ran, 9, "cannot be revealed: commits are open until")
    assert not drawn.reveal(1).exists()


def test_what_was_not_committed_cannot_be_revealed(committed: World, tmp_path: Path) -> None:
    path = altered(committed.scores(1), tmp_path / "s.json", scores=[0] * 6)
    for way in (["-o", tmp_path / "reveal.json"], ["--on-chain"]):
        arguments: list[Argument] = ["--round", 1, "--scores", path, *way]
        ran = committed.poq("reveal", *arguments, by="evaluator-1")
        refused(ran, 2, "but committed to 0x")
    assert not (tmp_path / "reveal.json").exists()


def test_a_stranger_cannot_reveal_a_seat(committed: World) -> None:
    arguments: list[Argument] = ["--round", 1, "--scores", committed.scores(1), "--on-chain"]
    ran = committed.poq("reveal", *arguments, by="stranger")
    refused(ran, 7, "operates no node in the panel of 1")
    ran = committed.poq("reveal", *arguments, "--node-id", 1, by="stranger")
    refused(ran, 2, "but committed to 0x")


def test_a_seat_is_revealed_on_chain_once(committed: World) -> None:
    arguments: list[Argument] = ["--round", 1, "--scores", committed.scores(1), "--on-chain"]
    assert committed.poq("reveal", *arguments, by="evaluator-1").code == 0
    refused(committed.poq("reveal", *arguments, by="evaluator-1"), 5, "is revealed already.")


def test_a_reveal_on_chain_after_its_window_is_too_late(committed: World) -> None:
    committed.pass_time(1_200)
    arguments: list[Argument] = ["--round", 1, "--scores", committed.scores(1), "--on-chain"]
    ran = committed.poq("reveal", *arguments, by="evaluator-1")
    refused(ran, 5, "cannot be revealed: reveals closed at")


# Settling


def test_a_settlement_without_a_seat_that_may_still_reveal_is_too_early(committed: World) -> None:
    reveals = [committed.reveal(1), committed.reveal(2)]
    refused(committed.settle(1, *reveals), 9, "Round 1 cannot be settled: seat")
    committed.pass_time(1_200)
    assert committed.settle(1, *reveals).code == 0


def test_a_settlement_without_a_quorum_is_refused(committed: World) -> None:
    refused(committed.settle(1, committed.reveal(1)), 5, "1 seats are no quorum of 2.")
    refused(committed.settle(1), 5, "0 seats are no quorum of 2.")


def test_a_settlement_with_a_seat_twice_is_refused(committed: World) -> None:
    reveals = [committed.reveal(i) for i in (1, 2, 3, 1)]
    refused(committed.settle(1, *reveals), 2, "is revealed twice.")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"scores": [0] * 6}, "but committed to 0x"),
        ({"salt": "0x" + 64 * "0"}, "but committed to 0x"),
        ({"scores": [0] * 5}, "packed scores have 10 bytes instead of 12."),
        ({"scores": [10_001] * 6}, "scores.0: Input should be less than or equal to 10000."),
        ({"salt": "0x00"}, "salt: String should match pattern"),
        ({"round": 2}, "is of round 2 of 0x"),
        ({"chainId": 1}, "on chain 1, not of this one."),
        ({"seat": 31}, "seat: Input should be less than 31."),
        ({"kind": "scores"}, "kind: Input should be 'reveal'."),
    ],
)
def test_a_reveal_that_was_altered_is_not_settled(
    committed: World, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    height = committed.height()
    path = altered(committed.reveal(1), tmp_path / "reveal.json", **changes)
    refused(committed.settle(1, path, committed.reveal(2), committed.reveal(3)), 2, sentence)
    assert committed.height() == height


def test_a_seat_outside_the_panel_is_not_settled(committed: World, tmp_path: Path) -> None:
    path = altered(committed.reveal(1), tmp_path / "reveal.json", seat=5)
    reveals = [path, committed.reveal(2), committed.reveal(3)]
    refused(committed.settle(1, *reveals), 5, "seat 5 did not commit.")


def test_a_settlement_before_commits_are_closed_is_too_early(drawn: World) -> None:
    for i in (1, 2):
        assert drawn.commit(1, i).code == 0
    refused(drawn.settle(1), 5, "0 seats are no quorum of 2.")
    ran = drawn.poq("round", "cancel", 1, by="requester")
    refused(ran, 9, "the round can be settled until")


def test_only_the_rounds_oracle_settles_before_the_reveal_deadline(world: World) -> None:
    world.draw(world.open("--oracle", "settler"))
    world.commit_all(1)
    reveals = [world.reveal(i) for i in (1, 2, 3)]
    refused(world.settle(1, *reveals, by="stranger"), 9, "only the oracle 0x3C44")
    assert world.settle(1, *reveals, by="settler").code == 0


def test_a_settled_round_is_over(committed: World) -> None:
    reveals = [committed.reveal(i) for i in (1, 2, 3)]
    assert committed.settle(1, *reveals).code == 0
    refused(committed.settle(1, *reveals), 5, "Round 1 is closed.")
    refused(committed.commit(1, 1), 5, "Round 1 is closed.")
    refused(committed.open_reveal(1, 1), 5, "Round 1 is closed.")
    ran = committed.poq("round", "cancel", 1, by="requester")
    refused(ran, 5, "the round is closed, not drawn.")


# Auditing


def test_an_audit_against_other_parameters_exits_with_3_and_names_the_difference(
    committed: World, tmp_path: Path
) -> None:
    assert committed.settle(1, *(committed.reveal(i) for i in (1, 2, 3))).code == 0
    shutil.copytree(committed.path("deployments"), tmp_path, dirs_exist_ok=True)
    path = tmp_path / "31337" / "deployment.json"
    content = json.loads(path.read_text())
    content["parameters"]["rounds"]["costWeight"] += 1
    path.write_text(json.dumps(content))
    ran = committed.poq("audit", "--deployments", tmp_path)
    assert ran.code == 3
    assert "round 1" in ran.out and "mismatches" in ran.out
    told = committed.poq("audit", "--deployments", tmp_path, "--json")
    assert told.code == 3
    assert told.json["right"] is False and told.json["mismatches"]

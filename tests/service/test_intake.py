"""What the intake takes, what it refuses, and in which words."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oracle.core.units import MAX_ITEMS, MAX_SEATS, ONE
from oracle.service.intake import MOST_BYTES
from oracle.service.rate import RateLimit
from oracle.service.reveals import RevealStore
from tests.core.rounds import account, node_id, reveal_of, salt_of
from tests.service.desk import EVERY_SEAT, Desk
from tests.service.rounds import (
    COMMITS_CLOSE,
    DEPLOYMENT,
    ROUND,
    SCORES,
    board_with,
    document,
    facts_of,
    running,
    undrawn,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RevealStore]:
    store = RevealStore(tmp_path / "reveals.sqlite")
    yield store
    store.close()


@pytest.fixture(scope="module")
def one_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    store = RevealStore(tmp_path_factory.mktemp("desk") / "reveals.sqlite")
    with Desk(store).open(RateLimit(10_000, 10_000)) as desk:
        yield desk
    store.close()


@pytest.fixture
def desk(one_desk: Desk) -> Desk:
    one_desk.clear()
    return one_desk


def refused(answer: Any, status: int, code: str) -> str:
    """Assert that an answer is a refusal and return its sentence."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"code", "message"}
    assert error["code"] == code
    assert error["message"].endswith(".")
    return str(error["message"])


def test_nothing_is_taken_before_the_first_look_at_the_chain(desk: Desk) -> None:
    desk.board.current = None
    refused(desk.hand_over(0), 503, "not_ready")
    refused(desk.client.get(f"/v1/rounds/{ROUND}"), 503, "not_ready")


def test_a_reveal_of_a_round_that_does_not_run_is_refused(desk: Desk) -> None:
    refused(desk.hand_over(0, round=ROUND + 1), 404, "no_such_round")
    refused(desk.client.get(f"/v1/rounds/{ROUND + 1}"), 404, "no_such_round")


def test_a_reveal_for_another_deployment_is_refused(desk: Desk) -> None:
    refused(desk.hand_over(0, chainId=1), 422, "other_deployment")
    refused(desk.hand_over(0, rounds=account("elsewhere")), 422, "other_deployment")


def test_nothing_is_taken_while_anyone_may_still_commit(desk: Desk) -> None:
    """R2."""
    found = running(facts_of(0, 1, 2, 3))
    desk.board.current = board_with(found, now=COMMITS_CLOSE - 1)
    answer = desk.hand_over(0)
    refused(answer, 409, "commits_open")
    assert answer.headers["Retry-After"] == "1"
    desk.board.current = board_with(found, now=COMMITS_CLOSE - 400)
    assert desk.hand_over(0).headers["Retry-After"] == "2"
    assert desk.store.count() == 0
    desk.board.current = board_with(found, now=COMMITS_CLOSE)
    assert desk.hand_over(0).status_code == 202


def test_nothing_is_taken_before_the_draw(desk: Desk) -> None:
    """R2."""
    desk.board.current = board_with(undrawn(facts_of(*EVERY_SEAT)))
    answer = desk.hand_over(0)
    refused(answer, 409, "commits_open")
    assert int(answer.headers["Retry-After"]) > 0


def test_once_every_seat_committed_reveals_are_taken_at_once(desk: Desk) -> None:
    desk.board.current = board_with(running(facts_of(*EVERY_SEAT)), now=COMMITS_CLOSE - 500)
    assert desk.hand_over(3).status_code == 202


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"salt": "0x" + 64 * "0"}, "commitment_mismatch"),
        ({"scores": [0, 0, 0, 0, 0]}, "commitment_mismatch"),
        ({"scores": [0, 0, 0, 0]}, "invalid_scores"),
        ({"salt": "0x" + salt_of(1).hex()}, "commitment_mismatch"),
        ({"nodeId": node_id(1)}, "other_node"),
    ],
)
def test_what_does_not_open_the_seats_commitment_is_refused(
    desk: Desk, changes: dict[str, Any], code: str
) -> None:
    refused(desk.hand_over(0, **changes), 422, code)
    assert desk.store.count() == 0
    assert desk.counted(code) == 1


def test_the_reveal_of_a_seat_that_nobody_has_is_refused(desk: Desk) -> None:
    refused(
        desk.post(document(0).model_copy(update={"seat": 30}).model_dump_json()),
        422,
        "unknown_seat",
    )


def test_the_reveal_of_a_seat_that_did_not_commit_is_refused(desk: Desk) -> None:
    desk.board.current = board_with(running(facts_of(0, 1, 2, 3)))
    refused(desk.hand_over(4), 422, "not_committed")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * MOST_BYTES,
        b'{"round":' * 5_000,
        b'{"seat": 1e400}',
        b'{"round": ' + b"9" * 50_000 + b"}",
        b'{"' + b"a" * 50_000 + b'": 1}',
        b'{"kind": "\\ud800"}',
    ],
)
def test_a_malformed_body_is_refused_in_one_short_sentence(desk: Desk, body: bytes) -> None:
    assert len(refused(desk.post(body), 422, "malformed")) < 300


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"kind": "scores"},
        {"seat": -1},
        {"seat": MAX_SEATS},
        {"seat": "0"},
        {"seat": True},
        {"round": 2**63},
        {"round": -1},
        {"round": 1.5},
        {"salt": "0x00"},
        {"salt": "0X" + 64 * "0"},
        {"scores": []},
        {"scores": [ONE + 1]},
        {"scores": [-1]},
        {"scores": [None]},
        {"scores": (MAX_ITEMS + 1) * [0]},
        {"nodeId": 2**32},
        {"rounds": "0x12"},
        {"surplus": 1},
    ],
)
def test_a_field_that_is_out_of_bounds_is_refused(desk: Desk, changes: dict[str, Any]) -> None:
    body = document(0).model_dump() | changes
    refused(desk.post(json.dumps(body)), 422, "malformed")


def test_a_large_body_is_refused_before_it_is_read(desk: Desk) -> None:
    refused(desk.post(b" " * (MOST_BYTES + 1)), 413, "too_large")
    pieces = (b" " * 1024 for _ in range(MOST_BYTES // 1024 + 1))
    refused(desk.client.post("/v1/reveals", content=pieces), 413, "too_large")


def test_the_largest_reveal_fits() -> None:
    whole = document(0, round=2**63 - 1, scores=MAX_ITEMS * [ONE])
    spacious = json.dumps(whole.model_dump(), indent=2)
    assert len(spacious) <= MOST_BYTES


def test_a_client_that_asks_too_often_is_told_when_to_come_again(store: RevealStore) -> None:
    with Desk(store).open(RateLimit(0.5, 2, clock=lambda: 0)) as desk:
        assert [desk.hand_over(seat).status_code for seat in (0, 1)] == [202, 202]
        answer = desk.hand_over(2)
        refused(answer, 429, "too_many_requests")
        assert answer.headers["Retry-After"] == "2"


def test_what_cannot_be_kept_is_not_acknowledged(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> bool:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(desk.store, "keep", fail)
    refused(desk.hand_over(0), 503, "not_kept")


def test_a_mistake_of_the_service_shows_nothing_of_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> bool:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(desk.store, "keep", fail)
    assert "secret" not in refused(desk.hand_over(0), 500, "internal")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/reveals", 405, "method_not_allowed"),
        ("GET", "/v1/rounds/0", 422, "malformed"),
        ("GET", "/v1/rounds/seven", 422, "malformed"),
        ("GET", "/v1/rounds/" + 5_000 * "9", 422, "malformed"),
        ("GET", "/v1/rounds/%ff%00", 422, "malformed"),
        ("DELETE", f"/v1/rounds/{ROUND}", 405, "method_not_allowed"),
    ],
)
def test_every_error_has_the_same_form(
    desk: Desk, method: str, path: str, status: int, code: str
) -> None:
    refused(desk.client.request(method, path), status, code)


def test_a_reveal_is_kept_before_it_is_acknowledged(desk: Desk) -> None:
    answer = desk.hand_over(2)
    assert answer.status_code == 202
    assert answer.json() == {"round": ROUND, "seat": 2, "status": "stored"}
    assert desk.store.of(ROUND) == (reveal_of(2, SCORES),)
    assert desk.counted("stored") == 1


def test_a_reveal_that_is_known_is_acknowledged_again(desk: Desk) -> None:
    desk.hand_over(2)
    again = desk.hand_over(2)
    assert again.status_code == 200
    assert again.json()["status"] == "known"
    assert (desk.counted("stored"), desk.counted("known")) == (1, 1)


def test_the_contracts_address_counts_in_any_case(desk: Desk) -> None:
    lower = DEPLOYMENT.rounds.address.lower()
    assert desk.hand_over(0, rounds=lower).status_code == 202


def test_a_round_shows_who_committed_revealed_and_handed_over(desk: Desk) -> None:
    desk.board.current = board_with(running(facts_of(0, 1, 2, revealed=0b10)))
    desk.hand_over(2)
    shown = desk.client.get(f"/v1/rounds/{ROUND}").json()
    assert shown["phase"] == "drawn"
    assert shown["takesReveals"] is True
    assert shown["commitsCloseAt"] == COMMITS_CLOSE
    assert shown["commitsCloseAt"] < shown["revealsCloseAt"] < shown["cancellableAt"]
    seats = shown["seats"]
    assert [seat["committed"] for seat in seats] == [True, True, True, False, False]
    assert [seat["revealed"] for seat in seats] == [False, True, False, False, False]
    assert [seat["handedOver"] for seat in seats] == [False, False, True, False, False]
    assert [seat["nodeId"] for seat in seats] == [node_id(seat) for seat in EVERY_SEAT]


def test_a_round_without_a_panel_shows_no_seats(desk: Desk) -> None:
    desk.board.current = board_with(undrawn(facts_of()))
    shown = desk.client.get(f"/v1/rounds/{ROUND}").json()
    assert (shown["phase"], shown["seats"], shown["takesReveals"]) == ("open", [], False)
    assert shown["commitsCloseAt"] is None


def test_no_answer_holds_what_a_reveal_says(desk: Desk) -> None:
    salt = document(0).salt[2:]
    answers = [desk.hand_over(0), desk.hand_over(0), desk.client.get(f"/v1/rounds/{ROUND}")]
    assert not any(salt in answer.text for answer in answers)


def test_the_description_has_an_example_that_is_well_formed(desk: Desk) -> None:
    described = desk.client.get("/openapi.json").json()
    body = described["paths"]["/v1/reveals"]["post"]["requestBody"]["content"]["application/json"]
    refused(desk.post(json.dumps(body["example"])), 422, "other_deployment")
    assert body["schema"]["properties"]["scores"]["maxItems"] == MAX_ITEMS

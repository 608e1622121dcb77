"""What an oracle answers to a reveal, and what is made of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi import FastAPI, Request, Response

from oracle.service.documents import RevealFile, parse
from oracle.service.handover import NotDelivered, deliver
from oracle.service.serving import serving
from tests.service.rounds import document


@contextmanager
def an_oracle(status: int, body: bytes, **headers: str) -> Iterator[tuple[str, list[bytes]]]:
    app, heard = FastAPI(), list[bytes]()

    @app.post("/v1/reveals")
    async def take(request: Request) -> Response:
        heard.append(await request.body())
        return Response(body, status, headers)

    with serving(app, "127.0.0.1", 0) as url:
        yield url, heard


@pytest.mark.parametrize(("status", "word"), [(202, "stored"), (200, "known")])
def test_what_an_oracle_took_is_told_and_is_the_document(status: int, word: str) -> None:
    reveal = document(0)
    with an_oracle(status, b"{}") as (url, heard):
        assert deliver(url + "/", reveal) == word
    [content] = heard
    assert parse(RevealFile, content) == reveal


def test_a_refusal_keeps_the_oracles_code_its_sentence_and_when_to_come_again() -> None:
    error = {"error": {"code": "commits_open", "message": "Commits are open."}}
    body = json.dumps(error).encode()
    with (
        an_oracle(409, body, **{"Retry-After": "7"}) as (url, _),
        pytest.raises(NotDelivered, match="did not take the reveal: Commits are open") as refused,
    ):
        deliver(url, document(0))
    assert (refused.value.code, refused.value.retry_after) == ("commits_open", 7.0)


@pytest.mark.parametrize(
    ("body", "after"),
    [
        (b"", "soon"),
        (b"<html>", "-1"),
        (b"[" * 100_000, "nan"),
        (b'{"error": 1}', ""),
        (b"\xff", "1e99"),
    ],
)
def test_whatever_else_an_oracle_says_is_its_status(body: bytes, after: str) -> None:
    with (
        an_oracle(500, body, **{"Retry-After": after}) as (url, _),
        pytest.raises(NotDelivered) as refused,
    ):
        deliver(url, document(0))
    assert refused.value.code == "http_500"
    wait = refused.value.retry_after
    assert wait is None or 0 <= wait <= 3600


def test_nobody_at_the_url_is_unreachable_and_a_secret_in_it_is_not_told() -> None:
    with an_oracle(200, b"") as (url, _):
        pass
    secret = url.replace("http://", "http://user:5ec2e7@")
    with pytest.raises(NotDelivered) as refused:
        deliver(secret, document(0))
    assert refused.value.code == "unreachable"
    assert "5ec2e7" not in str(refused.value)

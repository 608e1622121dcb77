"""Whatever is sent to the intake: an answer in its own words, never a 5xx, never a traceback."""

from __future__ import annotations

import json
import logging
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import positive_data_acceptance

from oracle.service.rate import RateLimit
from oracle.service.reveals import RevealStore
from oracle.service.serving import ErrorBody
from tests.service.desk import Desk
from tests.service.rounds import document

SEED = 20_261_127
FEW = 40
"""Requests of each of the three kinds, in every run of the tests."""
MANY = {"against_the_description": 1_000, "altered_reveals": 9_500, "what_need_not_be_http": 1_200}
"""Requests in the long run."""
SOON = 0.1
"""Seconds after which the server gives up on what does not go on, instead of ten."""
PATIENCE = 60  # seconds
UNANSWERED = 0

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
WORDS = (
    b"POST ",
    b"GET ",
    b"/v1/reveals",
    b"/v1/rounds/",
    b" HTTP/1.1\r\n",
    b"\r\n",
    b"Host: a\r\n",
)
HEADERS = (
    b"Content-Length: 9\r\n",
    b"Content-Length: -1\r\n",
    b"Content-Length: " + 30 * b"9" + b"\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n",
    b"Content-Encoding: gzip\r\n",
)


class Fire:
    """A desk under fire: counts what is sent, and refuses to see a 5xx."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.url = str(desk.client.base_url)
        self.statuses: Counter[int] = Counter()

    def judge(self, status: int, body: bytes) -> None:
        self.statuses[status] += 1
        assert status < 500, body
        assert b"Traceback" not in body

    def judge_refusal(self, answer: Any) -> None:
        self.judge(answer.status_code, answer.content)
        if answer.status_code >= 400:
            ErrorBody.model_validate_json(answer.content)

    def send_bytes(self, raw: bytes) -> None:
        """Send what need not be HTTP, and read until the server answers or has had enough of it."""
        parts = urlsplit(self.url)
        with socket.create_connection((parts.hostname, parts.port), PATIENCE) as connection:
            try:
                connection.sendall(raw)
                answer = connection.recv(65_536)
            except ConnectionError:  # it closed while there was more to come
                answer = b""
        line = answer.split(b"\r\n", 1)[0].split(b" ")
        status = int(line[1]) if len(line) > 1 and line[1].isdigit() else UNANSWERED
        self.judge(status, answer)


@pytest.fixture
def fire(
    tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> Iterator[Fire]:
    """All seats of the round have committed; nobody is told to slow down."""
    store = RevealStore(tmp_path_factory.mktemp("fire") / "reveals.sqlite")
    with Desk(store).open(RateLimit(1e9, 1e9)) as desk:
        yield Fire(desk)
    store.close()
    mistakes = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert mistakes == []


def fired(few_or_many: int, shoot: Callable[..., None], *what: st.SearchStrategy[Any]) -> None:
    """Let `shoot` have this many examples, the same ones in every run."""
    repeated = settings(
        max_examples=few_or_many,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    seed(SEED)(repeated(given(*what)(shoot)))()


def against_the_description(fire: Fire, count: int) -> None:
    """Requests made from the OpenAPI description, half of them against it."""
    schema = schemathesis.openapi.from_url(f"{fire.url}/openapi.json")
    operations = [schema["/v1/reveals"]["POST"], schema["/v1/rounds/{round_id}"]["GET"]]
    modes = [GenerationMode.NEGATIVE, GenerationMode.POSITIVE]

    def shoot(case: Any) -> None:
        answer = case.call(timeout=PATIENCE)
        fire.judge_refusal(answer)
        # A reveal may be as described and still open no commitment.
        case.validate_response(answer, excluded_checks=[positive_data_acceptance])

    for operation in operations:
        for mode in modes:
            fired(count // 4, shoot, operation.as_strategy(mode))


def altered_reveals(fire: Fire, count: int) -> None:
    """A right reveal with fields that are replaced, missing or added, and a byte that is."""
    right = document(0).model_dump()
    fields = st.sampled_from([*right, "surplus"])

    def shoot(changes: dict[str, Any], missing: set[str], at: int, byte: int) -> None:
        body = {key: each for key, each in (right | changes).items() if key not in missing}
        raw = bytearray(json.dumps(body).encode())
        if at < len(raw):
            raw[at] = byte
        fire.judge_refusal(fire.desk.post(bytes(raw)))

    fired(
        count,
        shoot,
        st.dictionaries(fields, JSON, max_size=3),
        st.sets(fields, max_size=2),
        st.integers(0, 2_000),
        st.integers(0, 255),
    )


def what_need_not_be_http(fire: Fire, count: int) -> None:
    """Words of the protocol in any order, with any bytes between."""
    pieces = st.lists(st.sampled_from(WORDS + HEADERS) | st.binary(max_size=40), max_size=12)
    whole = pieces.map(b"".join)
    begun = st.builds(
        lambda headers, rest: b"POST /v1/reveals HTTP/1.1\r\nHost: a\r\n%b\r\n%b" % (headers, rest),
        st.lists(st.sampled_from(HEADERS), max_size=3).map(b"".join),
        whole,
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in ("BODY_SECONDS", "HEADER_SECONDS"):
            patch.setattr(f"oracle.service.serving.{name}", SOON)
        fired(count, fire.send_bytes, whole | begun)


KINDS = (against_the_description, altered_reveals, what_need_not_be_http)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_is_sent_breaks_the_intake(fire: Fire, kind: Callable[..., None]) -> None:
    kind(fire, FEW)
    assert fire.desk.hand_over(0).status_code in (200, 202)


@pytest.mark.reliability
def test_ten_thousand_malformed_requests_break_nothing(
    fire: Fire, record_property: Callable[[str, object], None]
) -> None:
    print(f"seed {SEED}")
    for kind in KINDS:
        kind(fire, MANY[kind.__name__])
    assert fire.desk.hand_over(0).status_code in (200, 202)
    refused = sum(fire.statuses[status] for status in range(400, 500))
    for name, value, goal in (
        ("malformed requests to the intake", refused, "10000"),
        ("5xx among their answers", sum(fire.statuses[s] for s in range(500, 600)), "0"),
    ):
        figure = {"name": name, "value": str(value), "goal": goal, "seed": SEED}
        record_property("figure", figure)
    print(dict(fire.statuses))
    assert refused >= 10_000

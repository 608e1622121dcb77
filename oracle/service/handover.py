"""
Hand a reveal to an oracle over HTTP.

An oracle proves nothing by accepting a reveal: only the chain shows that a seat was settled. So
this module merely delivers, says what the other side answered, and when to come again.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from oracle.service.documents import RevealFile
from oracle.service.exchange import Unanswered, post

STEP_SECONDS = 10.0
"""Seconds for each step of a delivery."""
PATH = "/v1/reveals"


class NotDelivered(Exception):
    """
    An oracle did not take a reveal; `code` is its word for why, or `unreachable`.

    `retry_after` is in seconds, `None` if it did not say.
    """

    def __init__(self, host: str, code: str, reason: str, retry_after: float | None = None) -> None:
        super().__init__(f"{host} did not take the reveal: {reason}")
        self.code = code
        self.retry_after = retry_after


def deliver(url: str, reveal: RevealFile) -> str:
    """Return `stored` or `known` once the oracle at `url` has the reveal; raise `NotDelivered`."""
    host = urlsplit(url).netloc.rpartition("@")[2]
    try:
        answer = post(
            url.rstrip("/") + PATH, reveal.model_dump_json().encode(), seconds=STEP_SECONDS
        )
    except Unanswered as error:
        raise NotDelivered(host, "unreachable", f"{error}.") from None
    if answer.status == 202:
        return "stored"
    if answer.status == 200:
        return "known"
    raise NotDelivered(host, *answer.error(), answer.retry_after)

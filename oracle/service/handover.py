"""
Hand a reveal to an oracle over HTTP.

An oracle proves nothing by accepting a reveal: only the chain shows that a seat was settled. So
this module merely delivers, says what the other side answered, and when to come again.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx

from oracle.service.documents import RevealFile

TIMEOUT = 10.0
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
        # A proxy of the environment would see the scores.
        with httpx.Client(timeout=TIMEOUT, trust_env=False) as client:
            answer = client.post(
                url.rstrip("/") + PATH,
                content=reveal.model_dump_json(),
                headers={"Content-Type": "application/json"},
            )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        words = str(error) or type(error).__name__
        raise NotDelivered(host, "unreachable", f"{words}.") from None
    if answer.status_code == 202:
        return "stored"
    if answer.status_code == 200:
        return "known"
    code, message = _words(answer)
    raise NotDelivered(host, code, message, _seconds(answer.headers.get("retry-after")))


def _words(answer: httpx.Response) -> tuple[str, str]:
    """Return the code and the sentence of an error, whatever the other side sent."""
    try:
        error = answer.json()["error"]
        return str(error["code"])[:40], str(error["message"])[:200]
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"http_{answer.status_code}", f"HTTP {answer.status_code}."


def _seconds(retry_after: str | None) -> float | None:
    try:
        return max(0.0, min(float(retry_after or ""), 3600.0))
    except ValueError:
        return None

"""
Post JSON to somebody who is not trusted, and read what comes back.

This module decides how much of an answer is read and how it is parsed: so many bytes, no proxy of
the environment, no redirect, and no nesting that could exhaust the stack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from oracle.core import json_text

MOST_BYTES = 2**20
"""Of an answer."""


class Unanswered(Exception):
    """Nobody answered, or not in a form that can be read; the message says why, without a URL."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its status, its bytes, and how many seconds it asks to wait, if it does."""

    status: int
    content: bytes
    retry_after: float | None

    def json(self) -> Any:
        """Return what the answer says; raise `ValueError` if it is no JSON."""
        return json_text.parse(self.content)

    def error(self) -> tuple[str, str]:
        """Return the code and the sentence of a refusal, whatever the other side sent."""
        try:
            error = self.json()["error"]
            return str(error["code"])[:40], str(error["message"])[:200]
        except (ValueError, KeyError, TypeError):
            return f"http_{self.status}", f"HTTP {self.status}."


def post(
    url: str, body: bytes, *, seconds: float, headers: Mapping[str, str] | None = None
) -> Reply:
    """Return the answer to a POST; each step of it may take `seconds`. Raise `Unanswered`."""
    sent = {"Content-Type": "application/json", **(headers or {})}
    content = bytearray()
    try:
        with (
            httpx.Client(timeout=seconds, trust_env=False) as client,
            client.stream("POST", url, content=body, headers=sent) as answer,
        ):
            for chunk in answer.iter_bytes():
                content += chunk
                if len(content) > MOST_BYTES:
                    raise Unanswered(f"it answers with more than {MOST_BYTES} bytes")
            wait = _seconds(answer.headers.get("retry-after"))
            return Reply(answer.status_code, bytes(content), wait)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unanswered(str(error) or type(error).__name__) from None


def _seconds(retry_after: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, an hour at most."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return None
    return min(seconds, 3600.0) if seconds >= 0 else None

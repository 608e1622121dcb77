"""
Secrets that must never be said: what the tests sign, unlock and connect with, and a search for it.

Every command that a test runs in this process is searched for them, and all output and every
failure that pytest captures of any test. A secret counts in all forms that a program might print it
in. Keys that `poq devnet` tells everybody are searched for where commands sign with them.
"""

from __future__ import annotations

import base64
from collections.abc import Generator, Iterable
from functools import cache

import pytest

KEY = "5ec2e7" * 10 + "abcd"
"""A private key, in hex."""
PASSWORD = "canary-password-" + "7e57" * 4
"""Of keystores."""
API_KEY = "canary-api-key-" + "7e57" * 4
"""In the URL of a node."""
SHORTEST = 8


@cache
def forms(secret: str) -> tuple[bytes, ...]:
    """Return a secret as a program may print it: a key in hex, or a word."""
    raw = secret.encode()
    said = {raw, raw.upper(), raw.hex().encode(), base64.b64encode(raw).rstrip(b"=")}
    if len(secret) == 64:
        key = bytes.fromhex(secret)
        said |= {
            key,
            repr(key)[2:-1].encode(),
            repr(list(key))[1:-1].encode(),
            str(int(secret, 16)).encode(),
            base64.b64encode(key).rstrip(b"="),
            base64.urlsafe_b64encode(key).rstrip(b"="),
        }
    assert all(len(form) >= SHORTEST for form in said)
    return tuple(said)


def leaks(content: str | bytes, secrets: Iterable[str] = (KEY, PASSWORD, API_KEY)) -> list[str]:
    """Return the beginnings of the secrets that are in `content`."""
    searched = content.encode("utf-8", "replace") if isinstance(content, str) else content
    return [secret[:12] for secret in secrets if any(form in searched for form in forms(secret))]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that printed, logged or failed with a secret, whatever else came of it."""
    report = yield
    # Sections of earlier phases come again.
    now = [each for each in report.sections if each[0].endswith(report.when)]
    said = [("the failure", report.longreprtext), *now]
    if found := [f"{where} holds {name}…" for where, text in said for name in leaks(text)]:
        report.outcome = "failed"
        report.longrepr = "; ".join(found)
    report.sections = [each for each in report.sections if not leaks(each[1])]
    return report

"""
Whether a service could do its work here: one question after the other, each with how to mend it.

This module decides what a check is, in which order they are asked and which of them make no sense
after another failed. It changes nothing, sends nothing and signs nothing; what is asked, `checks`
says. A check's answer is a sentence; a problem is an exception, as it would meet the service.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

Subject = TypeVar("Subject")


class Status(StrEnum):
    """What came of a check. SKIPPED is one that another's failure leaves without an answer."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


class Concern(Exception):
    """Nothing is broken, but the operator should know; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Check(Generic[Subject]):
    """
    A question about a subject.

    `look` returns a sentence when all is well, `None` where the question does not arise, and raises
    otherwise. `mend` says what to do then. `needs` names the checks that have to pass before.
    """

    name: str
    look: Callable[[Subject], str | None]
    mend: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one check. `mend` and `error` are there unless it is OK or SKIPPED."""

    name: str
    status: Status
    sentence: str
    mend: str = ""
    error: Exception | None = None


def run(checks: Iterable[Check[Subject]], subject: Subject) -> list[Finding]:
    """Ask every check that applies to `subject`, in order; no error of one stops the others."""
    findings: list[Finding] = []
    unanswered: set[str] = set()
    for check in checks:
        missing = [name for name in check.needs if name in unanswered]
        finding = _after(check, missing[0]) if missing else _asked(check, subject)
        if finding is None:
            continue
        findings.append(finding)
        if finding.status in {Status.FAILED, Status.SKIPPED}:
            unanswered.add(check.name)
    return findings


def _after(check: Check[Subject], missing: str) -> Finding:
    return Finding(check.name, Status.SKIPPED, f"Cannot be told before {missing!r} is mended.")


def _asked(check: Check[Subject], subject: Subject) -> Finding | None:
    try:
        answer = check.look(subject)
    except Concern as concern:
        return Finding(check.name, Status.WARNING, _sentence(concern), check.mend, concern)
    except Exception as error:  # whatever meets the service is what the operator came to hear
        return Finding(check.name, Status.FAILED, _sentence(error), check.mend, error)
    return None if answer is None else Finding(check.name, Status.OK, answer)


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if text.endswith((".", "?")) else f"{text}."

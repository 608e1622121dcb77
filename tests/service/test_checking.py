"""The order of checks, and what becomes of their answers and errors."""

from __future__ import annotations

from oracle.service.checking import Check, Concern, Status, run


def fine(subject: list[str]) -> str:
    subject.append("asked")
    return "All is well."


def broken(subject: list[str]) -> str:
    raise ValueError("it is\nbroken")


def doubtful(subject: list[str]) -> str:
    raise Concern("Look at this.")


def irrelevant(subject: list[str]) -> None:
    return None


def test_an_error_becomes_one_sentence_with_the_way_to_mend_it() -> None:
    [found] = run([Check("disk", broken, "Mend it.")], [])
    assert (found.status, found.sentence, found.mend) == (
        Status.FAILED,
        "it is broken.",
        "Mend it.",
    )
    assert isinstance(found.error, ValueError)


def test_what_rests_on_a_failed_check_is_not_asked() -> None:
    asked: list[str] = []
    checks = [
        Check("first", broken, ""),
        Check("second", fine, "", needs=("first",)),
        Check("third", fine, "", needs=("second",)),
        Check("fourth", fine, ""),
    ]
    assert [found.status for found in run(checks, asked)] == [
        Status.FAILED,
        Status.SKIPPED,
        Status.SKIPPED,
        Status.OK,
    ]
    assert asked == ["asked"]


def test_a_concern_warns_and_stops_nothing() -> None:
    checks = [Check("first", doubtful, "Do so."), Check("second", fine, "", needs=("first",))]
    warned, after = run(checks, [])
    assert (warned.status, warned.sentence, warned.mend) == (
        Status.WARNING,
        "Look at this.",
        "Do so.",
    )
    assert after.status is Status.OK


def test_a_question_that_does_not_arise_is_left_out() -> None:
    checks = [Check("first", irrelevant, ""), Check("second", fine, "", needs=("first",))]
    assert [found.name for found in run(checks, [])] == ["second"]

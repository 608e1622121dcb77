"""`poq plan`: what it prints, what it refuses, and what the guide shows of it."""

from __future__ import annotations

import json
import shlex
from fractions import Fraction
from pathlib import Path
from typing import get_args

import pytest

from oracle.cli.exits import Exit
from oracle.cli.plan import Attack
from oracle.study.deterrence import ATTACKS
from tests.cli.world import poq

ROOT = Path(__file__).resolve().parent.parent.parent
GUIDE = ROOT / "docs" / "planning.md"
ASKED = {"--evaluators": "1000", "--malicious": "0.3", "--risk": "1e-6", "--attack": "inversion"}


def arguments(**changes: str) -> list[str]:
    asked = ASKED | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
    return ["plan", *(part for option in asked.items() for part in option)]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"malicious": "nan"}, "--malicious 'nan' is no number"),
        ({"malicious": "1e-9999999999"}, "--malicious '1e-9999999999' is no number"),
        ({"malicious": "1/0"}, "--malicious '1/0' is no number"),
        ({"malicious": "1.1"}, "--malicious 1.1 is above 1."),
        ({"risk": "-1"}, "--risk -1 is negative."),
        ({"absence": "2"}, "--absence 2 is above 1."),
        ({"hold": "0"}, "--hold is 0, and every round would be captured."),
        ({"budget": "a lot"}, "'a lot' is no amount"),
        ({"parameters": "none"}, "none cannot be read"),
        ({"attack": "newcomers"}, "No panel of up to 31 seats"),
        ({"evaluators": "1"}, "register 2 more."),
        ({"budget": "0.1ether"}, "it pays 5 seats"),
    ],
)
def test_what_cannot_be_planned_is_one_sentence_and_a_usage_error(
    changes: dict[str, str], sentence: str
) -> None:
    ran = poq(*arguments(**changes))
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert ran.err.count("\n") == 1
    assert sentence in ran.err


def test_a_plan_in_json_is_versioned_and_exact() -> None:
    ran = poq(*arguments(budget="1ether"), "--json")
    assert (ran.code, ran.err) == (0, "")
    assert (ran.json["version"], ran.json["kind"]) == (1, "plan")
    assert ran.json["chosen"]["size"] == 22
    assert ran.json["request"]["doubted"] == 245
    assert ran.json["request"]["lieDeviation"] == 5_001
    assert Fraction(ran.json["request"]["risk"]["exact"]) == Fraction(1, 10**6)
    assert ran.json["request"]["budget"] == str(10**18)
    assert ran.out.count("\n") == 1
    json.loads(ran.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_a_lie_that_is_hard_to_see_is_planned_for_at_full_trust() -> None:
    clear, unclear = {"lie_disagreement": "3600"}, {"lie_disagreement": "3599"}
    assert poq(*arguments(**clear), "--json").json["learnt"]["trust"] == 3_000
    ran = poq(*arguments(**unclear, risk="0.1"), "--json")
    assert ran.json["learnt"]["trust"] == 1_000_000
    refused = poq(*arguments(**unclear))
    assert refused.code == Exit.USAGE
    assert "with a trust of 1 when they lie" in refused.err


def test_a_lie_of_which_the_deviation_alone_is_known_is_planned_for_at_full_trust() -> None:
    known = {"lie_deviation": "6000", "risk": "0.1"}
    assert poq(*arguments(**known), "--json").json["learnt"]["trust"] == 1_000_000
    ran = poq(*arguments(**known, lie_disagreement="6000"), "--json")
    assert ran.json["learnt"]["trust"] == 3_000
    assert ran.json["request"]["lieDeviation"] == 6_000


def test_honest_seats_that_disagree_make_lies_harder_to_see() -> None:
    ran = poq(*arguments(honest_disagreement="1300", risk="0.1"), "--json")
    assert ran.json["learnt"]["trust"] == 1_000_000
    assert ran.json["request"]["honestDisagreement"] == 1_300


def test_the_attacks_in_the_help_are_those_of_the_planner() -> None:
    assert get_args(Attack) == tuple(ATTACKS)


def shown() -> list[tuple[str, str]]:
    """Each command of the guide with the output that the guide shows."""
    blocks = GUIDE.read_text(encoding="utf-8").split("```")[1::2]
    consoles = [block.partition("\n")[2] for block in blocks if block.startswith("console\n")]
    return [(block.partition("\n")[0], block.partition("\n")[2]) for block in consoles]


@pytest.mark.parametrize(("command", "output"), shown())
def test_what_the_guide_shows_is_what_the_command_prints(command: str, output: str) -> None:
    _, _, words = command.partition("$ poq ")
    ran = poq(*shlex.split(words), env={"COLUMNS": "80"})
    told = [line.rstrip() for line in (ran.out + ran.err).splitlines()]
    assert "\n".join(told).strip() == output.strip()


def test_the_guide_shows_a_plan_and_a_refusal() -> None:
    assert len(shown()) >= 2

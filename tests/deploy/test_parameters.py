"""What a parameter set may say, and that those which come along say it, with a reason each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.parameters import SETS, ParametersInvalid, load_parameters, longest_round, names

LOCAL = (SETS / "local.toml").read_text(encoding="utf-8")


def refusal(path: Path) -> str:
    with pytest.raises(ParametersInvalid) as caught:
        load_parameters(str(path))
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "wrong", "reason"),
    [
        (
            "stake = 1_000_000000000000000000",
            "stake = 0",
            "registry.stake: Input should be greater",
        ),
        ("stake = 1_000_000000000000000000", "stake = 1.5", "registry.stake: Input should be a"),
        ("stake = 1_000_000000000000000000", 'stake = "5"', "registry.stake: Input should be a"),
        ("stake = 1_000_000000000000000000", "steak = 5", "registry.stake: Field required"),
        ("stake = 1_000_000000000000000000", "stake = 1", "exceeds registry.stake"),
        ("no_commit_slash = 10_", "no_commit_slash = 51_", "exceeds registry.no_reveal_slash"),
        ("exit_delay = 18_000", "exit_delay = 17_159", "exit_delay is below 17160, the longest"),
        ("dEaD", "dead", "registry.slash_sink: Value error, expected an account"),
        ("tolerance = 1_200", "tolerance = 10_001", "registry.trust.tolerance: Input should be"),
        ("evidence = 20", "evidence = 0", "registry.trust.evidence: Input should be greater"),
        ("floor = 3_000", "floor = 999", "registry.trust.floor: Input should be greater"),
        ("cap = 1_000_000", "cap = 1_000_001", "registry.trust.cap: Input should be less"),
        ("cap = 1_000_000", "cap = 999_999", "registry.trust.cap: Input should be greater"),
        ("commit_window = 600", "commit_window = 0", "rounds.commit_window: Input should be great"),
        ("quality_weight = 10_000", "quality_weight = 0", "rounds.quality_weight: Input should be"),
        ("cost_weight = 1_000", "cost_weight = 10_001", "rounds.cost_weight: Input should be less"),
        ("closeness_scale = 4_000", "closeness_scale = 0", "rounds.closeness_scale: Input should"),
        ("[rounds]", "[rounds]\nfee = 1", "rounds.fee: Extra inputs are not permitted"),
        ("[rounds]", "[rounds", "is not TOML"),
    ],
)
def test_a_set_that_the_contracts_would_refuse_is_refused_with_the_place(
    tmp_path: Path, value: str, wrong: str, reason: str
) -> None:
    assert LOCAL.count(value) == 1
    path = tmp_path / "set.toml"
    path.write_text(LOCAL.replace(value, wrong), encoding="utf-8")
    assert reason in refusal(path)
    assert str(path) in refusal(path)


def test_a_set_that_is_not_there_is_refused_and_those_that_are_there_are_named() -> None:
    assert "come along are local, testnet" in refusal(Path("mainnet"))


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(LOCAL.replace("draw_delay = 0", "draw_delay = 3").replace("18_000", "20_000"))
    assert load_parameters(str(path)).rounds.draw_delay == 3


@pytest.mark.parametrize("name", names())
def test_the_sets_that_come_along_are_valid_and_their_exit_delay_holds(name: str) -> None:
    parameters = load_parameters(name)
    assert parameters.registry.exit_delay >= longest_round(parameters.rounds)


@pytest.mark.parametrize("name", names())
def test_each_value_of_a_set_has_a_reason(name: str) -> None:
    lines = (SETS / f"{name}.toml").read_text(encoding="utf-8").splitlines()
    values = [line for line in lines if re.match(r"\w+ = ", line)]
    assert len(values) == 20
    assert [line for line in values if not re.search(r" # \S.{10,}", line)] == []

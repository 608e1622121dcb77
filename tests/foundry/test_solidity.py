"""Unit and fuzz tests in Solidity, with as many inputs as the time allows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.foundry import campaigns

SEED = 11
SHORT_RUNS = 200
LONG_RUNS = 100_000
TESTS = {"LibrariesTest": 5, "ContractsTest": 6}
"""How many tests there are, fuzzed or not: forge passes also when none ran."""


def check(forge: Path, contract: str, runs: int, directory: Path) -> list[campaigns.Outcome]:
    outcomes = campaigns.run(
        forge,
        contract,
        SEED,
        FOUNDRY_FUZZ_RUNS=str(runs),
        FOUNDRY_FUZZ_FAILURE_PERSIST_DIR=str(directory),
    )
    failed = {name: outcome.reason for name, outcome in outcomes.items() if not outcome.passed}
    assert not failed
    assert len(outcomes) == TESTS[contract]
    fuzzed = [o for name, o in outcomes.items() if name.startswith("testFuzz_")]
    assert {outcome.runs for outcome in fuzzed} == {runs}
    return fuzzed


@pytest.mark.parametrize("contract", TESTS)
def test_the_solidity_tests_pass(contract: str, solidity: Path, tmp_path: Path) -> None:
    assert check(solidity, contract, SHORT_RUNS, tmp_path)


@pytest.mark.reliability
@pytest.mark.parametrize("contract", TESTS)
def test_the_solidity_tests_pass_with_a_hundred_thousand_inputs_each(
    contract: str,
    solidity: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    for outcome in check(solidity, contract, LONG_RUNS, tmp_path):
        figure = {"name": f"inputs of {outcome.name.removeprefix('testFuzz_')}, none failed"}
        figure |= {"value": str(outcome.runs), "goal": str(LONG_RUNS)}
        record_property("figure", {**figure, "seed": SEED})

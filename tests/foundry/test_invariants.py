"""Campaigns of random whole rounds: what must hold of both contracts after every action."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.packages import ROOT
from tests.foundry import campaigns
from tests.foundry.mutants import MUTANTS, Mutant, mutated_artifacts

SEED = 7
DEPTH = 250
SHORT_RUNS = 200
"""50,000 calls."""
LONG_RUNS = 4_000
"""1,000,000 calls."""
MUTANT_RUNS = 120
LEAST_SHARE = 0.004
"""Of all calls, what each action has to get: 200 of 50,000, 4,000 of a million."""

ACTIONS = 23
"""Functions of the handler that act: one more or fewer is a change on purpose."""
CLAIMS = 15
"""Invariants: functions of `Invariants.sol` that `check` goes through."""

Record = Callable[[str, object], None]


def play(forge: Path, directory: Path, runs: int, **settings: str) -> campaigns.Outcome:
    outcomes = campaigns.run(
        forge,
        "InvariantsTest",
        SEED,
        FOUNDRY_INVARIANT_RUNS=str(runs),
        FOUNDRY_INVARIANT_DEPTH=str(DEPTH),
        FOUNDRY_INVARIANT_FAILURE_PERSIST_DIR=str(directory),
        **settings,
    )
    return outcomes["invariant_allHoldAfterEveryAction"]


def check(outcome: campaigns.Outcome, runs: int, record: Record) -> None:
    print(f"seed {SEED}; what the handler did in {outcome.calls} calls:")
    for action, count in outcome.actions.items():
        print(f"{count:8} {action}")
    assert outcome.passed, outcome.reason
    assert outcome.calls == runs * DEPTH == sum(outcome.actions.values())
    assert outcome.reverts == 0
    starved = {a: n for a, n in outcome.actions.items() if n < LEAST_SHARE * outcome.calls}
    assert len(outcome.actions) == ACTIONS
    assert not starved
    figure = {"name": "calls of the invariants' handler, none reverted, none broke one"}
    record("figure", figure | {"value": str(outcome.calls), "goal": "1000000", "seed": SEED})
    least = min(outcome.actions, key=lambda action: outcome.actions[action])
    figure = {"name": f"calls of the rarest of the handler's {ACTIONS} actions, {least}"}
    record("figure", figure | {"value": str(outcome.actions[least]), "goal": "1", "seed": SEED})


def test_no_invariant_breaks_in_fifty_thousand_calls_and_no_action_starves(
    solidity: Path, tmp_path: Path, record_property: Record
) -> None:
    # Looked at after every fifth call and at the end of a sequence: nearly all of them are about
    # sums and histories, which stay wrong once they are.
    outcome = play(solidity, tmp_path, SHORT_RUNS, FOUNDRY_INVARIANT_CHECK_INTERVAL="5")
    check(outcome, SHORT_RUNS, record_property)


@pytest.mark.reliability
def test_no_invariant_breaks_in_a_million_calls_and_no_action_starves(
    solidity: Path, tmp_path: Path, record_property: Record
) -> None:
    check(play(solidity, tmp_path, LONG_RUNS), LONG_RUNS, record_property)


def break_invariant(mutant: Mutant, forge: Path, directory: Path) -> None:
    with mutated_artifacts(mutant) as artifacts:
        settings = {"ARTIFACTS": artifacts, "FOUNDRY_INVARIANT_SHRINK_RUN_LIMIT": "0"}
        outcome = play(forge, directory, MUTANT_RUNS, **settings)
    assert not outcome.passed
    assert mutant.breaks in outcome.reason


def test_a_registry_that_forgets_what_it_slashed_breaks_an_invariant(
    solidity: Path, tmp_path: Path
) -> None:
    break_invariant(MUTANTS["forgets what it slashed"], solidity, tmp_path)


@pytest.mark.reliability
@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_breaks_the_invariant_that_is_about_it(
    name: str, solidity: Path, tmp_path: Path
) -> None:
    break_invariant(MUTANTS[name], solidity, tmp_path)


def test_every_claim_of_the_invariants_has_a_mutant_that_breaks_it(record_property: Record) -> None:
    folder = ROOT / "tests" / "foundry"
    claims = (folder / "Invariants.sol").read_text(encoding="utf-8").split("    function _")[1:]
    # What was refused speaks through one claim, in the words of whoever tried it.
    claims = [claim for claim in claims if not claim.startswith("nothingForbiddenHappened")]
    broken = {mutant.breaks for mutant in MUTANTS.values()}
    unbroken = [claim.partition("(")[0] for claim in claims if not any(b in claim for b in broken)]
    assert len(claims) == CLAIMS - 1
    assert not unbroken
    figure = {"name": "invariants, each broken by at least one of the mutants of the contracts"}
    record_property("figure", figure | {"value": str(CLAIMS), "goal": "10"})

"""
The mutation tests themselves: mutants are what they say, and tests notice them.

`make reliability` judges a sample of all mutants; docs/mutation.md says what survives and why.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.mutation.python_mutants import mutants as python_mutants
from tests.mutation.python_mutants import running
from tests.mutation.solidity_mutants import mutants as solidity_mutants
from tests.mutation.targets import syntax_tree
from tests.mutation.trial import ROOT, change

needs_compiler = pytest.mark.skipif(
    not (ROOT / "node_modules" / "solc").is_dir(), reason="needs the npm package solc"
)

SAMPLES = {"core": 300, "libraries": 120, "settle": 30}
"""Mutants that `make reliability` judges of each subject."""
GOALS = {"core": 0.90, "libraries": 0.95, "settle": 0.95}
SEED = 7


def test_a_mutant_of_an_annotation_or_a_docstring_changes_nothing_that_runs() -> None:
    source = 'def f(x: int | None) -> int | None:\n    """Say 1."""\n    return x\n'
    found = list(python_mutants("f.py", source))
    assert found
    assert {mutant.apply(source) for mutant in found} == {None}


def test_every_mutant_of_python_is_one_change_of_its_line() -> None:
    source = "def f(x: int) -> bool:\n    y = x + 1\n    return y < 3\n"
    applied = [(mutant, mutant.apply(source)) for mutant in python_mutants("f.py", source)]
    changes = {change(source, mutated) for _, mutated in applied if mutated}
    assert ("y = x + 1", "y = x - 1") in changes
    assert ("y = x + 1", "y = x + 2") in changes
    assert ("return y < 3", "return y <= 3") in changes
    assert all(running(mutated) != running(source) for _, mutated in applied if mutated)
    assert {mutant.line for mutant, mutated in applied if mutated} == {2, 3}


@needs_compiler
def test_solidity_and_assembly_are_changed_where_the_compiler_counts_bytes() -> None:
    source = """pragma solidity 0.8.37;
/// ⌊2b + 1⌋
library F {
function f(uint256 b) internal pure returns (uint256 c) {
c = 2 * b;
assembly { c := add(c, 1) }
}
}
"""
    found = solidity_mutants("F.sol", source, syntax_tree("F.sol", source))
    assert {change(source, mutant.apply(source) or "") for mutant in found} == {
        ("c = 2 * b;", "{}"),
        ("c = 2 * b;", "c = 2 + b;"),
        ("c = 2 * b;", "c = 2 / b;"),
        ("c = 2 * b;", "c = (2 + 1) * b;"),
        ("assembly { c := add(c, 1) }", "assembly {  }"),
        ("assembly { c := add(c, 1) }", "assembly { c := sub(c, 1) }"),
        ("assembly { c := add(c, 1) }", "assembly { c := add(c, 2) }"),
    }


def judged(*arguments: str) -> dict[str, Any]:
    """Run the command and return its report."""
    command = [sys.executable, "-m", "tests.mutation", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def test_a_test_notices_a_mutant_and_nothing_else() -> None:
    path, suite = "oracle/core/commitment.py", [["tests/core/test_commitment.py"]]
    source = (ROOT / path).read_text()
    noticed = []
    for changed in (source, source.replace("salt + scores", "scores + salt")):
        program = (
            "import sys; from tests.mutation.python_mutants import Overlay;"
            "from tests.mutation.trial import noticed;"
            f"overlay = Overlay('oracle.core.commitment', {path!r}, {changed!r});"
            f"sys.exit(noticed(overlay.install, {suite!r}))"
        )
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
        noticed.append(done.returncode)
    assert noticed == [0, 1]


@pytest.mark.reliability
@pytest.mark.parametrize("subject", SAMPLES)
def test_the_tests_notice_a_sample_of_all_mutants(
    subject: str, record_property: Callable[[str, object], None]
) -> None:
    sample, goal = SAMPLES[subject], GOALS[subject]
    report = judged(subject, "--sample", str(sample), "--seed", str(SEED), "--goal", str(goal))
    counted = report["killed"] + report["survived"]
    record_property(
        "figure",
        {
            "name": f"mutants of {subject} that tests kill, of {counted} judged "
            f"({report['mutants']} in all)",
            "value": f"{report['score']:.1%}",
            "goal": f"{goal:.0%}",
            "seed": SEED,
        },
    )

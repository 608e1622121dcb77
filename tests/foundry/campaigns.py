"""
Runs forge over this folder's Solidity tests and reads what it did.

forge exits 0 when nothing ran, so a caller asks for the counts, which come from its JSON. Its
settings are in `foundry.toml`; what differs from run to run goes in by environment variables.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.packages import ROOT

BUILD = ROOT / "build" / "foundry"
"""What forge, halmos and slither make and remember: one place, ignored by git."""
CONFIG = "tests/foundry/foundry.toml"
TIMEOUT = 4 * 3600.0
"""Seconds after which forge hangs for sure: a million calls take a quarter of an hour."""


class ForgeFailed(Exception):
    """forge did not get as far as running tests; the message is its own."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of one Solidity test.

    `runs` counts the inputs of a fuzz test or the sequences of a campaign, and is 1 for a unit
    test; `calls` counts the calls of a campaign. `actions` has how often each handler function did
    something: calls that it discarded because they were not possible are left out of both.
    """

    name: str
    passed: bool
    reason: str
    runs: int
    calls: int
    reverts: int
    actions: Mapping[str, int]


def environment(**settings: str) -> dict[str, str]:
    """Return this process's environment with forge's configuration and the given settings."""
    return {
        **os.environ,
        "FOUNDRY_CONFIG": CONFIG,
        "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1",
        **settings,
    }


def compile_tests(forge: Path) -> None:
    """Compile the Solidity tests, unless that is done; raise `ForgeFailed`."""
    _run([str(forge), "build", "--root", str(ROOT)], environment())


def run(forge: Path, contract: str, seed: int, **settings: str) -> dict[str, Outcome]:
    """Run the tests of `contract` and return them by name, without their arguments."""
    command = [str(forge), "test", "--root", str(ROOT), "--json"]
    command += ["--match-contract", f"^{contract}$", "--fuzz-seed", str(seed)]
    printed = _run(command, environment(**settings), may_fail=True)
    try:
        suites = json.loads(printed.stdout)
    except json.JSONDecodeError as error:
        raise ForgeFailed(printed.stdout + printed.stderr) from error
    return {
        outcome.name: outcome
        for suite in suites.values()
        for signature, result in suite["test_results"].items()
        for outcome in [_outcome(signature.partition("(")[0], result)]
    }


def _outcome(name: str, result: Mapping[str, object]) -> Outcome:
    kinds = result["kind"]
    assert isinstance(kinds, dict)
    ((kind, counts),) = kinds.items()
    metrics = counts.get("metrics", {})
    return Outcome(
        name=name,
        passed=result["status"] == "Success",
        reason=str(result["reason"] or ""),
        runs=1 if kind == "Unit" else int(counts["runs"]),
        calls=int(counts.get("calls", 0)),
        reverts=int(counts.get("reverts", 0)),
        actions={
            selector.rpartition(".")[2]: count["calls"] - count["discards"]
            for selector, count in sorted(metrics.items())
        },
    )


def _run(
    command: list[str], variables: Mapping[str, str], may_fail: bool = False
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=dict(variables),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    if done.returncode != 0 and not may_fail:
        raise ForgeFailed(done.stdout + done.stderr)
    return done

"""The SMTChecker proves what `integers/FixedPoint.sol` claims: docs/security-proofs.md."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from deploy.packages import ROOT, install_packages
from tests.foundry import tools
from tests.foundry.checked_copies import checked_sources

CLAIMS = "tests/foundry/integers/FixedPoint.sol"
TARGETS = ["overflow", "underflow", "divByZero", "assert"]
UNCHECKED_BLOCKS = 4
"""In the two libraries. The last, of `Trust._ranked`, is lane operations: see `proofs/`."""
PROVED = "2961"
IRRELEVANT = {
    "3993",  # the engine is to be replaced by another one, which takes minutes
    "5724",  # assembly, in `ScoreLanes`, which no claim reaches
}


def prove(sources: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the compiler's words on what is proved, and all its others."""
    try:
        z3 = tools.programs("halmos") / "z3"
    except tools.NotInstallable as reason:
        pytest.skip(f"z3 is not here: {reason}")
    install_packages()
    node = os.environ.get("NODE_BINARY") or shutil.which(
        "node", path=os.pathsep.join([str(ROOT / ".venv/bin"), os.environ["PATH"]])
    )
    assert node, "`make setup` brings node"
    checker = {
        "engine": "bmc",
        "contracts": {CLAIMS: ["FixedPointClaims"]},
        "showProvedSafe": True,
        "showUnproved": True,
        "solvers": ["smtlib2"],
        "targets": TARGETS,
    }
    compiler_input = {
        "language": "Solidity",
        "settings": {"modelChecker": checker, "outputSelection": {}},
        "sources": {path: {"content": text} for path, text in sources.items()},
    }
    done = subprocess.run(
        [node, str(ROOT / "tests/foundry/integers/smtchecker.cjs"), str(z3)],
        cwd=ROOT,
        input=json.dumps(compiler_input),
        capture_output=True,
        text=True,
        check=True,
    )
    said: list[dict[str, Any]] = json.loads(done.stdout)["errors"]
    proved = [entry["formattedMessage"] for entry in said if entry["errorCode"] == PROVED]
    others = [
        entry["formattedMessage"]
        for entry in said
        if entry["errorCode"] not in IRRELEVANT | {PROVED}
    ]
    return proved, others


def claimed() -> dict[str, str]:
    sources, blocks = checked_sources()
    assert blocks == UNCHECKED_BLOCKS
    return sources | {CLAIMS: (ROOT / CLAIMS).read_text(encoding="utf-8")}


@pytest.mark.reliability
def test_every_claim_of_fixed_point_arithmetic_is_proved_and_nothing_in_it_overflows(
    record_property: Callable[[str, object], None],
) -> None:
    sources = claimed()
    proved, others = prove(sources)
    assert others == []
    assertions = [words for words in proved if "Assertion violation check is safe" in words]
    assert len(assertions) == sources[CLAIMS].count("assert(")
    ranges = [words for words in proved if words not in assertions]
    for library in ("Rewards", "Trust"):
        assert any(f"contracts/libraries/{library}.sol" in words for words in ranges)
    figure = {"name": "claims of fixed-point arithmetic that the SMTChecker proves"}
    figure |= {"value": str(len(assertions)), "goal": str(len(assertions))}
    record_property("figure", figure)
    figure = {"name": "over- and underflows and divisions by zero that it excludes"}
    record_property("figure", figure | {"value": str(len(ranges)), "goal": "all"})


@pytest.mark.reliability
@pytest.mark.parametrize(
    ("path", "line", "other"),
    [
        (CLAIMS, "assert(reward * panelSize <= budget);", "assert(reward * panelSize < budget);"),
        (CLAIMS, "require(f <= ONE && tau <= MAX_RATE && ", "require("),
        ("contracts/libraries/Trust.sol", "loss + p.floor >= w", "loss >= w"),
    ],
)
def test_a_claim_that_is_wrong_is_not_proved(path: str, line: str, other: str) -> None:
    sources = claimed()
    assert sources[path].count(line) == 1
    sources[path] = sources[path].replace(line, other)
    _, others = prove(sources)
    assert any("happens here" in words or "might happen" in words for words in others)

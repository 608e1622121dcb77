"""slither over the contracts: every finding of high or medium impact is known, with a reason."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.packages import ROOT
from tests.foundry import tools

TRIAGE = Path(__file__).with_name("slither-triage.toml")
IMPACTS = {"High", "Medium"}
CONFIG = f"""
[profile.default]
src = "contracts"
test = "none"
script = "none"
remappings = ["@openzeppelin/=node_modules/@openzeppelin/"]
auto_detect_remappings = false
solc = "{ROOT}/deploy/solc"
evm_version = "prague"
optimizer = false
via_ir = true
allow_paths = ["{ROOT}"]
"""

Finding = tuple[str, str]
"""The detector, and the function or contract it speaks of."""


def triaged() -> tuple[set[Finding], set[str]]:
    """Return the findings that are known one by one, and the detectors that are wrong here."""
    known = tomllib.loads(TRIAGE.read_text(encoding="utf-8"))
    for entry in [*known["finding"], *known["detector"]]:
        assert entry["reason"].strip(), entry
    return (
        {(entry["check"], entry["where"]) for entry in known["finding"]},
        {entry["check"] for entry in known["detector"]},
    )


def where(finding: dict[str, object]) -> str:
    elements = finding["elements"]
    assert isinstance(elements, list)
    for element in elements:
        if element["type"] == "function":
            contract: str = element["type_specific_fields"]["parent"]["name"]
            return f"{contract}.{element['name']}"
    return str(elements[0]["name"])


def analyse(directory: Path, forge: Path) -> list[dict[str, object]]:
    """Return slither's findings in our own sources."""
    try:
        programs = tools.programs("slither")
    except tools.NotInstallable as reason:
        pytest.skip(f"slither is not here: {reason}")
    shutil.copytree(
        ROOT / "contracts", directory / "contracts", ignore=shutil.ignore_patterns("artifacts")
    )
    (directory / "node_modules").symlink_to(ROOT / "node_modules")
    (directory / "foundry.toml").write_text(CONFIG, encoding="utf-8")
    command = [str(programs / "slither"), ".", "--json", "-", "--filter-paths", "node_modules"]
    done = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, "PATH": f"{forge.parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["success"], report["error"]
    findings: list[dict[str, object]] = report["results"]["detectors"]
    return findings


@pytest.mark.reliability
def test_slither_finds_nothing_of_high_or_medium_impact_that_is_not_triaged_with_a_reason(
    forge: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    findings = analyse(tmp_path, forge)
    # It always has something to say of assembly and timestamps: silence means that nothing ran.
    assert any(finding["check"] == "assembly" for finding in findings)
    grave = [finding for finding in findings if finding["impact"] in IMPACTS]
    known, wrong_here = triaged()
    one_by_one = {(str(f["check"]), where(f)) for f in grave if f["check"] not in wrong_here}
    assert one_by_one - known == set(), "new findings"
    assert known - one_by_one == set(), "triaged, but not found any more"
    high = sum(finding["impact"] == "High" for finding in grave)
    figure = {"name": "slither: findings of high impact", "value": str(high), "goal": "0"}
    record_property("figure", figure)
    medium = f"{len(grave) - high}, each triaged with its reason"
    figure = {"name": "slither: findings of medium impact", "value": medium, "goal": "all triaged"}
    record_property("figure", figure)


def test_every_triaged_finding_has_a_reason() -> None:
    findings, detectors = triaged()
    assert findings and detectors

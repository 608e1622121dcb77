"""halmos proves what `proofs/` claims of the arithmetic: docs/security-proofs.md."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from deploy.packages import ROOT
from tests.foundry import tools
from tests.foundry.campaigns import BUILD, environment

PROOFS = Path(__file__).with_name("proofs")
PATIENCE = "600s"
"""For one query; the slowest takes about a minute on an idle core."""
QUICK = r"^check_(ge|mask|units|head|spread|pairs|oddsAndEvens|distance|aboveOne_\w+)\("
"""Half a second each."""

PANICS = "0x01,0x11,0x12"
"""What makes a claim fail: an assertion, an overflow, a division by zero."""
CLAIM = re.compile(r"^    function (check_\w+)\(", re.MULTILINE)


def claims(contract_file: str) -> list[str]:
    return CLAIM.findall((PROOFS / contract_file).read_text(encoding="utf-8"))


def prove(forge: Path, contract: str, directory: Path, match: str = "") -> dict[str, bool]:
    """Return what halmos says of each claim of `contract`: whether it is proved."""
    try:
        programs = tools.programs("halmos")
    except tools.NotInstallable as reason:
        pytest.skip(f"halmos is not here: {reason}")
    report = directory / "report.json"
    command = [str(programs / "halmos"), "--root", str(ROOT), "--no-status"]
    command += ["--forge-build-out", "build/foundry/proofs", "--contract", contract]
    command += ["--solver-command", str(programs / "yices-smt2"), "--solver-threads", "1"]
    command += [
        "--solver-timeout-assertion",
        PATIENCE,
        "--loop",
        "40",
        "--panic-error-codes",
        PANICS,
    ]
    command += ["--json-output", str(report), *(["--match-test", match] if match else [])]
    path = os.pathsep.join([str(forge.parent), str(programs), os.environ["PATH"]])
    BUILD.mkdir(parents=True, exist_ok=True)
    with FileLock(BUILD / "proofs.lock"):
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment(FOUNDRY_PROFILE="proofs", PATH=path),
            capture_output=True,
            text=True,
            check=False,
        )
    print(done.stdout)
    results = json.loads(report.read_text(encoding="utf-8"))["test_results"]
    return {
        result["name"].partition("(")[0]: result["exitcode"] == 0
        for suite in results.values()
        for result in suite
    }


def test_lane_operations_are_proved_for_all_words(forge: Path, tmp_path: Path) -> None:
    proved = prove(forge, "LaneProofs", tmp_path, QUICK)
    assert len(proved) == 10
    assert all(proved.values()), proved


@pytest.mark.reliability
@pytest.mark.parametrize(
    ("file", "contract"),
    [
        ("Lanes.sol", "LaneProofs"),
        ("Sweeps.sol", "SweepProofs"),
        ("Panels.sol", "PanelProofs"),
    ],
)
def test_every_claim_is_proved(
    file: str,
    contract: str,
    forge: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    proved = prove(forge, contract, tmp_path)
    assert sorted(proved) == sorted(claims(file))
    assert all(proved.values()), proved
    figure = {"name": f"claims of {contract} that halmos proves", "value": str(len(proved))}
    record_property("figure", figure | {"goal": str(len(claims(file)))})

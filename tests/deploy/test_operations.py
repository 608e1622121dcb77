"""What an operator installs beside the program speaks of options and metrics that exist."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from oracle.service.couriers import Couriers
from oracle.service.logging import logger
from oracle.service.metrics import DaemonMetrics, OracleMetrics
from tests.cli.test_help import COMMANDS

ROOT = Path(__file__).resolve().parent.parent.parent
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
MONITORING = ROOT / "deploy" / "monitoring"
GUIDE = ROOT / "docs" / "operating.md"
METRIC = re.compile(r"\bpoq_[a-z_]+\b")
SPECIFIERS = {"%d": "/run/credentials", "%S": "/var/lib", "%i": "7"}
MOST_EXPOSED = 2.0
"""Of 10, as `systemd-analyze security` counts; a plain unit has 9.6."""


def alerts() -> list[dict[str, Any]]:
    content = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    return [rule for group in content["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    board = json.loads((MONITORING / "board.json").read_text())
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def exported() -> set[str]:
    """Return the names of every sample that a daemon can export."""
    oracle, evaluator = OracleMetrics().registry, DaemonMetrics().registry
    Couriers([], evaluator, logger())
    names: set[str] = set()
    for family in (*oracle.collect(), *evaluator.collect()):
        suffixes = {
            "counter": ("_total",),
            "histogram": ("_bucket", "_sum", "_count"),
        }.get(family.type, ("",))
        names |= {family.name + suffix for suffix in suffixes}
    return names


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in alerts())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


def test_every_metric_that_alerts_and_the_board_name_is_exported() -> None:
    named = {name for text in expressions() for name in METRIC.findall(text)}
    assert named - exported() == set()


def test_every_metric_is_on_the_board() -> None:
    shown = {name for panel in panels() for name in METRIC.findall(json.dumps(panel))}
    assert exported() - {"poq_tick_seconds_sum", "poq_tick_seconds_count"} - shown == set()


def test_the_board_says_of_each_panel_what_it_shows() -> None:
    assert len({panel["id"] for panel in panels()}) == len(panels())
    assert all(panel["description"] and panel["title"] for panel in panels())


def test_the_guide_says_of_each_alert_what_to_do() -> None:
    guide = GUIDE.read_text()
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names) > 0
    assert [name for name in names if f"`{name}`" not in guide] == []
    assert set(re.findall(r"`(Poq[A-Za-z]+)`", guide)) == set(names)


def arguments_of(unit: Path) -> list[str]:
    """Return what a unit gives to `poq`, with its specifiers and variables filled in."""
    [command] = re.findall(r"^ExecStart=\S+/poq (.+)$", unit.read_text(), re.MULTILINE)
    for specifier, value in SPECIFIERS.items():
        command = command.replace(specifier, value)
    given = dict(
        line.split("=", 1)
        for line in (ROOT / "deploy" / "systemd" / "evaluator.env").read_text().splitlines()
        if line and not line.startswith("#")
    )
    return shlex.split(re.sub(r"\$\{(\w+)\}", lambda name: given[name[1]], command))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_a_command_with_options_that_it_has(unit: Path) -> None:
    group, command, *rest = arguments_of(unit)
    # Parsing raises for what the command does not know, or misses.
    COMMANDS[f"{group} {command}"].make_context(command, rest)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_no_unit_has_a_secret_on_its_command_line(unit: Path) -> None:
    options = {word for word in arguments_of(unit) if word.startswith("--")}
    assert options & {"--private-key", "--rpc-url"} == set()
    assert {"--keystore", "--password-file"} <= options


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_leaves_its_process_little_to_reach(unit: Path, tmp_path: Path) -> None:
    name = unit.name.replace("@", "@7")
    (tmp_path / name).write_text(unit.read_text().replace("/opt/poq/bin/poq", "/bin/true"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / name], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", tmp_path / name],
        capture_output=True,
        text=True,
        check=False,
    )
    [exposure] = re.findall(r"exposure level for \S+: ([0-9.]+)", judged.stdout)
    assert float(exposure) <= MOST_EXPOSED


def test_the_container_runs_as_nobody_in_particular() -> None:
    text = (ROOT / "deploy" / "container" / "Containerfile").read_text()
    stages = re.split(r"^FROM ", text, flags=re.MULTILINE)
    assert len(stages) == 3
    assert re.search(r"^USER 10001:10001$", stages[-1], re.MULTILINE)
    assert all((ROOT / path).exists() for path in _copied(stages[1]))
    [command] = re.findall(r"^CMD (\[.+\])$", stages[-1], re.MULTILINE)
    assert " ".join(json.loads(command)) in COMMANDS


def _copied(stage: str) -> Iterator[str]:
    for line in re.findall(r"^COPY (.+)$", stage, re.MULTILINE):
        yield from line.split()[:-1]

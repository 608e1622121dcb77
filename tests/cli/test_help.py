"""Help comes quickly, and its examples are commands that exist."""

from __future__ import annotations

import re
import resource
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from oracle.cli.app import app
from tests.cli.world import poq

ROOT = Path(__file__).resolve().parent.parent.parent
LONGEST = 0.4  # seconds of a processor


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        if not hasattr(command, "commands") or command.invoke_without_command:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands())


def example_of(command: Any) -> list[str]:
    _, _, example = command.help.partition("Example: poq ")
    return shlex.split(example)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_an_example_that_it_understands(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, own = example_of(COMMANDS[name]), name.split()
    assert words[: len(own)] == own
    # Parsing raises for what the command does not know, or misses.
    COMMANDS[name].make_context(name, words[len(own) :])


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself_on_standard_output(name: str) -> None:
    ran = poq(*name.split(), "--help")
    assert (ran.code, ran.err) == (0, "")
    assert "Example:" in ran.out


def test_the_commands_are_those_that_the_documentation_names() -> None:
    assert set(COMMANDS) == {
        "audit",
        "audit export",
        "calibrate",
        "check",
        "commit",
        "demo",
        "deploy",
        "devnet",
        "evaluate",
        "evaluator run",
        "explain",
        "inference serve",
        "keys devnet",
        "keys import",
        "keys list",
        "keys new",
        "node exit",
        "node register",
        "node rotate-operator",
        "node show",
        "node top-up",
        "node withdraw",
        "oracle run",
        "plan",
        "receipt",
        "requester ask",
        "requester submit",
        "reveal",
        "round cancel",
        "round draw",
        "round list",
        "round open",
        "round show",
        "settle",
        "study all",
        "study peers",
        "study reliability",
        "study rewards",
        "study sweep",
        "token balance",
        "token mint",
        "tx bump",
        "tx cancel",
        "tx list",
        "tx status",
        "withdraw",
        "workload example",
        "workload show",
    }


def documented() -> Iterator[tuple[str, str]]:
    """Yield each `poq …` of the documentation, one line each, with the file that it stands in."""
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        for found in re.findall(r"`poq ([^`\n]+)`|^ *poq (.+)$", text, re.MULTILINE):
            yield path.name, "".join(found)


@pytest.mark.parametrize(("file", "line"), sorted(set(documented())))
def test_what_the_documentation_types_exists(file: str, line: str) -> None:
    names = [name for name in COMMANDS if f"{line} ".startswith(f"{name} ")]
    if not names:  # the bare name of a group, or help on everything
        assert line == "--help" or any(name.startswith(f"{line} ") for name in COMMANDS)
        return
    options = {option for each in COMMANDS[max(names, key=len)].params for option in each.opts}
    typed = re.findall(r"(?<![^\s])--?[a-z][a-z-]*", line)
    assert set(typed) <= options | {"--help", "-h"}


def test_help_imports_nothing_that_takes_long() -> None:
    code = (
        "import sys, oracle.cli.app\n"
        "sys.exit(str({'web3', 'numpy', 'pydantic', 'eth_account'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.stderr.strip() == "set()"


def test_help_takes_less_than_four_tenths_of_a_second() -> None:
    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "oracle.cli", "--help"]
        subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(once() for _ in range(3)) < LONGEST


def test_the_rules_are_those_of_the_core() -> None:
    from typing import get_args

    from oracle.cli.terms import Rule
    from oracle.core.consensus import Rule as CoreRule

    assert [name.upper().replace("-", "_") for name in get_args(Rule)] == [
        rule.name for rule in CoreRule
    ]


def test_the_evaluators_in_the_help_are_those_that_exist() -> None:
    from oracle.evaluators.registry import names

    [option] = [each for each in COMMANDS["evaluate"].params if each.name == "evaluator"]
    assert option.help.split(", ") == list(names())

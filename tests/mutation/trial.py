"""
Run tests against a mutant, in a process of its own that has everything loaded already.

A fork costs milliseconds, a new interpreter with numpy, pytest and hypothesis two seconds. The
child puts the mutant in place in its own memory, so no file of the checkout is ever touched. What
is mutated and which tests have to notice is the caller's decision.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CPU_SECONDS = 90
"""What all tests of a mutant may take: several times what they do without one."""
MEMORY = 8 << 30
"""Address space of a child, in bytes: a mutant may ask for 2¹⁰⁰⁰."""


class Verdict(StrEnum):
    """What became of a mutant. Only the first two count."""

    KILLED = "killed"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"
    """It compiles to what the original compiles to, or was judged to do the same."""
    INVALID = "invalid"
    """It does not compile."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one source: `apply` makes it, or gives `None` if nothing that runs changes."""

    path: str
    line: int
    operator: str
    apply: Callable[[str], str | None]


def change(source: str, mutated: str) -> tuple[str, str]:
    """Return the lines that differ, before and after."""
    before, after = source.splitlines(), mutated.splitlines()
    shortest = min(len(before), len(after))
    head = 0
    while head < shortest and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < shortest - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    parts = before[head : len(before) - tail], after[head : len(after) - tail]
    old, new = ("\n".join(line.strip() for line in part) for part in parts)
    return old, new


def preload() -> None:
    """Import what every child needs and no mutant changes."""
    import eth_abi  # noqa: F401
    import eth_account  # noqa: F401
    import hypothesis.extra.numpy  # noqa: F401
    import numpy  # noqa: F401
    import pyrevm  # noqa: F401
    import pytest  # noqa: F401
    import web3.utils.address  # noqa: F401


def noticed(install: Callable[[], None], suites: Sequence[Sequence[str]]) -> bool:
    """
    Return whether a test fails, of the suites one after the other, in a child after `install`.

    A child that dies or exceeds its processor time has noticed too. Assumes that the modules which
    `install` replaces are not imported here.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = int(_fails(install, suites))
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] != 0


def _fails(install: Callable[[], None], suites: Sequence[Sequence[str]]) -> bool:
    import pytest
    from hypothesis import HealthCheck, Phase, settings

    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    # The first example that fails is enough, and being slow is no failure.
    settings.register_profile(
        "mutant",
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
        deadline=None,
        database=None,
        derandomize=True,
    )
    settings.load_profile("mutant")
    os.chdir(ROOT)
    install()
    # Plugins and rewritten asserts take longer than most tests here.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    ours = "--import-mode=importlib --strict-markers -m 'not reliability'"
    options = ["-o", f"addopts={ours}", "--assert=plain", "-x", "-q", "-p", "no:cacheprovider"]
    return any(pytest.main([*options, *suite]) != pytest.ExitCode.OK for suite in suites)

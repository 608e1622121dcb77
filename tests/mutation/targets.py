"""
What is mutated, and which tests have to notice.

Every suite below is a list of arguments of pytest; they run one after the other until a test fails.
Tests that compare gas or bytes of artifacts are left out: they would notice anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from deploy.artifacts import Artifact
from deploy.compile import SETTINGS, read_closure
from deploy.packages import install_packages
from tests.mutation import python_mutants, solidity_mutants
from tests.mutation.trial import ROOT, Mutant, Verdict, noticed

Suites = list[list[str]]

BESIDE = {
    "consensus": ["vectors"],
    "digest": ["vectors"],
    "history": ["digest"],
    "keccak": ["digest"],
    "panel": ["vectors"],
    "parameters": ["structs", "settlement"],
    "rewards": ["vectors"],
    "settlement": ["digest"],
    "trust": ["vectors"],
    "words": ["digest", "commitment"],
}
"""Module of `oracle.core` → tests that see much of it, besides those of its name."""


@dataclass(frozen=True, slots=True)
class Stage:
    """
    A contract that the mutant is part of, and the suites that this contract is put through.

    It is optimised only where it would exceed the size of a contract otherwise: that takes longer.
    """

    contract: str
    path: str
    suites: Suites
    optimised: bool = False


_CONSENSUS = Stage(
    "ConsensusHarness",
    "tests/contracts/ConsensusHarness.sol",
    [
        ["tests/contracts/test_libraries.py"],
        ["tests/contracts/test_plain_settlement.py"],
    ],
)
_MANY = Stage(
    "RoundsHarness",
    "tests/contracts/RoundsHarness.sol",
    [["tests/contracts/test_many_rounds.py"]],
    optimised=True,
)
_LANES = Stage(
    "ScoreLanesHarness",
    "tests/contracts/ScoreLanesHarness.sol",
    [["tests/contracts/test_score_lanes.py"]],
)
SETTLE = {
    "settle",
    "_checkReveals",
    "_checkPanel",
    "_requireCommitsClosed",
    "_replay",
    "_revealedCommitments",
    "_rewards",
    "_credit",
    "_creditNode",
    "_conclude",
    "_close",
    "_commitsCloseAt",
    "_revealsCloseAt",
    "_entryIn",
    "_nodeIn",
    "_weights",
    "_count",
    "_lowest",
}
"""`settle` and the functions of `QualityRounds` that it is made of."""
_ROUNDS = Stage(
    "QualityRounds",
    "contracts/QualityRounds.sol",
    [
        ["tests/contracts/test_settle.py"],
        ["tests/contracts/test_money.py", "tests/contracts/test_commit_and_reveal.py"],
        ["tests/contracts/test_cancel.py", "tests/contracts/test_registry.py"],
        ["tests/contracts/test_differential.py"],
    ],
    optimised=True,
)


@dataclass(frozen=True, slots=True)
class Target:
    """
    A source to mutate; `judge` says what becomes of one of its mutants.

    `sound` says whether the tests pass where nothing is changed: if not, verdicts mean nothing.
    """

    path: str
    source: str
    mutants: tuple[Mutant, ...]
    judge: Callable[[Mutant], Verdict]
    sound: Callable[[], bool]


def python_targets(only: str | None = None) -> Iterator[Target]:
    """Yield the modules of `oracle.core`, or `only` one."""
    # The last suite holds all others and is the same for all: once shown to pass is enough.
    unchecked = [["tests/core"]]
    for path in _sources("oracle/core/*.py", only):
        module = Path(path).stem
        near = [f"tests/core/test_{name}.py" for name in [module, *BESIDE.get(module, [])]]
        there = [test for test in near if (ROOT / test).is_file()]
        suites = [there, ["tests/core"]] if there else [["tests/core"]]
        source = (ROOT / path).read_text(encoding="utf-8")
        found = tuple(python_mutants.mutants(path, source))
        judge = partial(_judge_python, source, suites)
        yield Target(path, source, found, judge, partial(_passes_python, path, source, unchecked))
        unchecked = []


def library_targets(only: str | None = None) -> Iterator[Target]:
    """Yield the libraries, or `only` one."""
    install_packages()
    plain = {stage.contract: _compile(stage, {}) for stage in (_LANES, _CONSENSUS, _MANY)}
    unchecked = [_LANES, _CONSENSUS, _MANY]
    for path in _sources("contracts/libraries/*.sol", only):
        first = (_LANES,) if Path(path).stem == "ScoreLanes" else ()
        yield _solidity_target(path, (*first, _CONSENSUS, _MANY), plain, unchecked)
        unchecked = []


def settle_targets(only: str | None = None) -> Iterator[Target]:
    """Yield `settle`, in its contract."""
    install_packages()
    if only in (None, "settle"):
        plain = {_ROUNDS.contract: _compile(_ROUNDS, {})}
        path = "contracts/QualityRounds.sol"
        yield _solidity_target(path, (_ROUNDS,), plain, [_ROUNDS], SETTLE)


def _sources(pattern: str, only: str | None) -> list[str]:
    """Return the sources below the root that match, or the one of them named `only`."""
    paths = sorted(path.relative_to(ROOT) for path in ROOT.glob(pattern))
    return [path.as_posix() for path in paths if only in (None, path.stem)]


def _passes_python(path: str, source: str, suites: Suites) -> bool:
    overlay = python_mutants.Overlay(python_mutants.module_of(path), path, source)
    return not noticed(overlay.install, suites)


def _judge_python(source: str, suites: Suites, mutant: Mutant) -> Verdict:
    mutated = mutant.apply(source)
    if mutated is None:
        return Verdict.EQUIVALENT
    passes = _passes_python(mutant.path, mutated, suites)
    return Verdict.SURVIVED if passes else Verdict.KILLED


def _solidity_target(
    path: str,
    stages: tuple[Stage, ...],
    plain: dict[str, bytes],
    unchecked: list[Stage],
    functions: set[str] | None = None,
) -> Target:
    """Return the target of a source; `plain` is the bytecode of each contract as it is."""
    source = (ROOT / path).read_text(encoding="utf-8")
    found = tuple(solidity_mutants.mutants(path, source, syntax_tree(path, source), functions))
    judge = partial(_judge_solidity, source, stages, plain)
    return Target(path, source, found, judge, partial(_passes_solidity, unchecked, plain))


def _passes_solidity(stages: list[Stage], plain: dict[str, bytes]) -> bool:
    return not any(
        noticed(partial(_install, stage.contract, plain[stage.contract]), stage.suites)
        for stage in stages
    )


def _judge_solidity(
    source: str, stages: tuple[Stage, ...], plain: dict[str, bytes], mutant: Mutant
) -> Verdict:
    from solcx.exceptions import SolcError

    mutated = mutant.apply(source)
    assert mutated is not None  # every change of Solidity is one to its syntax tree
    verdict = Verdict.EQUIVALENT
    for stage in stages:
        try:
            code = _compile(stage, {mutant.path: mutated})
        except SolcError:
            return Verdict.INVALID
        if code == plain[stage.contract]:
            continue
        if noticed(partial(_install, stage.contract, code), stage.suites):
            return Verdict.KILLED
        verdict = Verdict.SURVIVED
    return verdict


def _compile(stage: Stage, changed: dict[str, str]) -> bytes:
    """Return the bytecode of the stage's contract with some sources changed, by path."""
    selection = {stage.path: {stage.contract: ["evm.bytecode.object"]}}
    output = _solc([stage.path], changed, selection, optimised=stage.optimised)
    code: str = output["contracts"][stage.path][stage.contract]["evm"]["bytecode"]["object"]
    return bytes.fromhex(code)


def syntax_tree(path: str, source: str) -> dict[str, Any]:
    """Return the compiler's syntax tree of a source."""
    output = _solc([path], {path: source}, {path: {"": ["ast"]}})
    tree: dict[str, Any] = output["sources"][path]["ast"]
    return tree


def _solc(
    paths: list[str],
    changed: dict[str, str],
    selection: dict[str, Any],
    *,
    optimised: bool = False,
) -> Any:
    import solcx

    there = [path for path in paths if path not in changed or (ROOT / path).is_file()]
    sources = read_closure(there, ROOT) | changed
    return solcx.compile_standard(
        {
            "language": "Solidity",
            "settings": {
                **SETTINGS,
                "optimizer": SETTINGS["optimizer"] if optimised else {"enabled": False},
                "outputSelection": selection,
            },
            "sources": {path: {"content": text} for path, text in sources.items()},
        },
        solc_binary=str(ROOT / "deploy" / "solc"),
    )


def _install(contract: str, code: bytes) -> None:
    """Let the contract's artifact have other bytecode."""
    import deploy.artifacts as artifacts

    load = artifacts.load

    def mutated(name: str, directory: Path = artifacts.ARTIFACTS) -> Artifact:
        artifact = load(name, directory)
        return replace(artifact, bytecode=code) if name == contract else artifact

    artifacts.load = mutated

"""What the sources of the contracts may not contain: see docs/security.md."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from deploy.artifacts import load
from tests.contracts.test_terms import opcodes

CONTRACTS = Path(__file__).resolve().parent.parent.parent / "contracts"
SOURCES = sorted(CONTRACTS.rglob("*.sol"))
COMPILER = "pragma solidity 0.8.37;"
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
DIRECTIONS = set("\u2066\u2067\u2068\u2069\u2029\u202a\u202b\u202c\u202d\u202e")
DECLARED = re.compile(r"^\s*(function|event|error) (\w+)", re.MULTILINE)
PUBLIC = re.compile(r"^    function (\w+)\([^{;]*?\b(external|public)\b", re.MULTILINE)
CREATE, CREATE2, ORIGIN = 0xF0, 0xF5, 0x32


def code_of(path: Path) -> str:
    """Return a source without its comments."""
    return COMMENT.sub("", path.read_text(encoding="utf-8"))


@pytest.fixture(params=SOURCES, ids=lambda path: path.name)
def source(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_every_source_is_for_one_compiler(source: Path) -> None:
    pragmas = [line for line in source.read_text().splitlines() if line.startswith("pragma")]
    assert pragmas == [COMPILER]


def test_no_character_turns_the_direction_of_a_source(source: Path) -> None:
    assert not DIRECTIONS & set(source.read_text(encoding="utf-8"))


def test_signs_beyond_ascii_are_in_comments_only(source: Path) -> None:
    assert code_of(source).isascii()


def test_assembly_is_in_the_lane_library_alone(source: Path) -> None:
    assert ("assembly" in code_of(source)) == (source.name == "ScoreLanes.sol")


def test_assembly_touches_no_storage_and_calls_nothing() -> None:
    code = code_of(CONTRACTS / "libraries" / "ScoreLanes.sol")
    used: set[str] = set()
    for place in re.finditer(r'assembly \("memory-safe"\) \{', code):
        used |= set(re.findall(r"\b[a-z]\w*(?=\()|\.slot\b", block(code, place.end())))
    assert used & {"mload", "mstore", "calldataload"}
    touching = {"sload", "sstore", "tload", "tstore", ".slot"}
    leaving = {"call", "staticcall", "delegatecall", "callcode", "create", "create2"}
    assert not used & (touching | leaving)


def block(code: str, start: int) -> str:
    """Return the code from `start`, right after a brace, to its end."""
    depth, at = 1, start
    while depth:
        depth += {"{": 1, "}": -1}.get(code[at], 0)
        at += 1
    return code[start:at]


def test_no_source_makes_a_call_of_the_low_level(source: Path) -> None:
    assert not re.search(r"\.(call|delegatecall|staticcall|send)\s*[({]", code_of(source))


def test_nothing_of_two_variable_lengths_is_packed_into_one_hash(source: Path) -> None:
    for arguments in re.findall(r"abi\.encodePacked\(([^()]*)\)", code_of(source)):
        assert "," not in arguments
    assert code_of(source).count("encodePacked(") == len(
        re.findall(r"abi\.encodePacked\([^()]*\)", code_of(source))
    )


@pytest.mark.parametrize("name", ["NodeRegistry", "QualityRounds"])
def test_a_contract_creates_no_other_and_does_not_ask_who_began(name: str) -> None:
    assert not {CREATE, CREATE2, ORIGIN} & set(opcodes(load(name).deployed_bytecode))


@pytest.mark.parametrize("name", ["INodeRegistry", "IQualityRounds"])
def test_every_function_event_and_error_says_what_it_is_for(name: str) -> None:
    lines = (CONTRACTS / "interfaces" / f"{name}.sol").read_text(encoding="utf-8").splitlines()
    undocumented = [
        line
        for above, line in pairwise(lines)
        if DECLARED.match(line) and not above.strip().startswith("///")
    ]
    assert undocumented == []


@pytest.mark.parametrize("name", ["NodeRegistry", "QualityRounds"])
def test_every_public_function_of_a_contract_points_to_its_words(name: str) -> None:
    text = (CONTRACTS / f"{name}.sol").read_text(encoding="utf-8")
    for function in PUBLIC.finditer(text):
        above = text[: function.start()].rstrip().splitlines()[-1].strip()
        assert above == f"/// @inheritdoc I{name}", function[1]

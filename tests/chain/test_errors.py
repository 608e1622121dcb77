"""Every error of the contracts has a sentence, and the sentence carries the values."""

from __future__ import annotations

import re
from string import Formatter
from typing import Any

import pytest
from eth_abi import encode
from eth_utils import function_signature_to_4byte_selector

from deploy.artifacts import ARTIFACTS, load
from oracle.chain.errors import PHASES, SENTENCES, RevertDecoder, sentence
from tests.chain.conftest import TEST_ARTIFACTS

CONTRACTS = [load("NodeRegistry"), load("QualityRounds"), load("MockToken", TEST_ARTIFACTS)]


ERRORS = {
    f"{artifact.name}.{entry['name']}": entry
    for artifact in CONTRACTS
    for entry in artifact.abi
    if entry["type"] == "error"
}


@pytest.mark.parametrize("entry", list(ERRORS.values()), ids=list(ERRORS))
def test_an_error_of_the_abi_has_a_sentence_with_its_arguments(entry: dict[str, Any]) -> None:
    template = SENTENCES[entry["name"]]
    mentioned = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
    assert mentioned <= {field["name"] for field in entry["inputs"]}


def test_no_sentence_is_for_an_error_that_no_contract_has() -> None:
    known = {entry["name"] for entry in ERRORS.values()}
    assert set(SENTENCES) - known == {"Error", "Panic"}


def test_the_phases_are_those_of_the_contract() -> None:
    source = (ARTIFACTS.parent / "interfaces" / "IQualityRounds.sol").read_text()
    [members] = re.findall(r"enum Phase \{([^}]*)\}", source)
    assert len(PHASES) == len(members.split(","))


def test_unknown_data_is_shown_and_missing_data_is_said() -> None:
    decoder = RevertDecoder()
    assert str(decoder.decode(b"")) == "The call reverted without a reason."
    assert str(decoder.decode(b"\xde\xad")) == "The call reverted with the unknown error 0xdead."
    assert str(decoder.decode(b"", "out of gas")) == "out of gas"
    assert decoder.decode(b"\xde\xad").name == ""


def test_malformed_data_of_a_known_error_is_shown() -> None:
    selector = function_signature_to_4byte_selector("UnknownNode(uint32)")
    reverted = RevertDecoder(load("NodeRegistry").abi).decode(selector + b"\x01")
    assert "malformed data 0x" in str(reverted)


@pytest.mark.parametrize(
    ("signature", "values", "expected"),
    [
        ("UnknownNode(uint32)", [7], "There is no node 7."),
        ("Error(string)", ["no such luck"], "no such luck"),
        ("Panic(uint256)", [17], "The contract hit the internal error 17."),
        ("WrongPhase(uint256,uint8)", [3, 1], "Round 3 is open, not in the phase"),
        ("WrongPhase(uint256,uint8)", [3, 9], "Round 3 is 9, not in the phase"),
        (
            "NotOwner(uint32,address)",
            [4, "0x" + "ab" * 20],
            "Only the owner of node 4 may do this, and 0xABaBaBaBABabABabAbAbABAbABabababaBaBABaB",
        ),
        ("InvalidParameter(bytes32)", [b"quorum"], "The deployment parameter quorum makes"),
        ("InvalidParameter(bytes32)", [b"\xff\x01"], "The deployment parameter 0xff01"),
    ],
)
def test_a_revert_becomes_a_sentence(signature: str, values: list[Any], expected: str) -> None:
    kinds = signature[signature.index("(") + 1 : -1].split(",")
    data = function_signature_to_4byte_selector(signature) + encode(kinds, values)
    reverted = RevertDecoder(*(artifact.abi for artifact in CONTRACTS)).decode(data)
    assert str(reverted).startswith(expected)
    assert reverted.name == signature.partition("(")[0]


def test_an_error_without_a_sentence_shows_its_name_and_arguments() -> None:
    assert sentence("Novel", {"a": 1, "b": "x"}) == "The contract refuses: Novel(1, x)."

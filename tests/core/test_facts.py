from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from eth_utils.address import is_checksum_address
from eth_utils.crypto import keccak

from deploy.artifacts import load
from oracle.core import facts, parameters
from oracle.core.facts import Commit, Conduct, Phase, Role, pack_commits, pack_panel, unpack_panel
from oracle.core.structs import Struct
from oracle.core.units import WrongLength
from tests.core.rounds import drawn_round, opening_of, some_scores

MIRRORS = [
    mirror
    for module in (facts, parameters)
    for mirror in vars(module).values()
    if isinstance(mirror, type) and issubclass(mirror, Struct) and mirror is not Struct
]


def snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def solidity_structs() -> dict[str, list[str]]:
    """The field names of every struct that the contracts' ABIs mention."""
    found: dict[str, list[str]] = {}

    def visit(part: dict[str, Any]) -> None:
        if "components" in part:
            name = part["internalType"].removeprefix("struct ").split("[")[0].split(".")[-1]
            found[name] = [snake(component["name"]) for component in part["components"]]
            for component in part["components"]:
                visit(component)

    for contract in ("NodeRegistry", "QualityRounds"):
        for entry in load(contract).abi:
            for part in entry.get("inputs", []) + entry.get("outputs", []):
                visit(part)
    return found


@pytest.mark.parametrize("mirror", MIRRORS)
def test_a_mirror_has_the_fields_of_its_struct_in_their_order(mirror: type[Any]) -> None:
    assert [field.name for field in fields(mirror)] == solidity_structs()[mirror.__name__]


def test_every_struct_but_the_node_and_the_packed_outcome_has_a_mirror() -> None:
    without = {"Node", "Outcome"}
    assert {mirror.__name__ for mirror in MIRRORS} == solidity_structs().keys() - without


@pytest.mark.parametrize("length", [1, 27, 29])
def test_a_panel_of_broken_entries_is_refused(length: int) -> None:
    with pytest.raises(WrongLength):
        unpack_panel(bytes(length))


def test_a_packed_panel_is_node_owner_and_trust_and_is_unpacked_again() -> None:
    panel = drawn_round(some_scores(), opening_of()).draw.panel
    packed = pack_panel(panel)
    first = bytes.fromhex("00000064" + panel[0].owner[2:] + "000f4240")
    assert (len(packed), packed[:28]) == (140, first)
    assert unpack_panel(packed) == panel
    assert all(is_checksum_address(seat.owner) for seat in unpack_panel(packed))


def test_packed_commits_are_seat_and_time() -> None:
    commits = (Commit(30, 2**40 - 1, keccak(b"a")), Commit(0, 1, keccak(b"b")))
    assert pack_commits(commits) == bytes.fromhex("1effffffffff000000000001")


def test_a_tuple_nests_where_structs_do() -> None:
    opening = opening_of()
    requester, block, terms, batches, uri_hash = opening.as_tuple()
    assert (requester, block, uri_hash) == (opening.requester, 1_000, opening.uri_hash)
    assert terms == opening.terms.as_tuple()
    assert batches == tuple(batch.as_tuple() for batch in opening.batches)


def test_enumerations_are_numbered_as_on_chain() -> None:
    assert [*Role] == [Role.NONE, Role.EVALUATOR, Role.INFERENCE] == [0, 1, 2]
    assert [*Conduct] == [Conduct.PRESENT, Conduct.NOT_COMMITTED, Conduct.NOT_REVEALED] == [0, 1, 2]
    assert [*Phase] == [Phase.NONE, Phase.OPEN, Phase.DRAWN, Phase.CLOSED] == [0, 1, 2, 3]

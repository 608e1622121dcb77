"""`poq explain` and the pages that commands write, on a chain where a round was settled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from oracle.cli.exits import Exit
from tests.cli.conftest import a_world
from tests.cli.world import World


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Round 1 is settled without the third evaluator; round 2 is drawn."""
    with a_world(tmp_path_factory.mktemp("settled")) as world:
        world.open()
        world.draw(1)
        for i in (1, 2):
            assert world.commit(1, i).code == 0
        world.pass_time(600)
        reveals = [world.reveal(i) for i in (1, 2)]
        for i in (1, 2):
            assert world.open_reveal(1, i).code == 0
        assert world.settle(1, *reveals).code == 0
        world.done("node", "top-up", 3, by="requester")
        world.draw(world.open())
        yield world


@pytest.mark.parametrize("node", [1, 2, 4, 5])
def test_the_amount_is_the_one_that_the_round_paid(settled: World, node: int) -> None:
    told = settled.done("explain", "--round", 1, "--node", node)
    [paid] = [
        each["amount"]
        for each in settled.done("audit")["payouts"]
        if (each["round"], each["node"]) == (1, node)
    ]
    assert told["amount"] == paid != "0"
    assert told["mismatches"] == [] and told["comparisons"] > 0
    people = settled.poq("explain", "--round", 1, "--node", node)
    assert (people.code, people.err) == (0, "")
    assert people.out.startswith(f"Node {node} earned ")
    assert paid in people.out and told["transaction"] in people.out
    for each in told["paragraphs"]:
        for sentence in each["sentences"]:
            assert sentence in people.out


def test_an_absent_node_learns_what_it_lost(settled: World) -> None:
    told = settled.done("explain", "--round", 1, "--node", 3)
    assert (told["amount"], told["slashed"]) == ("0", str(10 * 10**18))
    assert told["seat"]["conduct"] == "NOT_COMMITTED"


def test_who_had_no_part_learns_it_in_one_sentence(settled: World) -> None:
    settled.done("node", "register", "evaluator", by="requester")
    ran = settled.poq("explain", "--round", 1, "--node", 6)
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert ran.err.startswith("Node 6 had no part in round 1: its panel was nodes ")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("round_id", "node", "code", "sentence"),
    [
        (2, 1, Exit.NOTHING_YET, "Round 2 has its panel and runs: nothing is paid before"),
        (9, 1, Exit.USAGE, "There is no round 9: 2 were opened so far."),
        (1, 99, Exit.USAGE, "There is no node 99:"),
    ],
)
def test_what_cannot_be_explained_says_why(
    settled: World, round_id: int, node: int, code: Exit, sentence: str
) -> None:
    ran = settled.poq("explain", "--round", round_id, "--node", node)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith(sentence)


def test_an_audit_is_written_as_a_page_and_told_as_before(settled: World) -> None:
    file = settled.path("pages/audit.html")
    ran = settled.poq("audit", "--html", file)
    assert ran.code == 0 and "nothing is wrong" in ran.out
    text = file.read_text(encoding="utf-8")
    assert f"The page is {file}, {len(text.encode()):,} bytes" in ran.err
    assert "Nothing is wrong" in text and 'id="round-table"' in text
    settled.poq("audit", "--html", file)
    assert file.read_text(encoding="utf-8") == text
    assert [each.name for each in file.parent.iterdir()] == ["audit.html"]


def test_a_page_that_cannot_be_written_is_named(settled: World) -> None:
    ran = settled.poq("audit", "--html", settled.path("qa.jsonl") / "audit.html")
    assert ran.code == Exit.USAGE
    assert "audit.html cannot be written" in ran.err

"""A hundred thousand broken inputs: not one traceback, and one stable sentence for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from oracle.cli.exits import Exit
from tests.adversary import malformed
from tests.adversary.malformed import Stage, complaint, kinds, staged, steady, tried
from tests.adversary.mutation import broken_bytes, broken_json, broken_lines, broken_words
from tests.cli.world import Ran

SEED = 7
SHORT = 3
"""Inputs of each kind in `make test`; all of them are run twice."""
CHEAP, OTHERS, LEAST = 8_000, 1_600, 100_000
"""Inputs of each kind in the long test, and how many that has to be in all."""
AGAIN = 20
"""One in so many of the long test is run a second time."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


def broken(stage: Stage, cheap: int, others: int, again: int) -> tuple[Counter[int], list[str]]:
    """Try so many of every kind; return the exit codes, and a line for each that ended badly."""
    codes: Counter[int] = Counter()
    bad = []
    for kind in kinds(stage):
        for number in range(cheap if kind.cheap else others):
            seed = f"{SEED} {kind.name} {number}"
            ran, wrong = tried(stage, kind, seed)
            codes[ran.code] += 1
            if not wrong and number % again == 0:
                second, _ = tried(stage, kind, seed)
                if (ran.code, steady(ran.err)) != (second.code, steady(second.err)):
                    wrong = "another sentence the second time"
            if wrong:
                bad.append(f"{seed}: {wrong}: {ran.err[-200:]!r}")
    return codes, bad


def test_every_kind_is_read_by_its_command_when_it_is_whole(stage: Stage) -> None:
    """Otherwise what is refused below would be refused for another reason."""
    for kind in kinds(stage):
        path = stage.path("whole") / kind.at
        if not kind.liar:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(kind.valid.read_bytes())
        ran = stage.poq(*kind.command(path), by=kind.by)
        if kind.name == "bare key":
            assert "exists; a keystore is never overwritten" in ran.err
        elif kind.name == "configuration of a study":
            assert "cannot read" in ran.err and "none/" in ran.err
        else:
            assert ran.code == Exit.OK, (kind.name, ran.err)


def test_broken_input_ends_with_one_stable_sentence(stage: Stage) -> None:
    codes, bad = broken(stage, SHORT, SHORT, again=1)
    assert bad == []
    assert {Exit.USAGE, Exit.RPC, Exit.KEY} <= codes.keys()


@pytest.mark.reliability
def test_a_hundred_thousand_broken_inputs_end_with_one_stable_sentence(
    stage: Stage, record_property: Callable[[str, object], None]
) -> None:
    codes, bad = broken(stage, CHEAP, OTHERS, AGAIN)
    print(f"seed {SEED}, exit codes {dict(codes)}")
    assert bad == []
    assert codes.total() >= LEAST
    tried_in_all, refused = codes.total(), codes.total() - codes[Exit.OK]
    for name, value, goal in (
        ("malformed inputs: tried", tried_in_all, f"≥ {LEAST}"),
        ("malformed inputs: refused with an exit code of their own", refused, "most"),
        ("malformed inputs: tracebacks, or errors that are no stable sentence", len(bad), 0),
    ):
        record_property("figure", {"name": name, "value": value, "goal": goal, "seed": SEED})


# That the test can fail


@pytest.mark.parametrize(
    "ran",
    [
        Ran(2, "", "Traceback (most recent call last):\n"),
        Ran(1, "", "A mistake in this program.\n"),
        Ran(77, "", "What.\n"),
        Ran(2, "", "One thing.\nAnother.\n"),
        Ran(2, "", ""),
        Ran(2, "{}", "One thing.\n"),
        Ran(2, "", "no sentence\n"),
    ],
)
def test_a_bad_end_is_noticed(ran: Ran) -> None:
    assert complaint(ran)
    assert not complaint(Ran(2, "", "One thing.\n"))


@pytest.mark.parametrize(
    ("mutate", "content"),
    [
        (broken_bytes, b"some bytes"),
        (broken_json, b'{"a": [1, "two", {"three": null}]}'),
        (broken_lines, b'{"a": 1}\n{"b": 2}\n'),
        (broken_words, b"a = 1\nb = [2, 3]\n"),
    ],
)
def test_a_mutation_changes_its_input_and_follows_its_seed(
    mutate: Callable[..., bytes], content: bytes
) -> None:
    import random

    made = [mutate(random.Random(seed), content) for seed in range(200)]
    assert made == [mutate(random.Random(seed), content) for seed in range(200)]
    assert len({*made, content}) > 50


def test_an_input_is_written_where_its_command_looks(stage: Stage) -> None:
    assert all(kind.at or kind.liar for kind in kinds(stage))
    names = {kind.name for kind in kinds(stage)}
    assert len(names) == len(kinds(stage)) and names > malformed.CHEAP

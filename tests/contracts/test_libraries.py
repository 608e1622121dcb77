"""Both languages give the same bits: the libraries on the vectors of `oracle.core`, and on more."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oracle.core.consensus import Rule, aggregate, deviations, pivot, submission
from oracle.core.judged import judged_items
from oracle.core.trust import disagreements
from oracle.core.units import ONE, WEIGHT_UNIT, pack
from tests.contracts.harness import Harness, Reverted

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
RANDOM_ROUNDS = 150


@pytest.fixture(scope="module")
def harness() -> Harness:
    return Harness("ConsensusHarness")


def vectors(subject: str) -> list[dict[str, Any]]:
    return json.loads((VECTORS / f"{subject}.json").read_text())  # type: ignore[no-any-return]


def raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def hashes(texts: list[str]) -> list[bytes]:
    return [raw(text) for text in texts]


def weights(trusts: list[int]) -> list[int]:
    return [trust // WEIGHT_UNIT for trust in trusts]


def test_consensus_deviations_and_disagreements_agree_on_the_vectors(harness: Harness) -> None:
    for vector in vectors("consensus"):
        rows = b"".join(map(raw, vector["scores"]))
        items, seats, salts = vector["items"], len(vector["scores"]), hashes(vector["salts"])
        for name, expected in vector["rules"].items():
            agreed, middle = harness(
                "verified",
                Rule[name],
                expected["trim"],
                rows,
                items,
                weights(vector["trusts"]),
                raw(expected["submission"]),
                salts,
            )
            assert agreed == raw(expected["consensus"]), (name, seats)
            assert middle == raw(expected["pivot"]), (name, seats)
            found, disagreed = harness("deviations", rows, items, seats, middle, salts)
            assert found == pack(np.array(expected["deviations"], dtype=np.uint16))
            assert disagreed == pack(np.array(expected["disagreements"], dtype=np.uint16))


def test_the_judged_items_agree_on_the_vectors(harness: Harness) -> None:
    for vector in vectors("judged"):
        firsts = harness("judgedGroups", vector["items"], hashes(vector["salts"]))
        judged = [item for first in firsts for item in range(first, first + 16)]
        assert judged[: vector["items"]] == vector["judged"]


def test_trust_agrees_on_the_vectors(harness: Harness) -> None:
    for vector in vectors("trust"):
        found = harness(
            "trusts",
            tuple(vector["parameters"].values()),
            vector["trusts"],
            pack(np.array(vector["disagreements"], dtype=np.uint16)),
            vector["items"],
        )
        assert list(found) == vector["updated"]


def test_rewards_agree_on_the_vectors(harness: Harness) -> None:
    for vector in vectors("rewards"):
        parameters = tuple(int(value) for value in vector["parameters"].values())
        budget = int(vector["budget"])
        seats = zip(vector["deviations"], vector["elapsed"], vector["seat_rewards"], strict=True)
        for deviation, elapsed, expected in seats:
            size = vector["panel_size"]
            assert harness("seatReward", parameters, budget, size, deviation, elapsed) == int(
                expected
            )
        start, consensus = 0, raw(vector["consensus"])
        for size, cost, expected in zip(
            vector["sizes"], vector["costs"], vector["batch_rewards"], strict=True
        ):
            items = sum(vector["sizes"])
            found = harness(
                "batchReward", parameters, budget, items, cost, consensus, start, start + size
            )
            assert found == int(expected)
            start += size


def test_the_shuffle_agrees_on_the_vectors(harness: Harness) -> None:
    for vector in vectors("panel"):
        if vector["passed_over_multiples_of"] or "places" not in vector:
            continue
        found = harness("places", raw(vector["seed"]), vector["population"], vector["size"])
        assert list(found) == vector["places"]


def random_panel(rng: np.random.Generator) -> tuple[Any, list[int], int]:
    seats = int(rng.integers(2, 32))
    items = int(rng.integers(1, rng.choice([140, 600])))
    levels = int(rng.choice([2, 5, ONE + 1]))
    scores = (rng.integers(0, levels, (seats, items)) * (ONE // (levels - 1))).astype(np.uint16)
    trusts = rng.integers(WEIGHT_UNIT, 1_000_001, seats).tolist()
    return scores, trusts, int(rng.integers(0, ONE // 2))


@pytest.mark.parametrize("rule", list(Rule))
def test_r15_random_panels_agree_and_one_wrong_unit_is_refused(
    harness: Harness, rule: Rule
) -> None:
    rng = np.random.default_rng(rule)
    for _ in range(RANDOM_ROUNDS):
        scores, trusts, trim = random_panel(rng)
        trim = trim if rule is Rule.TRIMMED_MEAN else 0
        seats, items = scores.shape
        rows = b"".join(pack(row) for row in scores)
        held = np.array(trusts, dtype=np.uint32)
        agreed = aggregate(rule, scores, held, trim)
        salts = [rng.bytes(32) for _ in range(seats)]
        judged = judged_items(items, salts)
        right = submission(rule, scores, held, trim, judged)
        call = ("verified", rule, trim, rows, items, weights(trusts))
        seen = scores[:, judged]
        middle = pivot(rule, seen, held, agreed[judged])
        assert harness(*call, right, salts) == (pack(agreed), pack(middle))
        found, disagreed = harness("deviations", rows, items, seats, pack(middle), salts)
        assert found == pack(deviations(seen, middle))
        assert disagreed == pack(disagreements(seen, middle))
        named = judged if rule is Rule.TRUST_WEIGHTED_MEAN else np.arange(items)

        values = np.frombuffer(right, dtype=">u2").astype(np.int64)
        at = int(rng.integers(len(values)))
        for off in (-1, 1):
            if values[at] + off < 0:
                continue
            wrong = values.copy()
            wrong[at] += off
            with pytest.raises(Reverted) as refused:
                harness(*call, wrong.astype(">u2").tobytes(), salts)
            assert refused.value.name == "WrongConsensus"
            assert refused.value.arguments["firstItem"] == named[at % len(named) // 16 * 16]


@pytest.mark.parametrize("rule", list(Rule))
def test_values_with_the_guard_bit_are_refused_not_borrowed_from(
    harness: Harness, rule: Rule
) -> None:
    scores = np.full((4, 16), 5_000, dtype=np.uint16)
    rows = b"".join(pack(row) for row in scores)
    right = np.frombuffer(
        submission(rule, scores, np.full(4, 1_000_000, dtype=np.uint32), 0), dtype=">u2"
    )
    for at in range(len(right)):
        for value in (0x8000, 0xFFFF, 0x7FFF):
            wrong = right.copy()
            wrong[at] = value
            with pytest.raises(Reverted) as refused:
                harness("verified", rule, 0, rows, 16, [1_000] * 4, wrong.tobytes(), [])
            assert refused.value.name == "WrongConsensus"


@pytest.mark.parametrize("items", [1, 15, 16, 17, 63, 64, 65, 130])
def test_r04_a_score_above_one_is_refused_in_every_lane(harness: Harness, items: int) -> None:
    harness("checkScores", pack(np.full(items, ONE, dtype=np.uint16)))
    for at in range(items):
        for score in (ONE + 1, 0x7FFF, 0x8000, 0xFFFF):
            row = np.zeros(items, dtype=">u2")
            row[at] = score
            with pytest.raises(Reverted) as refused:
                harness("checkScores", row.tobytes())
            assert refused.value.name == "ScoreAboveOne"


@pytest.mark.parametrize("rule", list(Rule))
@pytest.mark.parametrize("items", [1, 17, 130, 400])
def test_r04_no_rule_accepts_a_score_above_one_be_its_item_judged_or_not(
    harness: Harness, items: int, rule: Rule
) -> None:
    rng = np.random.default_rng(items)
    salts, seats = [bytes(32)] * 3, 3
    scores = np.zeros((seats, items), dtype=np.uint16)
    held = np.full(seats, 1_000_000, dtype=np.uint32)
    right = submission(rule, scores, held, 0, judged_items(items, salts))
    call = partial(harness, "verified", rule, 0)
    rest = items, [1_000] * seats, right, salts
    assert call(pack(scores), *rest)[0] == bytes(2 * items)
    for at in {0, items - 1, seats * items - 1, *rng.integers(0, seats * items, 20).tolist()}:
        wrong = scores.copy()
        wrong.flat[at] = rng.choice([ONE + 1, 0x7FFF, 0x8000, 0xFFFF])
        with pytest.raises(Reverted) as refused:
            call(pack(wrong), *rest)
        assert refused.value.name == "ScoreAboveOne"


@pytest.mark.parametrize("rule", list(Rule))
@pytest.mark.parametrize("off", [-2, 2, -1, 1])
def test_r03_a_submission_of_another_length_is_refused(
    harness: Harness, rule: Rule, off: int
) -> None:
    scores = np.arange(4 * 5, dtype=np.uint16).reshape(4, 5)
    rows = b"".join(pack(row) for row in scores)
    right = submission(rule, scores, np.full(4, 1_000_000, dtype=np.uint32), 0)
    wrong = right + bytes(off) if off > 0 else right[:off]
    with pytest.raises(Reverted) as refused:
        harness("verified", rule, 0, rows, 5, [1_000] * 4, wrong, [])
    assert refused.value.name == "WrongLength"

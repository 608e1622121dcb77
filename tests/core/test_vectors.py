"""The vectors are those that the core gives, and those that exact fractions give."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from oracle.core.consensus import Rule
from oracle.core.parameters import RoundsParameters, TrustParameters
from tests.core import naive
from tests.vectors import generate


def read(subject: str) -> list[dict[str, Any]]:
    vectors: list[dict[str, Any]] = json.loads(generate.path(subject).read_text(encoding="utf-8"))
    return vectors


def scores(packed: str) -> list[int]:
    values: list[int] = np.frombuffer(bytes.fromhex(packed[2:]), dtype=">u2").tolist()
    return values


@pytest.mark.parametrize("subject", generate.SUBJECTS)
def test_the_file_is_what_the_generator_writes(subject: str) -> None:
    assert generate.path(subject).read_text(encoding="utf-8") == generate.text(subject), (
        "run python -m tests.vectors.generate"
    )


@pytest.mark.parametrize("rule", list(Rule))
def test_consensus_vectors_are_exact(rule: Rule) -> None:
    seen = set()
    for vector in read("consensus"):
        given, trusts = vector["rules"][rule.name], vector["trusts"]
        rows = [scores(row) for row in vector["scores"]]
        items = list(zip(*rows, strict=True))
        agreed = [naive.consensus(rule, item, trusts, given["trim"]) for item in items]
        assert scores(given["consensus"]) == agreed
        judged = naive.judged(len(items), [bytes.fromhex(salt[2:]) for salt in vector["salts"]])
        pivots = [naive.pivot(rule, items[i], trusts, given["trim"]) for i in judged]
        assert scores(given["pivot"]) == pivots
        looked_at = [[row[i] for i in judged] for row in rows]
        assert given["deviations"] == [naive.deviation(row, pivots) for row in looked_at]
        assert given["disagreements"] == [naive.disagreement(row, pivots) for row in looked_at]
        if rule is Rule.TRUST_WEIGHTED_MEAN:
            items = [items[i] for i in judged]
        submitted = np.array(scores(given["submission"])).reshape(-1, len(items)).T.tolist()
        for item, values in zip(items, submitted, strict=True):
            assert naive.chain_accepts(rule, item, trusts, given["trim"], values)
        seen.add(len(rows))
    assert seen == set(range(2, 32))


def test_judged_vectors_are_exact() -> None:
    for vector in read("judged"):
        salts = [bytes.fromhex(salt[2:]) for salt in vector["salts"]]
        assert vector["judged"] == naive.judged(vector["items"], salts)


def test_trust_vectors_are_exact() -> None:
    for vector in read("trust"):
        p = TrustParameters(**vector["parameters"])
        tau = naive.tolerance(p, vector["disagreements"])
        pairs = zip(vector["trusts"], vector["disagreements"], strict=True)
        assert vector["tolerance"] == tau
        assert vector["updated"] == [naive.trust(p, w, f, tau, vector["items"]) for w, f in pairs]


def test_reward_vectors_are_exact() -> None:
    for vector in read("rewards"):
        p = RoundsParameters(**{name: int(value) for name, value in vector["parameters"].items()})
        budget, agreed = int(vector["budget"]), scores(vector["consensus"])
        seats = zip(vector["deviations"], vector["elapsed"], strict=True)
        assert list(map(int, vector["seat_rewards"])) == [
            naive.seat_reward(p, budget, vector["panel_size"], d, elapsed) for d, elapsed in seats
        ]
        start, expected = 0, []
        for size, cost in zip(vector["sizes"], vector["costs"], strict=True):
            part = agreed[start : start + size]
            start += size
            expected.append(naive.batch_reward(p, budget, len(agreed), cost, part))
        assert list(map(int, vector["batch_rewards"])) == expected

"""
Write the vectors that hold other implementations of the protocol to this one.

`python -m tests.vectors.generate` writes one JSON file a subject beside this module. Inputs come
from a hash, so that they are the same everywhere; bytes are 0x-hex, scores are packed, and amounts
of wei, which exceed what JSON numbers hold, are strings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from eth_utils.crypto import keccak

from oracle.core import rewards, trust
from oracle.core.cancellation import cancel, cancel_undrawn
from oracle.core.commitment import commitment, derive_salt
from oracle.core.consensus import Rule, aggregate, deviations, pivot, submission
from oracle.core.digest import opening_digest, replay
from oracle.core.facts import DrawnRound
from oracle.core.history import commit_proof
from oracle.core.judged import judged_items
from oracle.core.panel import TooFewEvaluators, draw_panel
from oracle.core.parameters import RoundsParameters, TrustParameters
from oracle.core.settlement import settle
from oracle.core.units import MAX_RATE, ONE, TRUST_ONE, WEIGHT_UNIT, ScoreMatrix, pack
from tests.core.rounds import (
    DRAWN_AT,
    KEY,
    PARAMETERS,
    TRUST,
    account,
    drawn_round,
    opening_of,
    reveal_of,
)

DIRECTORY = Path(__file__).parent
MONEY = {"inference_budget", "evaluator_budget", "settlement_fee", "least_evaluator_pay"}


def numbers(label: str, count: int, least: int, most: int) -> list[int]:
    """Return `count` numbers from `least` to `most` that depend on the label alone."""
    span = most - least + 1
    return [least + int.from_bytes(keccak(text=f"{label} {i}")) % span for i in range(count)]


def matrix(label: str, seats: int, items: int, levels: int = ONE) -> ScoreMatrix:
    """Return scores on `levels + 1` evenly spaced levels: few levels make many ties."""
    steps = numbers(label, seats * items, 0, levels)
    return (np.array(steps) * (ONE // levels)).astype(np.uint16).reshape(seats, items)


def plain(value: Any, name: str = "") -> Any:
    """Return what JSON holds in place of a value of the core."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return {key: plain(part, key) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return str(value) if name in MONEY else value


def consensus_vectors() -> Iterator[dict[str, Any]]:
    for seats in range(2, 32):
        for levels, items in ((ONE, 17), (3, 18), (1, 5)):
            label = f"consensus {seats} {levels}"
            scores = matrix(label, seats, items, levels)
            trusts = numbers(f"{label} trust", seats, WEIGHT_UNIT, TRUST_ONE)
            if levels == 3:
                trusts = [TRUST_ONE] * seats
            yield _consensus(scores, trusts, trim=numbers(f"{label} trim", 1, 0, ONE // 2 - 1)[0])
    for seats, items in ((5, 129), (4, 145), (3, 400)):
        label = f"consensus {seats} {items}"
        scores = matrix(label, seats, items)
        trusts = numbers(f"{label} trust", seats, WEIGHT_UNIT, TRUST_ONE)
        yield _consensus(scores, trusts, trim=2_000, label=label)
    for seats in (3, 4, 31):
        for score in (0, ONE):
            scores = np.full((seats, 16), score, dtype=np.uint16)
            yield _consensus(scores, [TRUST_ONE] * seats, trim=1_000)


def judged_vectors() -> Iterator[dict[str, Any]]:
    for items in (
        1,
        16,
        17,
        127,
        128,
        129,
        143,
        144,
        145,
        255,
        256,
        257,
        1_024,
        1_861,
        4_095,
        4_096,
    ):
        salts = salts_of(f"judged {items}", 3 + items % 29)
        yield {"items": items, "salts": salts, "judged": judged_items(items, salts).tolist()}


def salts_of(label: str, seats: int) -> list[bytes]:
    """Return the salts of so many seats."""
    return [keccak(text=f"{label} salt {seat}") for seat in range(seats)]


def _consensus(
    scores: ScoreMatrix, trusts: list[int], trim: int, label: str = ""
) -> dict[str, Any]:
    weights = np.array(trusts, dtype=np.uint32)
    salts = salts_of(label, len(scores))
    judged = judged_items(scores.shape[1], salts)
    seen = scores[:, judged]
    rules = {}
    for rule in Rule:
        share = trim if rule is Rule.TRIMMED_MEAN else 0
        agreed = aggregate(rule, scores, weights, share)
        rules[rule.name] = {
            "trim": share,
            "submission": submission(rule, scores, weights, share, judged),
            "consensus": pack(agreed),
            "pivot": pack(middle := pivot(rule, seen, weights, agreed[judged])),
            "deviations": deviations(seen, middle).tolist(),
            "disagreements": trust.disagreements(seen, middle).tolist(),
        }
    rows = [pack(row) for row in scores]
    return {
        "items": scores.shape[1],
        "scores": rows,
        "salts": salts,
        "trusts": trusts,
        "rules": rules,
    }


def trust_vectors() -> Iterator[dict[str, Any]]:
    most = MAX_RATE
    sets = {
        "panel-relative": TRUST,
        "paper": TrustParameters(3_000, 3_000, 5_000, 0, 1, WEIGHT_UNIT, TRUST_ONE),
        "widest": TrustParameters(most, most, ONE, most, 2**16 - 1, WEIGHT_UNIT, TRUST_ONE),
        "least": TrustParameters(1, 1, 0, 0, 1, WEIGHT_UNIT, TRUST_ONE),
    }
    for name, parameters in sets.items():
        for seats in (2, 3, 4, 9, 30, 31):
            for most_off in (ONE, 400):
                label = f"trust {name} {seats} {most_off}"
                items = numbers(f"{label} items", 1, 1, 40)[0]
                observed = numbers(f"{label} disagreement", seats, 0, most_off)
                current = numbers(label, seats, parameters.floor, parameters.cap)
                distances = np.array(observed, dtype=np.uint16)
                trusts = np.array(current, dtype=np.uint32)
                yield {
                    "parameters": asdict(parameters),
                    "items": items,
                    "trusts": current,
                    "disagreements": observed,
                    "tolerance": int(trust.tolerance(parameters, distances)),
                    "updated": trust.updated(parameters, trusts, distances, items).tolist(),
                }


def reward_vectors() -> Iterator[dict[str, Any]]:
    sets = (
        PARAMETERS,
        RoundsParameters(1, 1, 1, 1, 0, 1, ONE, 1),
        RoundsParameters(1, 2**40 - 1, 1, 1, 0, ONE, ONE, ONE),
        RoundsParameters(1, 3_600, 1, 1, 0, 7_919, 4_001, 3_333),
    )
    for i, parameters in enumerate(sets):
        for budget in (0, 10**18 + 7, 2**128 - 1):
            label = f"rewards {i} {budget}"
            observed = numbers(f"{label} deviation", 7, 0, parameters.closeness_scale)
            elapsed = numbers(f"{label} elapsed", 7, 0, parameters.commit_window)
            sizes = numbers(f"{label} sizes", 5, 1, 20)
            costs = numbers(f"{label} costs", 5, 0, ONE)
            agreed = matrix(label, 1, sum(sizes))[0]
            shares = rewards.seat_shares(
                parameters, np.array(observed, dtype=np.uint16), np.array(elapsed, dtype=np.int64)
            )
            merits = rewards.batch_merits(parameters, agreed, sizes, costs)
            yield {
                "parameters": asdict(parameters),
                "budget": str(budget),
                "panel_size": 9,
                "deviations": observed,
                "elapsed": elapsed,
                "seat_rewards": list(map(str, rewards.seat_rewards(budget, 9, shares))),
                "consensus": pack(agreed),
                "sizes": sizes,
                "costs": costs,
                "batch_rewards": list(map(str, rewards.batch_rewards(budget, sum(sizes), merits))),
            }


def commitment_vectors() -> Iterator[dict[str, Any]]:
    for items in (1, 15, 16, 17, 100):
        for node in (1, 2**32 - 1):
            secret = keccak(text=f"secret {items}")
            salt = derive_salt(secret, KEY, node)
            scores = pack(matrix(f"commitment {items}", 1, items))
            yield {
                "key": asdict(KEY),
                "node_id": node,
                "secret": secret,
                "salt": salt,
                "scores": scores,
                "commitment": commitment(KEY, node, salt, scores),
            }


def panel_vectors() -> Iterator[dict[str, Any]]:
    for population in (3, 5, 31, 32, 100, 5_000, 2**32 - 1):
        for size in (3, 9, 31):
            for every in (0, 2, 9):
                seed = keccak(text=f"panel {population} {size} {every}")

                def passed_over(place: int, every: int = every) -> bool:
                    return every > 0 and place % every == 0

                vector: dict[str, Any] = {
                    "seed": seed,
                    "population": population,
                    "size": size,
                    "passed_over_multiples_of": every,
                }
                try:
                    vector["places"] = list(draw_panel(seed, population, size, passed_over))
                except TooFewEvaluators as short:
                    vector["found"] = short.found
                yield vector


def digest_vectors() -> Iterator[dict[str, Any]]:
    for i, rule in enumerate(Rule):
        seats, quorum = (3, 2) if i == 0 else (8, 5)
        scores = matrix(f"digest {rule.name}", seats, 20)
        opening = opening_of(
            rule=rule,
            trim=2_000 if rule is Rule.TRIMMED_MEAN else 0,
            seats=seats,
            quorum=quorum,
            sizes=(1, 16, 3),
            costs=(0, 3_000, ONE),
        )
        trusts = numbers(f"digest {rule.name} trust", seats, 100_000, TRUST_ONE)
        order = list(range(seats))[::-1][: quorum + 1]
        facts = drawn_round(scores, opening, order=order, trusts=trusts)
        yield _digest(replace(facts, revealed=1 << order[-1]), scores, order[1:])


def _digest(facts: DrawnRound, scores: ScoreMatrix, included: list[int]) -> dict[str, Any]:
    settlement = settle(facts, PARAMETERS, [reveal_of(seat, scores) for seat in included])
    settler, ended_at = account("settler"), DRAWN_AT + 5_000
    last = facts.commits[1].seat
    return {
        "parameters": asdict(PARAMETERS),
        "key": asdict(facts.key),
        "opening": asdict(facts.opening),
        "draw": asdict(facts.draw),
        "commits": [asdict(commit) for commit in facts.commits],
        "revealed": facts.revealed,
        "opening_digest": opening_digest(facts.key, facts.opening),
        "committed_digest": replay(facts.key, facts.opening, facts.draw, facts.commits),
        "commit_proof": {"seat": last, **asdict(commit_proof(facts, last))},
        "reveals": [asdict(reveal) for reveal in settlement.reveals],
        "submission": settlement.submission,
        "consensus": settlement.consensus,
        "deviations": settlement.deviations,
        "seat_rewards": list(map(str, settlement.seat_rewards)),
        "batch_rewards": list(map(str, settlement.batch_rewards)),
        "refund": str(settlement.refund),
        "settler": settler,
        "ended_at": ended_at,
        "settled_digest": settlement.digest(settler, ended_at),
        "cancelled_digest": cancel(facts).digest(ended_at),
        "undrawn_digest": cancel_undrawn(facts.key, facts.opening).digest(ended_at),
    }


SUBJECTS: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
    "judged": judged_vectors,
    "consensus": consensus_vectors,
    "trust": trust_vectors,
    "rewards": reward_vectors,
    "commitment": commitment_vectors,
    "panel": panel_vectors,
    "digest": digest_vectors,
}


def text(subject: str) -> str:
    """Return the file of a subject: a JSON list with one vector a line."""
    lines = (json.dumps(plain(vector)) for vector in SUBJECTS[subject]())
    return "[\n" + ",\n".join(lines) + "\n]\n"


def path(subject: str) -> Path:
    return DIRECTORY / f"{subject}.json"


if __name__ == "__main__":
    for each in SUBJECTS:
        path(each).write_text(text(each), encoding="utf-8")

"""
What verifying costs: settlements beside the floor that their data costs, and beside the peers.

The floor, `21000 + 10·zero + 40·non-zero bytes` of calldata (EIP-7623), is what posting the scores
costs even if nothing is done with them. Peers' figures are from their own repositories and papers;
the two ways not taken, checking one score at a time and storing each score, are real contracts
(`tests/contracts/PlainSettlement.sol`) measured here on the same scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.gas_rounds import TRIM, Stage, most_items
from benchmarks.rows import Row
from oracle.core.consensus import Rule, aggregate
from oracle.core.units import ONE, TRUST_ONE, pack
from tests.contracts.harness import Harness

PANELS = (5, 9, 15, 31)
ITEMS = 1_024
BATCHES = 4
FLOOR = "calldata floor (EIP-7623)"
PLAIN_PANELS = (5, 31)
PLOTTED_ITEMS = (16, 64, 256, 1_024)


def measure() -> list[Row]:
    """Return every figure of the verification's cost."""
    return [*_settlements(), *_rounds(), *_ways_not_taken()]


def _settlements() -> Iterator[Row]:
    for seats in PANELS:
        stage = Stage(seats)
        for items, most in ((ITEMS, 1.10), (most_items(seats), 1.00)):
            for rule in Rule:
                gas = stage.play(rule, items)
                ratio = gas.settle / gas.floor
                yield Row(
                    f"settle {rule.name}, {seats} seats, {items} items",
                    gas.settle,
                    "gas",
                    FLOOR,
                    gas.floor,
                    ratio,
                    f"at most {most:.2f} of the floor",
                    ratio <= most,
                )


def _rounds() -> Iterator[Row]:
    small = Stage(3).play(Rule.MEDIAN, 1)
    name = "round of 1 item and 3 seats, open to last credit"
    yield _at_most(name, small.total, 600_000)
    yield _beside(name, small.total, "Sapien PoQ consensus on 1 score", 291_615)
    stage = Stage(5)
    large = stage.play(Rule.MEDIAN, ITEMS)
    yield _at_most(
        f"round of {ITEMS} items and 5 seats, open to last credit, an item",
        large.total / ITEMS,
        1_000,
    )
    yield Row(f"open, {ITEMS} items, 1 batch", large.open, "gas")
    yield Row("draw, 5 seats", large.draw, "gas")
    several = Stage(5, BATCHES).play(Rule.MEDIAN, ITEMS)
    further = BATCHES - 1
    yield Row("each further batch, open", (several.open - large.open) / further, "gas")
    yield Row("each further batch, settle", (several.settle - large.settle) / further, "gas")
    commit = max(large.commits)
    yield _at_most("commit", commit, 60_000)
    yield _beside("commit", commit, "UMA VotingV2 commit", 93_005)
    yield _beside("commit", commit, "Kleros v2 commit", 94_905)
    yield _beside("commit", commit, "Sapien PoQ commit", 141_657)
    reveals = stage.play(Rule.MEDIAN, 32, reveal=True).reveals
    name = "reveal on chain, 32 items, first of 5 commits"
    yield _at_most(name, max(reveals), 50_000)
    yield _beside(name, max(reveals), "Sapien PoQ reveal of 1 score", 68_413)
    output = sum(large.commits) / ITEMS + large.settle / ITEMS
    yield _beside("evaluators' side of an output, 5 seats", output, "Dria, 5 validators", 294_285)
    stage = Stage(9)
    nine = stage.play(Rule.MEDIAN, ITEMS)
    output = (sum(nine.commits) + nine.settle) / ITEMS
    yield _beside("evaluators' side of an output, 9 seats", output, "Dria, 10 validators", 541_978)
    widest = Stage(31).play(Rule.MEDIAN, 1)
    yield _beside("settle 1 item, 31 seats", widest.settle, "Chainlink OCR2, 31 observers", 174_496)


def _ways_not_taken() -> Iterator[Row]:
    for seats in PLAIN_PANELS:
        ours = Stage(seats).play(Rule.MEDIAN, ITEMS).settle
        for name, gas in (
            ("one score at a time", plain_gas(seats, ITEMS)),
            ("a word of storage a score", storage_gas(ITEMS) * seats),
        ):
            yield _beside(f"settle MEDIAN, {seats} seats, {ITEMS} items", ours, name, gas)


def plain_gas(seats: int, items: int, rule: Rule = Rule.MEDIAN) -> int:
    """Return the gas of a transaction that checks random scores one after the other."""
    plain = Harness("PlainSettlement")
    scores = np.random.default_rng(seats).integers(0, ONE + 1, (seats, items), dtype=np.uint16)
    trusts = np.full(seats, TRUST_ONE, dtype=np.uint32)
    consensus = pack(aggregate(rule, scores, trusts, TRIM))
    plain("settle", rule, TRIM, pack(scores), items, [1_000] * seats, consensus, static=False)
    return plain.gas


def storage_gas(items: int) -> int:
    """Return the gas of a transaction that stores a row of random scores, a word each."""
    plain = Harness("PlainSettlement")
    scores = np.random.default_rng(items).integers(1, ONE + 1, items, dtype=np.uint16)
    plain("store", 1, 1, pack(scores), static=False)
    return plain.gas


def plot(directory: Path) -> None:
    """Draw gas a score against items and panel size into `directory`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    stages = {seats: Stage(seats) for seats in PLAIN_PANELS}
    for seats, stage in stages.items():
        points = [stage.play(Rule.MEDIAN, items) for items in PLOTTED_ITEMS]
        scores = [items * seats for items in PLOTTED_ITEMS]
        style = "-" if seats == PLAIN_PANELS[0] else "--"
        series = {
            "a word of storage a score": [storage_gas(items) * seats for items in PLOTTED_ITEMS],
            "one score at a time": [plain_gas(seats, items) for items in PLOTTED_ITEMS],
            "this project": [gas.settle for gas in points],
            "calldata floor": [gas.floor for gas in points],
        }
        for colour, (name, gas) in enumerate(series.items()):
            a_score = np.array(gas) / scores
            left.plot(
                PLOTTED_ITEMS, a_score, style, color=f"C{colour}", label=f"{name}, {seats} seats"
            )
    left.set_xlabel("items in a round")
    left.set_ylabel("gas a score, settling a MEDIAN round")
    left.set_xscale("log", base=2)
    left.set_yscale("log")
    gas_by_panel = [Stage(seats).play(Rule.MEDIAN, ITEMS) for seats in PANELS]
    scores = [ITEMS * seats for seats in PANELS]
    series = {
        "a word of storage a score": [storage_gas(ITEMS) * seats for seats in PANELS],
        "one score at a time": [plain_gas(seats, ITEMS) for seats in PANELS],
        "this project": [gas.settle for gas in gas_by_panel],
        "calldata floor": [gas.floor for gas in gas_by_panel],
    }
    for colour, (name, gas) in enumerate(series.items()):
        right.plot(PANELS, np.array(gas) / scores, "o-", color=f"C{colour}", label=name)
    right.set_xlabel(f"seats, {ITEMS:,} items")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    left.legend(fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.18), frameon=False)
    right.legend(
        fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.18), frameon=False
    )
    directory.mkdir(parents=True, exist_ok=True)
    figure.savefig(directory / "settlement-gas.png", dpi=150)


def _at_most(name: str, value: float, most: int) -> Row:
    return Row(name, value, "gas", goal=f"at most {most:,}", ok=value <= most)


def _beside(name: str, value: float, peer: str, peer_value: float) -> Row:
    return Row(name, value, "gas", peer, peer_value, value / peer_value)

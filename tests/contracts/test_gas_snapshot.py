"""
What each transaction costs, held to a file: a change of more than 2 % has to be meant.

`python -m tests.contracts.test_gas_snapshot` writes the file anew.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.gas_rounds import Stage
from oracle.core.consensus import Rule

SNAPSHOT = Path(__file__).with_name("gas_snapshot.json")
TOLERANCE = 0.02
ITEMS = 128
SEATS, BATCHES = 5, 2


def measured() -> dict[str, int]:
    """Return gas by transaction, of one round of each rule between the same nodes."""
    stage = Stage(SEATS, BATCHES)
    figures = {}
    for rule in Rule:
        gas = stage.play(rule, ITEMS, reveal=rule is Rule.MEAN)
        figures[f"settle {rule.name}"] = gas.settle
        if rule is Rule.MEAN:
            figures |= {"open": gas.open, "draw": gas.draw}
            figures |= {"commit": max(gas.commits), "reveal": max(gas.reveals)}
    return figures


@pytest.fixture(scope="module")
def figures() -> dict[str, int]:
    return measured()


def test_no_transaction_costs_more_or_less_than_the_snapshot_says(figures: dict[str, int]) -> None:
    snapshot: dict[str, int] = json.loads(SNAPSHOT.read_text())
    assert figures.keys() == snapshot.keys()
    changed = {
        name: f"{snapshot[name]:,} → {gas:,}"
        for name, gas in figures.items()
        if abs(gas - snapshot[name]) > TOLERANCE * snapshot[name]
    }
    assert not changed, (
        "If this is meant, run `python -m tests.contracts.test_gas_snapshot` and say why."
    )


def main() -> None:
    """Write the snapshot."""
    SNAPSHOT.write_text(json.dumps(measured(), indent=2) + "\n")


if __name__ == "__main__":
    main()

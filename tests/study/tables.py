"""Tables that tests make up, of scores and as files."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from oracle.core.parameters import TrustParameters
from oracle.core.units import ONE, TRUST_ONE
from oracle.study.attacks import ATTACKS, Attack
from oracle.study.datasets import ScoreTable

DATA = Path(__file__).resolve().parent.parent.parent.parent / "shared" / "data"
TRUST = TrustParameters(
    gain=5_000,
    loss=20_000,
    tolerance=200,
    spread=15_000,
    evidence=20,
    floor=100_000,
    cap=TRUST_ONE,
)
ALL_ATTACKS: dict[str, Attack] = {name: attack() for name, attack in ATTACKS.items()}


COLUMNS = (
    "dataset",
    "task_type",
    "item_id",
    "system",
    "evaluator_id",
    "score",
    "reference_score",
    "evaluator_kind",
    "score01",
    "reference01",
)


class Row(NamedTuple):
    """One score of a tidy table."""

    item: str
    system: str
    evaluator: str
    score: float
    reference: float
    kind: str = "auto"


def write_table(directory: Path, rows: Iterable[Row], name: str = "table") -> Path:
    """Write a tidy table and return where it is."""
    path = directory / f"{name}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(COLUMNS)
        for row in rows:
            numbers = [row.score, row.reference]
            out.writerow(
                [name, "task", row.item, row.system, row.evaluator, *numbers, row.kind, *numbers]
            )
    return path


def made_up(nodes: int = 9, items: int = 60, noise: float = 0.1, seed: int = 7) -> ScoreTable:
    """Return a table of honest nodes that add normal noise to a uniform quality; three systems."""
    rng = np.random.default_rng(seed)
    quality = rng.random(items)
    said = quality + noise * rng.standard_normal((nodes, items))
    scores = (np.clip(said, 0, 1) * ONE).astype(np.uint16)
    return ScoreTable(scores, (quality * ONE).astype(np.uint16), np.arange(items) % 3)


def made_up_rows(nodes: int = 6, prompts: int = 80, seed: int = 5) -> list[Row]:
    """Return what `made_up` is like as rows of a file: three systems answer each prompt."""
    rng = np.random.default_rng(seed)
    rows = []
    for prompt in range(prompts):
        for system in range(3):
            quality = float(rng.random())
            said = np.clip(quality + 0.15 * rng.standard_normal(nodes), 0, 1).round(4)
            rows += [
                Row(f"p{prompt}|s{system}", f"s{system}", f"n{node}", float(score), quality)
                for node, score in enumerate(said)
            ]
    return rows

"""
What the default rule keeps of the plain mean without liars, for docs/study-default-rule.md.

`python -m benchmarks.default_rule` plays networks of the recorded evaluators, calibrated, under
every attack and prints Markdown. Trust starts anew in each network, so a cell has two numbers:
after the first half of the rounds, and over all of them. It measures; it decides nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deploy.parameters import load_parameters
from oracle.core.consensus import Rule
from oracle.core.parameters import TrustParameters
from oracle.core.units import TRUST_ONE
from oracle.study.attacks import ATTACKS
from oracle.study.datasets import ScoreTable, calibrated, load, split
from oracle.study.simulation import Choice, History, Shape, blocks, newcomers, play

DATA = Path(__file__).resolve().parents[1] / "../shared/data"
DATASETS = (
    "gal_adult2",
    "evouna_nq",
    "openqa_nq301",
    "summeval_relevance",
    "summeval_coherence",
    "realsumm",
)
PANELS = (5, 9, 11)
SEEDS = range(20)
ROUNDS = {20: 200, 1: 1_000}
RATIOS = (0.2, 0.4)
LEAST = {0.0: 0.98, 0.2: 0.95, 0.4: 0.90}
LEAST_ONE_ITEM = 0.95

_MEAN = Rule.TRUST_WEIGHTED_MEAN
DEFAULT = load_parameters("testnet").registry.trust
CHOICES = (
    Choice("mean", Rule.MEAN, DEFAULT),
    Choice("median", Rule.MEDIAN, DEFAULT),
    Choice("trimmed", Rule.TRIMMED_MEAN, DEFAULT, trim=2_000),
    Choice("paper's", _MEAN, TrustParameters(5_000, 5_000, 5_000, 0, 1, 100_000, TRUST_ONE)),
    Choice("former", _MEAN, TrustParameters(5_000, 20_000, 200, 15_000, 20, 100_000, TRUST_ONE)),
    Choice("default", _MEAN, DEFAULT),
)
"""`paper's` and `former`: parameters of the paper and of the first design, on disagreements."""

Floats = NDArray[np.float64]
Kept = dict[str, tuple[float, float]]
"""By rule: after the first half of the rounds, and over all of them."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A dataset, panel size, items a round, and who lies how."""

    dataset: str
    panel: int
    items: int
    ratio: float
    attack: str


def main() -> None:
    """Print the tables."""
    known = [name for name in DATASETS if (DATA / f"{name}.csv").exists()]
    if not known:
        sys.exit(f"No table of scores lies in {DATA}.")
    for items in ROUNDS:
        cells = dict(measured(known, items))
        print(f"\n## Rounds of {items} item{'s' if items > 1 else ''}\n")
        print("\n".join(overview(cells)), "\n")
        print("\n".join(short(cells, items)), flush=True)


def measured(datasets: Sequence[str], items: int) -> Iterator[tuple[Cell, Kept]]:
    """Yield what each rule keeps, cell by cell."""
    for name in datasets:
        data = load(DATA / f"{name}.csv")
        table = calibrated(*split(data, seed=0))
        for panel in PANELS:
            if panel <= len(table.scores):
                yield from _measured(table, name, panel, items)


def _measured(table: ScoreTable, name: str, panel: int, items: int) -> Iterator[tuple[Cell, Kept]]:
    shape = Shape(panel, items, ROUNDS[items])
    clean = pearson(table, [History(seed) for seed in SEEDS], shape)
    yield Cell(name, panel, items, 0.0, "none"), kept(clean, clean)
    for ratio in RATIOS:
        for attack in ATTACKS:
            lied = pearson(table, [History(seed, attack, ratio) for seed in SEEDS], shape)
            yield Cell(name, panel, items, ratio, attack), kept(lied, clean)


def pearson(
    table: ScoreTable, histories: Sequence[History], shape: Shape
) -> Mapping[str, tuple[float, float]]:
    """Return each rule's Pearson with the reference, mean over seeds; `honest` hears no liars."""
    attacks = {name: kind() for name, kind in ATTACKS.items()}
    trusts = {choice.name: newcomers(len(histories), len(table.scores)) for choice in CHOICES}
    said: dict[str, list[NDArray[np.float64]]] = {}
    truth = []
    for block in blocks(table, histories, shape, attacks):
        for choice in CHOICES:
            outcome = play(choice, block, trusts[choice.name])
            trusts[choice.name] = outcome.trusts
            said.setdefault(choice.name, []).append(outcome.consensus.astype(np.float64))
        weights = np.where(block.liars.all(axis=-1, keepdims=True), 1.0, ~block.liars)
        honest = np.einsum("hrst,hrs->hrt", block.scores.astype(np.float64), weights)
        said.setdefault("honest", []).append(honest / weights.sum(axis=-1, keepdims=True))
        truth.append(table.reference[block.items].astype(np.float64))
    reference = np.concatenate(truth, axis=1)
    half = shape.rounds // 2
    result = {}
    for name, parts in said.items():
        values = np.concatenate(parts, axis=1)
        late = correlation(values[:, half:], reference[:, half:])
        result[name] = (late, correlation(values, reference))
    return result


def correlation(values: Floats, reference: Floats) -> float:
    """Return the mean over histories, the first axis, of Pearson's r; 0 where nothing varies."""
    a = values.reshape(len(values), -1)
    b = reference.reshape(len(reference), -1)
    a = a - a.mean(axis=1, keepdims=True)
    b = b - b.mean(axis=1, keepdims=True)
    norm = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return float((np.divide((a * b).sum(axis=1), norm, where=norm > 0, out=norm * 0)).mean())


def kept(lied: Mapping[str, tuple[float, float]], clean: Mapping[str, tuple[float, float]]) -> Kept:
    """Return the parts kept of the mean's Pearson without liars."""
    of = clean["mean"]
    return {name: (late / of[0], whole / of[1]) for name, (late, whole) in lied.items()}


def overview(cells: Mapping[Cell, Kept]) -> Iterator[str]:
    """Yield a table: by ratio and attack, each rule's mean and worst over datasets and panels."""
    names = [choice.name for choice in CHOICES] + ["honest"]
    yield "| liars | attack | " + " | ".join(names) + " |"
    yield "|---|---|" + "---|" * len(names)
    for ratio, attack in dict.fromkeys((cell.ratio, cell.attack) for cell in cells):
        rows = [k for c, k in cells.items() if (c.ratio, c.attack) == (ratio, attack)]
        columns = []
        for name in names:
            late = np.array([row[name][0] for row in rows])
            whole = np.array([row[name][1] for row in rows])
            columns.append(f"{late.mean():.2f} ({late.min():.2f}); {whole.mean():.2f}")
        yield f"| {ratio:.0%} | {attack} | " + " | ".join(columns) + " |"


def short(cells: Mapping[Cell, Kept], items: int) -> Iterator[str]:
    """Yield a table of the cells where the default keeps too little, and so does the mean."""
    yield "| dataset | panel | liars | attack | least | mean | default | no lies heard |"
    yield "|---|---|---|---|---|---|---|---|"
    for when, at in (("after the first half", 0), ("all rounds", 1)):
        counted = missed = 0
        rows = []
        for cell, row in cells.items():
            least = LEAST[cell.ratio] if items > 1 else LEAST_ONE_ITEM
            if cell.ratio and row["mean"][at] >= least:
                continue
            counted += 1
            if row["default"][at] >= least:
                continue
            missed += 1
            rows.append(
                f"| {cell.dataset} | {cell.panel} | {cell.ratio:.0%} | {cell.attack} | "
                f"{least:.2f} | {row['mean'][at]:.2f} | {row['default'][at]:.2f} | "
                f"{row['honest'][at]:.2f} |"
            )
        yield f"| **{when}: {missed} of {counted} fall short** | | | | | | | |"
        yield from rows


if __name__ == "__main__":
    main()

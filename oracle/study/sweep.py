"""
The sweep: every attack, ratio, panel size, rule, number of items and seed, on every table.

Cut into parts that share a table and a shape of rounds; a part is played anywhere and gives the
same rows. What a row means is decided here; where parts run and are kept is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from oracle.core.units import ONE, TRUST_ONE
from oracle.study.attacks import Attack
from oracle.study.configuration import Configuration
from oracle.study.datasets import ScoreTable
from oracle.study.simulation import (
    Choice,
    History,
    Shape,
    blocks,
    liar_nodes,
    move,
    newcomers,
    settle,
)
from oracle.study.tally import Mean, Tally

HONEST = "none"
"""What the column `attack` says of a network without liars."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some histories of rounds of one shape on one table, under several rules."""

    dataset: str
    scale: str
    table: ScoreTable
    shape: Shape
    histories: Sequence[History]
    attacks: dict[str, Attack]
    choices: Sequence[Choice]
    overlap: int = 1

    @property
    def name(self) -> str:
        """What the part is called among those of its study."""
        return f"{self.dataset}-{self.scale}-{self.shape.items}x{self.shape.panel_size}"

    @property
    def rounds(self) -> int:
        """How many rounds it plays, each rule's counted."""
        return self.shape.rounds * len(self.histories) * len(self.choices)


def parts(
    configuration: Configuration, tables: dict[tuple[str, str], ScoreTable]
) -> Iterator[Part]:
    """Yield the parts of a study's sweep; a panel larger than a table's nodes is left out."""
    sweep = configuration.sweep
    attacks = sweep.chosen_attacks()
    seeds = range(configuration.seeds)
    histories = [History(seed) for seed in seeds] + [
        History(seed, attack, ratio)
        for attack in attacks
        for ratio in sweep.ratios
        for seed in seeds
    ]
    for (dataset, scale), table in tables.items():
        for items in sweep.items:
            for panel_size in sweep.panel_sizes:
                if panel_size > len(table.scores):
                    continue
                shape = Shape(panel_size, items, sweep.rounds)
                yield Part(
                    dataset,
                    scale,
                    table,
                    shape,
                    histories,
                    attacks,
                    sweep.choices(),
                    sweep.overlap,
                )


def run(part: Part) -> pl.DataFrame:
    """
    Play a part and return a row for each rule and history.

    `pearson`, `mae`, `rmse` and `bias` compare consensus and reference over all items of all
    rounds; deviations are means over seats, in [0, 1]; trusts are means over nodes at the end, in
    [0, 1], and missing for rules that do not weigh.
    """
    histories, nodes = part.histories, len(part.table.scores)
    count = len(histories)
    lying = np.array([liar_nodes(nodes, history) for history in histories])
    moving = {choice.mover: choice for choice in part.choices}
    trusts = {mover: newcomers(count, nodes) for mover in moving}
    tallies = [Tally(count) for _ in part.choices]
    honest, liars = ([Mean(count) for _ in part.choices] for _ in range(2))
    for block in blocks(part.table, histories, part.shape, part.attacks):
        reference = part.table.reference[block.items]
        moves = {
            mover: move(choice, block, trusts[mover], part.overlap)
            for mover, choice in moving.items()
        }
        trusts = {mover: made.after for mover, made in moves.items()}
        for i, choice in enumerate(part.choices):
            outcome = settle(choice, block, moves[choice.mover])
            tallies[i].add(outcome.consensus, reference)
            honest[i].add(outcome.deviations, ~block.liars)
            liars[i].add(outcome.deviations, block.liars)
    tables = []
    for i, choice in enumerate(part.choices):
        final = {"honest_trust": Mean(count), "liar_trust": Mean(count)}
        if choice.rule.weighs:
            final["honest_trust"].add(trusts[choice.mover], ~lying)
            final["liar_trust"].add(trusts[choice.mover], lying)
        tables.append(
            pl.DataFrame(
                {
                    "dataset": part.dataset,
                    "scale": part.scale,
                    "items": part.shape.items,
                    "panel_size": part.shape.panel_size,
                    "rule": choice.name,
                    "attack": [history.attack or HONEST for history in histories],
                    "ratio": [history.ratio for history in histories],
                    "seed": [history.seed for history in histories],
                    "rounds": part.shape.rounds,
                    "nodes": nodes,
                    "liars": lying.sum(axis=1),
                    **tallies[i].measures(),
                    "honest_deviation": honest[i].values(ONE),
                    "liar_deviation": liars[i].values(ONE),
                    **{name: mean.values(TRUST_ONE) for name, mean in final.items()},
                }
            )
        )
    return pl.concat(tables).with_columns(pl.col(pl.Float64).fill_nan(None))

"""
What a network without liars pays, against the size of its panels, through the core's own rewards.

Shares are what a seat or an output earns of what it could earn, before money: a seat is paid its
share of the evaluator budget's K-th part, so pay falls with K by itself; both are reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import polars as pl
from numpy.typing import NDArray

from oracle.core.parameters import RoundsParameters
from oracle.core.rewards import batch_merits, seat_shares
from oracle.core.units import ONE
from oracle.study.configuration import Configuration
from oracle.study.datasets import ScoreTable
from oracle.study.simulation import Choice, History, Shape, blocks, newcomers, play

_WINDOW = ONE
"""A commit window in which one second is one unit of latency."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Networks without liars, one a seed, that play rounds of one shape on one table."""

    dataset: str
    scale: str
    table: ScoreTable
    shape: Shape
    seeds: int
    choice: Choice
    parameters: RoundsParameters
    latency: int
    inference_cost: int

    @property
    def name(self) -> str:
        """What the part is called among those of its study."""
        shape = f"{self.shape.items}x{self.shape.panel_size}"
        return f"{self.dataset}-{self.scale}-{shape}-{self.choice.name}"

    @property
    def rounds(self) -> int:
        """How many rounds it plays."""
        return self.shape.rounds * self.seeds


def parts(
    configuration: Configuration, tables: dict[tuple[str, str], ScoreTable]
) -> Iterator[Part]:
    """Yield the parts; a panel larger than a table's nodes is left out."""
    rewards = configuration.rewards
    parameters = RoundsParameters(
        draw_delay=0,
        commit_window=_WINDOW,
        reveal_window=0,
        settle_window=0,
        least_evaluator_pay=0,
        quality_weight=rewards.quality_weight,
        cost_weight=rewards.cost_weight,
        closeness_scale=rewards.closeness_scale,
    )
    for ((dataset, scale), table), items, panel_size, rule in product(
        tables.items(), rewards.items, rewards.panel_sizes, rewards.rules
    ):
        if panel_size <= len(table.scores):
            yield Part(
                dataset,
                scale,
                table,
                Shape(panel_size, items, rewards.rounds),
                configuration.seeds,
                configuration.sweep.rules[rule].choice(rule),
                parameters,
                round(rewards.latency * ONE),
                round(rewards.inference_cost * ONE),
            )


def run(part: Part) -> pl.DataFrame:
    """
    Play a part and return a row for each seed.

    `evaluator_share` is the mean of r over seats and rounds, `evaluator_share_variance` its
    variance over them; `evaluator_pay` and its variance are of r / K, what a seat gets of a budget
    of 1; `inference_share` is the mean over rounds of what the outputs earn of a budget of 1.
    """
    histories = [History(seed) for seed in range(part.seeds)]
    trusts = newcomers(len(histories), len(part.table.scores))
    shares: list[NDArray[np.float64]] = []
    merits: list[NDArray[np.float64]] = []
    items = part.shape.items
    for block in blocks(part.table, histories, part.shape, {}):
        outcome = play(part.choice, block, trusts)
        trusts = outcome.trusts
        elapsed = np.full(outcome.deviations.shape, part.latency, dtype=np.int64)
        share = seat_shares(part.parameters, outcome.deviations, elapsed)
        merit = batch_merits(part.parameters, outcome.consensus, [items], [part.inference_cost])
        shares.append(share.reshape(len(histories), -1) / ONE)
        merits.append(merit[..., 0] / (items * ONE**2))
    evaluators, outputs = np.concatenate(shares, axis=1), np.concatenate(merits, axis=1)
    seats = part.shape.panel_size
    return pl.DataFrame(
        {
            "dataset": part.dataset,
            "scale": part.scale,
            "items": items,
            "panel_size": seats,
            "rule": part.choice.name,
            "seed": [history.seed for history in histories],
            "rounds": part.shape.rounds,
            **_moments("evaluator_share", evaluators),
            **_moments("evaluator_pay", evaluators / seats),
            **_moments("inference_share", outputs),
        }
    )


def _moments(name: str, values: NDArray[np.float64]) -> dict[str, Sequence[float]]:
    return {name: values.mean(axis=1).tolist(), f"{name}_variance": values.var(axis=1).tolist()}

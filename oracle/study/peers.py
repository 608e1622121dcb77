"""
The rules of the protocol beside truth inference from the literature, on the same rounds.

Peers work in floats and may look as long as they like: online, round by round, as a settlement
would have to; offline, over all rounds at once, which no settlement can. What they infer is in
`baselines`; here they are only played.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from oracle.core.units import ONE, ScoreVector
from oracle.evaluators.quantise import quantise
from oracle.study import sweep
from oracle.study.baselines.paper_rule import PaperRule
from oracle.study.baselines.peers import PEERS
from oracle.study.configuration import Configuration
from oracle.study.datasets import ScoreTable
from oracle.study.simulation import Block, History, Shape, blocks
from oracle.study.tally import Tally

PAPER_RATE = 0.5
"""λ of the paper's own rule, as its integer twin in the configuration has it."""

_KEPT = ["dataset", "scale", "items", "panel_size", "rule", "attack", "ratio", "seed", "rounds"]
_MEASURES = ["pearson", "mae", "rmse", "bias"]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part of a sweep whose rounds the peers play as well."""

    swept: sweep.Part

    @property
    def name(self) -> str:
        """What the part is called among those of its study."""
        return self.swept.name


def parts(
    configuration: Configuration, tables: dict[tuple[str, str], ScoreTable]
) -> Iterator[Part]:
    """Yield the parts; a panel larger than a table's nodes is left out."""
    peers = configuration.peers
    shape = Shape(peers.panel_size, peers.items, peers.rounds)
    seeds = range(peers.seeds)
    attacks = configuration.sweep.chosen_attacks()
    histories = [History(seed) for seed in seeds]
    histories += [History(seed, attack, peers.ratio) for attack in attacks for seed in seeds]
    for (dataset, scale), table in tables.items():
        if shape.panel_size <= len(table.scores):
            choices = configuration.sweep.choices()
            yield Part(sweep.Part(dataset, scale, table, shape, histories, attacks, choices))


def run(part: Part) -> pl.DataFrame:
    """Play a part and return a row for each rule or peer and history, measured as in a sweep."""
    swept = part.swept
    columns = _KEPT + _MEASURES
    tables = [sweep.run(swept).select(columns)]
    for history in swept.histories:
        alone = replace(swept, histories=[history])
        played = list(blocks(swept.table, [history], swept.shape, swept.attacks))
        reference = np.concatenate(
            [swept.table.reference[block.items].reshape(1, -1) for block in played], axis=1
        )
        for name, truth in _inferred(alone, played):
            tally = Tally(1)
            tally.add(truth, reference)
            row = {
                "dataset": swept.dataset,
                "scale": swept.scale,
                "items": swept.shape.items,
                "panel_size": swept.shape.panel_size,
                "rule": name,
                "attack": history.attack or sweep.HONEST,
                "ratio": history.ratio,
                "seed": history.seed,
                "rounds": swept.shape.rounds,
                **tally.measures(),
            }
            tables.append(pl.DataFrame(row, schema=tables[0].schema))
    return pl.concat(tables).with_columns(pl.col(_MEASURES).fill_nan(None))


def _inferred(part: sweep.Part, played: list[Block]) -> Iterator[tuple[str, ScoreVector]]:
    """Yield each peer's truth of all items of all rounds, (1, rounds · items) uint16 in ONE."""
    nodes = len(part.table.scores)
    rounds = [answers for block in played for answers in _answers(block, nodes)]
    everything = np.concatenate(rounds, axis=1)
    for name, make in PEERS.items():
        online = make()
        truths = [online.observe(answers).truth for answers in rounds]
        yield f"{name} online", quantise(np.concatenate(truths))[np.newaxis]
        yield f"{name} offline", quantise(make().fit(everything).truth)[np.newaxis]
    paper = PaperRule(PAPER_RATE)
    truths = [paper.observe(answers).truth for answers in rounds]
    yield "paper as published", quantise(np.concatenate(truths))[np.newaxis]


def _answers(block: Block, nodes: int) -> Iterator[NDArray[np.float64]]:
    """Yield what is said in each round, (nodes, items) in [0, 1], NaN for those without a seat."""
    for panel, said in zip(block.panels[0], block.scores[0], strict=True):
        answers = np.full((nodes, said.shape[1]), np.nan)
        answers[panel] = said / ONE
        yield answers

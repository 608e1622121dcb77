"""
Recorded scores as complete arrays: what evaluators said of outputs, beside what they are worth.

Decides which evaluators of a tidy table can sit on a panel, which items all of them scored, and
which items they may calibrate on. Reading is here; what is done with scores is not.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from oracle.core.units import ScoreMatrix, ScoreVector
from oracle.evaluators.calibration import monotone_map
from oracle.evaluators.quantise import quantise

EXPERTS = frozenset({"human_expert"})
"""Kinds that make up the reference of the sets that have them, so they cannot be judged by it."""
LEAST_COVERAGE = 0.95
"""Part of the items that an evaluator has to have scored, or it is left out."""
SLOTS = 10
"""Seats that the workers of a sparse set share, on items with at least as many ratings."""
LABELLED_SHARE = 0.3

_COLUMNS = ("dataset", "task_type", "item_id", "system", "evaluator_id", "evaluator_kind")
_NUMBERS = ("score01", "reference01")
_SOURCE = re.compile(r"[|#].*")
"""What follows the prompt's id in an item's id: outputs for one prompt are never split."""


class DatasetError(ValueError):
    """Raised when a table of scores cannot be read or leaves no panel."""


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """
    The scores of `evaluators` for `items`, complete, as floats in [0, 1].

    `scores` is (evaluators, items) and `reference` (items,), float64; `systems` (items,) indexes
    `system_names`; `sources` (items,) numbers the prompt that an item answers.
    """

    name: str
    task: str
    items: tuple[str, ...]
    evaluators: tuple[str, ...]
    system_names: tuple[str, ...]
    systems: NDArray[np.intp]
    sources: NDArray[np.intp]
    scores: NDArray[np.float64]
    reference: NDArray[np.float64]

    def take(self, chosen: NDArray[np.intp]) -> Dataset:
        """Return these items alone, in this order; systems and sources keep their numbers."""
        return replace(
            self,
            items=tuple(self.items[i] for i in chosen),
            systems=self.systems[chosen],
            sources=self.sources[chosen],
            scores=self.scores[:, chosen],
            reference=self.reference[chosen],
        )


@dataclass(frozen=True, slots=True, eq=False)
class ScoreTable:
    """
    A dataset as the chain would see it: integers in ONE.

    `scores` is (evaluators, items) and `reference` (items,), uint16; `systems` (items,) numbers
    the system of each item, intp.
    """

    scores: ScoreMatrix
    reference: ScoreVector
    systems: NDArray[np.intp]


def load(
    path: Path,
    *,
    without: Collection[str] = EXPERTS,
    coverage: float = LEAST_COVERAGE,
    slots: int = SLOTS,
) -> Dataset:
    """
    Read a tidy CSV with one row for each score.

    Evaluators of the kinds `without` and those that scored less than `coverage` of the items are
    left out, then the items that not all others scored. Where that leaves no evaluator, the set is
    sparse: its workers, those with most ratings first, share `slots` seats on each item that has
    as many ratings. Raises `DatasetError`.
    """
    table = _read(path).filter(~pl.col("evaluator_kind").is_in(list(without)))
    table = table.drop_nulls(list(_NUMBERS))
    if not table.select(pl.all_horizontal(pl.col(_NUMBERS).is_between(0, 1)).all()).item():
        raise DatasetError(f"{path} has scores or references that are not in [0, 1]")
    if table.is_empty():
        raise DatasetError(f"{path} has no scores of evaluators that can sit on a panel")
    items = table["item_id"].n_unique()
    counts = table.group_by("evaluator_id").agg(pl.len().alias("ratings"))
    if counts["ratings"].max() < coverage * items:  # type: ignore[operator]
        table = _seated(table.join(counts, on="evaluator_id"), slots)
    else:
        dense = counts.filter(pl.col("ratings") >= coverage * items)["evaluator_id"]
        table = table.filter(pl.col("evaluator_id").is_in(dense.to_list()))
    return _complete(table, path)


def split(dataset: Dataset, *, seed: int, share: float = LABELLED_SHARE) -> tuple[Dataset, Dataset]:
    """
    Return the labelled items, to calibrate on, and the others; both in the dataset's order.

    Prompts are drawn with `seed` until their items make up `share`; the items of a prompt stay
    together, so that nothing about the others is learnt from their twins.
    """
    rng = np.random.default_rng([seed, len(dataset.items)])
    order = rng.permutation(np.unique(dataset.sources))
    sizes = np.bincount(dataset.sources)[order]
    wanted = round(share * len(dataset.items))
    labelled = np.isin(dataset.sources, order[np.cumsum(sizes) <= wanted])
    return dataset.take(np.flatnonzero(labelled)), dataset.take(np.flatnonzero(~labelled))


def raw(dataset: Dataset) -> ScoreTable:
    """Return the scores as the evaluators gave them, quantised."""
    return ScoreTable(quantise(dataset.scores), quantise(dataset.reference), dataset.systems)


def calibrated(labelled: Dataset, dataset: Dataset) -> ScoreTable:
    """Return each evaluator's scores after the map that it fits to the labelled items."""
    mapped = np.empty_like(dataset.scores)
    for row, fitted_on, scores in zip(mapped, labelled.scores, dataset.scores, strict=True):
        row[:] = np.interp(scores, *monotone_map(fitted_on, labelled.reference))
    return ScoreTable(quantise(mapped), quantise(dataset.reference), dataset.systems)


def _read(path: Path) -> pl.DataFrame:
    try:
        table = pl.read_csv(path, infer_schema=False)
        return table.select(*_COLUMNS, *(pl.col(name).cast(pl.Float64) for name in _NUMBERS))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DatasetError(f"{path} is no table of scores: {error}") from error


def _seated(table: pl.DataFrame, slots: int) -> pl.DataFrame:
    """Give each item's `slots` most experienced workers the seats in that order."""
    ordered = table.sort(["item_id", "ratings", "evaluator_id"], descending=[False, True, False])
    seat = pl.int_range(pl.len()).over("item_id")
    name = pl.format("slot {}", seat.cast(pl.String).str.zfill(2))
    return ordered.filter(pl.len().over("item_id") >= slots, seat < slots).with_columns(
        name.alias("evaluator_id")
    )


def _complete(table: pl.DataFrame, path: Path) -> Dataset:
    keys = ["item_id", "system", "reference01"]
    wide = table.pivot("evaluator_id", index=keys, values="score01").drop_nulls().sort(keys)
    evaluators = sorted(set(wide.columns) - set(keys))
    if wide.is_empty() or wide["item_id"].n_unique() < len(wide):
        raise DatasetError(f"{path} has no complete items, or several systems or references of one")
    sources = [_SOURCE.sub("", item) for item in wide["item_id"]]
    system_names, systems = np.unique(wide["system"].to_list(), return_inverse=True)
    return Dataset(
        name=table["dataset"][0],
        task=table["task_type"][0],
        items=tuple(wide["item_id"]),
        evaluators=tuple(evaluators),
        system_names=tuple(map(str, system_names)),
        systems=systems.astype(np.intp),
        sources=np.unique(sources, return_inverse=True)[1].astype(np.intp),
        scores=np.ascontiguousarray(wide.select(evaluators).to_numpy().T),
        reference=wide["reference01"].to_numpy(),
    )

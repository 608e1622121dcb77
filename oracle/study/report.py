"""
What a study reports: its tables, its figures, and its answers to the paper's claims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from oracle.study import claims, figures, goals
from oracle.study.claims import Answer
from oracle.study.runner import Study
from oracle.study.store import Store, Told

KINDS = ("reliability", "sweep", "rewards", "peers")
USUAL_PANEL = 9
"""The panel that figures of one size show, or the largest that was played."""
DEFAULT = "default"
"""The rule whose cells are drawn one by one, or the last of the configuration."""


@dataclass(slots=True)
class Report:
    """The files that were written, and what they say."""

    configuration: str
    tables: dict[str, tuple[Path, int]] = field(default_factory=dict)
    figures: list[Path] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    goals: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the report for programs."""
        return {
            "configuration": self.configuration,
            "tables": [
                {"table": name, "path": str(path), "rows": rows}
                for name, (path, rows) in self.tables.items()
            ],
            "figures": list(map(str, self.figures)),
            "answers": [asdict(answer) for answer in self.answers],
            "goals": self.goals,
        }

    def lines(self) -> Iterable[str]:
        """Yield the report for people."""
        for path, rows in self.tables.values():
            yield f"{path}: {rows:,} rows"
        for path in self.figures:
            yield str(path)
        claim = None
        for answer in self.answers:
            if answer.claim != claim:
                yield f"\n{answer.claim}"
            claim = answer.claim
            rule = f", {answer.rule}" if answer.rule else ""
            yield f"  {answer.scale}{rule}: {answer.answer}. {answer.why}"
        if self.goals:
            yield "\nGoals of the default rule, calibrated."
            yield from (f"  {told}" for told in self.goals)


def complete(
    study: Study, kinds: Sequence[str], executor: Executor, told: Told, drawn: Path
) -> Report:
    """Do these kinds of work, as far as they are not done, draw into `drawn`, and report."""
    report = Report(study.store.fingerprint)
    work: dict[str, Callable[[Executor, Told], pl.DataFrame]] = {
        "reliability": study.reliability,
        "sweep": study.sweep,
        "rewards": study.rewards,
        "peers": study.peers,
    }
    for kind in kinds:
        table = work[kind](executor, told)
        report.tables[kind] = study.store.path(kind), len(table)
        if len(table):
            _say(report, kind, table, study.store, drawn)
    return report


def _say(report: Report, kind: str, table: pl.DataFrame, store: Store, drawn: Path) -> None:
    if kind == "reliability":
        report.figures += figures.evaluators(table, drawn)
        report.answers += claims.evaluators_vary(table)
    elif kind == "sweep":
        report.figures += figures.attacks(table, drawn, _nearest(table["panel_size"], USUAL_PANEL))
        rule = DEFAULT if DEFAULT in table["rule"] else table["rule"][-1]
        ratio = _nearest(table["ratio"], claims.UNDER_ATTACK)
        report.figures += figures.kept(table, drawn, rule, ratio)
        report.answers += claims.robust_rules_track_better(table)
        cells = goals.judged(table, rule)
        store.write(cells, store.path("goals"))
        report.tables["goals"] = store.path("goals"), len(cells)
        report.goals += goals.summary(cells)
    elif kind == "rewards":
        rule = DEFAULT if DEFAULT in table["rule"] else table["rule"][-1]
        report.figures += figures.rewards(table.filter(pl.col("rule") == rule), drawn)
        report.answers += claims.larger_panels_pay_less(table)
        report.answers += claims.inference_reward_is_stable(table)
    else:
        report.figures += figures.peers(table, drawn)


def _nearest(column: pl.Series, wanted: float) -> Any:
    return min(column.unique().to_list(), key=lambda value: abs(value - wanted))

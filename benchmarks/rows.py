"""What every benchmark reports: a figure, beside a peer's and a goal where there are any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `ratio` is value / peer_value; `goal` says in words what `ok` was judged by."""

    name: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    goal: str | None = None
    ok: bool | None = None


def table(rows: Sequence[Row]) -> None:
    """Print rows for people."""
    out = Table(box=None, pad_edge=False)
    for column in ("name", "value", "unit", "peer", "peer value", "ratio", "goal", "ok"):
        numeric = column in {"value", "peer value", "ratio"}
        out.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        out.add_row(
            row.name,
            _number(row.value),
            row.unit,
            row.peer or "",
            _number(row.peer_value),
            _number(row.ratio),
            row.goal or "",
            "" if row.ok is None else "yes" if row.ok else "NO",
        )
    Console(soft_wrap=True).print(out)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:,.4g}"

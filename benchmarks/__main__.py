"""`python -m benchmarks [NAME …] [--json | --plot DIR]`: the documentation's figures and peers."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.rows import Row, table

NAMES = ("settlement-gas", "consensus-speed", "sweep-speed", "audit-speed", "planner-odds")


def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(NAMES)}.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print rows as JSON.")] = False,
    plots: Annotated[
        Path | None,
        typer.Option("--plot", metavar="DIR", help="Only draw the benchmarks' plots, into DIR."),
    ] = None,
) -> None:
    """Run the named benchmarks, by default all; exit with 1 if a goal is missed."""
    chosen = names or list(NAMES)
    if unknown := sorted(set(chosen) - set(NAMES)):
        raise typer.BadParameter(f"no benchmark is called {unknown[0]!r}")
    rows: list[Row] = []
    for name in chosen:
        module = importlib.import_module(f"benchmarks.{name.replace('-', '_')}")
        if plots is None:
            rows += module.measure()
        elif hasattr(module, "plot"):
            module.plot(plots)
    if plots is not None:
        return
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        table(rows)
    sys.exit(any(row.ok is False for row in rows))


typer.run(main)

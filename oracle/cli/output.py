"""
What a command prints: data on standard output, everything else on standard error.

Data is a table or plain lines for people, or with `--json` one versioned object: amounts are
strings of wei, accounts have their EIP-55 checksum. Colour follows `NO_COLOR` and the terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from oracle.cli.amounts import tokens

if TYPE_CHECKING:
    from rich.console import Console

VERSION = 1
WIDE = 200
"""Columns of a table in a file or a pipe."""
AMOUNTS = frozenset(
    {
        "amount",
        "balance",
        "credit",
        "deposit",
        "evaluatorBudget",
        "fee",
        "inferenceBudget",
        "refund",
        "settlementFee",
        "stake",
    }
)
"""Fields that hold wei as a string in JSON, and that people read in tokens of 18 decimals."""


class Output:
    """The two streams of one command. `verbosity` is 0 with `-q`, 1 as usual, 2 with `-v`."""

    def __init__(self, *, as_json: bool = False, verbosity: int = 1) -> None:
        self.as_json = as_json
        self.verbosity = verbosity

    def data(self, kind: str, content: Mapping[str, Any], lines: Iterable[str] = ()) -> None:
        """Print `content` as JSON, or for people `lines`, or where there are none its fields."""
        if self.as_json:
            print(json.dumps({"version": VERSION, "kind": kind, **content}, ensure_ascii=False))
            return
        for line in lines or _fields(content):
            print(line)

    def table(
        self, kind: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], empty: str = ""
    ) -> None:
        """
        Print `rows` under `kind` as JSON, or for people the `columns` of each, or `empty`.

        Columns in `AMOUNTS` hold wei, and people read tokens.
        """
        if self.as_json:
            self.data(kind, {kind: rows})
            return
        if not rows:
            self.say(empty)
            return
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(_readable(column, row[column]) for column in columns))
        self.console.print(table)

    def say(self, sentence: str) -> None:
        """Tell people what happened, unless they asked for quiet."""
        if self.verbosity > 0:
            print(sentence, file=sys.stderr)

    def detail(self, sentence: str) -> None:
        """Tell people more, if they asked for it."""
        if self.verbosity > 1:
            print(sentence, file=sys.stderr)

    def warn(self, sentence: str) -> None:
        """Tell people of a danger, whatever they asked for."""
        print(f"Warning: {sentence}", file=sys.stderr)

    @contextmanager
    def progress(self) -> Iterator[Callable[[int, int, str], None]]:
        """Yield what hears of steps done, of how many, and what is next; a bar on a terminal."""
        if self.verbosity == 0 or not sys.stderr.isatty():
            yield lambda done, of, what: None
            return
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("")
            yield lambda done, of, what: bar.update(
                task, completed=done, total=of, description=what
            )

    @property
    def console(self) -> Console:
        """Standard output with rich's tables; where nobody looks at it, lines are not broken."""
        from rich.console import Console

        return Console(width=None if sys.stdout.isatty() else WIDE)


def _fields(content: Mapping[str, Any]) -> Iterable[str]:
    told = {name: value for name, value in content.items() if value not in (None, "")}
    width = max(map(len, told), default=0)
    for name, value in told.items():
        yield f"{name:<{width}}  {_readable(name, value)}"


def _readable(name: str, value: Any) -> str:
    if name in AMOUNTS:
        return tokens(int(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)

"""
A report as files of columns: CSV, or Parquet with exact amounts.

Four tables: `rounds`, `payouts`, `nodes`, `mismatches`. Amounts are whole wei: digits in CSV,
`DECIMAL(38,0)` in Parquet, where most readers would make anything wider a float. The files are
listed with their SHA-256 in `SHA256SUMS`, as `sha256sum --check` takes it.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from decimal import Decimal
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from oracle.audit.findings import Mismatch
from oracle.audit.report import NodeSummary, Payout, Report, RoundSummary

SUMS = "SHA256SUMS"
LARGEST = 10**38 - 1
"""What `DECIMAL(38,0)` holds at most: more tokens of 18 decimals than there will be."""
_AMOUNTS = frozenset({"amount", "deposit", "stake", "earned"})
_NUMBERS = frozenset({"round", "node", "seat", "items", "seats", "present", "trust"})

Rows = Sequence[Mapping[str, Any]]


class AmountTooLarge(Exception):
    """An amount does not fit the widest decimal of Parquet."""

    def __init__(self, amount: int) -> None:
        super().__init__(f"{amount} wei do not fit DECIMAL(38,0): write CSV instead.")


class TablesNotWritten(Exception):
    """The directory cannot be made or written to."""

    def __init__(self, directory: Path, reason: str) -> None:
        super().__init__(f"{directory} cannot be written to: {reason}.")


def write_csv(report: Report, directory: Path) -> None:
    """Write the tables as CSV; files of the same names are replaced. Raises `TablesNotWritten`."""
    _write(report, directory, "csv", _csv)


def write_parquet(report: Report, directory: Path) -> None:
    """
    Write the tables as Parquet; files of the same names are replaced.

    Raises `AmountTooLarge`, `TablesNotWritten`, and `ImportError` where Polars is not installed.
    """
    _write(report, directory, "parquet", _parquet)


def tables(report: Report) -> dict[str, tuple[list[str], Rows]]:
    """Return the names of the columns and the rows of each table; trusts are rows of their own."""
    trusts = [
        {"node": node.node, "domain": domain, "trust": trust}
        for node in report.nodes
        for domain, trust in sorted(node.trusts.items())
    ]
    found = {
        name: (
            [each.name for each in fields(kind) if each.name != "trusts"],
            [{k: v for k, v in asdict(row).items() if k != "trusts"} for row in rows],
        )
        for name, kind, rows in (
            ("rounds", RoundSummary, report.rounds),
            ("payouts", Payout, report.payouts),
            ("nodes", NodeSummary, report.nodes),
            ("mismatches", Mismatch, report.mismatches),
        )
    }
    return {**found, "trusts": (["node", "domain", "trust"], trusts)}


def _write(
    report: Report, directory: Path, ending: str, encode: Callable[[list[str], Rows], bytes]
) -> None:
    contents = {
        f"{name}.{ending}": encode(columns, rows)
        for name, (columns, rows) in tables(report).items()
    }
    try:
        _put(directory, contents)
    except OSError as error:
        raise TablesNotWritten(directory, error.strerror or str(error)) from None


def _put(directory: Path, contents: Mapping[str, bytes]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (directory / name).write_bytes(content)
    listed = sorted(path for path in directory.iterdir() if path.suffix in (".csv", ".parquet"))
    sums = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in listed)
    (directory / SUMS).write_text("".join(sums), encoding="utf-8")


def _csv(columns: list[str], rows: Rows) -> bytes:
    text = StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _parquet(columns: list[str], rows: Rows) -> bytes:
    import polars as pl

    series = []
    for name in columns:
        values = [row[name] for row in rows]
        if name in _AMOUNTS:
            if (largest := max(values, default=0)) > LARGEST:
                raise AmountTooLarge(largest)
            values = list(map(Decimal, values))
            kind: Any = pl.Decimal(38, 0)
        else:
            kind = pl.Int64 if name in _NUMBERS else pl.String
        series.append(pl.Series(name, values, dtype=kind))
    file = BytesIO()
    pl.DataFrame(series).write_parquet(file)
    return file.getvalue()

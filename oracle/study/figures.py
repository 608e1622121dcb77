"""
The study's figures, each as SVG and PNG, drawn from its tables and nothing else.

Drawing the same table gives the same bytes: no dates, no random identifiers.
"""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from oracle.study.sweep import HONEST

_STYLE: dict[Any, Any] = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "font.size": 8,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "proof-of-quality",
}
# Okabe and Ito's colours, which nobody confuses.
_COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#CC79A7")
_DPI = 110


def attacks(sweep: pl.DataFrame, directory: Path, panel_size: int) -> list[Path]:
    """Draw how well each rule tracks the reference as liars become more, averaged over attacks."""
    items = sweep["items"].max()
    chosen = sweep.filter(pl.col("panel_size") == panel_size, pl.col("items") == items)
    honest, attacked = (
        chosen.filter((pl.col("attack") == HONEST) == is_honest) for is_honest in (True, False)
    )
    means = (
        pl.concat([honest, attacked])
        .group_by("dataset", "scale", "rule", "ratio", "seed")
        .agg(pl.col("pearson").mean())
        .group_by("dataset", "scale", "rule", "ratio")
        .agg(
            pl.col("pearson").mean(),
            (1.96 * pl.col("pearson").std() / pl.len().sqrt()).alias("half"),
        )
        .sort("ratio")
    )
    names, scales = _ordered(sweep, "dataset"), _ordered(sweep, "scale")
    with mpl.rc_context(_STYLE):
        figure, axes = _grid(len(scales), len(names), sharex=True)
        for row, scale in enumerate(scales):
            axes[row][0].set_ylabel(f"Pearson, {scale}")
            for column, name in enumerate(names):
                plot = axes[row][column]
                rows = means.filter(pl.col("dataset") == name, pl.col("scale") == scale)
                for rule, colour in zip(_ordered(sweep, "rule"), cycle(_COLOURS)):
                    line = rows.filter(pl.col("rule") == rule)
                    plot.errorbar(
                        line["ratio"], line["pearson"], line["half"],
                        label=rule, color=colour, linewidth=1.2, marker="o", markersize=2.5,
                    )  # fmt: skip
                plot.grid(alpha=0.3)
        for plot, name in zip(axes[0], names, strict=True):
            plot.set_title(name)
        for plot in axes[-1]:
            plot.set_xlabel("ratio of liars")
        _legend(figure, axes[0][0])
        title = f"Panels of {panel_size}, {items!s} items a round, averaged over attacks; 95 %"
        return _save(figure, directory / "attacks", title)


def kept(sweep: pl.DataFrame, directory: Path, rule: str, ratio: float) -> list[Path]:
    """Draw what a rule keeps of the Pearson that the mean has without liars, cell by cell."""
    cell = ["dataset", "scale", "items", "panel_size"]
    means = sweep.group_by(*cell, "rule", "attack", "ratio").agg(pl.col("pearson").mean())
    clean = means.filter(pl.col("rule") == "mean", pl.col("attack") == HONEST)
    shares = (
        means.filter(pl.col("rule") == rule, pl.col("ratio").is_in([0.0, ratio]))
        .join(clean.select(*cell, pl.col("pearson").alias("clean")), on=cell)
        .with_columns((pl.col("pearson") / pl.col("clean")).alias("kept"))
    )
    scales = _ordered(sweep, "scale")
    columns = _ordered(sweep, "attack")
    with mpl.rc_context(_STYLE):
        figure, axes = _grid(1, len(scales), width=4.6, height=6.4)
        for plot, scale in zip(axes[0], scales, strict=True):
            wide = shares.filter(pl.col("scale") == scale).pivot(
                "attack", index=["dataset", "items", "panel_size"], values="kept"
            )
            wide = wide.sort("dataset", "items", "panel_size")
            values = wide.select(columns).to_numpy()
            plot.imshow(values, vmin=0.5, vmax=1.1, cmap="RdYlGn", aspect="auto")
            for (y, x), value in _cells(values):
                plot.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=6)
            plot.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
            labels = [
                f"{name} {items}x{size}"
                for name, items, size in wide.select("dataset", "items", "panel_size").iter_rows()
            ]
            plot.set_yticks(range(len(labels)), labels, fontsize=7)
            plot.set_title(scale)
        title = f"{rule} with {ratio:.0%} liars: Pearson over the mean's without liars"
        return _save(figure, directory / "kept", title)


def evaluators(reliability: pl.DataFrame, directory: Path) -> list[Path]:
    """Draw each evaluator's Pearson at each level, with its interval."""
    rows = reliability.filter(pl.col("measure") == "pearson")
    names, scales = _ordered(rows, "dataset"), _ordered(rows, "scale")
    levels = rows["level"].unique(maintain_order=True).to_list()
    with mpl.rc_context(_STYLE):
        figure, axes = _grid(len(scales), len(names), width=2.9, height=3.2)
        for line, scale in enumerate(scales):
            for column, name in enumerate(names):
                plot = axes[line][column]
                here = rows.filter(pl.col("dataset") == name, pl.col("scale") == scale)
                order = here.filter(pl.col("level") == "all").sort("value")["evaluator"].to_list()
                for shift, (level, colour) in enumerate(zip(levels, _COLOURS, strict=False)):
                    some = here.filter(pl.col("level") == level).drop_nulls()
                    places = [order.index(each) + 0.22 * (shift - 1) for each in some["evaluator"]]
                    # An interval need not hold the value where resampling is biased.
                    spans = [
                        (some["value"] - some["low"]).clip(0),
                        (some["high"] - some["value"]).clip(0),
                    ]
                    plot.errorbar(
                        some["value"], places, xerr=[span.to_list() for span in spans],
                        fmt="o", markersize=2.5, linewidth=0.9, color=colour, label=level,
                    )  # fmt: skip
                plot.axvline(0, color="grey", linewidth=0.6)
                short = [each.split(":")[-1].replace("_", " ") for each in order]
                plot.set_yticks(range(len(order)), short, fontsize=6)
            axes[line][0].set_ylabel(scale)
        for plot, name in zip(axes[0], names, strict=True):
            plot.set_title(name)
        for plot in axes[-1]:
            plot.set_xlabel("Pearson with the reference")
        _legend(figure, axes[0][0])
        return _save(figure, directory / "reliability", "Evaluators, with intervals of 95 %")


def rewards(table: pl.DataFrame, directory: Path) -> list[Path]:
    """Draw what seats and outputs earn against the size of panels, and its standard deviation."""
    means = (
        table.group_by("dataset", "scale", "items", "panel_size")
        .agg(pl.selectors.float().mean())
        .sort("panel_size")
    )
    drawn = (
        ("evaluator_share", "share a seat earns of its part"),
        ("evaluator_share_variance", "standard deviation of that share"),
        ("evaluator_pay_variance", "and of a seat's pay of a budget of 1"),
        ("inference_share", "share the outputs earn of theirs"),
    )
    items = table["items"].min()
    scales = _ordered(table, "scale")
    with mpl.rc_context(_STYLE):
        figure, axes = _grid(len(scales), len(drawn), width=2.7, sharex=True)
        for row, scale in enumerate(scales):
            for plot, (column, label) in zip(axes[row], drawn, strict=True):
                for name, colour in zip(_ordered(table, "dataset"), cycle(_COLOURS)):
                    line = means.filter(
                        pl.col("dataset") == name,
                        pl.col("scale") == scale,
                        pl.col("items") == items,
                    )
                    values = line[column].sqrt() if "variance" in column else line[column]
                    plot.plot(
                        line["panel_size"], values,
                        label=name, color=colour, marker="o", markersize=3, linewidth=1.2,
                    )  # fmt: skip
                plot.set_title(label)
                plot.set_ylim(bottom=0)
                plot.grid(alpha=0.3)
            axes[row][0].set_ylabel(scale)
        for plot in axes[-1]:
            plot.set_xlabel("panel size")
        _legend(figure, axes[0][0])
        rule = table["rule"][0]
        return _save(figure, directory / "rewards", f"No liars, rounds of {items!s}, {rule}")


def peers(table: pl.DataFrame, directory: Path) -> list[Path]:
    """Draw each rule's and peer's Pearson, without liars, and the least of all attacks."""
    means = table.group_by("dataset", "scale", "rule", "attack").agg(pl.col("pearson").mean())
    names, scales = _ordered(table, "dataset"), _ordered(table, "scale")
    rules = table["rule"].unique(maintain_order=True).to_list()[::-1]
    with mpl.rc_context(_STYLE):
        figure, axes = _grid(len(scales), len(names), height=3, sharex="col", sharey=True)
        for row, scale in enumerate(scales):
            axes[row][0].set_ylabel(scale)
            for plot, name in zip(axes[row], names, strict=True):
                here = means.filter(pl.col("dataset") == name, pl.col("scale") == scale)
                for rule in rules:
                    own = here.filter(pl.col("rule") == rule).drop_nulls()
                    clean = own.filter(pl.col("attack") == HONEST)["pearson"].to_list()
                    attacked = own.filter(pl.col("attack") != HONEST)["pearson"]
                    for values, fill, label in (
                        (clean, _COLOURS[0], "no liars"),
                        ([attacked.mean()], _COLOURS[2], "mean over attacks"),
                        ([attacked.min()], _COLOURS[4], "worst attack"),
                    ):
                        plot.plot(
                            values, [rule] * len(values), "o", markersize=3.5, color=fill,
                            label=label if rule == rules[0] else None,
                        )  # fmt: skip
                plot.grid(alpha=0.3)
        for plot, name in zip(axes[0], names, strict=True):
            plot.set_title(name)
        for plot in axes[-1]:
            plot.set_xlabel("Pearson")
        _legend(figure, axes[0][0])
        ratio, size = table["ratio"].max(), table["panel_size"].max()
        title = f"Rules and truth inference, panels of {size!s}, {ratio!s} of the nodes liars"
        return _save(figure, directory / "peers", title)


def _grid(
    rows: int, columns: int, *, width: float = 2.4, height: float = 2.3, **shared: Any
) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width * columns, height * rows + 0.9), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def _legend(figure: Figure, plot: Axes) -> None:
    handles, labels = plot.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))


def _save(figure: Figure, path: Path, title: str) -> list[Path]:
    figure.suptitle(title, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    svg, png = path.with_suffix(".svg"), path.with_suffix(".png")
    figure.savefig(svg, metadata={"Date": None})
    figure.savefig(png, dpi=_DPI, metadata={"Software": None})
    return [svg, png]


def _cells(values: Any) -> list[tuple[tuple[int, int], float]]:
    return [((y, x), v) for y, row in enumerate(values) for x, v in enumerate(row) if v == v]


def _ordered(table: pl.DataFrame, column: str) -> list[str]:
    return sorted(table[column].unique().to_list())

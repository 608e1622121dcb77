"""
`poq study`: reproduce the papers' analysis on recorded scores, and go beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from oracle.cli.exits import Exit, Stop
from oracle.cli.options import Printing, with_options


@dataclass(frozen=True, slots=True, kw_only=True)
class Studying(Printing):
    """Where a study finds its data, leaves its results, and works."""

    data: Annotated[
        Path | None, typer.Option("--data", help="Where the tables are, whatever CONFIG says.")
    ] = None
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where results go, whatever CONFIG says.")
    ] = None
    figures: Annotated[
        Path | None, typer.Option("--figures", help="Where figures go, by default OUT/figures.")
    ] = None
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes, by default one a core.")
    ] = None
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", help="Work on the Dask cluster at this address.")
    ] = None


Config = Annotated[
    Path | None,
    typer.Argument(help="What to do, in TOML; by default the study that comes with poq."),
]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Measure rules against recorded scores.", no_args_is_help=True)
    for command in (reliability, sweep, rewards, peers):
        group.command()(with_options(command))
    group.command("all")(with_options(all_))
    app.add_typer(group, name="study")


def reliability(studying: Studying, config: Config = None) -> None:
    """
    Measure how far each evaluator agrees with the reference, task by task.

    Example: poq study reliability study.toml
    """
    _run(studying, config, "reliability")


def sweep(studying: Studying, config: Config = None) -> None:
    """
    Play every attack, ratio of liars, panel size and rule. Resumes where it stopped.

    Example: poq study sweep study.toml --workers 2
    """
    _run(studying, config, "sweep")


def rewards(studying: Studying, config: Config = None) -> None:
    """
    Measure what evaluators and inference nodes earn against the size of panels.

    Example: poq study rewards study.toml
    """
    _run(studying, config, "rewards")


def peers(studying: Studying, config: Config = None) -> None:
    """
    Compare the rules with truth inference from the literature on the same rounds.

    Example: poq study peers study.toml
    """
    _run(studying, config, "peers")


def all_(studying: Studying, config: Config = None) -> None:
    """
    Do all of it, and answer the claims of the paper.

    Example: poq study all study.toml --out results
    """
    _run(studying, config, "reliability", "sweep", "rewards", "peers")


def _run(studying: Studying, config: Path | None, *kinds: str) -> None:
    needed = ["polars", "matplotlib"] + ["distributed"] * (studying.scheduler is not None)
    if missing := [name for name in needed if find_spec(name) is None]:
        extra = "dask" if "distributed" in missing else "study"
        raise Stop(
            Exit.USAGE,
            f"{missing[0]} is not installed: pip install 'proof-of-quality[{extra}]'.",
        )
    from oracle.study import configuration, report
    from oracle.study.runner import Study, cluster, local

    wanted = configuration.read(config or configuration.PAPER)
    places = {"data": studying.data, "out": studying.out}
    wanted = wanted.model_copy(update={name: at for name, at in places.items() if at is not None})
    study = Study(wanted)
    output = studying.output()
    where = cluster(studying.scheduler) if studying.scheduler else local(studying.workers)
    figures = studying.figures or wanted.out / "figures"
    with where as executor, output.progress() as told:
        done = report.complete(study, kinds, executor, told, figures)
    output.data("study", done.to_json(), done.lines())

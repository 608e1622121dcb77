"""
Draw the probability of capture against panel size: `python -m benchmarks.capture_figure DIR`.

Nothing is measured: the figure shows exact odds, of the median on the left, and on the right of the
trust-weighted median once trust is learnt under the parameters of a test network, where it counts
as learnt.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from deploy.parameters import load_parameters
from oracle.core.consensus import Rule
from oracle.core.units import MAX_SEATS, MIN_SEATS, TRUST_ONE
from oracle.study.capture import Panel, Population, Trusts, odds
from oracle.study.deterrence import (
    ATTACKS,
    LEARNT_SEATS,
    LEARNT_SHARE,
    learn,
    modelled_honesty,
    modelled_lie,
)

EVALUATORS = 1_000
SHARES = (Fraction(1, 10), Fraction(1, 5), Fraction(3, 10), Fraction(2, 5))
RISK = 1e-6
HONEST_DEVIATION = 1_300
ITEMS = 20
DOUBTED = Fraction(35, 100)
"""The part of honest evaluators that have lost trust."""
LEAST_SHOWN = 1e-16


def main(directory: Annotated[Path, typer.Argument(help="Where the figure goes.")]) -> None:
    """Write capture.svg and capture.png into a directory."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "capture"
    from matplotlib import pyplot

    trust = load_parameters("testnet").registry.trust
    attack = ATTACKS["inversion"]
    lie, honest = modelled_lie(attack, ITEMS), modelled_honesty(HONEST_DEVIATION, ITEMS)
    learnt = learn(trust, attack, lie, honest, ITEMS, LEARNT_SHARE).trust
    cases = (
        ("Median, liars at full trust", Rule.MEDIAN, Trusts(), MIN_SEATS, Fraction(1)),
        (
            f"Trust-weighted median, liars at a trust of {learnt / TRUST_ONE:g}",
            Rule.TRUST_WEIGHTED_MEDIAN,
            Trusts(liar=learnt, doubted=trust.floor),
            LEARNT_SEATS,
            LEARNT_SHARE,
        ),
    )
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
    for axis, (title, rule, trusts, least, most) in zip(axes, cases, strict=True):
        sizes = range(least, MAX_SEATS + 1)
        for share, marker in zip(SHARES, "os^d", strict=True):
            if share > most:
                continue
            chances = [capture(share, size, rule, trusts) for size in sizes]
            label = f"{float(share):.0%} lie"
            axis.plot(sizes, chances, marker=marker, markersize=3, linewidth=1, label=label)
        axis.axhline(RISK, color="black", linestyle=":", linewidth=1)
        axis.text(MAX_SEATS, RISK * 1.4, "one in a million", ha="right", fontsize=8)
        axis.set_title(title, fontsize=10)
        axis.set(xlabel="seats", yscale="log", ylim=(LEAST_SHOWN, 1))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("captured rounds")
    axes[0].legend(fontsize=8)
    figure.suptitle(f"{EVALUATORS:,} evaluators")
    directory.mkdir(parents=True, exist_ok=True)
    figure.savefig(directory / "capture.svg", metadata={"Date": None})
    figure.savefig(directory / "capture.png", dpi=150, metadata={"Software": None})


def capture(share: Fraction, size: int, rule: Rule, trusts: Trusts) -> float:
    """Return the probability that a panel of this size is captured."""
    liars = int(share * EVALUATORS)
    population = Population(EVALUATORS, liars, doubted=int(DOUBTED * (EVALUATORS - liars)))
    panel = Panel(size, size // 2 + 1, rule)
    return float(odds(population, panel, trusts).capture)


if __name__ == "__main__":
    typer.run(main)

"""
`poq calibrate` and `poq evaluate`: from outputs to the scores that a seat commits to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oracle.cli.exits import Exit, Stop
from oracle.cli.options import Printing, with_options

Workload = Annotated[Path, typer.Argument(help="The workload file.")]
Evaluator = Annotated[
    str,
    typer.Option(
        "--evaluator",
        help="token-f1, token-recall, rouge-l, chrf, embedding, relevance, length, recorded:PATH",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("calibrate")(with_options(calibrate))
    app.command("evaluate")(with_options(evaluate))


def calibrate(
    workload: Workload,
    printing: Printing,
    evaluator: Evaluator,
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write.")],
) -> None:
    """
    Fit an evaluator's scale to a workload whose items carry a judged quality (`label`).

    Example: poq calibrate labelled.jsonl --evaluator token-f1 -o token-f1.json
    """
    from oracle.evaluators import calibration
    from oracle.evaluators.evaluation import raw_scores
    from oracle.evaluators.registry import create
    from oracle.evaluators.workload import load

    content = load(workload)
    chosen = create(evaluator, content.domain)
    fitted = calibration.fit(chosen.name, content, raw_scores(chosen, content))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        calibration.save(fitted, out)
    except OSError as error:
        raise Stop(Exit.USAGE, f"{out} cannot be written: {error.strerror}.") from None
    output = printing.output()
    output.say(
        f"{fitted.evaluator} on {fitted.items} {fitted.domain} items: mean error "
        f"{fitted.error_before:.3f} before, {fitted.error_after:.3f} after; in {out}."
    )
    if printing.json:
        errors = {"errorBefore": fitted.error_before, "errorAfter": fitted.error_after}
        output.data("calibration", {"evaluator": fitted.evaluator, "items": fitted.items, **errors})


def evaluate(
    workload: Workload,
    printing: Printing,
    evaluator: Evaluator,
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write.")],
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="What `poq calibrate` wrote.")
    ] = None,
) -> None:
    """
    Score every item of a workload, from 0 to 10000. Needs no chain.

    Example: poq evaluate qa.jsonl --evaluator token-f1 --calibration token-f1.json -o scores.json
    """
    from oracle.cli import documents
    from oracle.evaluators import calibration as calibrations
    from oracle.evaluators.evaluation import evaluate as score
    from oracle.evaluators.registry import create
    from oracle.evaluators.workload import load

    content = load(workload)
    chosen = create(evaluator, content.domain)
    fitted = None if calibration is None else calibrations.load(calibration)
    scores = score(chosen, content, fitted)
    written = documents.ScoresFile(
        workloadHash="0x" + content.hash.hex(),
        evaluator=chosen.name,
        calibrated=fitted is not None,
        scores=scores.tolist(),
    )
    documents.write(written, out)
    output = printing.output()
    output.say(
        f"{len(scores)} items scored by {chosen.name}, {float(scores.mean()):.0f} on average; "
        f"in {out}."
    )
    if printing.json:
        output.data("scores", written.model_dump(exclude={"version", "kind"}))

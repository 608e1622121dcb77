"""
`poq workload`: cut an example workload, and show what a workload file holds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from oracle.cli.exits import Exit, Stop
from oracle.cli.options import Printing, with_options


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Example workloads, and what is in a file.", no_args_is_help=True)
    group.command("example")(with_options(example))
    group.command("show")(with_options(show))
    app.add_typer(group, name="workload")


def example(
    domain: Annotated[Literal["qa", "summarization"], typer.Argument()],
    printing: Printing,
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write.")],
    node: Annotated[
        list[str] | None, typer.Option("--node", help="Keep this node's outputs; repeatable.")
    ] = None,
    prompts: Annotated[
        int | None, typer.Option("--prompts", min=1, help="Keep the first n prompts.")
    ] = None,
    calibration: Annotated[
        bool, typer.Option("--calibration", help="Take the items set aside for calibration.")
    ] = False,
) -> None:
    """
    Write a workload of real outputs of real systems, with references and judged quality.

    Example: poq workload example qa --node use-sentence --node gemma3-270m --prompts 10 -o qa.jsonl
    """
    from importlib.resources import files

    from oracle.evaluators.workload import parse, select
    from oracle.evaluators.workload import write as write_workload

    name = f"{domain}.calibration.jsonl" if calibration else f"{domain}.jsonl"
    content = parse(files("oracle.evaluators").joinpath("examples", name).read_bytes())
    ids = list(dict.fromkeys(item.id for item in content.items))[:prompts]
    cut = select(content, ids=ids, nodes=node)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        written = write_workload(cut, out)
    except OSError as error:
        raise Stop(Exit.USAGE, f"{out} cannot be written: {error.strerror}.") from None
    output = printing.output()
    output.say(f"{len(written.items)} items, SHA-256 0x{written.hash.hex()}, in {out}.")
    if printing.json:
        output.data(
            "workload", {"workloadHash": "0x" + written.hash.hex(), "items": len(written.items)}
        )


def show(
    workload: Annotated[Path, typer.Argument(help="The workload file.")], printing: Printing
) -> None:
    """
    Check a workload file, and show its hash and its batches with their costs.

    Example: poq workload show qa.jsonl
    """
    from oracle.evaluators.workload import load

    content = load(workload)
    output = printing.output()
    rows = [
        {
            "node": part.node,
            "items": part.stop - part.start,
            "cost": part.cost,
            "outputsHash": "0x" + part.outputs_hash.hex(),
        }
        for part in content.batches
    ]
    if printing.json:
        output.data(
            "workload",
            {
                "workloadHash": "0x" + content.hash.hex(),
                "domain": content.domain,
                "items": len(content.items),
                "costCeilingMs": content.cost_ceiling_ms,
                "batches": rows,
            },
        )
        return
    output.say(f"{len(content.items)} {content.domain} items, SHA-256 0x{content.hash.hex()}.")
    output.table("batches", ["node", "items", "cost"], rows)

"""
`poq`: every command by its name, and what becomes of an error that one of them raises.

This module holds no command. It turns each error into one sentence and an exit code; only a mistake
in this program shows a traceback, and only to those who ask with POQ_TRACEBACK=1.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import typer

from oracle.cli import (
    audit,
    check,
    demo,
    deploying,
    devnet,
    evaluating,
    evaluator,
    explain,
    inference,
    keys,
    node,
    oracle,
    plan,
    receipt,
    requester,
    rounds,
    seats,
    settling,
    studying,
    token,
    transactions,
    workload,
)
from oracle.cli.exits import Exit, exit_of

TRACEBACK = "POQ_TRACEBACK"

app = typer.Typer(
    name="poq",
    help="Pay the nodes of a decentralised LLM network by measured quality.",
    epilog="Exit codes: 0 ok, 1 internal, 2 usage, 3 audit mismatch, 4 RPC, 5 reverted, "
    "6 unconfirmed, 7 key, 8 unsafe chain, 9 nothing to do yet, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    demo,
    devnet,
    keys,
    deploying,
    token,
    node,
    workload,
    evaluating,
    evaluator,
    receipt,
    requester,
    rounds,
    seats,
    settling,
    oracle,
    audit,
    explain,
    inference,
    studying,
    plan,
    transactions,
    check,
):
    module.add_to(app)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; errors are told on standard error."""
    try:
        app(list(arguments), prog_name="poq")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else Exit.INTERNAL
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except Exception as error:
        return _explain(error)
    return Exit.OK


def _explain(error: Exception) -> int:
    code = exit_of(error)
    sentence = " ".join(str(error).split())
    if code is Exit.INTERNAL:
        if os.environ.get(TRACEBACK):
            traceback.print_exception(error)
        sentence = f"A mistake in this program: {type(error).__name__}: {sentence}. "
        sentence += f"Set {TRACEBACK}=1 to see where."
    print(sentence if sentence.endswith((".", "?")) else f"{sentence}.", file=sys.stderr)
    return code

"""
The options that commands share, as settings made once at the edge.

A command asks for a group of options by a parameter of the group's class; `with_options` spreads
the group's fields over the command line and hands the command the filled object.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from oracle.cli.output import Output

URL = "http://127.0.0.1:8545"
DEPLOYMENTS = Path("deployments")
KEYSTORES = Path("~/.foundry/keystores")


@dataclass(frozen=True, slots=True, kw_only=True)
class Printing:
    """How a command prints."""

    json: Annotated[bool, typer.Option("--json", help="Print data as one JSON object.")] = False
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say only what goes wrong.")] = False
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say more.")] = False

    def output(self) -> Output:
        """Return where to print."""
        verbosity = 0 if self.quiet else 1 + self.verbose
        return Output(as_json=self.json, verbosity=verbosity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(Printing):
    """Which node is asked, and about which deployment."""

    rpc_url: Annotated[
        list[str],
        typer.Option(
            "--rpc-url",
            envvar="ETH_RPC_URL",
            help="The node's URL; of several, one by one or with commas, most have to agree.",
        ),
    ] = field(default_factory=lambda: [URL])
    agree: Annotated[
        int | None,
        typer.Option(
            "--agree",
            envvar="POQ_AGREE",
            min=1,
            help="How many nodes have to agree, by default more than half.",
        ),
    ] = None
    chain: Annotated[
        int | None, typer.Option("--chain", envvar="CHAIN", help="Refuse any other chain id.")
    ] = None
    deployments: Annotated[
        Path,
        typer.Option(
            "--deployments", envvar="POQ_DEPLOYMENTS", help="Where deployments are described."
        ),
    ] = DEPLOYMENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing(Reading):
    """Which key signs."""

    keystore: Annotated[
        Path | None,
        typer.Option(
            "--keystore", envvar="ETH_KEYSTORE", help="A keystore, or the directory of accounts."
        ),
    ] = None
    account: Annotated[
        str | None,
        typer.Option(
            "--account",
            envvar="ETH_KEYSTORE_ACCOUNT",
            help="The name of a keystore in that directory, by default ~/.foundry/keystores.",
        ),
    ] = None
    password_file: Annotated[
        Path | None,
        typer.Option("--password-file", envvar="ETH_PASSWORD", help="Its password is in a file."),
    ] = None
    private_key: Annotated[
        str | None,
        typer.Option("--private-key", help="A bare key in hex. For development only."),
    ] = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing(Signing):
    """How a transaction is signed and sent."""

    confirmations: Annotated[
        int, typer.Option("--confirmations", min=1, help="Blocks to wait for, its own included.")
    ] = 1
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Simulate and sign, send nothing.")] = (
        False
    )
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving(Signing):
    """How a daemon follows the chain, sends, and is reached."""

    data_dir: Annotated[
        Path,
        typer.Option("--data-dir", envvar="POQ_DATA_DIR", help="Its own directory: what it knows."),
    ]
    host: Annotated[
        str, typer.Option("--host", envvar="POQ_HOST", help="The address to listen on.")
    ] = "127.0.0.1"
    poll: Annotated[
        float,
        typer.Option("--poll", envvar="POQ_POLL", min=0.05, help="Seconds between two looks."),
    ] = 1.0
    finality: Annotated[
        int,
        typer.Option("--finality", envvar="POQ_FINALITY", min=1, help="Blocks that end doubt."),
    ] = 64
    max_fee: Annotated[
        str,
        typer.Option("--max-fee", envvar="POQ_MAX_FEE", help="The most for a unit of gas, ever."),
    ] = "200gwei"


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` for typer: each parameter of an option group is spread into its fields."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type[Any]] = {}
    plain, spread = [], []
    for name, parameter in inspect.signature(command).parameters.items():
        kind = hints[name]
        if is_dataclass(kind) and isinstance(kind, type):
            groups[name] = kind
            spread += _parameters_of(kind)
        else:
            plain.append(parameter.replace(annotation=kind, kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def run(**given: Any) -> None:
        filled = {
            name: kind(**{each.name: given.pop(each.name) for each in fields(kind)})
            for name, kind in groups.items()
        }
        command(**given, **filled)

    # What typer reads the options from.
    run.__signature__ = inspect.Signature([*plain, *spread])  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in (*plain, *spread)}
    return run


def _parameters_of(group: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=_default_of(each),
            annotation=hints[each.name],
        )
        for each in fields(group)
    ]


def _default_of(option: Field[Any]) -> Any:
    """Return the default of an option, or what says that it has to be given."""
    if option.default_factory is not MISSING:
        return option.default_factory()
    return inspect.Parameter.empty if option.default is MISSING else option.default

"""
Parameter sets: what a deployment fixes for good, as a TOML file with a reason for each value.

This module decides what a set may say. It refuses what the constructors would refuse, before a
transaction is paid for. It chooses no value: the files beside it do, and anybody's own.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from eth_utils import is_checksum_address
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from oracle.core.parameters import RegistryParameters, RoundsParameters, TrustParameters
from oracle.core.phases import HASH_HORIZON, NOBODY
from oracle.core.units import MAX_RATE, ONE, TRUST_ONE, WEIGHT_UNIT

SETS = Path(__file__).resolve().parent
SLOWEST_BLOCK = 60
"""Seconds a block may take on the slowest chain that an exit delay is safe for."""


class ParametersInvalid(Exception):
    """A parameter set cannot be read or makes no sense; the message says where and why."""


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """The parameters of both contracts, in the types of the core."""

    registry: RegistryParameters
    rounds: RoundsParameters


def names() -> tuple[str, ...]:
    """Return the names of the sets that come with the project."""
    return tuple(sorted(path.stem for path in SETS.glob("*.toml")))


def load_parameters(name: str) -> ParameterSet:
    """Return a set by its name, or by the path of a TOML file; raise `ParametersInvalid`."""
    path = SETS / f"{name}.toml" if name in names() else Path(name)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(names())
        raise ParametersInvalid(
            f"{path} cannot be read: {error.strerror}; sets that come along are {known}."
        ) from None
    except ValueError as error:
        raise ParametersInvalid(f"{path} is not TOML: {error}.") from None
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ParametersInvalid(f"{path}: {place}: {first['msg']}.") from None
    parameters = file.as_core()
    if (reason := _contradiction(parameters)) is not None:
        raise ParametersInvalid(f"{path}: {reason}.")
    return parameters


def longest_round(rounds: RoundsParameters) -> int:
    """Return the seconds that a round lasts at most: the least exit delay."""
    windows = rounds.commit_window + rounds.reveal_window + rounds.settle_window
    return windows + SLOWEST_BLOCK * (HASH_HORIZON + rounds.draw_delay)


def _contradiction(parameters: ParameterSet) -> str | None:
    registry, rounds = parameters.registry, parameters.rounds
    if registry.no_commit_slash > registry.no_reveal_slash:
        return "registry.no_commit_slash exceeds registry.no_reveal_slash"
    if registry.no_reveal_slash > registry.stake:
        return "registry.no_reveal_slash exceeds registry.stake"
    if registry.exit_delay < (least := longest_round(rounds)):
        return f"registry.exit_delay is below {least}, the longest that a round lasts"
    return None


def _account(value: str) -> str:
    if not is_checksum_address(value) or value == NOBODY:
        raise ValueError("expected an account with its EIP-55 checksum, other than zero")
    return value


Uint40 = Annotated[int, Field(ge=0, lt=2**40)]
Uint64 = Annotated[int, Field(ge=0, lt=2**64)]
Uint96 = Annotated[int, Field(ge=0, lt=2**96)]
Uint128 = Annotated[int, Field(ge=0, lt=2**128)]
Rate = Annotated[int, Field(ge=0, le=MAX_RATE)]
Share = Annotated[int, Field(ge=0, le=ONE)]
Window = Annotated[int, Field(ge=1, lt=2**40)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Trust(_Strict):
    gain: Rate
    loss: Rate
    tolerance: Share
    spread: Rate
    evidence: Annotated[int, Field(ge=1, lt=2**16)]
    floor: Annotated[int, Field(ge=WEIGHT_UNIT, le=TRUST_ONE)]
    cap: Annotated[int, Field(ge=TRUST_ONE, le=TRUST_ONE)]


class _Registry(_Strict):
    stake: Annotated[int, Field(ge=1, lt=2**96)]
    exit_delay: Uint40
    no_commit_slash: Uint96
    no_reveal_slash: Uint96
    slash_sink: Annotated[str, AfterValidator(_account)]
    trust: _Trust


class _Rounds(_Strict):
    draw_delay: Uint64
    commit_window: Window
    reveal_window: Window
    settle_window: Window
    least_evaluator_pay: Uint128
    quality_weight: Annotated[int, Field(ge=1, le=ONE)]
    cost_weight: Share
    closeness_scale: Annotated[int, Field(ge=1, le=ONE)]


class _File(_Strict):
    registry: _Registry
    rounds: _Rounds

    def as_core(self) -> ParameterSet:
        registry = self.registry.model_dump(exclude={"trust"})
        trust = TrustParameters(**self.registry.trust.model_dump())
        return ParameterSet(
            RegistryParameters(**registry, trust=trust),
            RoundsParameters(**self.rounds.model_dump()),
        )

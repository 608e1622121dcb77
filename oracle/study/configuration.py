"""
What a study is to do: one TOML file, checked, and the hash by which its results know it.

The hash is of the configuration and of the tables it reads, so that equal hashes mean equal results
from one version of this program. Nothing is computed here.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from oracle.core.consensus import Rule
from oracle.core.parameters import TrustParameters
from oracle.core.units import MAX_ITEMS, MAX_RATE, MAX_SEATS, MIN_SEATS, ONE, TRUST_ONE, WEIGHT_UNIT
from oracle.study.attacks import ATTACKS, Attack
from oracle.study.simulation import Choice

PAPER = Path(__file__).parent / "configs" / "paper.toml"
VERSION = version("proof-of-quality")

Scale = Literal["raw", "calibrated"]
Share = Annotated[float, Field(ge=0, le=1)]
Basis = Annotated[int, Field(ge=0, le=ONE)]
Rate = Annotated[int, Field(ge=0, le=MAX_RATE)]
Trust = Annotated[int, Field(ge=WEIGHT_UNIT, le=TRUST_ONE)]
Items = Annotated[list[Annotated[int, Field(ge=1, le=MAX_ITEMS)]], Field(min_length=1)]
PanelSizes = Annotated[list[Annotated[int, Field(ge=MIN_SEATS, le=MAX_SEATS)]], Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]


class ConfigurationInvalid(ValueError):
    """Raised when a file is no configuration of a study; says where and why."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TrustConfiguration(_Part):
    """See `TrustParameters`; by default trust never moves, as the unweighted rules need it."""

    gain: Rate = 0
    loss: Rate = 0
    tolerance: Basis = 0
    spread: Rate = 0
    evidence: Count = 1
    floor: Trust = WEIGHT_UNIT
    cap: Trust = TRUST_ONE


class RuleConfiguration(_Part):
    """A rule of the protocol and, where it weighs by trust, how trust moves."""

    rule: Literal["mean", "median", "trimmed-mean", "trust-weighted-mean", "trust-weighted-median"]
    trim: Annotated[int, Field(ge=0, lt=ONE // 2)] = 0
    trust: TrustConfiguration | None = None
    judged_by: Literal["disagreement", "deviation"] = "disagreement"

    @model_validator(mode="after")
    def _weighs_by_trust(self) -> Self:
        if Rule[self._name()].weighs != (self.trust is not None):
            raise ValueError("a rule has trust parameters if and only if it weighs by trust")
        return self

    def _name(self) -> str:
        return self.rule.upper().replace("-", "_")

    def choice(self, name: str) -> Choice:
        """Return the rule as the simulation takes it."""
        trust = self.trust or TrustConfiguration()
        return Choice(
            name,
            Rule[self._name()],
            TrustParameters(**trust.model_dump()),
            self.trim,
            by_deviation=self.judged_by == "deviation",
        )


class ReliabilityConfiguration(_Part):
    """How often the prompts are resampled for intervals."""

    resamples: Count = 1_000


class SweepConfiguration(_Part):
    """Every combination of these is played, `rounds` rounds each."""

    rounds: Count
    items: Items
    panel_sizes: PanelSizes
    ratios: list[Annotated[float, Field(gt=0, lt=1)]]
    overlap: Count = 1
    attacks: dict[str, dict[str, float | int]]
    rules: Annotated[dict[str, RuleConfiguration], Field(min_length=1)]

    @model_validator(mode="after")
    def _attacks_exist(self) -> Self:
        try:
            self.chosen_attacks()
        except (KeyError, TypeError) as error:
            raise ValueError(f"no such attack or parameter of one: {error}") from None
        return self

    def chosen_attacks(self) -> dict[str, Attack]:
        """Return the attacks by name, with their parameters."""
        return {name: ATTACKS[name](**given) for name, given in self.attacks.items()}

    def choices(self) -> list[Choice]:
        """Return the rules."""
        return [rule.choice(name) for name, rule in self.rules.items()]


class RewardsConfiguration(_Part):
    """What networks without liars pay, by these rules of the sweep; see RoundsParameters."""

    rounds: Count
    items: Items
    panel_sizes: PanelSizes
    rules: Annotated[list[str], Field(min_length=1)]
    quality_weight: Basis
    cost_weight: Basis
    closeness_scale: Annotated[int, Field(ge=1, le=ONE)]
    latency: Share
    inference_cost: Share


class PeersConfiguration(_Part):
    """On which rounds truth inference is compared; it is slow."""

    rounds: Count
    seeds: Count
    items: Annotated[int, Field(ge=1, le=MAX_ITEMS)]
    panel_size: Annotated[int, Field(ge=MIN_SEATS, le=MAX_SEATS)]
    ratio: Annotated[float, Field(gt=0, lt=1)]


class Configuration(_Part):
    """A study. `data` is where the tables are, `out` where results go."""

    data: Path
    out: Path
    datasets: Annotated[list[str], Field(min_length=1)]
    scales: Annotated[list[Scale], Field(min_length=1)]
    labelled_share: Annotated[float, Field(gt=0, lt=1)]
    seeds: Count
    reliability: ReliabilityConfiguration
    sweep: SweepConfiguration
    rewards: RewardsConfiguration
    peers: PeersConfiguration

    @model_validator(mode="after")
    def _rewards_have_a_rule(self) -> Self:
        for rule in self.rewards.rules:
            if rule not in self.sweep.rules:
                raise ValueError(f"rewards.rules: {rule!r} is no rule of the sweep")
        return self

    def path(self, dataset: str) -> Path:
        """Return where a dataset's table is."""
        return self.data / f"{dataset}.csv"


def read(path: Path) -> Configuration:
    """Read a configuration; raises `ConfigurationInvalid`."""
    try:
        return Configuration(**tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigurationInvalid(f"cannot read {path}: {error.strerror}") from None
    except ValidationError as error:
        [first, *_] = error.errors()
        place = ".".join(map(str, first["loc"]))
        raise ConfigurationInvalid(f"{path}: {place}: {first['msg']}") from None
    except ValueError as error:
        raise ConfigurationInvalid(f"{path} is not TOML: {error}") from None


def fingerprint(configuration: Configuration) -> str:
    """
    Return twelve hex digits of the SHA-256 of all that decides the results.

    Raises `ConfigurationInvalid` if a table cannot be read.
    """
    content: dict[str, Any] = configuration.model_dump(mode="json", exclude={"data", "out"})
    try:
        content["tables"] = {
            name: hashlib.sha256(configuration.path(name).read_bytes()).hexdigest()
            for name in configuration.datasets
        }
    except OSError as error:
        raise ConfigurationInvalid(f"cannot read {error.filename}: {error.strerror}") from None
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]

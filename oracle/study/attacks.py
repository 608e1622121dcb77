"""
How evaluators lie: each attack is a pure function of honest scores and a seeded generator.

Vectorised over rounds. An attack decides what a seat says that lies; which seats lie is for the
simulation to draw. The first four are those of the papers, the other three go beyond them.
Parameters have defaults that a study's configuration may replace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from oracle.core.units import ONE, ScoreMatrix

Shifts = NDArray[np.int32]


class Attack(Protocol):
    """Anything that says what would be told in place of the truth."""

    def lies(self, honest: ScoreMatrix, first_round: int, rng: np.random.Generator) -> ScoreMatrix:
        """
        Return what each seat would say if it lied, (rounds, seats, items) uint16 as `honest`.

        The rounds are consecutive, `first_round` the first one's number in the network's history.
        """


@dataclass(frozen=True, slots=True)
class Noise:
    """Adds normal noise of this standard deviation to every score."""

    deviation: float = 0.4

    def lies(self, honest: ScoreMatrix, first_round: int, rng: np.random.Generator) -> ScoreMatrix:
        """See `Attack`."""
        noise = rng.standard_normal(honest.shape, dtype=np.float32)
        noise *= np.float32(self.deviation * ONE)
        return _shifted(honest, noise.astype(np.int32))


@dataclass(frozen=True, slots=True)
class Boost:
    """Adds the same to every score."""

    shift: float = 0.4

    def lies(self, honest: ScoreMatrix, first_round: int, rng: np.random.Generator) -> ScoreMatrix:
        """See `Attack`."""
        return _shifted(honest, np.int32(round(self.shift * ONE)))


@dataclass(frozen=True, slots=True)
class Sabotage:
    """Takes the same from every score."""

    shift: float = 0.4

    def lies(self, honest: ScoreMatrix, first_round: int, rng: np.random.Generator) -> ScoreMatrix:
        """See `Attack`."""
        return _shifted(honest, np.int32(-round(self.shift * ONE)))


@dataclass(frozen=True, slots=True)
class Intermittent:
    """In this part of its rounds, at random, boosts or sabotages the whole round, by a coin."""

    probability: float = 0.5
    shift: float = 0.4

    def lies(self, honest: ScoreMatrix, first_round: int, rng: np.random.Generator) -> ScoreMatrix:
        """See `Attack`."""
        chance = rng.random(honest.shape[:-1], dtype=np.float32)
        shift = np.int32(round(self.shift * ONE))
        shifts = np.where(chance < self.probability / 2, shift, -shift)
        shifts[chance >= self.probability] = 0
        return _shifted(honest, shifts[..., np.newaxis])


@dataclass(frozen=True, slots=True)
class Inversion:
    """Says one minus the score: best is worst."""

    def lies(self, honest: ScoreMatrix, first_round: int, rng: np.random.Generator) -> ScoreMatrix:
        """See `Attack`."""
        return np.uint16(ONE) - honest


@dataclass(frozen=True, slots=True)
class Collusion:
    """
    All liars promote the same outputs and bury the others.

    A coin that they share decides which: `promoted` is the chance of an item to be given `high` by
    all of them instead of `low`.
    """

    promoted: float = 0.5
    high: float = 1.0
    low: float = 0.0

    def lies(self, honest: ScoreMatrix, first_round: int, rng: np.random.Generator) -> ScoreMatrix:
        """See `Attack`."""
        rounds, _, items = honest.shape
        chosen = rng.random((rounds, 1, items), dtype=np.float32) < self.promoted
        said = np.where(chosen, round(self.high * ONE), round(self.low * ONE)).astype(np.uint16)
        return np.broadcast_to(said, honest.shape)


@dataclass(frozen=True, slots=True)
class Camouflage:
    """Is honest for `build` rounds of the network and inverts for the next `strike`; repeats."""

    build: int = 50
    strike: int = 50

    def lies(self, honest: ScoreMatrix, first_round: int, rng: np.random.Generator) -> ScoreMatrix:
        """See `Attack`."""
        rounds = np.arange(first_round, first_round + len(honest)) % (self.build + self.strike)
        striking = (rounds >= self.build)[:, np.newaxis, np.newaxis]
        return np.where(striking, np.uint16(ONE) - honest, honest)


ATTACKS: Mapping[str, type[Attack]] = {
    "noise": Noise,
    "boost": Boost,
    "sabotage": Sabotage,
    "intermittent": Intermittent,
    "inversion": Inversion,
    "collusion": Collusion,
    "camouflage": Camouflage,
}
"""By the names that configurations use; the keyword arguments are the parameters."""


def told(
    attack: Attack,
    honest: ScoreMatrix,
    liars: NDArray[np.bool_],
    first_round: int,
    rng: np.random.Generator,
) -> ScoreMatrix:
    """
    Return what a panel says, (rounds, seats, items) uint16.

    `honest` is what it would say without liars; `liars` (rounds, seats) marks the seats that lie.
    """
    lies = attack.lies(honest, first_round, rng)
    return np.where(liars[..., np.newaxis], lies, honest)


def _shifted(honest: ScoreMatrix, shifts: Shifts | np.int32) -> ScoreMatrix:
    said: ScoreMatrix = np.clip(honest + shifts, 0, ONE).astype(np.uint16)
    return said

"""What liars say: bounded, repeatable, and nothing that an honest seat would notice."""

from __future__ import annotations

import numpy as np
import pytest

from oracle.core.units import ONE, ScoreMatrix
from oracle.study.attacks import (
    ATTACKS,
    Boost,
    Camouflage,
    Collusion,
    Intermittent,
    Inversion,
    Noise,
    Sabotage,
    told,
)

ROUNDS, SEATS, ITEMS = 400, 5, 8


@pytest.fixture
def honest() -> ScoreMatrix:
    rng = np.random.default_rng(2)
    return rng.integers(0, ONE + 1, (ROUNDS, SEATS, ITEMS)).astype(np.uint16)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_lies_within_bounds_repeats_itself_and_leaves_the_honest_alone(
    name: str, honest: ScoreMatrix
) -> None:
    before = honest.copy()
    liars = np.zeros((ROUNDS, SEATS), dtype=bool)
    liars[:, 3:] = True
    once, twice = (
        told(ATTACKS[name](), honest, liars, 0, np.random.default_rng(9)) for _ in range(2)
    )
    assert once.dtype == np.uint16
    assert once.max() <= ONE
    assert (once == twice).all()
    assert (honest == before).all()
    assert (once[:, :3] == honest[:, :3]).all()
    assert (once[:, 3:] != honest[:, 3:]).any()


def test_noise_has_the_deviation_it_states() -> None:
    middle = np.full((ROUNDS, SEATS, ITEMS), ONE // 2, dtype=np.uint16)
    said = Noise(deviation=0.05).lies(middle, 0, np.random.default_rng(0)).astype(int)
    assert abs(said.mean() - ONE / 2) < 0.002 * ONE
    assert abs(said.std() / ONE - 0.05) < 0.002


def test_boost_and_sabotage_shift_every_score_up_to_the_ends(honest: ScoreMatrix) -> None:
    rng = np.random.default_rng(0)
    above, below = Boost(0.3).lies(honest, 0, rng), Sabotage(0.3).lies(honest, 0, rng)
    assert (above == np.minimum(honest.astype(int) + 3_000, ONE)).all()
    assert (below == np.maximum(honest.astype(int) - 3_000, 0)).all()


def test_an_intermittent_liar_shifts_whole_rounds_about_as_often_as_stated() -> None:
    middle = np.full((ROUNDS, SEATS, ITEMS), ONE // 2, dtype=np.uint16)
    said = Intermittent(0.5, 0.4).lies(middle, 0, np.random.default_rng(0)).astype(int) - ONE // 2
    assert (said == said[:, :, :1]).all()
    kinds, counts = np.unique(said[:, :, 0], return_counts=True)
    assert kinds.tolist() == [-4_000, 0, 4_000]
    assert np.abs(counts / counts.sum() - (0.25, 0.5, 0.25)).max() < 0.03


def test_inversion_turns_the_scale_round(honest: ScoreMatrix) -> None:
    said = Inversion().lies(honest, 0, np.random.default_rng(0))
    assert (said + honest == ONE).all()


def test_colluders_say_the_same_of_an_item_and_promote_about_as_many_as_stated(
    honest: ScoreMatrix,
) -> None:
    said = Collusion(0.3, high=0.9, low=0.1).lies(honest, 0, np.random.default_rng(0))
    assert (said == said[:, :1]).all()
    assert np.unique(said).tolist() == [1_000, 9_000]
    assert abs((said[:, 0] == 9_000).mean() - 0.3) < 0.03


@pytest.mark.parametrize("first", [0, 250])
def test_camouflage_is_honest_first_and_then_inverts_by_turns(
    honest: ScoreMatrix, first: int
) -> None:
    said = Camouflage(build=30, strike=20).lies(honest, first, np.random.default_rng(0))
    for at in range(ROUNDS):
        striking = (first + at) % 50 >= 30
        assert (said[at] == (ONE - honest[at] if striking else honest[at])).all()

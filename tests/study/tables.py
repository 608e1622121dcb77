"""Score tables that tests make up: honest nodes that see the same quality, each in its own way."""

from __future__ import annotations

import numpy as np

from oracle.core.parameters import TrustParameters
from oracle.core.units import ONE, TRUST_ONE
from oracle.study.attacks import ATTACKS, Attack
from oracle.study.datasets import ScoreTable

TRUST = TrustParameters(
    gain=5_000,
    loss=20_000,
    tolerance=200,
    spread=15_000,
    evidence=20,
    floor=100_000,
    cap=TRUST_ONE,
)
ALL_ATTACKS: dict[str, Attack] = {name: attack() for name, attack in ATTACKS.items()}


def made_up(nodes: int = 9, items: int = 60, noise: float = 0.1, seed: int = 7) -> ScoreTable:
    """Return a table of nodes that add normal noise to a uniform quality; three systems."""
    rng = np.random.default_rng(seed)
    quality = rng.random(items)
    said = quality + noise * rng.standard_normal((nodes, items))
    scores = np.clip(said * ONE, 0, ONE).astype(np.uint16)
    return ScoreTable(scores, (quality * ONE).astype(np.uint16), np.arange(items) % 3)

"""Parameters that tests of the contracts deploy with: numbers odd enough to round everywhere."""

from __future__ import annotations

from oracle.core.parameters import RegistryParameters, RoundsParameters, TrustParameters
from oracle.core.units import TRUST_ONE

STAKE = 10**18
SINK = "0x000000000000000000000000000000000000dEaD"
COMMIT, REVEAL, SETTLE = 600, 300, 900
"""The windows, in seconds."""

TRUST = TrustParameters(
    gain=5_000,
    loss=20_000,
    tolerance=200,
    spread=15_000,
    evidence=20,
    floor=100_000,
    cap=TRUST_ONE,
)
REGISTRY = RegistryParameters(
    stake=STAKE,
    exit_delay=20_000,
    no_commit_slash=STAKE // 100,
    no_reveal_slash=STAKE // 10,
    slash_sink=SINK,
    trust=TRUST,
)
ROUNDS = RoundsParameters(
    draw_delay=2,
    commit_window=COMMIT,
    reveal_window=REVEAL,
    settle_window=SETTLE,
    least_evaluator_pay=1,
    quality_weight=9_000,
    cost_weight=2_000,
    closeness_scale=5_000,
)

"""
What deployments fix for good, as the contracts name and order it.

Each class mirrors a struct of `contracts/interfaces/`. Whether values make sense is the
constructors' decision on chain, not this module's.
"""

from __future__ import annotations

from dataclasses import dataclass

from oracle.core.structs import Struct


@dataclass(frozen=True, slots=True)
class TrustParameters(Struct):
    """How disagreement with the panel moves trust: section 5 of the protocol."""

    gain: int
    """λ_up, in ONE, at most MAX_RATE."""
    loss: int
    """λ_down, in ONE, at most MAX_RATE."""
    tolerance: int
    """τ_min, in ONE."""
    spread: int
    """ρ, in ONE, at most MAX_RATE."""
    evidence: int
    """E, items that count as full evidence."""
    floor: int
    """w_min, in TRUST_ONE, at least WEIGHT_UNIT."""
    cap: int
    """w_max, in TRUST_ONE; TRUST_ONE itself."""


@dataclass(frozen=True, slots=True)
class RegistryParameters(Struct):
    """What a deployment of `NodeRegistry` fixes: wei, seconds, and where slashed stake goes."""

    stake: int
    exit_delay: int
    no_commit_slash: int
    no_reveal_slash: int
    slash_sink: str
    trust: TrustParameters


@dataclass(frozen=True, slots=True)
class RoundsParameters(Struct):
    """What a deployment of `QualityRounds` fixes: blocks, seconds, wei, and weights in ONE."""

    draw_delay: int
    commit_window: int
    reveal_window: int
    settle_window: int
    least_evaluator_pay: int
    quality_weight: int
    """α."""
    cost_weight: int
    """β."""
    closeness_scale: int
    """δ, the deviation at which closeness is 0."""

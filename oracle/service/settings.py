"""
What a daemon is told when it starts, made once at the edge and never changed.

Plain values with their units: where they come from, and which key signs, the command line decides.
No secret is among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSettings:
    """
    What every daemon needs.

    `data_dir` is its own alone. It serves HTTP at `host` and `port` (0 is any free one). `poll` is
    in seconds, `finality` in blocks, and `max_fee`, in wei, is the most that a unit of gas may ever
    cost.
    """

    data_dir: Path
    host: str
    port: int
    poll: float
    finality: int
    max_fee: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleSettings(DaemonSettings):
    """
    What the oracle needs besides, in wei of the reward token.

    `withdraw_least` is the credit from which fees are withdrawn, `None` for never. Rounds that pay
    the settler less than `least_fee` are left to others.
    """

    withdraw_least: int | None = None
    least_fee: int = 0

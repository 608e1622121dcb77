"""
The peers by name, so that a sweep can be asked for them.
"""

from __future__ import annotations

from collections.abc import Callable

from oracle.study.baselines.catd import catd
from oracle.study.baselines.crh import crh, pm
from oracle.study.baselines.gtm import gtm
from oracle.study.baselines.inference import TruthInference

PEERS: dict[str, Callable[..., TruthInference]] = {"crh": crh, "pm": pm, "catd": catd, "gtm": gtm}
"""Each makes a fresh one; the options are those of `TruthInference`."""

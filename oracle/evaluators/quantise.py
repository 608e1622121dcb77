"""
From a float in [0, 1] to a score on chain: the only place where floats become integers.

Everything before this module is a model's opinion; everything after it is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oracle.core.units import ONE


class QuantiseError(ValueError):
    """Raised when a value is not a number, so that no score stands for it."""


def quantise(values: NDArray[np.float64]) -> NDArray[np.uint16]:
    """
    Return `floor(ONE * clip(x, 0, 1) + 0.5)`, half up, of the same shape, in [0, ONE].

    Infinities clip like any other value; NaN raises `QuantiseError` with its position.
    """
    if (nan := np.isnan(values)).any():
        raise QuantiseError(f"value {int(np.argmax(nan))} of {values.size} is NaN")
    return np.floor(ONE * np.clip(values, 0.0, 1.0) + 0.5).astype(np.uint16)

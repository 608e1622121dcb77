"""
What the mirrors of Solidity's structs have in common: the same fields in the same order.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import Any


class Struct:
    """Base of frozen dataclasses that mirror a struct of `contracts/interfaces/`."""

    __slots__ = ()

    def as_tuple(self) -> tuple[Any, ...]:
        """Return the fields as the tuple, nested where structs are, that ABI encoders take."""
        return astuple(self)  # type: ignore[call-overload,no-any-return]

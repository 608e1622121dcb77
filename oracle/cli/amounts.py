"""
Amounts of the token as people write them: wei, or with a unit as `cast` has them.
"""

from __future__ import annotations

import re

from oracle.cli.exits import Exit, Stop

_UNITS = {"": 0, "wei": 0, "gwei": 9, "ether": 18}
_AMOUNT = re.compile(r"([0-9]+)(?:\.([0-9]+))?(wei|gwei|ether|)")
LARGEST = 2**128 - 1


def parse_amount(text: str) -> int:
    """Return the wei of `1500`, `2gwei` or `0.5ether`; raise `Stop` for anything else."""
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise Stop(Exit.USAGE, f"{text!r} is no amount: write wei, or a unit as in 0.5ether.")
    whole, part, unit = found[1], (found[2] or "").rstrip("0"), found[3]
    shift = _UNITS[unit] - len(part)
    wei = int(whole + part) * int(10 ** max(shift, 0))
    if shift < 0 or wei > LARGEST:
        raise Stop(Exit.USAGE, f"{text} is not a whole number of wei below 2^128.")
    return wei


def tokens(wei: int) -> str:
    """Return an amount in whole tokens of 18 decimals, exactly."""
    whole, rest = divmod(wei, 10**18)
    return f"{whole}.{rest:018}".rstrip("0").rstrip(".")

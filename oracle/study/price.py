"""
What a round costs: gas of its settlement, the settler's fee, and the pay of its seats.

Integers alone. The floor under a settlement's gas follows from the layout of its calldata; the
estimate of its execution was measured, and is meant to be above what a settlement uses.
"""

from __future__ import annotations

from dataclasses import dataclass

from oracle.core.consensus import Rule, trim_count
from oracle.core.units import MAX_ITEMS, MAX_ROUND_BYTES

TRANSACTION_GAS = 21_000
ZERO_BYTE_GAS = 10
BYTE_GAS = 40
"""EIP-7623: the least that a transaction pays, and for each byte of its data."""

_WORDS = 33
"""Words of `settle`'s calldata whatever the round: heads, offsets, lengths, terms, seed."""
_WORD_BYTES = 270
"""Bytes of those words that are not zero, at most: addresses, hashes, amounts and times."""
_BATCH_WORDS, _BATCH_BYTES = 5, 60
_PANEL_BYTES, _COMMIT_BYTES = 28, 6

_SETTLEMENT, _SEAT, _BATCH, _SCORE = 120_000, 34_000, 22_000, 100
"""Gas of executing a settlement, of each seat, batch and score, somewhat above what was measured on
the local chain in a domain that is new to all seats. An owner's very first reward adds 17,100."""


@dataclass(frozen=True, slots=True)
class Gas:
    """Of one settlement: the least that its calldata costs, and an estimate of all it uses."""

    floor: int
    estimate: int


def fits(items: int, size: int) -> bool:
    """Return whether a round of so many items and seats can be opened."""
    return 1 <= items <= MAX_ITEMS and items * (2 * size + 4) <= MAX_ROUND_BYTES


def most_items(size: int) -> int:
    """Return the most items that a round of so many seats can have."""
    return min(MAX_ITEMS, MAX_ROUND_BYTES // (2 * size + 4))


def settlement_gas(rule: Rule, trim: int, size: int, items: int, batches: int = 1) -> Gas:
    """
    Return the gas of settling a round in which all seats reveal, from above.

    The floor takes each byte of scores, consensus, salts and panel as not zero.
    """
    kept = size - 2 * trim_count(rule, size, trim)
    rows = 2 if rule in (Rule.MEDIAN, Rule.TRIMMED_MEAN) and kept > 1 else 1
    packed = [_PANEL_BYTES * size, _COMMIT_BYTES * size, 32 * size, 2 * items * size]
    packed.append(2 * items * rows)
    nonzero = sum(packed) + _WORD_BYTES + _BATCH_BYTES * batches
    length = 4 + 32 * (_WORDS + _BATCH_WORDS * batches + sum(-(-size // 32) for size in packed))
    floor = TRANSACTION_GAS + BYTE_GAS * nonzero + ZERO_BYTE_GAS * (length - nonzero)
    execution = _SETTLEMENT + _SEAT * size + _BATCH * batches + _SCORE * size * items
    return Gas(floor, max(floor, execution))


@dataclass(frozen=True, slots=True)
class Price:
    """
    What evaluating a round costs its requester, in wei, inference not included.

    `evaluator_budget` and `fee` add up to what is asked for; `seat` is what a seat earns at most,
    `item` what an item costs, rounded up. `settlement` is what settling costs in wei of the chain.
    """

    evaluator_budget: int
    fee: int
    seat: int
    item: int
    gas: Gas
    settlement: int


@dataclass(frozen=True, slots=True)
class Tariff:
    """
    What money has to cover.

    `items` a round in `batches`; at least `least_pay` wei a seat and item; `gas_price` in wei of
    the chain's coin; `token_per_coin` in wei of the token for 10¹⁸ wei of that coin.
    """

    items: int
    least_pay: int
    batches: int = 1
    gas_price: int = 0
    token_per_coin: int = 10**18
    budget: int | None = None

    def least(self, rule: Rule, trim: int, size: int) -> int:
        """Return the least that a round of this size can cost, wei."""
        return self.least_pay * size * self.items + self._fee(rule, trim, size)

    def price(self, rule: Rule, trim: int, size: int) -> Price:
        """
        Return how the budget, or without one the least that is possible, is spent.

        The fee pays for the gas, rounded up; evaluators get the rest. Raises `ValueError` if the
        budget is below `least`.
        """
        least = self.least(rule, trim, size)
        total = least if self.budget is None else self.budget
        if total < least:
            raise ValueError(f"a budget of {total} wei is below {least}")
        gas = settlement_gas(rule, trim, size, self.items, self.batches)
        fee = self._fee(rule, trim, size)
        return Price(
            evaluator_budget=total - fee,
            fee=fee,
            seat=(total - fee) // size,
            item=-(-total // self.items),
            gas=gas,
            settlement=gas.estimate * self.gas_price,
        )

    def _fee(self, rule: Rule, trim: int, size: int) -> int:
        gas = settlement_gas(rule, trim, size, self.items, self.batches).estimate
        return -(-gas * self.gas_price * self.token_per_coin // 10**18)


def tokens(wei: int) -> str:
    """Return an amount in whole tokens of 18 decimals, exactly."""
    whole, rest = divmod(wei, 10**18)
    return f"{whole}.{rest:018}".rstrip("0").rstrip(".")

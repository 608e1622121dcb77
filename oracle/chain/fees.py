"""
What is offered for gas, and when that is too much.

This module decides fees and nothing about when to pay them. All are wei a unit of gas, and no offer
is ever above the hard cap of its transaction. Mempools let a transaction replace another only if
both of its fees are higher by a tenth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from oracle.chain.batches import ask

if TYPE_CHECKING:
    from web3 import Web3

USUAL_TIP = 10**9
"""Wei a unit of gas, where the node advises none."""
LEAST_BUMP = 10
"""Percent by which mempools want both fees of a replacement to be higher."""


class FeeTooHigh(Exception):
    """The chain asks for more than the hard cap; nothing was signed. Later it may not."""

    def __init__(self, purpose: str, asked: int, cap: int) -> None:
        super().__init__(
            f"{purpose!r} waits: a unit of gas costs {asked} wei, and at most {cap} is allowed."
        )
        self.asked = asked
        self.cap = cap


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """
    What may be paid for gas: `max_fee_per_gas` is a hard cap, in wei a unit.

    A transaction that is not mined after `patience` seconds is paid `bump_percent` more for, which
    is at least the 10 that mempools ask for. Raises `ValueError` for less.
    """

    max_fee_per_gas: int
    bump_percent: int = 15
    patience: float = 30.0

    def __post_init__(self) -> None:
        if self.bump_percent < LEAST_BUMP:
            raise ValueError(f"a bump is at least {LEAST_BUMP} %, not {self.bump_percent}")


@dataclass(frozen=True, slots=True)
class Fees:
    """An offer: all in all at most `fee`, of which the block's producer gets at most `tip`."""

    fee: int
    tip: int


@dataclass(frozen=True, slots=True)
class Market:
    """What the chain asks: the base fee of its latest block, and the tip that the node advises."""

    base: int
    tip: int

    @classmethod
    def now(cls, web3: Web3) -> Market:
        """Ask the node."""
        base = web3.eth.get_block("latest").get("baseFeePerGas", 0)
        # web3's own way prints a warning where a node advises nothing.
        [advised] = ask(web3, [("eth_maxPriorityFeePerGas", [])])
        is_number = isinstance(advised, str) and advised.startswith("0x")
        return cls(int(base), int(advised, 16) if is_number else USUAL_TIP)

    def offer(self, purpose: str, cap: int) -> Fees:
        """Return an offer that outlasts six full blocks, or the cap; raise `FeeTooHigh`."""
        if self.base > cap:
            raise FeeTooHigh(purpose, self.base, cap)
        fee = min(2 * self.base + self.tip, cap)
        return Fees(fee, min(self.tip, fee))

    def outbid(self, purpose: str, old: Fees, cap: int, percent: int) -> Fees:
        """Return an offer that replaces `old` in any mempool; raise `FeeTooHigh`."""
        least = Fees(_more(old.fee, LEAST_BUMP), _more(old.tip, LEAST_BUMP))
        if self.base > cap or least.fee > cap:
            raise FeeTooHigh(purpose, max(self.base, least.fee), cap)
        fee = min(max(_more(old.fee, percent), 2 * self.base + self.tip), cap)
        return Fees(fee, min(max(_more(old.tip, percent), self.tip), fee))


def _more(fee: int, percent: int) -> int:
    """Return the fee and so many percent, rounded up, and more than it in any case."""
    return max(fee + 1, -(-fee * (100 + percent) // 100))

"""
Whether an account can pay for what it is about to begin.

Committing is a promise to reveal: whoever commits and then cannot pay for a reveal on chain is
slashed for it. So the gas of both is counted before the first is sent, at what the chain asks now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oracle.chain.transactions import Unfunded

if TYPE_CHECKING:
    from web3 import Web3

COMMIT_GAS = 90_000
"""More than any commit takes."""
_REVEAL_BASE = 50_000
_REVEAL_SEAT = 1_200
_REVEAL_ITEM = 100


def reveal_gas(items: int, seats: int) -> int:
    """
    Return more gas than revealing a row of `items` on chain takes, in a panel of `seats`.

    A score is two bytes, at most 40 gas each of calldata (EIP-7623), logged and hashed; each seat
    that committed later is one more step of the proof. A test holds it to what the chain takes.
    """
    return _REVEAL_BASE + seats * _REVEAL_SEAT + items * _REVEAL_ITEM


class Funds:
    """What `address` has to pay gas with; a unit of gas never costs it more than `max_fee` wei."""

    def __init__(self, web3: Web3, address: str, max_fee: int) -> None:
        self._web3 = web3
        self._address = web3.to_checksum_address(address)
        self._max_fee = max_fee

    def require(self, gas: int) -> None:
        """Raise `Unfunded` unless the account can pay for `gas`, even if its price doubles."""
        needed = gas * min(2 * self._web3.eth.gas_price, self._max_fee)
        balance = self._web3.eth.get_balance(self._address)
        if balance < needed:
            raise Unfunded(str(self._address), balance, needed)

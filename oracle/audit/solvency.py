"""
The money of a contract: what came and went by the token's logs, and what it owes.

Every movement that a contract's own logs announce has to be a `Transfer` of the same transaction,
and nothing else may leave. What others send unasked is no debt to anybody. A contract holds
exactly what it owes and that, after every transaction.
"""

from __future__ import annotations

from collections import Counter

from oracle.audit.findings import Findings, Where


class Vault:
    """What the contract at `account` holds and owes, wei; `name` is that of the contract."""

    def __init__(self, name: str, account: str, findings: Findings) -> None:
        self.name = name
        self.account = account
        self.balance = 0
        self.owed = 0
        self.unasked = 0
        self._findings = findings
        self._solvent = True
        self._announced: Counter[tuple[str, str, int]] = Counter()
        self._moved: Counter[tuple[str, str, int]] = Counter()

    def receive(self, sender: str, amount: int) -> None:
        """Announce that the contract takes an amount from `sender` and owes it from now on."""
        self.owed += amount
        self._announce(sender, self.account, amount)

    def pay(self, receiver: str, amount: int) -> None:
        """Announce that the contract pays an amount that it owes."""
        self.owed -= amount
        self._announce(self.account, receiver, amount)

    def transfer(self, sender: str, receiver: str, amount: int) -> None:
        """Note a `Transfer`; one that does not touch the contract is ignored."""
        if receiver == self.account:
            self.balance += amount
        if sender == self.account:
            self.balance -= amount
        # Anybody can let a token log that nothing moved.
        if amount and self.account in (sender, receiver):
            self._moved[sender, receiver, amount] += 1

    def close(self, where: Where) -> None:
        """End a transaction: compare what moved with what was announced."""
        if not self._announced and not self._moved:
            return
        for movement in sorted(self._announced.keys() | self._moved.keys()):
            announced, moved = self._announced[movement], self._moved[movement]
            sender, receiver, amount = movement
            if receiver == self.account and moved > announced:
                self.unasked += amount * (moved - announced)
                moved = announced
            self._findings.expect(
                where,
                f"Transfer of {self.name}",
                f"{announced} of {amount} from {sender} to {receiver}",
                f"{moved} of {amount} from {sender} to {receiver}",
            )
        self._announced.clear()
        self._moved.clear()
        solvent = self.balance == self.owed + self.unasked
        if self._solvent and not solvent:
            due = self.owed + self.unasked
            self._findings.expect(where, f"balance of {self.name}", due, self.balance)
        self._solvent = solvent

    def _announce(self, sender: str, receiver: str, amount: int) -> None:
        if amount:
            self._announced[sender, receiver, amount] += 1

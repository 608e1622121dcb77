"""
The money of a contract: what came and went by the token's logs, and what it owes.

Every movement that a contract's own logs announce has to follow as a `Transfer` in the same
transaction, and nothing else may leave: the contracts log before they call the token. What others
send unasked is no debt to anybody. A contract holds exactly what it owes and that, after every
transaction.
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
        self._unannounced: list[tuple[str, str, int]] = []

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
        if not amount or self.account not in (sender, receiver):
            return
        movement = sender, receiver, amount
        if self._moved[movement] < self._announced[movement]:
            self._moved[movement] += 1
        elif receiver == self.account:
            self.unasked += amount
        else:
            self._unannounced.append(movement)

    def close(self, where: Where) -> None:
        """End a transaction: compare what moved with what was announced."""
        if not (self._announced or self._moved or self._unannounced):
            return
        for sender, receiver, amount in self._unannounced:
            name = f"Transfer of {self.name}"
            self._findings.expect(where, name, "none", f"{amount} from {sender} to {receiver}")
        self._unannounced.clear()
        for movement in sorted(self._announced.keys() | self._moved.keys()):
            announced, moved = self._announced[movement], self._moved[movement]
            sender, receiver, amount = movement
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

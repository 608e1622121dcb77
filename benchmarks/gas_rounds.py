"""
Whole rounds on a local chain, and the gas of each transaction as its receipt has it.

Everything is what a user pays: signed transactions on Prague rules, cold storage, refunds capped,
and the floor that data costs (EIP-7623). Steady state: the same nodes settled a round before, so
that no account is credited and no trust moves for the first time. Scores are uniform in [0, ONE].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oracle.chain import calls
from oracle.chain.devnet import data_floor
from oracle.core.consensus import Rule
from oracle.core.facts import Role
from oracle.core.units import MAX_ITEMS, MAX_ROUND_BYTES, ONE
from oracle.demo.network import Network, Party

TRIM = 2_000
"""What TRIMMED_MEAN drops at each end, in ONE."""
COST = 1_500
"""The cost of every batch, in ONE."""

FIRST_ITEMS = 64
"""Of the round before those measured: so many that no seat goes without a reward by chance."""


def most_items(seats: int) -> int:
    """Return the most items that a round with so many seats can have."""
    return min(MAX_ITEMS, MAX_ROUND_BYTES // (2 * seats + 4))


@dataclass(frozen=True, slots=True)
class RoundGas:
    """The gas of a round's transactions. `floor` is the least that its settlement can pay."""

    open: int
    draw: int
    commits: tuple[int, ...]
    reveals: tuple[int, ...]
    settle: int
    floor: int

    @property
    def total(self) -> int:
        """From opening to the last credit; reveals on chain are not part of an ordinary round."""
        return self.open + self.draw + sum(self.commits) + self.settle


class Stage:
    """A network of exactly `seats` evaluators and `batches` inference nodes that has settled."""

    def __init__(self, seats: int, batches: int = 1) -> None:
        self.seats = seats
        self._network = Network(accounts=3 + 2 * (seats + batches))
        for _ in range(seats):
            self._network.join(Role.EVALUATOR)
        self._writers: list[Party] = [self._network.join(Role.INFERENCE) for _ in range(batches)]
        self._scores = np.random.default_rng(seats)
        self.play(Rule.MEAN, FIRST_ITEMS)

    def play(self, rule: Rule, items: int, *, reveal: bool = False) -> RoundGas:
        """Play a round in which everybody commits; with `reveal`, all reveal on chain, too."""
        network = self._network
        sizes = [len(part) for part in np.array_split(np.arange(items), len(self._writers))]
        terms = network.terms(
            rule=rule, panel_size=self.seats, trim=TRIM if rule is Rule.TRIMMED_MEAN else 0
        )
        start = network.devnet.height
        batches = [
            network.batch(writer, size, COST)
            for writer, size in zip(self._writers, sizes, strict=True)
        ]
        round_id = network.open(terms, batches)
        network.draw(round_id)
        scores = self._scores.integers(0, ONE + 1, (self.seats, items), dtype=np.uint16)
        reveals = network.commit_all(round_id, dict(enumerate(scores)))
        if reveal:
            for one in reveals:
                network.reveal_on_chain(round_id, one)
        settlement = network.settlement(round_id, reveals)
        call = calls.rounds(network.deployment, "settle", *settlement.arguments())
        network.send(network.settler, call)
        opened, drawn, *rest, settled = self._paid_since(start)
        return RoundGas(
            opened,
            drawn,
            tuple(rest[: self.seats]),
            tuple(rest[self.seats :]),
            settled,
            data_floor(call.data),
        )

    def _paid_since(self, start: int) -> list[int]:
        devnet = self._network.devnet
        return [
            max(int(receipt.gas_used), data_floor(transaction.data))
            for number in range(start + 1, devnet.height + 1)
            for block in [devnet.block(number)]
            for transaction, receipt in zip(block.transactions, devnet.receipts(block), strict=True)
        ]

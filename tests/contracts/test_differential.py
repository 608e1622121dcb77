"""
Random whole rounds: the contracts do what the core says, to the bit.

Whatever may happen to a round happens here at random, and after each step the digest, and at the
end credits and trusts, are those that the core computes. `test_many_rounds.py` compares what is
computed in far more rounds than can be played whole.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from eth_utils import keccak

from oracle.core.cancellation import cancel, cancel_undrawn
from oracle.core.consensus import Rule
from oracle.core.digest import opening_digest, replay
from oracle.core.facts import Batch, DrawnRound, Opening, Reveal, Role, RoundState, Terms
from oracle.core.panel import TooFewEvaluators
from oracle.core.phases import (
    HASH_HORIZON,
    NOBODY,
    Verdict,
    commits_close_at,
    may_cancel,
    may_cancel_undrawn,
    may_commit,
    may_draw,
    may_reveal,
    may_settle,
    reveals_close_at,
)
from oracle.core.settlement import QuorumMissing, SeatMissing, settle
from oracle.core.units import ONE, ScoreMatrix
from tests.contracts.bare_network import BareNetwork, account
from tests.contracts.harness import Reverted
from tests.contracts.parameters import COMMIT, REGISTRY, ROUNDS, SETTLE

FEW, MANY = 60, 20_000
SEED = 0
PARTS = 4
"""Networks that the rounds are spread over, each from a seed of its own."""
OWNERS, EVALUATORS, INFERENCE = 14, 40, 5
REQUESTER, SETTLER = account("requester").address, account("settler").address
DOMAINS = (b"qa".ljust(32, b"\0"), b"summarization".ljust(32, b"\0"))


@dataclass(frozen=True, slots=True)
class Player:
    """Plays rounds on one network with one source of chance."""

    network: BareNetwork
    chance: random.Random
    ends: Counter[str]

    def play(self, rule: Rule) -> None:
        """Play one round to its end."""
        network = self.network
        network.top_up()
        network.pass_blocks(self.chance.randint(1, 5))
        round_id, opening = network.open(self.terms(rule), self.batches, REQUESTER)
        assert network.digest(round_id) == opening_digest(network.key(round_id), opening)
        network.pass_blocks(self.chance.choice([1, 3, 3, 3, 3, 200, 258, 259]))
        facts = self.draw(round_id, opening)
        if facts is None:
            self.cancel_undrawn(round_id, opening)
            return
        facts, reveals = self.commit(facts)
        facts = self.reveal(facts, reveals)
        self.end(facts, reveals)

    # What a round is about

    @property
    def batches(self) -> tuple[Batch, ...]:
        nodes = range(EVALUATORS + 1, EVALUATORS + INFERENCE + 1)
        return tuple(
            self.network.batch(
                self.chance.choice(nodes),
                self.chance.randint(1, self.chance.choice([40, 40, 40, 300])),
                self.chance.choice([0, ONE, self.chance.randint(0, ONE)]),
            )
            for _ in range(self.chance.choice([1, 1, 2, 4]))
        )

    def terms(self, rule: Rule) -> Terms:
        size = self.chance.choice([3, 3, 4, 5, 8, 9, 16, 31])
        return Terms(
            domain=self.chance.choice(DOMAINS),
            rule=rule,
            trim=self.chance.randint(0, ONE // 2 - 1) if rule is Rule.TRIMMED_MEAN else 0,
            panel_size=size,
            quorum=self.chance.randint(size // 2 + 1, size),
            oracle=self.chance.choice([NOBODY, SETTLER]),
            workload_hash=keccak(text="workload"),
            inference_budget=self.chance.choice([0, 10**24 + 1]),
            evaluator_budget=10**23 + 7,
            settlement_fee=self.chance.choice([0, 10**18]),
        )

    def scores(self, seats: int, items: int) -> ScoreMatrix:
        """Return seats × items: opinions of a truth, each seat with an error of its own."""
        truth = [self.chance.choice([0, ONE, self.chance.randint(0, ONE)]) for _ in range(items)]
        errors = [self.chance.choice([0, 50, 800, ONE]) for _ in range(seats)]
        rows = [[one + self.chance.randint(-error, error) for one in truth] for error in errors]
        return np.array(rows).clip(0, ONE).astype(np.uint16)

    # What happens to it

    def draw(self, round_id: int, opening: Opening) -> DrawnRound | None:
        """Draw as soon as it is allowed; `None` if it never is, or finds too few."""
        network = self.network
        verdict = may_draw(network.state(round_id), network.number)
        if not verdict.allowed:
            self.refused(lambda: network.rounds("draw", round_id, opening.as_tuple()))
            if verdict.opens_at is None:
                return None
            network.pass_blocks(verdict.opens_at - network.number)
        assert may_draw(network.state(round_id), network.number).allowed
        try:
            facts = network.draw(round_id, opening)
        except TooFewEvaluators:
            self.refused(lambda: network.rounds("draw", round_id, opening.as_tuple()))
            return None
        self.check_digest(facts)
        return facts

    def cancel_undrawn(self, round_id: int, opening: Opening) -> None:
        network = self.network
        cancelled = cancel_undrawn(network.key(round_id), opening)
        verdict = may_cancel_undrawn(network.state(round_id), network.number)
        if not verdict.allowed:
            self.refused(lambda: network.rounds("cancelUndrawn", *cancelled.arguments))
            network.pass_blocks(opening.draw_block + HASH_HORIZON + 1 - network.number)
        before = self.credits()
        network.rounds("cancelUndrawn", *cancelled.arguments, sender=SETTLER)
        assert network.digest(round_id) == cancelled.digest(network.now)
        assert self.credits() == before + Counter({REQUESTER: cancelled.refund})
        self.ends["undrawn"] += 1

    def commit(self, facts: DrawnRound) -> tuple[DrawnRound, dict[int, Reveal]]:
        """Commit some of the seats in any order, at any time."""
        network, size = self.network, len(facts.draw.panel)
        rows = self.scores(size, facts.opening.items)
        diligence = self.chance.choice([1, 1, 0.9, 0.5])
        reveals = {}
        for seat in self.chance.sample(range(size), size):
            if self.chance.random() > diligence:
                continue
            reveal = network.reveal_of(facts, seat, rows[seat])
            network.pass_blocks(1, self.chance.choice([0, self.chance.randint(0, COMMIT // 8)]))
            verdict = may_commit(self.state(facts), ROUNDS, seat, network.now)
            if verdict.allowed:
                facts = network.commit(facts, reveal)
                reveals[seat] = reveal
            else:
                self.refused(partial(network.commit, facts, reveal))
        self.check_digest(facts)
        return facts, reveals

    def reveal(self, facts: DrawnRound, reveals: dict[int, Reveal]) -> DrawnRound:
        """Reveal some of the seats on chain, once that is allowed."""
        network = self.network
        share = self.chance.choice([0, 0.3, 1])
        for seat, reveal in reveals.items():
            if self.chance.random() >= share:
                continue
            verdict = may_reveal(self.state(facts), ROUNDS, seat, network.now)
            if not verdict.allowed:
                self.refused(partial(network.reveal_on_chain, facts, reveal))
                if verdict.opens_at is None:
                    continue
                network.pass_time_to(verdict.opens_at)
            facts = network.reveal_on_chain(facts, reveal)
        self.check_digest(facts)
        return facts

    def end(self, facts: DrawnRound, reveals: dict[int, Reveal]) -> None:
        """Settle with some of the reveals or cancel, whichever comes first."""
        network, terms = self.network, facts.opening.terms
        closed = commits_close_at(ROUNDS, facts.draw.drawn_at)
        deadline = reveals_close_at(ROUNDS, facts.draw.drawn_at)
        moments = [network.now, closed - 1, closed, deadline - 1, deadline]
        moments += [deadline + SETTLE - 1, deadline + SETTLE, deadline + SETTLE + 10**7]
        for moment in self.chance.sample(moments, 3):
            network.pass_time_to(moment)
            diligence = self.chance.choice([1, 0.8])
            included = {s: r for s, r in reveals.items() if self.chance.random() < diligence}
            verdict = may_settle(
                self.state(facts),
                terms,
                ROUNDS,
                included=sum(1 << seat for seat in included),
                settler=SETTLER,
                now=network.now,
            )
            if self.settled(facts, list(included.values()), verdict):
                return
        verdict = may_cancel(self.state(facts), terms.quorum, ROUNDS, network.now)
        if not verdict.allowed and verdict.opens_at is None:
            network.pass_time_to(deadline)
            assert self.settled(facts, list(reveals.values()), Verdict(True))
            return
        self.cancelled(facts, verdict)

    def settled(self, facts: DrawnRound, reveals: list[Reveal], verdict: Verdict) -> bool:
        """Settle if that is allowed, else be refused; say whether the round is settled."""
        network, terms = self.network, facts.opening.terms
        self.chance.shuffle(reveals)
        try:
            settlement = settle(facts, ROUNDS, reveals)
        except (QuorumMissing, SeatMissing):
            assert not verdict.allowed
            return False
        arguments = settlement.arguments()
        if not verdict.allowed:
            self.refused(lambda: network.rounds("settle", *arguments, sender=SETTLER))
            return False
        wrong = off_by_one(self.chance, settlement.submission)
        self.refused(
            lambda: network.rounds("settle", *arguments[:-1], wrong, sender=SETTLER),
            "WrongConsensus",
        )
        trusts = network.trusts(facts.draw.panel, terms.domain)
        expected = self.credits()
        expected[SETTLER] += settlement.fee
        expected[REQUESTER] += settlement.refund
        for payment in settlement.payments():
            expected[payment.account] += payment.amount

        network.rounds("settle", *arguments, sender=SETTLER)
        assert network.digest(facts.key.round_id) == settlement.digest(SETTLER, network.now)
        assert self.credits() == expected
        moved = settlement.new_trusts(REGISTRY.trust, trusts)
        assert network.trusts(facts.draw.panel, terms.domain) == trusts | moved
        self.ends[terms.rule.name] += 1
        return True

    def cancelled(self, facts: DrawnRound, verdict: Verdict) -> None:
        network = self.network
        cancelled = cancel(facts)
        if not verdict.allowed:
            self.refused(lambda: network.rounds("cancel", *cancelled.arguments))
            assert verdict.opens_at is not None
            network.pass_time_to(verdict.opens_at)
        before = self.credits()
        trusts = network.trusts(facts.draw.panel, facts.opening.terms.domain)
        network.rounds("cancel", *cancelled.arguments)
        assert network.digest(facts.key.round_id) == cancelled.digest(network.now)
        assert self.credits() == before + Counter({REQUESTER: cancelled.refund})
        assert network.trusts(facts.draw.panel, facts.opening.terms.domain) == trusts
        self.ends["cancelled"] += 1

    # What is compared

    def state(self, facts: DrawnRound) -> RoundState:
        """Return the round's state, which has to be that of its facts."""
        state = self.network.state(facts.key.round_id)
        assert (state.committed, state.revealed) == (facts.committed, facts.revealed)
        return state

    def check_digest(self, facts: DrawnRound) -> None:
        expected = replay(facts.key, facts.opening, facts.draw, facts.commits)
        assert self.network.digest(facts.key.round_id) == expected

    def credits(self) -> Counter[str]:
        owners = {REQUESTER, SETTLER, *self.network.nodes.values()}
        return Counter({owner: self.network.rounds("creditOf", owner) for owner in owners})

    def refused(self, attempt: Callable[[], object], name: str | None = None) -> None:
        with pytest.raises(Reverted) as caught:
            attempt()
        assert name in (None, caught.value.name), caught.value
        self.ends["refused"] += 1


def off_by_one(chance: random.Random, submission: bytes) -> bytes:
    """Return a submission with one value one too high, or too low where it cannot be higher."""
    values = np.frombuffer(submission, dtype=">u2").astype(np.int64)
    at = chance.randrange(len(values))
    values[at] += 1 if values[at] == 0 else chance.choice([-1, 1])
    return values.astype(">u2").tobytes()


def player(seed: int) -> Player:
    """Return a player on a network where owners have several nodes, some of both roles."""
    network = BareNetwork(REGISTRY, ROUNDS)
    owners = [account(f"owner {i}").address for i in range(OWNERS)]
    for owner in (*owners, REQUESTER):
        network.fund(owner)
    for i in range(EVALUATORS + INFERENCE):
        role = Role.EVALUATOR if i < EVALUATORS else Role.INFERENCE
        network.join(role, owners[i % OWNERS])
    return Player(network, random.Random(seed), Counter())


def play(rounds: int, seed: int) -> Counter[str]:
    """Play this many rounds on one network; return how they ended."""
    one = player(seed)
    for i in range(rounds):
        one.play(Rule(i % len(Rule)))
    assert one.ends.total() - one.ends["refused"] == rounds
    assert one.ends["refused"] >= rounds / 2
    return one.ends


@pytest.mark.parametrize("part", range(PARTS))
def test_r09_random_rounds_end_on_chain_as_the_core_says(part: int) -> None:
    play(FEW // PARTS, SEED + part)


@pytest.mark.reliability
def test_r09_twenty_thousand_random_rounds_end_on_chain_as_the_core_says(
    record_property: Callable[[str, object], None],
) -> None:
    ends: Counter[str] = Counter()
    for part in range(PARTS):
        ends += play(MANY // PARTS, SEED + PARTS + part)
    print(f"seeds from {SEED + PARTS}: {ends}")
    record_property(
        "figure",
        {
            "name": "random whole rounds that ended on chain as the core says",
            "value": str(ends.total() - ends["refused"]),
            "goal": str(MANY),
            "seed": SEED + PARTS,
        },
    )

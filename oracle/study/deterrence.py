"""
What lying and withholding cost a coalition: trust, pay and stake, each by the protocol's own rule.

Only absence is slashed. A lie costs its seat's pay, unless it carries the consensus, and trust; it
never costs stake. So this module derives a stake against withholding, and for lying says what is
forfeited and what the identities lock. Sections 2, 5 and 6 of docs/protocol.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oracle.core.parameters import RegistryParameters, RoundsParameters, TrustParameters
from oracle.core.rewards import seat_shares
from oracle.core.trust import tolerance, updated
from oracle.core.units import ONE, TRUST_ONE
from oracle.study.capture import Odds, Panel

_WITNESSES = 4
"""Honest seats beside the liar whose trust is followed: enough to make the median theirs."""
CLEAR = 2
"""
How many tolerances a lie has to be off to be counted on as learnt.

Together, liars move the consensus and the median that they are judged by. Where 30 % lied in panels
of 15 on calibrated real scores, lies of more than two tolerances were always learnt, and some of
less than one and a half took the panels over.
"""
_MOST_LIES = 100_000
"""Lies after which trust that still moves is taken as it is then."""


@dataclass(frozen=True, slots=True)
class Attack:
    """
    How liars lie, and what the panel can learn from it.

    `deviation`, in ONE, is how far a lie is from an honest consensus that is uniform on the scale,
    on average; a liar lies in one of `every` rounds it is seated in. Unless `learnt`, it comes with
    full trust when it matters.
    """

    name: str
    deviation: int
    every: int = 1
    learnt: bool = True


ATTACKS = {
    attack.name: attack
    for attack in (
        Attack("newcomers", ONE // 2, learnt=False),  # fresh identities
        Attack("camouflage", ONE // 2, learnt=False),  # honest until the one round that matters
        Attack("noise", ONE // 3),  # E|u − c|
        Attack("boost", ONE // 2),  # E(1 − c)
        Attack("sabotage", ONE // 2),  # E(c)
        Attack("inversion", ONE // 2),  # E|1 − 2c|
        Attack("collusion", ONE // 4),  # E|½ − c|: the target that is hardest to see
        Attack("intermittent", ONE // 2, every=2),
    )
}
"""The attacks of the study, and the two that no trust rule sees coming."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """The trust, in TRUST_ONE, of a liar when it lies, and the seats it took to fall so far."""

    trust: int
    seats: int


def learn(parameters: TrustParameters, attack: Attack, honest: int, items: int) -> Learnt:
    """
    Return where the trust of a liar settles, starting from full trust.

    It is seated in rounds of `items` with honest seats that deviate by `honest`, in ONE, and that
    outnumber liars. `oracle.core.trust.updated` moves it, lie by lie, until it repeats. A lie that
    is not `CLEAR` tolerances off counts as never learnt.
    """
    tau = tolerance(parameters, np.array([honest], dtype=np.uint16))
    if not attack.learnt or attack.deviation < CLEAR * int(tau):
        return Learnt(TRUST_ONE, 0)
    trust, seats = TRUST_ONE, 0
    for _ in range(_MOST_LIES):
        after = trust
        for turn in range(attack.every):
            deviation = attack.deviation if turn == 0 else honest
            after = _moved(parameters, after, deviation, honest, items)
        if after == trust:
            break
        trust, seats = after, seats + attack.every
    return Learnt(trust, seats)


@dataclass(frozen=True, slots=True)
class Deterrence:
    """
    What deters the coalition, all in wei.

    A round is blocked by at least `blockers` seats that do not commit. `no_commit_slash`,
    `no_reveal_slash` and `stake` are the least that make blocking dearer than what it is worth,
    None if the deployment slashes nothing. `locked` is what the coalition's identities lock, at the
    deployment's stake, and get back. A coalition that lies in every round `forfeits` so much pay a
    round, and `gains` so much, on average; one that lies only in panels it holds forfeits nothing.
    """

    blockers: int
    no_commit_slash: int
    no_reveal_slash: int | None
    stake: int | None
    locked: int
    forfeits: int
    gains: int


def deterrence(
    registry: RegistryParameters,
    panel: Panel,
    odds: Odds,
    *,
    liars: int,
    at_stake: int,
    pay_at_risk: int,
) -> Deterrence:
    """
    Return what deters `liars` where the outcome of a round is worth `at_stake` wei to them.

    With everybody else present, a quorum of q is missed when K − q + 1 seats are absent, each
    slashed at least s: blocking does not pay from `s = ⌈at_stake / (K − q + 1)⌉` on. The other
    slash and the stake keep the deployment's proportions to it, rounded up. `pay_at_risk` is what
    a seat that lies forfeits. Forfeits are ceiled, gains floored.
    """
    blockers = panel.size - panel.quorum + 1
    slash = -(-at_stake // blockers)
    known = registry.no_commit_slash
    return Deterrence(
        blockers=blockers,
        no_commit_slash=slash,
        no_reveal_slash=-(-slash * registry.no_reveal_slash // known) if known else None,
        stake=-(-slash * registry.stake // known) if known else None,
        locked=liars * registry.stake,
        forfeits=-int(-odds.exposed * pay_at_risk // 1),
        gains=int(odds.capture * at_stake // 1),
    )


def pay_shares(rounds: RoundsParameters, honest: int, lie: int) -> tuple[int, int]:
    """Return which share of its pay a prompt seat earns at each deviation, all in ONE."""
    shares = seat_shares(
        rounds, np.array([honest, lie], dtype=np.uint16), np.zeros(2, dtype=np.int64)
    )
    return int(shares[0]), int(shares[1])


def _moved(parameters: TrustParameters, trust: int, deviation: int, honest: int, items: int) -> int:
    trusts = np.array([trust] + [TRUST_ONE] * _WITNESSES, dtype=np.uint32)
    deviations = np.array([deviation] + [honest] * _WITNESSES, dtype=np.uint16)
    return int(updated(parameters, trusts, deviations, items)[0])

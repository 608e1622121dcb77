"""
What lying and withholding cost a coalition: trust, pay and stake, each by the protocol's own rule.

Only absence is slashed. A lie costs its seat's pay, unless it carries the consensus, and trust; it
never costs stake. So this module derives a stake against withholding, and for lying says what is
forfeited and what the identities lock. Sections 2, 5 and 6 of docs/protocol.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from oracle.core.consensus import deviations
from oracle.core.parameters import RegistryParameters, RoundsParameters, TrustParameters
from oracle.core.rewards import seat_shares
from oracle.core.trust import disagreements, tolerance, updated
from oracle.core.units import ONE, TRUST_ONE, ScoreMatrix
from oracle.study import attacks
from oracle.study.capture import Odds, Panel

_WITNESSES = 4
"""Honest seats beside the liar whose trust is followed: enough to make the median theirs."""
CLEAR = 3
"""
How many tolerances a lie has to disagree by to be counted on as learnt.

Together, liars move the pivot and the median that they are judged by. Where a third lied in panels
of 5 and 15 on calibrated real scores, disagreements of three tolerances and more were always
learnt; of 2.2, liars kept up to a fifth of their trust. `benchmarks/planner_odds.py` measures it.
"""
LEARNT_SHARE = Fraction(1, 3)
"""The largest share of liars that counts as learnt: with 40 %, colluders took networks over."""
LEARNT_SEATS = 5
"""The fewest seats whose lies count as learnt: in panels of three, liars kept up to a tenth."""
_MOST_LIES = 100_000
"""Lies after which trust that still moves is taken as it is then."""
_MODELLED = 1 << 17
"""Scores that a model of an attack is averaged over."""


@dataclass(frozen=True, slots=True)
class Attack:
    """
    How liars lie, and whether the panel can learn from it.

    `lies` says what they tell; a liar lies in one of `every` rounds it is seated in. Unless
    `learnt`, it comes with full trust when it matters.
    """

    name: str
    lies: attacks.Attack
    every: int = 1
    learnt: bool = True


ATTACKS: Mapping[str, Attack] = {
    attack.name: attack
    for attack in (
        Attack("newcomers", attacks.Inversion(), learnt=False),  # fresh identities
        Attack("camouflage", attacks.Inversion(), learnt=False),  # honest until it matters
        Attack("noise", attacks.Noise()),
        Attack("boost", attacks.Boost()),
        Attack("sabotage", attacks.Sabotage()),
        Attack("inversion", attacks.Inversion()),
        Attack("collusion", attacks.Collusion()),
        Attack("intermittent", attacks.Boost(), every=2),  # or sabotage, which is its mirror image
    )
}
"""The attacks of the study, and the two that no trust rule sees coming."""


@dataclass(frozen=True, slots=True)
class Distance:
    """How far a seat is from its panel, as pay counts it and as trust does, both in ONE."""

    deviation: int
    disagreement: int


def modelled_lie(attack: Attack, items: int) -> Distance:
    """
    Return how far a lie is on average, in rounds of `items` whose pivot is uniform on the scale.

    What the liar would have said is the pivot; what it says is the attack's, and the core's rule
    says how far that is. Drawn with a fixed seed.
    """
    pivot = _uniform(items)
    rng = np.random.default_rng(1)
    return _distance(attack.lies.lies(pivot, 0, rng), pivot)


def modelled_honesty(deviation: int, items: int) -> Distance:
    """
    Return how far an honest seat is that deviates by `deviation`, where the pivot is uniform.

    It errs to either side alike, by up to twice that, and stays on the scale. Drawn with a fixed
    seed.
    """
    pivot = _uniform(items)
    errors = np.random.default_rng(1).integers(-2 * deviation, 2 * deviation + 1, pivot.shape)
    said: ScoreMatrix = np.clip(pivot + errors, 0, ONE).astype(np.uint16)
    return Distance(deviation, _distance(said, pivot).disagreement)


@dataclass(frozen=True, slots=True)
class Learnt:
    """The trust, in TRUST_ONE, of a liar when it lies, and the seats it took to fall so far."""

    trust: int
    seats: int


UNKNOWN = Learnt(TRUST_ONE, 0)
"""Of liars that nothing is known of."""


def learn(
    parameters: TrustParameters,
    attack: Attack,
    lie: Distance,
    honest: Distance,
    items: int,
    share: Fraction,
) -> Learnt:
    """
    Return where the trust of a liar settles, starting from full trust.

    It is seated in rounds of `items` with `honest` seats that outnumber liars, who are a `share` of
    all evaluators. `oracle.core.trust.updated` moves it, lie by lie, until it repeats. A lie that
    does not disagree by `CLEAR` tolerances, or by more liars than `LEARNT_SHARE`, counts as never
    learnt.
    """
    tau = tolerance(parameters, np.array([honest.disagreement], dtype=np.uint16))
    is_clear = lie.disagreement >= CLEAR * int(tau)
    if not attack.learnt or not is_clear or share > LEARNT_SHARE:
        return UNKNOWN
    trust, seats = TRUST_ONE, 0
    for _ in range(_MOST_LIES):
        after = trust
        for turn in range(attack.every):
            shown = lie if turn == 0 else honest
            after = _moved(parameters, after, shown, honest, items)
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


def pay_shares(rounds: RoundsParameters, honest: Distance, lie: Distance) -> tuple[int, int]:
    """Return which share of its pay a prompt seat earns at each deviation, all in ONE."""
    off = np.array([honest.deviation, lie.deviation], dtype=np.uint16)
    shares = seat_shares(rounds, off, np.zeros(2, dtype=np.int64))
    return int(shares[0]), int(shares[1])


def _moved(
    parameters: TrustParameters, trust: int, shown: Distance, honest: Distance, items: int
) -> int:
    trusts = np.array([trust] + [TRUST_ONE] * _WITNESSES, dtype=np.uint32)
    off = np.array([shown.disagreement] + [honest.disagreement] * _WITNESSES, dtype=np.uint16)
    return int(updated(parameters, trusts, off, items)[0])


def _uniform(items: int) -> ScoreMatrix:
    """Return rounds of one seat, (rounds, 1, items) uint16."""
    shape = (-(-_MODELLED // items), 1, items)
    return np.random.default_rng(0).integers(0, ONE + 1, shape, dtype=np.uint16)


def _distance(said: ScoreMatrix, pivot: ScoreMatrix) -> Distance:
    middle = pivot[:, 0]
    return Distance(int(deviations(said, middle).mean()), int(disagreements(said, middle).mean()))

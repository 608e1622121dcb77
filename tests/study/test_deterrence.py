"""What lying and withholding cost, by hand and by the rules of the core."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.parameters import load_parameters
from oracle.core.consensus import Rule
from oracle.core.parameters import TrustParameters
from oracle.core.trust import tolerance, updated
from oracle.core.units import ONE, TRUST_ONE
from oracle.study.attacks import Inversion
from oracle.study.capture import Odds, Panel
from oracle.study.deterrence import (
    ATTACKS,
    CLEAR,
    UNKNOWN,
    Attack,
    Distance,
    Learnt,
    deterrence,
    learn,
    modelled_honesty,
    modelled_lie,
    pay_shares,
)

SET = load_parameters("testnet")
TRUST = SET.registry.trust
PANEL = Panel(11, 6, Rule.MEDIAN)
ODDS = Odds(
    capture=Fraction(1, 10),
    unwatched=Fraction(1, 2),
    stall=Fraction(1, 10),
    hold=Fraction(1, 10),
    exposed=Fraction(5, 2),
)


HONEST = Distance(1_300, 175)
"""Which is agreement: ρ · 175 is below τ_min, so the tolerance is 1200."""
THIRTY = Fraction(3, 10)


def learnt_of(
    name: str,
    disagreement: int,
    honest: Distance = HONEST,
    items: int = 20,
    share: Fraction = THIRTY,
) -> Learnt:
    return learn(TRUST, ATTACKS[name], Distance(5_000, disagreement), honest, items, share)


# How far a lie is


def test_an_inversion_is_half_the_scale_off_and_goes_against_the_items() -> None:
    # On a uniform scale: d = E|1 − 2p| = 1/2, b = E|1 − p − q| = 1/3, so that d³/b² is above ONE,
    # where it ends; with few items b varies, and some rounds stay below.
    lie = modelled_lie(ATTACKS["inversion"], 4_000)
    assert lie.deviation == pytest.approx(ONE // 2, abs=30)
    assert lie.disagreement == ONE
    assert 8_500 < modelled_lie(ATTACKS["inversion"], 20).disagreement < ONE


def test_a_coalition_that_follows_coins_disagrees_by_what_it_deviates() -> None:
    # All at one or zero: d = b = 1/2.
    lie = modelled_lie(ATTACKS["collusion"], 4_000)
    assert (lie.deviation, lie.disagreement) == pytest.approx((ONE // 2, ONE // 2), abs=60)


def test_a_shift_follows_the_items_and_disagrees_by_less_than_it_deviates() -> None:
    # min(1, p + 0.4): d = 0.4 − 0.4²/2 = 0.32.
    for name in ("boost", "sabotage", "intermittent"):
        lie = modelled_lie(ATTACKS[name], 20)
        assert lie.deviation == pytest.approx(3_200, abs=30)
        assert lie.disagreement < lie.deviation


def test_with_one_item_a_round_disagreement_is_deviation() -> None:
    for attack in ATTACKS.values():
        lie = modelled_lie(attack, 1)
        assert lie.disagreement == lie.deviation


def test_an_honest_seat_disagrees_by_far_less_than_it_deviates() -> None:
    assert modelled_honesty(0, 20) == Distance(0, 0)
    found = modelled_honesty(1_300, 20)
    # Errors beyond the scale are cut off: d is a little below 1300, b about a third of the scale.
    assert found.deviation == 1_300
    assert 100 < found.disagreement < 1_300**3 / 3_333**2 + 50


# What is learnt of it


@pytest.mark.parametrize("name", ["newcomers", "camouflage"])
def test_nothing_is_learnt_of_those_who_come_with_full_trust(name: str) -> None:
    assert learnt_of(name, ONE) == UNKNOWN


def test_a_boost_loses_its_trust_step_by_step_as_by_hand() -> None:
    # With τ = 1200 and half the evidence, a lie of 3600 costs 4 · 0.24 = 96 % of the trust.
    assert learnt_of("boost", 3_600, items=10) == Learnt(TRUST.floor, 2)
    assert 1_000_000 * 0.04 > TRUST.floor > 1_000_000 * 0.04**2
    assert learnt_of("boost", 3_600) == Learnt(TRUST.floor, 1)


def test_half_the_evidence_takes_longer() -> None:
    assert learnt_of("boost", 3_600, items=5).seats > learnt_of("boost", 3_600, items=10).seats


@pytest.mark.parametrize(
    ("lie", "honest", "known"),
    [
        (3 * 1_200, 480, True),
        (3 * 1_200 - 1, 480, False),
        (3 * 1_250, 500, True),
        (3 * 1_250 - 1, 500, False),
    ],
)
def test_a_lie_is_counted_on_as_learnt_from_three_tolerances_on(
    lie: int, honest: int, known: bool
) -> None:
    learnt = learnt_of("boost", lie, Distance(1_300, honest))
    assert (learnt.trust < TRUST_ONE, learnt.seats > 0) == (known, known)


def test_a_share_of_liars_above_a_third_is_not_counted_on_as_learnt() -> None:
    assert learnt_of("collusion", ONE, share=Fraction(1, 3)).trust == TRUST.floor
    assert learnt_of("collusion", ONE, share=Fraction(334, 1_000)) == UNKNOWN


def test_who_lies_now_and_then_regains_a_little_between() -> None:
    learnt = learnt_of("intermittent", 5_000)
    # The floor, then one honest round: 3000 · (1 + 2 · (0.12 − 0.0175)).
    assert learnt.trust == 3_615
    assert learnt.seats % 2 == 0


@settings(max_examples=50, deadline=None)
@given(
    honest=st.integers(0, 4_000),
    lie=st.integers(0, ONE),
    every=st.integers(1, 4),
    items=st.integers(1, 40),
)
def test_the_trust_learnt_is_one_that_the_core_repeats(
    honest: int, lie: int, every: int, items: int
) -> None:
    attack = Attack("any", Inversion(), every)
    learnt = learn(TRUST, attack, Distance(0, lie), Distance(0, honest), items, THIRTY)
    trust = learnt.trust
    if lie < CLEAR * int(tolerance(TRUST, np.array([honest], dtype=np.uint16))):
        assert trust == TRUST_ONE
        return
    for turn in range(every):
        trust = judged(TRUST, trust, lie if turn == 0 else honest, honest, items)
    assert trust == learnt.trust
    assert TRUST.floor <= learnt.trust <= TRUST.cap


def judged(parameters: TrustParameters, trust: int, lie: int, honest: int, items: int) -> int:
    trusts = np.array([trust, TRUST_ONE, TRUST_ONE], dtype=np.uint32)
    disagreements = np.array([lie, honest, honest], dtype=np.uint16)
    return int(updated(parameters, trusts, disagreements, items)[0])


# What deters


def test_blocking_costs_more_than_it_is_worth_and_one_wei_less_does_not() -> None:
    worth = 10**20 + 1
    found = deterrence(SET.registry, PANEL, ODDS, liars=30, at_stake=worth, pay_at_risk=0)
    assert found.blockers == 6  # 11 seats less 6 leave five, one short of a quorum
    assert found.no_commit_slash * 6 >= worth > (found.no_commit_slash - 1) * 6


def test_the_stake_keeps_the_proportions_of_the_deployment() -> None:
    worth = 6 * SET.registry.no_commit_slash
    found = deterrence(SET.registry, PANEL, ODDS, liars=30, at_stake=worth, pay_at_risk=0)
    assert found.no_commit_slash == SET.registry.no_commit_slash
    assert found.no_reveal_slash == SET.registry.no_reveal_slash
    assert found.stake == SET.registry.stake
    assert found.locked == 30 * SET.registry.stake
    dearer = deterrence(SET.registry, PANEL, ODDS, liars=30, at_stake=worth + 1, pay_at_risk=0)
    assert dearer.stake is not None and dearer.stake > SET.registry.stake


def test_no_stake_deters_where_nothing_is_slashed() -> None:
    registry = replace(SET.registry, no_commit_slash=0, no_reveal_slash=0)
    found = deterrence(registry, PANEL, ODDS, liars=30, at_stake=10**18, pay_at_risk=0)
    assert (found.stake, found.no_reveal_slash) == (None, None)


def test_lying_gains_by_captures_and_forfeits_pay_where_it_is_seen() -> None:
    found = deterrence(SET.registry, PANEL, ODDS, liars=30, at_stake=1_001, pay_at_risk=11)
    assert found.gains == 100  # a tenth, floored
    assert found.forfeits == 28  # 2.5 seats on average, ceiled


def test_a_seat_earns_by_closeness_alone_if_it_is_prompt() -> None:
    # δ = 4000: closeness 1 − 0.325 and 0.
    assert pay_shares(SET.rounds, HONEST, Distance(5_000, 0)) == (6_750, 0)
    assert pay_shares(SET.rounds, Distance(0, ONE), Distance(4_000, ONE)) == (10_000, 0)

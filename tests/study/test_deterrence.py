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
from oracle.study.capture import Odds, Panel
from oracle.study.deterrence import ATTACKS, CLEAR, Attack, deterrence, learn, pay_shares

SET = load_parameters("testnet")
# A narrower tolerance than the default's: the arithmetic below is worked out for these.
TRUST = TrustParameters(5_000, 20_000, 200, 15_000, 20, 100_000, TRUST_ONE)
PANEL = Panel(11, 6, Rule.MEDIAN)
ODDS = Odds(
    capture=Fraction(1, 10),
    unwatched=Fraction(1, 2),
    stall=Fraction(1, 10),
    hold=Fraction(1, 10),
    exposed=Fraction(5, 2),
)


@pytest.mark.parametrize("name", ["newcomers", "camouflage"])
def test_nothing_is_learnt_of_those_who_come_with_full_trust(name: str) -> None:
    learnt = learn(TRUST, ATTACKS[name], 1_300, 20)
    assert (learnt.trust, learnt.seats) == (TRUST_ONE, 0)


def test_a_boost_loses_its_trust_step_by_step_as_by_hand() -> None:
    # τ = 1.5 · 1300 = 1950, so a lie of 5000 costs 2 · 0.305 = 61 % of the trust each time.
    learnt = learn(TRUST, ATTACKS["boost"], 1_300, 20)
    assert (learnt.trust, learnt.seats) == (TRUST.floor, 3)
    assert 1_000_000 * 0.39**2 > TRUST.floor > 1_000_000 * 0.39**3


def test_half_the_evidence_takes_longer() -> None:
    assert learn(TRUST, ATTACKS["boost"], 1_300, 10).seats > 3


@pytest.mark.parametrize(
    ("attack", "honest", "known"),
    [
        ("collusion", 830, True),
        ("collusion", 840, False),
        ("boost", 1_666, True),
        ("boost", 1_700, False),
    ],
)
def test_a_lie_is_counted_on_as_learnt_from_two_tolerances_on(
    attack: str, honest: int, known: bool
) -> None:
    learnt = learn(TRUST, ATTACKS[attack], honest, 20)
    assert (learnt.trust < TRUST_ONE, learnt.seats > 0) == (known, known)


def test_who_lies_now_and_then_regains_a_little_between() -> None:
    learnt = learn(TRUST, ATTACKS["intermittent"], 1_300, 20)
    # The floor, then one honest round: 100 000 · (1 + 0.5 · 0.065).
    assert learnt.trust == 103_250
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
    learnt = learn(TRUST, Attack("any", lie, every), honest, items)
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
    deviations = np.array([lie, honest, honest], dtype=np.uint16)
    return int(updated(parameters, trusts, deviations, items)[0])


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
    assert pay_shares(SET.rounds, 1_300, 5_000) == (6_750, 0)
    assert pay_shares(SET.rounds, 0, 4_000) == (10_000, 0)

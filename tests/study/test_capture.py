"""The odds of a panel, against enumeration, against the real draw and against the real rules."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, product
from math import comb, sqrt

import numpy as np
import pytest
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.core.consensus import Rule, aggregate
from oracle.core.panel import draw_panel
from oracle.core.units import ONE, TRUST_ONE
from oracle.study.capture import (
    HALF,
    Odds,
    Panel,
    Population,
    Trusts,
    expected_rounds,
    hold,
    hypergeometric,
    least_quorum,
    odds,
    seats_needed,
)

LEARNT = Trusts(liar=100_000, doubted=300_000)
RULES = st.sampled_from(Rule)
TRUST = st.integers(1_000, TRUST_ONE)
TRUSTS = st.builds(Trusts, TRUST, TRUST, TRUST)
TRIMS = st.integers(0, 4_999)


def enumerated(population: Population, panel: Panel, trusts: Trusts, accepted: Fraction) -> Odds:
    """The odds, from every panel and every way to be absent, one by one."""
    panels = list(combinations(range(population.evaluators), panel.size))
    capture = unwatched = stall = held = exposed = Fraction(0)
    for seats in panels:
        liars = sum(seat < population.liars for seat in seats)
        # Places from the liars' on are doubted.
        others = [
            population.liars <= seat < population.liars + population.doubted
            for seat in seats
            if seat >= population.liars
        ]
        for presence in product((True, False), repeat=panel.size - liars):
            honest = sum(presence)
            doubted = sum(here and low for here, low in zip(presence, others, strict=True))
            chance = Fraction(1, len(panels))
            for present in presence:
                chance *= 1 - population.absence if present else population.absence
            stall += chance * (honest < panel.quorum)
            if liars + honest < panel.quorum:
                continue
            share = hold(panel.rule, liars, honest, trusts, panel.trim, doubted)
            held += chance * share
            capture += chance * (share >= accepted)
            exposed += chance * liars * (share < accepted)
            unwatched += chance * any(
                hold(panel.rule, liars, kept, trusts, panel.trim, low) >= accepted
                for kept in range(max(0, panel.quorum - liars), honest + 1)
                for low in range(max(0, kept - (honest - doubted)), min(kept, doubted) + 1)
            )
    return Odds(capture, unwatched, stall, held, exposed)


@pytest.mark.parametrize(("evaluators", "liars"), [(3, 4), (3, -1)])
def test_liars_are_some_of_the_evaluators(evaluators: int, liars: int) -> None:
    with pytest.raises(ValueError, match="cannot be liars"):
        Population(evaluators, liars)


def test_the_doubted_are_some_of_the_honest() -> None:
    with pytest.raises(ValueError, match="3 of the honest evaluators cannot be doubted"):
        Population(4, 2, doubted=3)


def test_an_absence_is_a_probability() -> None:
    with pytest.raises(ValueError, match="no probability"):
        Population(3, 1, Fraction(3, 2))


def test_a_population_smaller_than_the_panel_has_no_odds() -> None:
    with pytest.raises(ValueError, match="4 evaluators cannot fill 5 seats"):
        odds(Population(4, 1), Panel(5, 3, Rule.MEDIAN), Trusts())


def test_three_seats_of_four_with_two_liars_by_hand() -> None:
    # Of the panels {abC, abD, aCD, bCD}, where a and b lie, two have a majority of liars.
    found = odds(Population(4, 2), Panel(3, 2, Rule.MEDIAN), Trusts())
    assert found == Odds(HALF, Fraction(1), HALF, HALF, HALF)
    assert dict(hypergeometric(4, 2, 3)) == {1: HALF, 2: HALF}


@pytest.mark.parametrize("rule", Rule)
@pytest.mark.parametrize("quorum", [3, 4, 5])
@pytest.mark.parametrize("trusts", [Trusts(), LEARNT])
@pytest.mark.parametrize("absence", [Fraction(0), Fraction(1, 7)])
@pytest.mark.parametrize("doubted", [0, 2])
def test_the_odds_are_those_of_every_panel_counted_one_by_one(
    rule: Rule, quorum: int, trusts: Trusts, absence: Fraction, doubted: int
) -> None:
    population = Population(8, 3, absence, doubted)
    panel = Panel(5, quorum, rule, 1_500 if rule is Rule.TRIMMED_MEAN else 0)
    for accepted in (HALF, Fraction(1, 5), Fraction(1)):
        found = odds(population, panel, trusts, accepted)
        assert found == enumerated(population, panel, trusts, accepted)


def test_the_odds_are_those_of_the_draw_on_chain() -> None:
    evaluators, liars, size, draws = 40, 14, 7, 20_000
    panel = Panel(size, 4, Rule.MEDIAN)
    seen = np.zeros(size + 1, dtype=np.int64)
    for i in range(draws):
        seats = draw_panel(keccak(i.to_bytes(32)), evaluators, size, lambda place: False)
        # Liars stand wherever they registered: here at every third place.
        seen[sum(place % 3 == 0 for place in seats)] += 1
    assert liars == len(range(0, evaluators, 3))
    for seated, probability in hypergeometric(evaluators, liars, size):
        expected = float(probability)
        error = sqrt(expected * (1 - expected) / draws)
        assert abs(seen[seated] / draws - expected) < 4.5 * error + 1 / draws
    capture = float(odds(Population(evaluators, liars), panel, Trusts()).capture)
    error = sqrt(capture * (1 - capture) / draws)
    assert abs(seen[4:].sum() / draws - capture) < 4.5 * error


def test_the_committee_of_ethereum_is_as_safe_as_published() -> None:
    # 111 of 300,000 validators, a third of them hostile: two thirds of it with less than 2⁻⁴⁰.
    captured = sum(
        p for seated, p in hypergeometric(300_000, 100_000, 111) if 3 * seated >= 2 * 111
    )
    assert captured < Fraction(1, 2**40)
    smaller = sum(p for seated, p in hypergeometric(300_000, 100_000, 99) if 3 * seated >= 2 * 99)
    assert smaller > Fraction(1, 2**40)


@settings(max_examples=300)
@given(
    rule=RULES,
    liars=st.integers(1, 15),
    honest=st.integers(0, 15),
    trusts=TRUSTS,
    trim=TRIMS,
)
def test_liars_move_the_real_consensus_by_just_the_share_they_hold(
    rule: Rule, liars: int, honest: int, trusts: Trusts, trim: int
) -> None:
    share = hold(rule, liars, honest, trusts, trim)
    weights = np.array([trusts.liar] * liars + [trusts.honest] * honest, dtype=np.uint32)
    moved = []
    for lie, truth in ((0, ONE), (ONE, 0)):
        scores = np.array([[lie]] * liars + [[truth]] * honest, dtype=np.uint16)
        moved.append(abs(int(aggregate(rule, scores, weights, trim)[0]) - truth))
    if rule is Rule.TRUST_WEIGHTED_MEDIAN:
        # Half of the weight is enough to pull down, more than half to push up.
        assert moved[0] == share * ONE
        assert moved[1] <= moved[0]
    else:
        assert all(abs(distance - share * ONE) <= HALF for distance in moved)


@given(
    rule=st.sampled_from([Rule.TRUST_WEIGHTED_MEAN, Rule.TRUST_WEIGHTED_MEDIAN]),
    doubted=st.integers(0, 9),
    trust=st.integers(100_000, TRUST_ONE),
)
def test_doubts_about_honest_seats_help_liars(rule: Rule, doubted: int, trust: int) -> None:
    panel, trusts = Panel(7, 4, rule), Trusts(liar=trust, doubted=100_000)
    one, more = (
        odds(Population(30, 9, doubted=count), panel, trusts) for count in (doubted, doubted + 1)
    )
    assert one.capture <= more.capture
    assert one.hold <= more.hold
    assert one.stall == more.stall


@settings(max_examples=200)
@given(
    rule=RULES,
    liars=st.integers(0, 15),
    honest=st.integers(0, 14),
    trusts=TRUSTS,
    trim=TRIMS,
)
def test_liars_hold_no_more_if_one_more_is_honest_and_no_less_if_one_more_lies(
    rule: Rule, liars: int, honest: int, trusts: Trusts, trim: int
) -> None:
    if not liars + honest:
        return
    share = hold(rule, liars, honest, trusts, trim)
    assert hold(rule, liars, honest + 1, trusts, trim) <= share
    if honest:
        assert hold(rule, liars + 1, honest - 1, trusts, trim) >= share


@settings(max_examples=60, deadline=None)
@given(
    evaluators=st.integers(15, 60),
    liars=st.integers(0, 14),
    size=st.integers(3, 15),
    rule=RULES,
    trusts=TRUSTS,
    accepted=st.fractions(Fraction(1, 10), 1),
    absence=st.sampled_from([Fraction(0), Fraction(1, 50), Fraction(1, 4)]),
)
def test_more_liars_are_never_better_and_a_higher_quorum_trades_capture_for_blocks(
    evaluators: int,
    liars: int,
    size: int,
    rule: Rule,
    trusts: Trusts,
    accepted: Fraction,
    absence: Fraction,
) -> None:
    quorum = size // 2 + 1
    few = Population(evaluators, liars, absence)
    many = Population(evaluators, liars + 1, absence)
    one = odds(few, Panel(size, quorum, rule), trusts, accepted)
    more = odds(many, Panel(size, quorum, rule), trusts, accepted)
    assert one.capture <= more.capture
    assert one.stall <= more.stall
    assert 0 <= one.capture <= one.unwatched <= 1
    assert 0 <= one.hold <= 1
    if quorum < size:
        stricter = odds(few, Panel(size, quorum + 1, rule), trusts, accepted)
        assert stricter.capture <= one.capture
        assert stricter.stall >= one.stall


@settings(max_examples=60, deadline=None)
@given(
    evaluators=st.integers(31, 400),
    share=st.fractions(0, Fraction(49, 100)),
    size=st.integers(2, 15).map(lambda half: 2 * half - 1),
)
def test_an_even_panel_is_captured_no_less_often_than_the_odd_one_below_it(
    evaluators: int, share: Fraction, size: int
) -> None:
    population = Population(evaluators, int(share * evaluators))
    odd, even = (
        odds(population, Panel(seats, seats // 2 + 1, Rule.MEDIAN), Trusts()).capture
        for seats in (size, size + 1)
    )
    assert odd <= even


@settings(max_examples=40, deadline=None)
@given(
    evaluators=st.integers(33, 400),
    share=st.fractions(0, Fraction(1, 2)),
    size=st.integers(2, 15).map(lambda half: 2 * half - 1),
)
def test_two_more_seats_help_where_liars_are_a_minority(
    evaluators: int, share: Fraction, size: int
) -> None:
    population = Population(evaluators, int(share * (evaluators - 1)))
    small, large = (
        odds(population, Panel(seats, seats // 2 + 1, Rule.MEDIAN), Trusts()).capture
        for seats in (size, size + 2)
    )
    assert large <= small


@pytest.mark.parametrize("size", range(3, 32))
@pytest.mark.parametrize("rule", Rule)
def test_at_full_trust_half_of_a_panel_takes_half_of_its_consensus(rule: Rule, size: int) -> None:
    assert seats_needed(Panel(size, size, rule), Trusts()) == (size + 1) // 2


def test_a_trimmed_mean_gives_way_once_more_lie_than_it_trims() -> None:
    panel = Panel(11, 6, Rule.TRIMMED_MEAN, 2_000)
    assert seats_needed(panel, Trusts(), Fraction(1, 100)) == 3
    assert seats_needed(Panel(11, 6, Rule.MEAN), Trusts(), Fraction(1, 100)) == 1
    assert seats_needed(Panel(11, 6, Rule.MEDIAN), Trusts(), Fraction(1, 100)) == 6


def test_liars_of_a_tenth_of_the_trust_need_ten_of_eleven_seats() -> None:
    for rule in (Rule.TRUST_WEIGHTED_MEAN, Rule.TRUST_WEIGHTED_MEDIAN):
        assert seats_needed(Panel(11, 6, rule), LEARNT) == 10


def test_the_least_quorum_is_the_first_that_is_safe() -> None:
    population, panel = Population(60, 20, Fraction(1, 5)), Panel(9, 5, Rule.MEDIAN)
    each = {q: odds(population, Panel(9, q, Rule.MEDIAN), Trusts()).capture for q in range(5, 10)}
    assert len(set(each.values())) > 2
    for risk in each.values():
        found = least_quorum(population, panel, Trusts(), HALF, risk)
        assert found is not None
        assert found[0].quorum == min(q for q, capture in each.items() if capture <= risk)
        assert found[1].capture == each[found[0].quorum]
    below = min(each.values()) / 2
    assert least_quorum(population, panel, Trusts(), HALF, below) is None


def test_what_is_certain_is_first_expected_in_the_first_round() -> None:
    assert expected_rounds(Fraction(1)) == 1
    assert expected_rounds(Fraction(1, 40)) == 40
    assert expected_rounds(Fraction(0)) is None
    assert sum(p for _, p in hypergeometric(60, 20, 9)) == 1
    assert dict(hypergeometric(5, 5, 3)) == {3: Fraction(comb(5, 3), comb(5, 3))}

"""Which panel the planner chooses, and what it says where there is none."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from fractions import Fraction
from math import comb
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.parameters import load_parameters
from oracle.core.consensus import Rule
from oracle.core.units import MAX_SEATS, TRUST_ONE
from oracle.study.capture import Panel, Population, Trusts, odds
from oracle.study.deterrence import ATTACKS, LEARNT_SEATS, UNKNOWN, Distance
from oracle.study.plan_report import as_json, lines
from oracle.study.planner import PlanImpossible, Request, least_share, plan
from oracle.study.price import Tariff

SET = load_parameters("testnet")
LEAST = 10**15


def request(evaluators: int = 1_000, liars: int = 300, **changes: Any) -> Request:
    """Return a request for a risk of one in a million against inversions, with `changes`."""
    fields: dict[str, Any] = {
        "population": Population(
            evaluators, liars, changes.pop("absence", Fraction(0)), changes.pop("doubted", 0)
        ),
        "risk": Fraction(1, 10**6),
        "attack": ATTACKS["inversion"],
        "tariff": Tariff(20, LEAST),
        "registry": SET.registry,
        "rounds": SET.rounds,
        "lie": Distance(5_000, 9_000),
        "honest": Distance(1_300, 175),
    }
    return Request(**fields | changes)


# Where there is no panel


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (request(2, 0), "only 2 evaluators can be drawn: register 1 more$"),
        (request(tariff=Tariff(4_097, LEAST)), "at most 4096$"),
        (
            request(attack=ATTACKS["newcomers"]),
            "No panel of up to 31 seats .* 300 liars among 1000 evaluators, with a trust of 1 .* "
            "31 seats with a quorum of 16, is captured with probability 0.00858, .* at most 147",
        ),
        (
            request(4, 2, attack=ATTACKS["newcomers"]),
            "No panel of up to 4 seats .* 3 seats with a quorum of 2, is captured with "
            "probability 0.5, and meets that risk against at most 1 liars$",
        ),
        (
            request(stall_risk=Fraction(1, 1_000)),
            "keeps blocked rounds within 0.001: the nearest, 31 seats .* probability 0.00858$",
        ),
        (
            request(tariff=Tariff(20, LEAST, budget=23 * 10**16)),
            "12 seats meet the risk and cost at least 0.24 tokens a round of 20 items, and the "
            "budget is 0.23: it pays 11 seats, .* 1.56e-06$",
        ),
        (
            request(tariff=Tariff(20, LEAST, budget=1)),
            "the budget is 0.000000000000000001: even 3 seats cost 0.06$",
        ),
        (
            request(tariff=Tariff(4_096, LEAST), doubted=105),
            "No panel of up to 13 seats",
        ),
    ],
)
def test_what_cannot_be_met_is_said_with_what_comes_nearest(asked: Request, sentence: str) -> None:
    with pytest.raises(PlanImpossible, match=sentence):
        plan(asked)


def test_what_is_said_to_be_withstood_is_and_one_liar_more_is_not() -> None:
    panel, risk = Panel(31, 16, Rule.TRUST_WEIGHTED_MEDIAN), Fraction(1, 10**6)
    assert odds(Population(1_000, 147), panel, Trusts()).capture <= risk
    assert odds(Population(1_000, 148), panel, Trusts()).capture > risk


def test_the_nearest_panel_that_a_budget_pays_can_be_had() -> None:
    tariff = Tariff(20, LEAST, budget=23 * 10**16)
    with pytest.raises(PlanImpossible):
        plan(request(tariff=tariff))
    made = plan(request(tariff=tariff, risk=Fraction(2, 10**6)))
    assert made.chosen.panel.size == 11


# The choice


def test_a_panel_of_twelve_meets_one_in_a_million_once_trust_is_learnt() -> None:
    made = plan(request())
    assert made.chosen.panel == Panel(12, 7, Rule.TRUST_WEIGHTED_MEDIAN)
    # Eleven liars at the floor weigh 33 together, one honest seat 1000: all twelve have to lie.
    assert made.chosen.needed == 12
    assert made.chosen.odds.capture == Fraction(comb(300, 12), comb(1_000, 12))
    assert (made.learnt.trust, made.learnt.seats) == (SET.registry.trust.floor, 1)
    assert made.newcomers == odds(made.request.population, made.chosen.panel, Trusts())
    assert made.newcomers.capture > made.request.risk


def test_doubts_about_honest_evaluators_cost_seats() -> None:
    doubted = plan(request(doubted=105))
    assert doubted.chosen.panel == Panel(16, 9, Rule.TRUST_WEIGHTED_MEDIAN)
    assert "or fewer beside any of 105 honest" in "\n".join(lines(doubted))
    assert plan(request(attack=ATTACKS["newcomers"], liars=100, doubted=105)).chosen.panel.rule in (
        Rule.MEDIAN,
    )


def test_trust_is_counted_on_neither_in_the_least_panels_nor_against_many_liars() -> None:
    small = plan(request(risk=Fraction(1, 4)))
    assert (small.chosen.panel.size, small.learnt) == (3, UNKNOWN)
    assert (
        small.chosen.odds.capture
        == odds(Population(1_000, 300), Panel(3, 2, Rule.MEAN), Trusts()).capture
    )
    assert plan(request(liars=333)).learnt.trust == SET.registry.trust.floor
    with pytest.raises(PlanImpossible, match=r"334 liars .* with a trust of 1 when they lie"):
        plan(request(liars=334))


def test_a_small_network_is_safe_once_a_panel_outnumbers_its_liars() -> None:
    made = plan(request(12, 3, attack=ATTACKS["newcomers"], risk=Fraction(0)))
    assert made.chosen.panel.size == 7
    assert made.chosen.odds.capture == 0


def test_a_rule_that_is_asked_for_is_kept() -> None:
    made = plan(request(1_000, 20, attack=ATTACKS["newcomers"], rule=Rule.MEAN))
    assert made.chosen.panel.rule is Rule.MEAN
    assert {row.panel.rule for row in made.seats} == {Rule.MEAN}
    assert {row.panel.rule for row in made.rules} == set(Rule)


def test_a_higher_quorum_is_taken_only_by_who_accepts_more_blocked_rounds() -> None:
    asked = request(
        60,
        12,
        absence=Fraction(1, 5),
        attack=ATTACKS["newcomers"],
        risk=Fraction(1, 25),
        stall_risk=Fraction(1),
    )
    wary = plan(replace(asked, stall_risk=None)).chosen
    assert wary.panel.quorum == wary.panel.size // 2 + 1
    made = plan(asked)
    panel = made.chosen.panel
    assert panel.size < wary.panel.size
    assert made.chosen.odds.stall > wary.odds.stall
    assert panel.quorum > panel.size // 2 + 1
    lower = replace(panel, quorum=panel.quorum - 1)
    assert odds(asked.population, lower, Trusts()).capture > asked.risk


def test_a_stricter_meaning_of_capture_takes_the_means_out() -> None:
    made = plan(request(200, 10, accepted=Fraction(1, 100), attack=ATTACKS["newcomers"]))
    assert made.chosen.panel.rule is Rule.TRUST_WEIGHTED_MEDIAN
    mean = made.rules[Rule.MEAN]
    assert mean.needed == 1
    assert mean.odds.capture > Fraction(1, 4)


@settings(max_examples=25, deadline=None)
@given(
    evaluators=st.integers(20, 300),
    share=st.fractions(0, Fraction(2, 5)),
    exponent=st.integers(1, 5),
    attack=st.sampled_from(sorted(ATTACKS)),
    absence=st.sampled_from([Fraction(0), Fraction(1, 20)]),
)
def test_the_panel_meets_the_risk_and_no_smaller_one_does(
    evaluators: int, share: Fraction, exponent: int, attack: str, absence: Fraction
) -> None:
    risk = Fraction(1, 10**exponent)
    liars = least_share(share, evaluators)
    asked = request(evaluators, liars, absence=absence, risk=risk, attack=ATTACKS[attack])
    try:
        made = plan(asked)
    except PlanImpossible:
        largest = MAX_SEATS if evaluators >= MAX_SEATS else evaluators
        panel = Panel(largest, largest // 2 + 1, Rule.MEDIAN)
        assert odds(asked.population, panel, Trusts()).capture > risk
        return
    chosen, trusts = made.chosen, Trusts(liar=made.learnt.trust)
    assert made.learnt == UNKNOWN or chosen.panel.size >= LEARNT_SEATS
    assert chosen.odds == odds(asked.population, chosen.panel, trusts)
    assert chosen.odds.capture <= risk
    assert 2 * chosen.panel.quorum > chosen.panel.size
    for size in range(3, chosen.panel.size):
        for rule in Rule:
            believed = trusts if size >= LEARNT_SEATS else Trusts()
            smaller = odds(asked.population, Panel(size, size // 2 + 1, rule), believed)
            assert smaller.capture > risk


@settings(max_examples=12, deadline=None)
@given(evaluators=st.integers(40, 300), liars=st.integers(0, 15), exponent=st.integers(1, 4))
def test_more_liars_or_less_risk_never_need_fewer_seats(
    evaluators: int, liars: int, exponent: int
) -> None:
    def size(liars: int, exponent: int) -> int:
        asked = request(
            evaluators, liars, risk=Fraction(1, 10**exponent), attack=ATTACKS["newcomers"]
        )
        try:
            return plan(asked).chosen.panel.size
        except PlanImpossible:
            return MAX_SEATS + 1

    assert size(liars, exponent) <= size(liars + 1, exponent)
    assert size(liars, exponent) <= size(liars, exponent + 1)


# What it says


def test_every_further_seat_costs_more_and_shares_the_budget_with_more() -> None:
    made = plan(request(tariff=Tariff(20, LEAST, gas_price=10**8, budget=10**18)))
    assert [row.panel.size for row in made.seats] == list(range(3, MAX_SEATS + 1))
    prices = [row.price for row in made.seats if row.price is not None]
    assert all(a.gas.estimate < b.gas.estimate for a, b in itertools.pairwise(prices))
    assert all(a.seat > b.seat for a, b in itertools.pairwise(prices))


def test_json_is_exact_and_people_read_the_same() -> None:
    made = plan(request(tariff=Tariff(20, LEAST, budget=10**18)))
    content = json.loads(json.dumps(as_json(made)))
    capture = content["chosen"]["capture"]
    assert Fraction(capture["exact"]) == made.chosen.odds.capture
    assert capture["float"] == float(made.chosen.odds.capture)
    assert content["chosen"]["seatPay"] == str(10**18 // 12)
    assert Fraction(content["learnt"]["rounds"]["exact"]) == Fraction(1_000, 12)
    assert len(content["seats"]) == MAX_SEATS - 2
    assert next(row["rule"] for row in content["rules"]) == "mean"
    told = "\n".join(lines(made))
    assert "12 seats, quorum 7, trust-weighted-median" in told
    assert f"{float(made.chosen.odds.capture):.3g} a round" in told
    assert max(map(len, told.splitlines())) <= 96


def test_a_chance_that_no_float_can_hold_is_still_told() -> None:
    made = plan(request(10**12, 1_000, risk=Fraction(1, 10**230)))
    assert "e+2" in "\n".join(lines(made))
    assert as_json(made)["chosen"]["capture"]["exact"]


def test_a_stake_is_against_what_a_round_is_worth_to_liars() -> None:
    cheap, dear = plan(request()), plan(request(at_stake=10**24))
    assert cheap.at_stake == 12 * 20 * LEAST
    assert cheap.deterrence.stake is not None and dear.deterrence.stake is not None
    assert cheap.deterrence.stake <= SET.registry.stake < dear.deterrence.stake
    told = "\n".join(lines(cheap)), "\n".join(lines(dear))
    assert ("is enough" in told[0], "is too little" in told[1]) == (True, True)


def test_a_lie_nearer_than_the_honest_forfeits_nothing() -> None:
    asked = request(100, 5, attack=ATTACKS["newcomers"], lie=Distance(0, 0))
    assert plan(asked).deterrence.forfeits == 0


@pytest.mark.parametrize(
    ("share", "evaluators", "liars"),
    [(Fraction(3, 10), 10, 3), (Fraction(3, 10), 11, 4), (Fraction(0), 5, 0), (Fraction(1), 5, 5)],
)
def test_a_share_of_liars_is_rounded_against_the_planner(
    share: Fraction, evaluators: int, liars: int
) -> None:
    assert least_share(share, evaluators) == liars


def test_full_trust_is_where_everybody_starts() -> None:
    assert Trusts() == Trusts(TRUST_ONE, TRUST_ONE)

"""What a round costs, against real calldata and real gas."""

from __future__ import annotations

import numpy as np
import pytest

from oracle.chain import calls
from oracle.chain.devnet import data_floor
from oracle.core.consensus import Rule
from oracle.core.facts import Role
from oracle.core.units import MAX_ITEMS, MAX_ROUND_BYTES, ONE
from oracle.demo.network import Network
from oracle.study.price import Tariff, fits, most_items, settlement_gas, tokens
from tests.contracts.rounds import committed, drawn, settlement, staffed

TARIFF = Tariff(items=20, least_pay=10**15)


def test_a_budget_below_the_least_is_refused() -> None:
    least = TARIFF.least(Rule.MEDIAN, 0, 5)
    assert least == 5 * 20 * 10**15
    with pytest.raises(ValueError, match=f"budget of {least - 1} wei is below {least}"):
        Tariff(items=20, least_pay=10**15, budget=least - 1).price(Rule.MEDIAN, 0, 5)


def test_the_least_price_pays_each_seat_and_item_the_least() -> None:
    price = TARIFF.price(Rule.MEDIAN, 0, 5)
    assert (price.evaluator_budget, price.fee) == (10**17, 0)
    assert (price.seat, price.item) == (2 * 10**16, 5 * 10**15)


def test_a_budget_pays_the_gas_first_and_evaluators_with_the_rest() -> None:
    tariff = Tariff(
        items=20,
        least_pay=10**15,
        gas_price=10**8,
        token_per_coin=2_500 * 10**18,
        budget=10**18,
    )
    price = tariff.price(Rule.MEDIAN, 0, 5)
    assert price.settlement == price.gas.estimate * 10**8
    assert price.fee == price.settlement * 2_500
    assert price.evaluator_budget + price.fee == 10**18
    assert price.seat == price.evaluator_budget // 5
    assert price.item == 10**18 // 20


def test_a_fee_is_rounded_up_for_the_settler() -> None:
    tariff = Tariff(items=1, least_pay=0, gas_price=1, token_per_coin=1)
    assert tariff.price(Rule.MEDIAN, 0, 3).fee == 1


@pytest.mark.parametrize("size", [3, 13, 14, 31])
def test_the_most_items_are_those_that_can_be_opened(size: int) -> None:
    most = most_items(size)
    assert fits(most, size) and not fits(most + 1, size)
    assert most == min(MAX_ITEMS, MAX_ROUND_BYTES // (2 * size + 4))
    assert not fits(0, size)


@pytest.mark.parametrize("rule", [Rule.MEDIAN, Rule.TRIMMED_MEAN, Rule.TRUST_WEIGHTED_MEDIAN])
@pytest.mark.parametrize("sizes", [(1,), (300, 200), (7, 1, 40)])
@pytest.mark.parametrize("panel_size", [4, 9])
def test_the_floor_is_that_of_real_calldata_from_closely_above(
    rule: Rule, sizes: tuple[int, ...], panel_size: int
) -> None:
    network = staffed()
    trim = 1_500 if rule is Rule.TRIMMED_MEAN else 0
    facts = drawn(network, sizes, panel_size=panel_size, rule=rule, trim=trim)
    items = sum(sizes)
    rng = np.random.default_rng(items)
    # Bytes that are not zero: what a round of noisy scores nearly has, and the bound assumes.
    rows = (rng.integers(1, 39, (panel_size, items)) << 8) | 1
    facts, reveals = committed(network, facts, rows=rows.astype(np.uint16))
    data = network.rounds.encode(
        "settle", *settlement(network, facts, reveals.values()).arguments()
    )
    bound = settlement_gas(rule, trim, panel_size, items, len(sizes)).floor
    # Words that are not scores: amounts and ids with leading zeros.
    slack = 30 * (160 + 8 * panel_size + 20 * len(sizes))
    assert data_floor(data) <= bound <= data_floor(data) + slack


def test_a_settlement_on_the_local_chain_uses_no_more_gas_than_the_estimate() -> None:
    network = Network()
    for _ in range(5):
        network.join(Role.EVALUATOR)
    writer = network.join(Role.INFERENCE)
    rng = np.random.default_rng(0)
    used = {}
    for domain, items in (("first", 1), ("new", 1), ("newer", 150)):
        name = domain.encode().ljust(32, b"\0")
        terms = network.terms(panel_size=5, domain=name)
        round_id = network.open(terms, [network.batch(writer, items)])
        network.draw(round_id)
        rows = rng.integers(ONE // 2, ONE, (5, items)).astype(np.uint16)
        reveals = network.commit_all(round_id, dict(enumerate(rows)))
        arguments = network.settlement(round_id, reveals).arguments()
        call = calls.rounds(network.deployment, "settle", *arguments)
        used[domain] = int(network.send(network.settler, call)["gasUsed"])
    # The first round of all credits every owner for the first time.
    estimates = {
        name: settlement_gas(terms.rule, 0, 5, n).estimate
        for name, n in (("new", 1), ("newer", 150))
    }
    for label, estimate in estimates.items():
        assert estimate / 2 < used[label] <= estimate
    assert used["first"] <= estimates["new"] + 7 * 17_100


@pytest.mark.parametrize(
    ("wei", "text"), [(0, "0"), (1, "0.000000000000000001"), (15 * 10**17, "1.5")]
)
def test_an_amount_is_told_to_the_last_wei(wei: int, text: str) -> None:
    assert tokens(wei) == text

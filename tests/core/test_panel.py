from __future__ import annotations

from collections import Counter

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from oracle.core.panel import SPARE_STEPS, TooFewEvaluators, draw_panel, draw_seed
from tests.core.rounds import account


def everybody(place: int) -> bool:
    return False


def shuffled(seed: bytes, population: int) -> list[int]:
    """The whole shuffle, on a list of all places."""
    places = list(range(population))
    for i in range(population):
        digest = keccak(encode(["bytes32", "uint256"], [seed, i]))
        j = i + int.from_bytes(digest) % (population - i)
        places[i], places[j] = places[j], places[i]
    return places


@pytest.mark.parametrize("population", [0, 1, 4])
def test_a_list_shorter_than_the_panel_is_too_short(population: int) -> None:
    with pytest.raises(TooFewEvaluators, match=f"found {population} evaluators for a panel of 5"):
        draw_panel(keccak(text="x"), population, 5, everybody)


def test_a_panel_is_too_small_when_too_many_are_passed_over() -> None:
    with pytest.raises(TooFewEvaluators, match="found 4 evaluators for a panel of 5"):
        draw_panel(keccak(text="x"), 10, 5, lambda place: place >= 4)


def test_the_draw_gives_up_after_its_spare_steps() -> None:
    seed = keccak(text="x")
    order = shuffled(seed, 1_000)
    for seats in (order[: 3 + SPARE_STEPS], order[SPARE_STEPS : SPARE_STEPS + 3]):
        assert draw_panel(seed, 1_000, 3, lambda place, seats=seats: place not in seats)  # type: ignore[misc]
    late = order[SPARE_STEPS + 1 : SPARE_STEPS + 4]
    with pytest.raises(TooFewEvaluators, match="found 2 evaluators for a panel of 3"):
        draw_panel(seed, 1_000, 3, lambda place: place not in late)


@settings(max_examples=100)
@given(
    seed=st.binary(min_size=32, max_size=32),
    population=st.integers(3, 200),
    size=st.integers(3, 31),
    excluded=st.sets(st.integers(0, 199)),
)
def test_the_panel_is_the_head_of_the_shuffled_list_without_those_passed_over(
    seed: bytes, population: int, size: int, excluded: set[int]
) -> None:
    head = shuffled(seed, population)[: size + SPARE_STEPS]
    eligible = [place for place in head if place not in excluded]
    if len(eligible) < size:
        with pytest.raises(TooFewEvaluators):
            draw_panel(seed, population, size, excluded.__contains__)
        return
    panel = draw_panel(seed, population, size, excluded.__contains__)
    assert list(panel) == eligible[:size]
    assert len(set(panel)) == size
    assert excluded.isdisjoint(panel)


def test_every_place_is_equally_likely_in_every_seat() -> None:
    population, size, draws = 11, 3, 6_000
    panels = [draw_panel(keccak(i.to_bytes(32)), population, size, everybody) for i in range(draws)]
    for seat in range(size):
        seen = Counter(panel[seat] for panel in panels)
        assert chisquare([seen[place] for place in range(population)]).pvalue > 0.001
    pairs = Counter(panel[:2] for panel in panels)
    cells = [pairs[a, b] for a in range(population) for b in range(population) if a != b]
    assert chisquare(cells).pvalue > 0.001


def test_a_huge_list_is_drawn_from_without_being_built() -> None:
    panel = draw_panel(keccak(text="x"), 2**32, 31, everybody)
    assert len(set(panel)) == 31
    assert max(panel) > 2**31


def test_the_seed_is_bound_to_block_contract_and_round() -> None:
    block_hash, contract = keccak(text="block"), account("rounds")
    expected = keccak(encode(["bytes32", "address", "uint256"], [block_hash, contract, 9]))
    assert draw_seed(block_hash, contract, 9) == expected

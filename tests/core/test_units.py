from __future__ import annotations

import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.core import units
from oracle.core.units import (
    ONE,
    ScoreAboveOne,
    WrongLength,
    check_scores,
    pack,
    round_half_up,
    unpack,
)
from tests.core import naive

UNITS = Path(__file__).resolve().parents[2] / "contracts" / "libraries" / "Units.sol"


def test_a_score_above_one_is_refused_with_its_value() -> None:
    with pytest.raises(ScoreAboveOne, match="score 10001 exceeds 10000"):
        check_scores(np.array([[0, 10_001], [ONE, 3]], dtype=np.uint16))


def test_scores_of_another_type_are_refused() -> None:
    with pytest.raises(TypeError, match="int64 instead of uint16"):
        check_scores(np.array([0, -1]))


@pytest.mark.parametrize("length", [0, 1, 3, 5, 6])
def test_packed_scores_of_the_wrong_length_are_refused(length: int) -> None:
    with pytest.raises(WrongLength, match=f"{length} bytes instead of 4"):
        unpack(bytes(length), 2)


def test_packed_scores_above_one_are_refused() -> None:
    with pytest.raises(ScoreAboveOne):
        unpack(b"\x00\x01\x27\x11", 2)


def test_item_zero_is_packed_first_and_high_byte_first() -> None:
    assert pack(np.array([1, 10_000], dtype=np.uint16)) == bytes.fromhex("00012710")


@given(st.lists(st.integers(0, ONE), max_size=40))
def test_packing_is_undone_by_unpacking(scores: list[int]) -> None:
    packed = pack(np.array(scores, dtype=np.uint16))
    assert unpack(packed, len(scores)).tolist() == scores


@given(st.integers(0, 2**200), st.integers(1, 2**200))
def test_rounding_is_to_the_nearest_and_halves_go_up(a: int, b: int) -> None:
    assert round_half_up(a, b) == naive.rounded(Fraction(a, b))


def test_rounding_of_arrays_is_that_of_their_elements() -> None:
    numerators, denominators = np.arange(50)[:, np.newaxis], np.arange(1, 9)
    rounded = round_half_up(numerators, denominators)
    assert rounded.tolist() == [[round_half_up(a, b) for b in range(1, 9)] for a in range(50)]


def test_units_and_limits_are_those_of_the_contracts() -> None:
    constants = re.findall(r"uint256 constant (\w+) = ([^;]+);", UNITS.read_text("utf-8"))
    values: dict[str, int] = {}
    for name, text in constants:
        factors = [values.get(part) or int(part) for part in text.split(" * ")]
        values[name] = math.prod(factors)
    assert values == {name: getattr(units, name) for name in values}
    assert {"ONE", "TRUST_ONE", "MAX_SEATS", "MAX_BATCHES", "MAX_ITEMS"} <= set(values)

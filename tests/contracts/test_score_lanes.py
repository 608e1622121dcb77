"""
The project's only assembly, against loops over lanes: the same words from either.

Words are drawn so that each lane often holds a boundary. Sweeps down columns and along rows have a
long version, `make reliability`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum, auto

import numpy as np
import pytest
from eth_utils import keccak
from numpy.typing import NDArray

from oracle.core.units import MAX_SEATS, ONE
from tests.contracts.harness import Harness, Reverted

CASES = 100_000
FEW_COLUMNS = 1_500
WORDS_A_CALL = 5_000
LANES, GUARD = 16, 0x8000
BELOW_GUARD = [0, 1, ONE - 1, ONE, ONE + 1, 0x58EF, 0x58F0, 0x7FFE, 0x7FFF]
ANYTHING = [*BELOW_GUARD, 0x8000, 0x8001, 0xA711, 0xFFFE, 0xFFFF]

Words = NDArray[np.uint8]
"""Words × 32 bytes."""


class Operation(IntEnum):
    """The operations of the harness, in its order."""

    HEAD = 0
    SPREAD = auto()
    ABOVE_ONE = auto()
    ANY_ABOVE_ONE = auto()
    GE = auto()
    UNITS = auto()
    MASK = auto()
    DISTANCE = auto()
    PAIRS = auto()
    TOTAL32 = auto()
    ODDS = auto()
    EVENS = auto()
    DIVIDE64 = auto()
    TOTAL16 = auto()


class Sweep(IntEnum):
    """The sweeps of the harness, in its order."""

    COUNTS_AT = 0
    WEIGHTS_AT = auto()
    SUM_DOWN = auto()
    WEIGHTED_DOWN = auto()
    CLAMP_DOWN = auto()
    ABOVE_ONE_ALONG = auto()
    DISTANCES_ALONG = auto()


@pytest.fixture(scope="module")
def harness() -> Harness:
    return Harness("ScoreLanesHarness")


def as_words(lanes: NDArray[np.int64], kind: str) -> Words:
    """Return (words, lanes) as words, each lane a big-endian `kind`."""
    return lanes.astype(kind).view(np.uint8).reshape(len(lanes), 32)


def numbers(values: NDArray[np.int64]) -> Words:
    """Return a word for each number below 2⁶⁴."""
    lanes = np.zeros((len(values), 4), dtype=np.int64)
    lanes[:, 3] = values
    return as_words(lanes, ">u8")


def mixed(
    rng: np.random.Generator, boundaries: list[int], limit: int, lanes: int
) -> NDArray[np.int64]:
    """Return CASES × lanes: half of the lanes boundaries, half anything below `limit`."""
    shape = CASES, lanes
    uniform = rng.integers(0, limit, shape)
    return np.where(rng.random(shape) < 0.5, rng.choice(boundaries, shape), uniform)


def words(operation: Operation, rng: np.random.Generator) -> tuple[Words, Words]:
    """Return what the operation is made for: as its assumptions allow, boundaries often."""
    match operation:
        case Operation.HEAD:
            a = numbers(mixed(rng, [*range(18), 4_096, 2**40], 32, 1)[:, 0])
        case Operation.SPREAD:
            a = numbers(mixed(rng, ANYTHING, 2**16, 1)[:, 0])
        case Operation.ABOVE_ONE | Operation.GE | Operation.DISTANCE:
            a = as_words(mixed(rng, BELOW_GUARD, GUARD, LANES), ">u2")
        case Operation.UNITS | Operation.MASK:
            a = as_words(rng.integers(0, 2, (CASES, LANES)) * GUARD, ">u2")
        case Operation.TOTAL16:
            a = as_words(mixed(rng, [0, 1, 31, 4_095], 4_096, LANES), ">u2")
        case Operation.TOTAL32:
            a = as_words(mixed(rng, [0, 1, 4_096 * ONE, 2**29 - 1], 2**29, 8), ">u4")
        case Operation.DIVIDE64:
            divisors = mixed(rng, [1, 2, 61, 62, 62_000, 2**16 - 1], 2**16 - 1, 1) + 1
            least = mixed(rng, [0, 1, 2 * ONE, 2**15 - 1], 2**15, 4)
            a = as_words(least * divisors + rng.integers(0, divisors, (CASES, 4)), ">u8")
            return a, numbers(divisors[:, 0])
        case _:
            a = as_words(mixed(rng, ANYTHING, 2**16, LANES), ">u2")
    if operation is Operation.ANY_ABOVE_ONE:
        # Anything in one lane and scores in the others, else every word would be flagged.
        scores = rng.choice([0, 1, ONE - 1, ONE], (CASES, LANES))
        at = np.arange(CASES), rng.integers(0, LANES, CASES)
        scores[at] = mixed(rng, ANYTHING, 2**16, 1)[:, 0]
        a = as_words(scores, ">u2")
    b = mixed(rng, BELOW_GUARD, GUARD, LANES)
    equal = rng.random(b.shape) < 0.2
    same = a.view(">u2").astype(np.int64)
    return a, as_words(np.where(equal & (same < GUARD), same, b), ">u2")


def chunks(a: Words, b: Words) -> Iterator[tuple[bytes, bytes]]:
    for start in range(0, len(a), WORDS_A_CALL):
        stop = start + WORDS_A_CALL
        yield a[start:stop].tobytes(), b[start:stop].tobytes()


@pytest.mark.parametrize("operation", list(Operation), ids=lambda operation: operation.name)
def test_lanes_and_twin_give_the_same_words(harness: Harness, operation: Operation) -> None:
    rng = np.random.default_rng(operation)
    seen: set[bytes] = set()
    for a, b in chunks(*words(operation, rng)):
        found = harness("lanes", operation, a, b)
        assert found == harness("twin", operation, a, b)
        seen |= {found[i : i + 32] for i in range(0, 3_200, 32)}
    assert len(seen) > 1


def sweep(harness: Harness, kind: Sweep, columns: int) -> None:
    """Sweep over random columns of every height, boundaries often, beside the twin."""
    rng = np.random.default_rng(kind)
    for rows in range(1, MAX_SEATS + 1):
        cases = -(-columns // MAX_SEATS)
        shape = cases, 2, LANES
        scores = kind not in (Sweep.COUNTS_AT, Sweep.WEIGHTS_AT)
        marks = BELOW_GUARD[:4] if scores else BELOW_GUARD
        limit = ONE + 1 if scores else GUARD
        bounds = np.where(
            rng.random(shape) < 0.5, rng.choice(marks, shape), rng.integers(0, limit, shape)
        )
        if kind is Sweep.CLAMP_DOWN:
            bounds.sort(axis=1)
        if kind is Sweep.SUM_DOWN:
            kept = rng.integers(1, LANES + 1, (cases, 1, 1))
            bounds[:] = np.where(np.arange(LANES) < kept, 0xFFFF, 0)
        shape = cases, rows, LANES
        words = np.where(
            rng.random(shape) < 0.5, rng.choice(marks, shape), rng.integers(0, limit, shape)
        )
        ties = rng.random(shape) < 0.2
        words = np.where(ties & (bounds[:, :1] < GUARD), bounds[:, :1], words)
        if kind is Sweep.ABOVE_ONE_ALONG:
            # Anything in one lane of scores, else every row would be flagged.
            words[words == ONE + 1] = ONE
            lane = rng.integers(0, rows, cases), rng.integers(0, LANES, cases)
            words[np.arange(cases), *lane] = rng.choice(ANYTHING, cases)
        weights = rng.choice([1, 999, 1_000], rows).tolist()
        for part in np.array_split(np.arange(cases), -(-cases // 200)):
            found = harness(
                "sweeps",
                kind,
                as_words(words[part].reshape(-1, LANES), ">u2").tobytes(),
                as_words(bounds[part].reshape(-1, LANES), ">u2").tobytes(),
                weights,
            )
            assert found == len(part)


@pytest.mark.parametrize("kind", list(Sweep), ids=lambda kind: kind.name)
def test_sweeps_and_twin_find_the_same(harness: Harness, kind: Sweep) -> None:
    sweep(harness, kind, FEW_COLUMNS)


@pytest.mark.reliability
@pytest.mark.parametrize("kind", list(Sweep), ids=lambda kind: kind.name)
def test_sweeps_and_twin_find_the_same_in_a_hundred_thousand_columns(
    harness: Harness, kind: Sweep
) -> None:
    sweep(harness, kind, CASES)


def test_the_twin_is_what_it_says_on_one_word(harness: Harness) -> None:
    a = np.arange(LANES, dtype=np.int64)[None] * 700
    b = np.full((1, LANES), 3_500, dtype=np.int64)
    given = as_words(a, ">u2").tobytes(), as_words(b, ">u2").tobytes()
    expected = {
        Operation.ABOVE_ONE: as_words((a > ONE) * GUARD, ">u2"),
        Operation.GE: as_words((a >= b) * GUARD, ">u2"),
        Operation.DISTANCE: as_words(np.abs(a - b), ">u2"),
        Operation.PAIRS: as_words(a[:, ::2] + a[:, 1::2], ">u4"),
        Operation.ODDS: as_words(a[:, 1::2], ">u4"),
        Operation.EVENS: as_words(a[:, ::2], ">u4"),
    }
    for operation, answer in expected.items():
        assert harness("twin", operation, *given) == answer.tobytes(), operation


@pytest.mark.parametrize("divisor", [*range(1, 63), 1_001, 31_000, 46_341, 61_999, 62_000])
def test_dividing_by_a_reciprocal_is_exact_wherever_the_quotient_has_15_bits(
    harness: Harness, divisor: int
) -> None:
    assert harness("divide", divisor) == 2**15 - 1


def test_dividing_by_a_reciprocal_is_not_exact_beyond_its_bounds(harness: Harness) -> None:
    with pytest.raises(Reverted) as caught:
        harness("divide", 12_345_679)
    assert caught.value.name == "Differs"


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 64, 95, 500])
def test_words_are_loaded_from_any_byte(harness: Harness, length: int) -> None:
    data = np.random.default_rng(length).bytes(length)
    assert harness("loads", data) == max(0, length - 31)


def test_words_are_written_where_they_are_read(harness: Harness) -> None:
    values = [0, 1, 2**256 - 1, 2**255, 42]
    assert list(harness("writes", values)) == values


@pytest.mark.parametrize("length", [0, 1, 2, 31, 32, 33, 8_192])
def test_a_hash_is_that_of_header_and_data_in_one(harness: Harness, length: int) -> None:
    rng = np.random.default_rng(length)
    header, data = [rng.bytes(32) for _ in range(5)], rng.bytes(length)
    lanes, twin = harness("hashes", header, data)
    assert lanes == twin == keccak(b"".join(header) + data)

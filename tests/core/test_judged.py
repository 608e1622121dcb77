"""Which items seats are judged by: all of a small round, an even sample of a large one."""

from __future__ import annotations

from collections import Counter

import pytest

from oracle.core.judged import GROUP, judged_count, judged_items
from oracle.core.units import MAX_ITEMS, MAX_JUDGED

SIZES = [129, 143, 144, 145, 255, 256, 1_024, 1_861, 4_095, MAX_ITEMS]
DRAWS = 2_000


def salts(draw: int, seats: int = 3) -> list[bytes]:
    return [(seats * draw + seat).to_bytes(32) for seat in range(seats)]


@pytest.mark.parametrize("items", [1, 15, 16, 17, 127, MAX_JUDGED])
def test_a_small_round_is_judged_whole_whatever_the_salts(items: int) -> None:
    for draw in range(20):
        assert judged_items(items, salts(draw)).tolist() == list(range(items))
    assert judged_count(items) == items


@pytest.mark.parametrize("items", SIZES)
def test_every_group_of_a_large_round_begins_some_sample_and_all_are_judged_alike(
    items: int,
) -> None:
    starts, judged = set(), Counter[int]()
    for draw in range(DRAWS):
        sample = judged_items(items, salts(draw)).reshape(-1, GROUP)
        firsts = sample[:, 0].tolist()
        assert len(set(firsts)) == len(firsts) == MAX_JUDGED // GROUP
        assert all(group.tolist() == list(range(group[0], group[0] + GROUP)) for group in sample)
        assert 0 <= min(firsts) <= max(firsts) <= items - GROUP
        starts.add(firsts[0])
        judged.update(firsts)
    groups = {*range(0, items - GROUP + 1, GROUP), items - GROUP}
    assert starts == set(judged) == groups
    expected = DRAWS * (MAX_JUDGED // GROUP) / len(groups)
    # Five standard deviations of a count that is nearly Poisson's.
    assert all(abs(count - expected) < 5 * expected**0.5 for count in judged.values())
    assert judged_count(items) == MAX_JUDGED


@pytest.mark.parametrize("items", SIZES)
def test_a_sample_is_spread_over_the_round(items: int) -> None:
    count = -(-items // GROUP)
    for draw in range(100):
        firsts = judged_items(items, salts(draw)).reshape(-1, GROUP)[:, 0]
        groups = sorted((-(-firsts // GROUP)).tolist())
        gaps = {b - a for a, b in zip(groups, [*groups[1:], groups[0] + count], strict=True)}
        assert gaps <= {count // 8, -(-count // 8)}


def test_the_salt_of_every_seat_matters_and_so_does_their_order() -> None:
    first = salts(0)
    samples = {tuple(judged_items(MAX_ITEMS, first).tolist())}
    for seat in range(len(first)):
        for change in range(1, 4):
            other = [*first[:seat], (1_000 + change).to_bytes(32), *first[seat + 1 :]]
            samples.add(tuple(judged_items(MAX_ITEMS, other).tolist()))
    assert len(samples) > 5
    assert judged_items(MAX_ITEMS, first[::-1]).tolist() != judged_items(MAX_ITEMS, first).tolist()

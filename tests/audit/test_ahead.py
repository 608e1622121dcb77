"""Reading ahead changes neither order nor errors, and ends with whoever listens."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from oracle.audit.ahead import ahead


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("three")

    found = []
    with pytest.raises(KeyError, match="three"):
        for item in ahead(items()):
            found.append(item)
    assert found == [1, 2]


def test_the_thread_ends_when_nobody_listens_any_more() -> None:
    before = threading.active_count()
    endless = ahead(iter(int, 1))
    next(endless)
    assert threading.active_count() == before + 1
    endless.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_no_more_than_the_depth_is_made_ahead() -> None:
    made = []

    def items() -> Iterator[int]:
        for item in range(100):
            made.append(item)
            yield item

    reading = ahead(items(), depth=2)
    for item in reading:
        # Two wait, one is being handed over, and one may be in the making.
        assert len(made) <= item + 1 + 2 + 2


@pytest.mark.parametrize("count", [0, 1, 50])
def test_every_item_comes_once_and_in_order(count: int) -> None:
    assert list(ahead(range(count))) == list(range(count))

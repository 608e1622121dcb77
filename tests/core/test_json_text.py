"""JSON from strangers: parsed like the standard library does, unless it nests too deep."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.core.json_text import MAX_NESTING, parse


@pytest.fixture
def generous_recursion() -> Iterator[None]:
    """Raise the recursion limit as Ethereum's libraries do."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.usefixtures("generous_recursion")
@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":"\\"]",'])
def test_what_nests_too_deep_is_refused(opening: str) -> None:
    with pytest.raises(ValueError, match="nested deeper than 64"):
        parse(opening * 100_000)


def test_the_deepest_that_is_allowed_is_parsed() -> None:
    text = "[" * MAX_NESTING + "]" * MAX_NESTING
    assert parse(text.encode()) == json.loads(text)
    with pytest.raises(ValueError, match="nested"):
        parse(f"[{text}]")


@pytest.mark.parametrize("text", ["[" * 1_000, '\\"[' * 1_000, '"]' * 10 + "[" * 1_000])
def test_brackets_in_strings_are_not_nesting(text: str) -> None:
    assert parse(json.dumps({text: [text]})) == {text: [text]}


@pytest.mark.parametrize("text", ["", "{", "[1,]", '"abc', '"abc\\', "[NaN", "\ufeff{}"])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


def test_an_unending_string_is_refused_in_linear_time() -> None:
    with pytest.raises(ValueError, match="Unterminated"):
        parse('"' + '\\"' * 1_000_000)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_everything_else_is_what_the_standard_library_says(value: object) -> None:
    assert parse(json.dumps(value)) == value
